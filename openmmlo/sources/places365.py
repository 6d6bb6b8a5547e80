"""Places365: its validation and test images, by their published names, for out-of-distribution detection.

Zhou et al., Places: A 10 Million Image Database for Scene Recognition, TPAMI 2017. The names are known:
``Places365_val_00000001.jpg`` to ``00036500`` (val_256.tar or val_large.tar, or ``val/<class>/`` of
places365standard_easyformat.tar) and ``Places365_test_00000001.jpg`` to ``00328500`` (test_256.tar, test_large.tar):
http://places2.csail.mit.edu. In ``--images``, or under OPENMMLO_DATA in ``places365`` (also ``Places365``, ``places``),
there or in ``ood_datasets`` or ``small_OOD_dataset``. The training images and their classes: source ``places-lt``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from openmmlo.errors import UnknownName
from openmmlo.records import OOD_LABEL, DatasetInfo, Finding, ImageReference, Sample, Status
from openmmlo.sources import found_folders
from openmmlo.sources.files import FileImage

_FOLDERS = ("places365", "Places365", "places", "Places", "places365_standard", "Places_LT", "places-lt")


def _collection(split: str, rows: int, archive: str) -> found_folders.Collection:
    names = (f"{split}_256", split, f"{split}_large")
    inner = (*names, *(f"places365_standard/{name}" for name in names))
    return found_folders.Collection(
        title=f"Places365 ({split})",
        folders=_FOLDERS,
        inner=(*inner, ""),
        archives=(),
        rows=rows,
        origin=f"Fetch {archive} from http://places2.csail.mit.edu and unpack it in OPENMMLO_DATA/places365, so that "
        f"{split}_256/ holds the images.",
        identify=lambda _, stem: stem,
        prefix=f"Places365_{split}_",
    )


COLLECTIONS = {
    "val": _collection("val", 36_500, "val_256.tar"),
    "test": _collection("test", 328_500, "test_256.tar"),
}


@dataclass(frozen=True)
class Places365:
    """Places365 validation and test images, without classes, for out-of-distribution detection.

    Args:
        images: the folder with ``val_256`` or ``test_256``, or that folder; else under OPENMMLO_DATA.
        follow_links: also read files that are links out of their folder.
    """

    images: Path | None = None
    follow_links: bool = False
    name: str = field(default="places365", init=False)

    def info(self) -> DatasetInfo:
        return DatasetInfo(
            name=self.name,
            version="Places365-Standard",
            licence="images: property of their owners; Places terms, non-commercial research and education only",
            classes=(),
            homepage="http://places2.csail.mit.edu",
            citation="Zhou et al., Places: A 10 Million Image Database for Scene Recognition, TPAMI 2017",
        )

    def splits(self) -> tuple[str, ...]:
        return tuple(COLLECTIONS)

    def samples(self, split: str) -> Iterator[Sample]:
        """Every published name in order; those that are not there carry a problem.

        Raises:
            DataError: no folder with such images.
        """
        collection = self._collection(split)
        place = found_folders.place_of(collection, self.images)
        return self._samples(split, place, self._found(collection, place))

    def _samples(self, split: str, place: Path, found: dict[str, found_folders.Located]) -> Iterator[Sample]:
        for sample_id in names(split):
            item = found.get(sample_id)
            image = item.image if item else FileImage(place, f"{sample_id}.jpg")
            problem = item.problem if item else Status.MISSING
            yield Sample(sample_id, image, OOD_LABEL, split, self.name, "", problem)

    def _found(self, collection: found_folders.Collection, place: Path) -> dict[str, found_folders.Located]:
        return {item.sample_id: item for item in found_folders.located(collection, place, self.follow_links)}

    def _collection(self, split: str) -> found_folders.Collection:
        if split not in COLLECTIONS:
            raise UnknownName(f"{self.name} split", split, COLLECTIONS)
        return COLLECTIONS[split]

    def image(self, locator: str) -> ImageReference:
        stem = locator.rpartition("/")[2]
        collection = COLLECTIONS["test" if stem.startswith("Places365_test") else "val"]
        return found_folders.image_in(found_folders.place_of(collection, self.images), locator)

    def check(self, splits: tuple[str, ...] = (), look: bool = True) -> list[Finding]:
        """Where the images of each split were found and how many of how many."""
        findings: list[Finding] = []
        for split in splits or self.splits():
            collection = self._collection(split)
            found = found_folders.findings(collection, self.images, self.follow_links, look=False)
            if found[0].level == "ok" and look:
                place = found_folders.place_of(collection, self.images)
                known = set(names(split))
                every = [item for key, item in self._found(collection, place).items() if key in known]
                found = found_folders.counted(collection, place, every)
            findings.extend(found)
        return findings


def names(split: str) -> Iterator[str]:
    """The published names of a split, in order, without suffix: they are the sample ids."""
    for number in range(1, COLLECTIONS[split].rows + 1):
        yield f"Places365_{split}_{number:08d}"
