"""Image collections without a list: where their folder or archive may lie, and which images are in it.

Sample ids come from the images' own names, so they are the same in every layout, packed or unpacked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from openmmlo.errors import DataError
from openmmlo.records import Finding, ImageReference, Status
from openmmlo.sources import data_root
from openmmlo.sources.archives import ArchiveImage, members
from openmmlo.sources.files import FileImage
from openmmlo.sources.folder_tree import IMAGE_SUFFIXES, walk

SHELVES = ("", "ood_datasets", "small_OOD_dataset", "ood")
"""Folders under a data root in which out-of-distribution sets are kept; the second and third are those of published
evaluation code (ATOM and what follows it; CIDER)."""

_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Located:
    """One image that was found: its id, its class folder, its reference and why it cannot be read, if so."""

    sample_id: str
    folder: str
    image: ImageReference
    problem: Status | None = None


@dataclass(frozen=True)
class Collection:
    """What is known of a collection before it is looked for.

    Attributes:
        title: what messages call it.
        folders: names of its folder under the data root or a shelf of it, the usual one first.
        inner: folders in it that may hold the images, in order; "" is itself.
        archives: names of archives that are read as they are.
        rows: images it holds as published.
        origin: where to get it and how it should lie.
        identify: (class folder, file stem) -> sample id.
        prefix: what the images' names begin with; others are not of the collection.
    """

    title: str
    folders: tuple[str, ...]
    inner: tuple[str, ...]
    archives: tuple[str, ...]
    rows: int
    origin: str
    identify: Callable[[str, str], str]
    prefix: str = ""


def candidates(images: Path | None, names: Sequence[str]) -> list[Path]:
    """Folders to look in, in order: the option and what it holds, else those under OPENMMLO_DATA."""
    if images is not None:
        start = images.expanduser()
        return [start, *(start / name for name in names)]
    root = data_root()
    if root is None:
        return []
    return [root / shelf / name for shelf in SHELVES for name in ("", *names)]


def place_of(collection: Collection, images: Path | None) -> Path:
    """The folder or archive that holds a collection.

    Raises:
        DataError: there is none; every folder searched and the origin are named.
    """
    if images is not None and images.expanduser().is_file():
        return images.expanduser()
    searched = candidates(images, collection.folders)
    names = {PurePosixPath(name).name for name in collection.folders}
    named = [folder for folder in searched if folder.name in names]
    for folder in [*named, *(searched[:1] if images is not None else [])]:
        for inner in collection.inner:
            if _holds_images(folder / inner, collection.prefix):
                return folder / inner
    for folder in searched:
        for archive in collection.archives:
            if (folder / archive).is_file():
                return folder / archive
    shown = ", ".join(map(str, searched[: 2 * _MOST_NAMED])) or "nothing (no --images, and OPENMMLO_DATA is not set)"
    more = f" and {len(searched) - 2 * _MOST_NAMED} more" if len(searched) > 2 * _MOST_NAMED else ""
    raise DataError(f"{collection.title}: no folder with its images. Searched: {shown}{more}.")


def _holds_images(folder: Path, prefix: str) -> bool:
    """Whether a folder has an image in it, or a folder with an image: no deeper look, and none at other files."""
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return False
    if any(_is_image(entry.name, prefix) for entry in entries):
        return True
    for entry in entries:
        if entry.name.startswith(".") or not entry.is_dir():
            continue
        try:
            if any(_is_image(inner.name, prefix) for inner in entry.iterdir()):
                return True
        except OSError:
            continue
    return False


def _is_image(name: str, prefix: str = "") -> bool:
    return name.startswith(prefix) and not name.startswith(".") and PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES


def located(collection: Collection, place: Path, follow_links: bool = False) -> list[Located]:
    """Every image of a collection, sorted by id.

    Raises:
        DataError: two images with one id, an unreadable folder, a damaged archive.
    """
    listed = _in_archive(place) if place.is_file() else _in_folder(place, follow_links)
    found: dict[str, Located] = {}
    for path, image, problem in listed:
        pure = PurePosixPath(path)
        if not pure.name.startswith(collection.prefix):
            continue
        folder = pure.parent.name
        sample_id = collection.identify(folder, pure.stem)
        if sample_id in found:
            first = found[sample_id].image.locator
            raise DataError(
                f"{collection.title}: {first!r} and {image.locator!r} under {place} are both the image {sample_id!r}; "
                "expected one copy of each. Remove one of the two."
            )
        found[sample_id] = Located(sample_id, folder, image, problem)
    return [found[sample_id] for sample_id in sorted(found)]


def _in_folder(place: Path, follow_links: bool) -> Iterator[tuple[str, ImageReference, Status | None]]:
    tree = walk(place, follow_links)
    for folder in sorted(tree.images):
        for path, problem in tree.images[folder]:
            yield path, FileImage(place, path), problem


def _in_archive(place: Path) -> Iterator[tuple[str, ImageReference, Status | None]]:
    for name in members(place):
        pure = PurePosixPath(name)
        if _is_image(pure.name) and "__MACOSX" not in pure.parts:
            yield name, ArchiveImage(place, name), None


def image_in(place: Path, locator: str) -> ImageReference:
    """The image behind a locator that ``located`` gave.

    Raises:
        DataError: a locator that leaves the folder.
    """
    if place.is_file():
        return ArchiveImage(place, locator)
    pure = PurePosixPath(locator)
    if pure.is_absolute() or ".." in pure.parts:
        raise DataError(f"{locator!r} stands for no image below {place}.")
    return FileImage(place, locator)


def findings(collection: Collection, images: Path | None, follow_links: bool, look: bool) -> list[Finding]:
    """Where a collection was found, how many of how many images are there, and where to get the rest."""
    try:
        place = place_of(collection, images)
        if not look:
            return [Finding("ok", f"{collection.title} found: {place}")]
        every = located(collection, place, follow_links)
    except DataError as error:
        return [Finding("error", str(error), collection.origin)]
    return counted(collection, place, every)


def counted(collection: Collection, place: Path, every: Sequence[Located]) -> list[Finding]:
    """How many of how many images are there and can be read."""
    readable = sum(item.problem is None for item in every)
    what = f"{collection.title}: {readable:,} of {collection.rows:,} images found under {place}"
    if readable == collection.rows == len(every):
        return [Finding("ok", what)]
    problems = sorted({str(item.problem) for item in every if item.problem is not None})
    why = f"; {len(every) - readable:,} cannot be read ({', '.join(problems)})" if problems else ""
    return [Finding("warning" if readable else "error", what + why, collection.origin, allowable=bool(readable))]
