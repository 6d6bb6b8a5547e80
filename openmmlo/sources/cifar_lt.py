"""CIFAR-100-LT and CIFAR-10-LT: long-tailed subsets of the original training sets, with the whole test sets.

Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009. The long tail follows Cao et al., LDAM,
NeurIPS 2019 (arXiv:1906.07413): n_c = int(500 * (1 / ratio) ** (c / 99)), classes in label order.

The archives are ``cifar-100-python.tar.gz`` and ``cifar-10-python.tar.gz`` from
https://www.cs.toronto.edu/~kriz/cifar.html, or the folders ``cifar-100-python`` and ``cifar-10-batches-py`` that they
unpack to. An extracted folder is mapped into memory and shared by all workers.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from openmmlo.errors import ConfigError, DataError, OpenmmloError, UnknownName
from openmmlo.records import ClassInfo, DatasetInfo, Finding, Sample
from openmmlo.sources import data_root
from openmmlo.sources.array_images import ArrayImage, Pixels, parse_locator
from openmmlo.sources.cifar_archive import PIXELS, SIDE, Rows, read_member
from openmmlo.sources.cifar_layouts import CIFAR10, CIFAR100, SYNONYMS, Layout
from openmmlo.sources.longtail import SELECTION_RULES, Selection, exponential_counts, keep


@dataclass(frozen=True)
class Cifar100LT:
    """CIFAR-100 with an exponential long tail in its training set.

    Args:
        images: the archive, its extracted folder, or a folder that holds either; else under OPENMMLO_DATA.
        ratio: images of the largest class over those of the smallest; 1 keeps the whole training set.
        seed: of the selection rule "seeded".
        selection: which images of a class are kept, a rule of longtail.SELECTION_RULES.
    """

    images: Path | None = None
    ratio: float = 100.0
    seed: int = 0
    selection: Selection = "seeded"
    name: str = field(default="cifar100-lt", init=False)

    def info(self) -> DatasetInfo:
        return _info(self, CIFAR100)

    def splits(self) -> tuple[str, ...]:
        return ("train", "test")

    def samples(self, split: str) -> Iterator[Sample]:
        return _samples(self, CIFAR100, split)

    def image(self, locator: str) -> ArrayImage:
        return _image(self, CIFAR100, locator)

    def check(self, splits: tuple[str, ...] = (), look: bool = True) -> list[Finding]:
        return _check(self, CIFAR100, splits)


@dataclass(frozen=True)
class Cifar10LT:
    """CIFAR-10 with an exponential long tail in its training set.

    Arguments as for :class:`Cifar100LT`.
    """

    images: Path | None = None
    ratio: float = 100.0
    seed: int = 0
    selection: Selection = "seeded"
    name: str = field(default="cifar10-lt", init=False)

    def info(self) -> DatasetInfo:
        return _info(self, CIFAR10)

    def splits(self) -> tuple[str, ...]:
        return ("train", "test")

    def samples(self, split: str) -> Iterator[Sample]:
        return _samples(self, CIFAR10, split)

    def image(self, locator: str) -> ArrayImage:
        return _image(self, CIFAR10, locator)

    def check(self, splits: tuple[str, ...] = (), look: bool = True) -> list[Finding]:
        return _check(self, CIFAR10, splits)


def cifar_pixels(archive: Path, member: str) -> Pixels:
    """(N, 32, 32, 3) view of the pixels of one member. Raises DataError for a damaged archive."""
    rows = read_member(archive, member).get(b"data")
    if not isinstance(rows, np.ndarray) or rows.shape[1] != PIXELS:
        raise DataError(f"{archive.name}: {member} holds no pixels of {SIDE} x {SIDE} images.")
    return rows.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)


def _find(source: Cifar100LT | Cifar10LT, layout: Layout) -> Path | None:
    """The archive, or the folder in which the extracted folder lies; None where neither is found."""
    start = source.images if source.images is not None else data_root()
    if start is None:
        return None
    start = start.expanduser().absolute()
    if start.is_file():
        return start
    if start.name == layout.folder and (start / layout.meta).is_file():
        return start.parent
    for home in layout.homes:
        if (start / home / layout.folder / layout.meta).is_file():
            return start / home
        if (start / home / layout.archive).is_file():
            return start / home / layout.archive
    return None


def _place(source: Cifar100LT | Cifar10LT, layout: Layout) -> Path:
    place = _find(source, layout)
    if place is not None:
        return place
    start = source.images if source.images is not None else data_root()
    looked = f"found neither under {start}" if start is not None else "neither --images nor OPENMMLO_DATA says where"
    raise DataError(f"{source.name} needs {layout.archive} or its extracted folder {layout.folder}; {looked}.")


def _batch(place: Path, layout: Layout, member: str) -> tuple[list[int], Rows]:
    """Labels and pixels of one member, checked against each other."""
    values = read_member(place, f"{layout.folder}/{member}")
    labels, rows = values.get(layout.labels_key), values.get(b"data")
    where = f"{place.name}: {layout.folder}/{member}"
    if not isinstance(labels, list) or not isinstance(rows, np.ndarray):
        raise DataError(f"{where} has no {layout.labels_key.decode()} or no data; is it a {layout.title} batch?")
    if rows.shape != (len(labels), PIXELS):
        raise DataError(f"{where} has {len(labels):,} labels and pixels of shape {rows.shape}; expected (N, {PIXELS}).")
    if any(not isinstance(label, int) or not 0 <= label < len(layout.classes) for label in labels):
        raise DataError(f"{where} has a label outside 0 to {len(layout.classes) - 1}.")
    return labels, rows


def _kept(source: Cifar100LT | Cifar10LT, layout: Layout, split: str) -> list[tuple[str, int, str, int]]:
    """(sample_id, label, member, row in member) of a split, in the order of the archive."""
    place = _place(source, layout)
    whole = _whole(layout, place, split)
    if split != "train":
        return whole
    by_class: dict[int, list[str]] = {label: [] for label in range(len(layout.classes))}
    for sample_id, label, _, _ in whole:
        by_class[label].append(sample_id)
    try:
        counts = exponential_counts(max(map(len, by_class.values())), len(by_class), source.ratio)
    except ValueError as error:
        raise ConfigError(f"{source.name}: {error}.") from error
    chosen: set[str] = set()
    for (label, ids), count in zip(by_class.items(), counts, strict=True):
        if len(ids) < count:
            raise DataError(f"{place.name}: class {layout.classes[label]} has {len(ids)} images; {count} are needed.")
        chosen.update(keep(ids, count, source.selection, source.seed))
    return [row for row in whole if row[0] in chosen]


def _whole(layout: Layout, place: Path, split: str) -> list[tuple[str, int, str, int]]:
    found: list[tuple[str, int, str, int]] = []
    for member in layout.members(split):
        labels, _ = _batch(place, layout, member)
        start = len(found)
        found.extend((f"{split}-{start + row:08d}", label, member, row) for row, label in enumerate(labels))
    return found


def _samples(source: Cifar100LT | Cifar10LT, layout: Layout, split: str) -> Iterator[Sample]:
    if split not in source.splits():
        raise UnknownName(f"{source.name} split", split, source.splits())
    place = _place(source, layout)
    _check_names(place, layout)
    for sample_id, label, member, row in _kept(source, layout, split):
        image = ArrayImage(place, f"{layout.folder}/{member}", row, cifar_pixels)
        yield Sample(sample_id, image, label, split, source.name, layout.classes[label])


def _check_names(place: Path, layout: Layout) -> None:
    names = read_member(place, f"{layout.folder}/{layout.meta}").get(layout.names_key)
    if names != [name.encode() for name in layout.classes]:
        raise DataError(f"{place.name}: {layout.meta} holds other class names than {layout.title} has.")


def _image(source: Cifar100LT | Cifar10LT, layout: Layout, locator: str) -> ArrayImage:
    return ArrayImage(_place(source, layout), *parse_locator(locator), cifar_pixels)


def _info(source: Cifar100LT | Cifar10LT, layout: Layout) -> DatasetInfo:
    counts: tuple[int, ...] | None = None
    if _find(source, layout) is not None:
        found = Counter(label for _, label, _, _ in _kept(source, layout, "train"))
        counts = tuple(found[label] for label in range(len(layout.classes)))
    rule = f"{source.selection}, seed {source.seed}" if source.selection == "seeded" else source.selection
    return DatasetInfo(
        name=source.name,
        version=f"ratio {source.ratio:g}, selection {rule}",
        licence="unknown: the publishers state none",
        classes=class_infos(layout),
        train_counts=counts,
        homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
        citation="Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
        notes=(
            f"Training images kept: {SELECTION_RULES[source.selection]}; the test set is whole.",
            "Profile: Cao et al., Label-Distribution-Aware Margin Loss, NeurIPS 2019 (arXiv:1906.07413).",
        ),
    )


def class_infos(layout: Layout) -> tuple[ClassInfo, ...]:
    """The classes in label order, with the names that captions call them by."""
    names = {key: key.replace("_", " ") for key in layout.classes}
    return tuple(ClassInfo(key, name, (name, *SYNONYMS.get(key, ()))) for key, name in names.items())


def _check(source: Cifar100LT | Cifar10LT, layout: Layout, splits: tuple[str, ...]) -> list[Finding]:
    try:
        place = _place(source, layout)
    except DataError as error:
        remedy = (
            f"Fetch {layout.archive} from https://www.cs.toronto.edu/~kriz/cifar.html and name it with --images, or "
            f"lay it in OPENMMLO_DATA/{source.name}."
        )
        return [Finding("error", str(error), remedy)]
    findings = [Finding("ok", f"{layout.title} found: {place if place.is_file() else place / layout.folder}")]
    try:
        _check_names(place, layout)
        for split in splits or source.splits():
            per_class = Counter(sample.label for sample in _samples(source, layout, split))
            sizes = f"largest {max(per_class.values()):,}, smallest {min(per_class.values()):,}"
            what = f"{split}: {per_class.total():,} images in {len(per_class)} classes, {sizes}"
            findings.append(Finding("ok", what))
    except OpenmmloError as error:
        findings.append(Finding("error", str(error), f"Fetch {layout.archive} again."))
        return findings
    return findings + _checksum_findings(place, layout)


def _checksum_findings(place: Path, layout: Layout) -> list[Finding]:
    names = (*layout.train, *layout.test, layout.meta)
    files = [place] if place.is_file() else [place / layout.folder / name for name in names]
    expected = [layout.md5[layout.archive]] if place.is_file() else [layout.md5[name] for name in names]
    other = [file.name for file, md5 in zip(files, expected, strict=True) if _md5(file) != md5]
    if not other:
        return [Finding("ok", "the checksums are those of the original archive")]
    what = f"not the bytes of the original archive (MD5): {', '.join(other)}"
    return [Finding("warning", what, f"Fetch {layout.archive} again, unless you changed it on purpose.")]


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
