"""ImageNet-Sketch: 50,889 black-and-white sketches of the 1,000 classes of ILSVRC 2012; test only.

Wang et al., Learning Robust Global Representations by Penalizing Local Predictive Power, NeurIPS 2019
(arXiv:1905.13549). The archive (https://github.com/HaohanWang/ImageNet-Sketch) unpacks to ``sketch/<wnid>/<file>``: in
``--images``, or under OPENMMLO_DATA in ``imagenet-sketch`` (also ``ImageNet-Sketch``, ``sketch``). Labels are positions
in the sorted wnids, as for ``imagenet-lt``. Its README counts 50,000 images; the archive holds 50,889.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from openmmlo.errors import DataError, UnknownName
from openmmlo.records import DatasetInfo, Finding, ImageReference, Sample
from openmmlo.sources import found_folders
from openmmlo.sources.imagenet_lt import class_table

HOMEPAGE = "https://github.com/HaohanWang/ImageNet-Sketch"

COLLECTION = found_folders.Collection(
    title="ImageNet-Sketch",
    folders=("imagenet-sketch", "ImageNet-Sketch", "imagenet_sketch", "ImageNet_Sketch", "imagenetsketch", "sketch"),
    inner=("sketch", "data/sketch", ""),
    archives=(),
    rows=50_889,
    origin=f"Fetch ImageNet-Sketch.zip, linked from {HOMEPAGE}, and unpack it in OPENMMLO_DATA/imagenet-sketch, so "
    "that sketch/<wnid>/ holds the images.",
    identify=lambda folder, stem: f"{folder}/{stem}",
)


@dataclass(frozen=True)
class ImageNetSketch:
    """ImageNet-Sketch: 50,889 sketches of the 1,000 classes of ILSVRC 2012.

    Args:
        images: the folder with ``sketch``, or that folder; else under OPENMMLO_DATA.
        follow_links: also read files that are links out of their folder.
    """

    images: Path | None = None
    follow_links: bool = False
    name: str = field(default="imagenet-sketch", init=False)

    def info(self) -> DatasetInfo:
        return DatasetInfo(
            name=self.name,
            version="as published in 2019",
            licence="unknown: sketches of many owners, gathered by image search",
            classes=class_table(),
            homepage=HOMEPAGE,
            citation="Wang et al., Learning Robust Global Representations by Penalizing Local Predictive Power, "
            "NeurIPS 2019",
        )

    def splits(self) -> tuple[str, ...]:
        return ("test",)

    def samples(self, split: str) -> Iterator[Sample]:
        """Raises DataError where the images are not there, or lie in a folder that is no class."""
        if split not in self.splits():
            raise UnknownName(f"{self.name} split", split, self.splits())
        place = found_folders.place_of(COLLECTION, self.images)
        every = found_folders.located(COLLECTION, place, self.follow_links)
        labels = {info.key: label for label, info in enumerate(class_table())}
        foreign = next((item for item in every if item.folder not in labels), None)
        if foreign is not None:
            raise DataError(
                f"{COLLECTION.title}: {foreign.image.locator!r} under {place} is in no folder of a class; expected "
                "<wnid>/<file> with the wnids of ILSVRC 2012. Is it the folder sketch?"
            )
        return self._samples(every, labels)

    def _samples(self, every: list[found_folders.Located], labels: dict[str, int]) -> Iterator[Sample]:
        for item in every:
            yield Sample(item.sample_id, item.image, labels[item.folder], "test", self.name, item.folder, item.problem)

    def image(self, locator: str) -> ImageReference:
        return found_folders.image_in(found_folders.place_of(COLLECTION, self.images), locator)

    def check(self, splits: tuple[str, ...] = (), look: bool = True) -> list[Finding]:
        """Where the sketches were found and how many of 50,889."""
        return found_folders.findings(COLLECTION, self.images, self.follow_links, look)
