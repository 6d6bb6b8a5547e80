"""Textures (DTD): 5,640 images of 47 kinds of texture, with the ten published partitions.

Cimpoi et al., Describing Textures in the Wild, CVPR 2014. ``dtd-r1.0.1.tar.gz`` from
https://www.robots.ox.ac.uk/~vgg/data/dtd/, unpacked: ``images/<kind>/<file>`` and ``labels/{train,val,test}1.txt``
to ``10``. In ``--images``, or under OPENMMLO_DATA in ``dtd`` (also ``DTD``, ``textures``), there or in
``ood_datasets`` or ``small_OOD_dataset``. Split ``all`` needs no list; it is what OOD benchmarks use.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from openmmlo.errors import ConfigError, DataError, UnknownName
from openmmlo.records import ClassInfo, DatasetInfo, Finding, ImageReference, Sample, Status
from openmmlo.sources import found_folders
from openmmlo.sources.files import FileImage
from openmmlo.sources.list_files import read_bytes

HOMEPAGE = "https://www.robots.ox.ac.uk/~vgg/data/dtd/"

# fmt: off
KINDS = (
    "banded", "blotchy", "braided", "bubbly", "bumpy", "chequered", "cobwebbed", "cracked", "crosshatched",
    "crystalline", "dotted", "fibrous", "flecked", "freckled", "frilly", "gauzy", "grid", "grooved", "honeycombed",
    "interlaced", "knitted", "lacelike", "lined", "marbled", "matted", "meshed", "paisley", "perforated", "pitted",
    "pleated", "polka-dotted", "porous", "potholed", "scaly", "smeared", "spiralled", "sprinkled", "stained",
    "stratified", "striped", "studded", "swirly", "veined", "waffled", "woven", "wrinkled", "zigzagged",
)
# fmt: on

LABELS = {kind: label for label, kind in enumerate(KINDS)}

PARTITIONS = 10

COLLECTION = found_folders.Collection(
    title="Textures (DTD)",
    folders=("dtd", "DTD", "textures", "Textures", "texture"),
    inner=("images", "dtd/images", ""),
    archives=(),
    rows=5_640,
    origin=f"Fetch dtd-r1.0.1.tar.gz from {HOMEPAGE} and unpack it in OPENMMLO_DATA, so that dtd/images/<kind>/ holds "
    "the images.",
    identify=lambda folder, stem: f"{folder}/{stem}",
)


@dataclass(frozen=True)
class Textures:
    """Describable Textures (DTD): 5,640 images of 47 kinds of texture.

    Args:
        images: the unpacked folder, or its ``images``; else under OPENMMLO_DATA.
        partition: 1 to 10, of the published train, val and test lists.
        follow_links: also read files that are links out of their folder.
    """

    images: Path | None = None
    partition: int = 1
    follow_links: bool = False
    name: str = field(default="textures", init=False)

    def __post_init__(self) -> None:
        if not 1 <= self.partition <= PARTITIONS:
            raise ConfigError(f"{self.name}: partition is {self.partition}; expected 1 to {PARTITIONS}.")

    def info(self) -> DatasetInfo:
        return DatasetInfo(
            name=self.name,
            version=f"DTD r1.0.1, partition {self.partition}",
            licence="unknown: released for research purposes",
            classes=tuple(ClassInfo(kind, kind, (kind,)) for kind in KINDS),
            homepage=HOMEPAGE,
            citation="Cimpoi et al., Describing Textures in the Wild, CVPR 2014",
        )

    def splits(self) -> tuple[str, ...]:
        return ("all", "train", "val", "test")

    def samples(self, split: str) -> Iterator[Sample]:
        """Raises DataError for missing images, unknown kinds, or a list of a partition that cannot be used."""
        if split not in self.splits():
            raise UnknownName(f"{self.name} split", split, self.splits())
        place = found_folders.place_of(COLLECTION, self.images)
        every = found_folders.located(COLLECTION, place, self.follow_links)
        foreign = next((item for item in every if item.folder not in LABELS), None)
        if foreign is not None:
            raise DataError(
                f"{COLLECTION.title}: {foreign.image.locator!r} under {place} is in no folder of the 47 kinds. Is it "
                "DTD as published?"
            )
        if split != "all":
            every = _of_list(_list_of(place, split, self.partition), place, every)
        return self._samples(split, every)

    def _samples(self, split: str, every: list[found_folders.Located]) -> Iterator[Sample]:
        for item in every:
            label = LABELS[item.folder]
            yield Sample(item.sample_id, item.image, label, split, self.name, item.folder, item.problem)

    def image(self, locator: str) -> ImageReference:
        return found_folders.image_in(found_folders.place_of(COLLECTION, self.images), locator)

    def check(self, splits: tuple[str, ...] = (), look: bool = True) -> list[Finding]:
        """Where the images were found and how many of 5,640; for a partition, whether its lists are there."""
        found = found_folders.findings(COLLECTION, self.images, self.follow_links, look)
        for split in splits:
            try:
                if split != "all" and found[0].level != "error":
                    _list_of(found_folders.place_of(COLLECTION, self.images), split, self.partition)
            except DataError as error:
                found.append(Finding("error", str(error), COLLECTION.origin))
        return found


def _list_of(place: Path, split: str, partition: int) -> Path:
    """The list of a split; ``labels`` lies beside ``images``, or in it."""
    name = f"{split}{partition}.txt"
    for folder in (place.parent / "labels", place / "labels"):
        if (folder / name).is_file():
            return folder / name
    raise DataError(f"{COLLECTION.title}: no list labels/{name} beside {place}. Unpack the whole archive.")


def _of_list(file: Path, place: Path, every: list[found_folders.Located]) -> list[found_folders.Located]:
    """The images of a list, in its order: one ``<kind>/<file>`` a line, without labels."""
    by_id = {item.sample_id: item for item in every}
    chosen: dict[str, found_folders.Located] = {}
    for number, line in enumerate(read_bytes(file).decode("utf-8", "replace").splitlines(), 1):
        kind, slash, name = line.strip().partition("/")
        if not line.strip():
            continue
        if not slash or kind not in LABELS or "/" in name or name.startswith("."):
            raise DataError(f"{file}:{number}: {line[:120]!r} is no DTD image; expected <kind>/<file>. Fetch it again.")
        sample_id = f"{kind}/{name.rpartition('.')[0] or name}"
        if sample_id in chosen:
            raise DataError(f"{file}:{number}: repeats {sample_id!r}; expected each image once. Fetch it again.")
        missing = found_folders.Located(sample_id, kind, FileImage(place, f"{kind}/{name}"), Status.MISSING)
        chosen[sample_id] = by_id.get(sample_id, missing)
    return list(chosen.values())
