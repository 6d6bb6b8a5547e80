"""A folder of images: a class per folder path, at any depth.

Splits are the top-level folders where they are all called train, val or test; else a file says, else each class is
divided by rank of SHA-256, so that a new image moves few others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from openmmlo.errors import ConfigError, DataError, OpenmmloError, UnknownName
from openmmlo.records import ClassInfo, DatasetInfo, Finding, Sample, Status
from openmmlo.sources.files import FileImage
from openmmlo.sources.folder_tables import SPLIT_ORDER, SPLITS, class_infos, read_classes, read_splits
from openmmlo.sources.folder_tree import IMAGE_SUFFIXES, FolderTree, Found, walk
from openmmlo.sources.longtail import exponential_counts, keep, seeded_order

CLASS_TABLE = "classes.csv"

_SHOWN = 3

_REASONS = {
    Status.LINK: ("are links out of the folder, not followed", "Use --follow-links, or copy the images."),
    Status.MISSING: ("are links to nothing", "Mend or remove the links."),
    Status.NAME: ("have names that are not UTF-8", "Rename them."),
    Status.UNREADABLE: ("are no regular files", "Remove them."),
}


@dataclass(frozen=True)
class ImageFolder:
    """A folder of images, a class per folder path.

    Every file with an image suffix becomes a sample, empty and damaged ones too. ``sample_id`` is its POSIX path below
    ``images``.

    Args:
        images: the folder.
        splits_file: which image is in which split; see folder_tables.read_splits.
        classes: names and synonyms; ``classes.csv`` in the folder is found by itself; see folder_tables.read_classes.
        longtail: ratio of an exponential long tail to carve from the training images, classes ordered by their number
            of training images, largest first, then by key. No class is asked for more than it has.
        seed: of the seeded split and of the choice for the long tail.
        val: share of each class that the seeded split holds out for validation.
        test: share of each class that it holds out for test. A class keeps at least one image for training.
        follow_links: follow linked folders below the first level, and single files, that leave the folder.
        name: what the data set is called.
    """

    images: Path | None = None
    splits_file: Path | None = None
    classes: Path | None = None
    longtail: float | None = None
    seed: int = 0
    val: float = 0.1
    test: float = 0.2
    follow_links: bool = False
    name: str = "imagefolder"

    def info(self) -> DatasetInfo:
        listing = self._listing
        counts = None
        if "train" in listing.splits:
            counts = tuple(len(listing.splits["train"].get(info.key, ())) for info in listing.classes)
        return DatasetInfo(
            name=self.name,
            version="as found",
            licence="unknown: as the owners of the images state",
            classes=listing.classes,
            train_counts=counts,
            notes=listing.notes,
        )

    def splits(self) -> tuple[str, ...]:
        return tuple(self._listing.splits)

    def samples(self, split: str) -> Iterator[Sample]:
        listing = self._listing
        if split not in listing.splits:
            raise UnknownName(f"{self.name} split", split, listing.splits)
        return self._samples(listing, split)

    def _samples(self, listing: Listing, split: str) -> Iterator[Sample]:
        root, files = listing.tree.root, listing.splits[split]
        for label, info in enumerate(listing.classes):
            for path, problem in files.get(info.key, ()):
                yield Sample(path, FileImage(root, path), label, split, self.name, info.key, problem)

    def image(self, locator: str) -> FileImage:
        return FileImage(self._root(), locator)

    def check(self, splits: tuple[str, ...] = (), look: bool = True) -> list[Finding]:
        try:
            listing = self._listing
            for split in splits:
                self.samples(split)
        except OpenmmloError as error:
            return [Finding("error", str(error))]
        return list(_findings(listing, splits or tuple(listing.splits)))

    def _root(self) -> Path:
        if self.images is None:
            raise DataError("imagefolder needs a folder of images: name it with --images.")
        root = self.images.expanduser().absolute()
        if not root.is_dir():
            raise DataError(f"There is no folder {self.images}.")
        return root

    @cached_property
    def _listing(self) -> Listing:
        """The folder as first seen: one walk serves every question to this object and stays out of its pickle."""
        return _list(self, self._root())

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_listing"}


Files = dict[str, list[Found]]
"""Class key -> its files, sorted by path."""


@dataclass(frozen=True)
class Listing:
    """What a folder holds: its classes in label order, and for each split the files of each class."""

    tree: FolderTree
    classes: tuple[ClassInfo, ...]
    splits: dict[str, Files]
    notes: tuple[str, ...]
    unlisted: tuple[str, ...] = ()
    half_split: tuple[str, ...] = ()
    uncarved: bool = False


def _list(source: ImageFolder, root: Path) -> Listing:
    table = source.classes
    if table is None and (root / CLASS_TABLE).is_file():
        table = root / CLASS_TABLE
    tree = walk(root, source.follow_links, [path for path in (table, source.splits_file) if path is not None])
    if not tree.images:
        suffixes = " ".join(sorted(IMAGE_SUFFIXES))
        raise DataError(
            f"No image below {source.images}. Expected CLASS/image or train/CLASS/image there, with one of the "
            f"suffixes {suffixes}."
        )
    tops = {folder.partition("/")[0] for folder in tree.images}
    named = {top: SPLITS[top.casefold()] for top in tops if top.casefold() in SPLITS}
    unlisted: tuple[str, ...] = ()
    if len(named) == len(tops):
        splits, note = _by_folder(source, tree, named), "the top-level folders"
    elif source.splits_file is not None:
        splits, unlisted = _by_file(source.splits_file, tree)
        note = "a file given by the user"
    else:
        splits = _by_rank(source, tree)
        note = f"seeded, {source.val:g} val and {source.test:g} test of each class, seed {source.seed}"
    stray = [path for files in splits.values() for path, _ in files.get("", ())]
    if stray:
        raise DataError(f"{len(stray):,} images lie in no class folder: {_some(stray)}. Move each into one.")
    notes = [f"Splits: {note}."]
    uncarved = False
    if source.longtail is not None:
        before = splits.get("train", {})
        splits["train"] = _tail(source, before, source.longtail)
        uncarved = splits["train"] == before
        rule = f"exponential profile, ratio {source.longtail:g}, images ranked by SHA-256, seed {source.seed}"
        notes.append(f"Long tail of the training images: {rule}.")
    keys = sorted({key for files in splits.values() for key in files})
    classes = class_infos(keys, read_classes(table, keys) if table is not None else {})
    half_split = tuple(sorted(named)) if len(named) < len(tops) and source.splits_file is None else ()
    return Listing(tree, classes, splits, tuple(notes), unlisted, half_split, uncarved)


def _by_folder(source: ImageFolder, tree: FolderTree, named: dict[str, str]) -> dict[str, Files]:
    if source.splits_file is not None:
        raise DataError(f"{', '.join(sorted(named))} already are the splits; remove {source.splits_file.name}.")
    twice = [split for split, count in Counter(named.values()).items() if count > 1]
    if twice:
        folders = ", ".join(sorted(top for top, split in named.items() if split == twice[0]))
        raise DataError(f"{folders} are all the split {twice[0]}. Keep one of these folders.")
    splits: dict[str, Files] = {split: {} for split in SPLIT_ORDER if split in named.values()}
    for folder in sorted(tree.images):
        top, _, key = folder.partition("/")
        splits[named[top]][key] = tree.images[folder]
    return splits


def _by_file(path: Path, tree: FolderTree) -> tuple[dict[str, Files], tuple[str, ...]]:
    every = {image for files in tree.images.values() for image, _ in files}
    chosen = read_splits(path, every.__contains__)
    splits: dict[str, Files] = {split: {} for split in SPLIT_ORDER if split in set(chosen.values())}
    for folder in sorted(tree.images):
        for found in tree.images[folder]:
            if found[0] in chosen:
                splits[chosen[found[0]]].setdefault(folder, []).append(found)
    return splits, tuple(sorted(every - chosen.keys()))


def _by_rank(source: ImageFolder, tree: FolderTree) -> dict[str, Files]:
    val, test = source.val, source.test
    if not (val >= 0 and test >= 0 and val + test < 1):
        raise ConfigError(
            f"val is {val:g} and test {test:g}; expected shares of at least 0 that add up to less than 1."
        )
    shares = {"train": 1.0, "val": val, "test": test}
    splits: dict[str, Files] = {split: {} for split in SPLIT_ORDER if shares[split] > 0}
    for folder in sorted(tree.images):
        files = tree.images[folder]
        ranked = seeded_order((path for path, _ in files), source.seed)
        tested = min(int(len(files) * test + 0.5), len(files) - 1)
        validated = min(int(len(files) * val + 0.5), len(files) - 1 - tested)
        home = dict.fromkeys(ranked, "train")
        home.update(dict.fromkeys(ranked[:tested], "test"))
        home.update(dict.fromkeys(ranked[tested : tested + validated], "val"))
        for found in files:
            splits[home[found[0]]].setdefault(folder, []).append(found)
    return {split: files for split, files in splits.items() if files}


def _tail(source: ImageFolder, train: Files, ratio: float) -> Files:
    if not train:
        raise DataError("A long tail is carved from training images, and there are none.")
    order = sorted(train, key=lambda key: (-len(train[key]), key))
    try:
        counts = exponential_counts(len(train[order[0]]), len(order), ratio)
    except ValueError as error:
        raise ConfigError(f"--longtail: {error}.") from error
    tail: Files = {}
    for key, count in zip(order, counts, strict=True):
        kept = set(keep([path for path, _ in train[key]], count, "seeded", source.seed))
        tail[key] = [found for found in train[key] if found[0] in kept]
    return tail


def _findings(listing: Listing, splits: tuple[str, ...]) -> Iterator[Finding]:
    tree = listing.tree
    for split in splits:
        sizes = [len(files) for files in listing.splits[split].values()]
        spread = f" (largest {max(sizes):,}, smallest {min(sizes):,})" if sizes else ""
        yield Finding(
            "ok", f"{split}: {sum(sizes):,} images in {len(sizes):,} of {len(listing.classes):,} classes{spread}"
        )
    if "train" in listing.splits:
        untrained = [info.key for info in listing.classes if info.key not in listing.splits["train"]]
        yield from _warning(untrained, "classes have no training image", "Their training count is 0.")
    if listing.half_split:
        what = (
            f"{', '.join(listing.half_split)} look like splits but stand beside other folders: all are read as classes"
        )
        yield Finding(
            "warning", what, "Move the other folders away, or say with --splits which image is in which split."
        )
    if listing.uncarved:
        what = "The long tail leaves out no image: the classes are as long-tailed as that already"
        yield Finding("warning", what, "Ask for a larger ratio, or leave --longtail away.")
    problems: dict[Status, list[str]] = {}
    for split in splits:
        for files in listing.splits[split].values():
            for path, problem in files:
                if problem is not None:
                    problems.setdefault(problem, []).append(path)
    for problem, paths in sorted(problems.items()):
        what, remedy = _REASONS[problem]
        yield from _warning(paths, f"images {what}", f"{remedy} Until then each is an error row.")
    yield from _warning(listing.unlisted, "images are not in the file of splits", "They are left out.")
    yield from _warning(tree.refused, "linked folders leave the folder", "Use --follow-links to read what they hold.")
    yield from _warning(tree.cycles, "linked folders lead back to a folder above them", "They are not entered again.")
    yield from _warning(tree.empty, "folders hold no image", "They are not classes.")
    yield from _warning(tree.hidden, "hidden or system entries are skipped", "Rename them if they are images.")
    if tree.others:
        kinds = ", ".join(f"{suffix} ({count:,})" for suffix, count in tree.others.most_common(_SHOWN))
        what = f"{tree.others.total():,} files are no images by their suffix: {kinds}"
        yield Finding("warning", what, "Convert them if they are images.")


def _warning(items: Sequence[str], what: str, remedy: str) -> Iterator[Finding]:
    if items:
        yield Finding("warning", f"{len(items):,} {what}: {_some(items)}", remedy)


def _some(items: Sequence[str]) -> str:
    shown = ", ".join(f"{item!r:.120}" for item in sorted(items)[:_SHOWN])
    return f"{shown}, …" if len(items) > _SHOWN else shown
