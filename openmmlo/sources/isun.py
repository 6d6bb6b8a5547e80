"""iSUN test images as the OOD literature uses them: 8,925 images, downsampled to 32 x 32; no classes.

Images of Xu et al., TurkerGaze (arXiv:1504.06755), a subset of SUN, resized by Liang et al., ODIN, ICLR 2018
(arXiv:1706.02690). ``iSUN.tar.gz``, linked from https://github.com/facebookresearch/odin, is read as it is, packed or
unpacked: in ``--images``, or under OPENMMLO_DATA in ``iSUN``, there or in ``ood_datasets`` or ``small_OOD_dataset``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from openmmlo.errors import UnknownName
from openmmlo.records import OOD_LABEL, DatasetInfo, Finding, ImageReference, Sample
from openmmlo.sources import found_folders

ORIGIN = "https://github.com/facebookresearch/odin"

COLLECTION = found_folders.Collection(
    title="iSUN",
    folders=("iSUN", "isun", "ISUN"),
    inner=("iSUN_patches", "iSUN/iSUN_patches", ""),
    archives=("iSUN.tar.gz", "iSUN.tar"),
    rows=8_925,
    origin=f"Fetch iSUN.tar.gz, linked from {ORIGIN}, and lay it in OPENMMLO_DATA, packed or unpacked as "
    "iSUN/iSUN_patches/.",
    identify=lambda _, stem: stem,
)


@dataclass(frozen=True)
class ISUN:
    """iSUN test images, 8,925 downsampled copies of 32 x 32, for out-of-distribution detection.

    Args:
        images: the archive, or the folder with the images; else under OPENMMLO_DATA.
        follow_links: also read files that are links out of their folder.
    """

    images: Path | None = None
    follow_links: bool = False
    name: str = field(default="isun", init=False)

    def info(self) -> DatasetInfo:
        return DatasetInfo(
            name=self.name,
            version="ODIN's test images, resized",
            licence="unknown: the publishers state none",
            classes=(),
            homepage=ORIGIN,
            citation="Xu et al., TurkerGaze, arXiv:1504.06755; Liang et al., ODIN, ICLR 2018",
        )

    def splits(self) -> tuple[str, ...]:
        return ("test",)

    def samples(self, split: str) -> Iterator[Sample]:
        """Raises DataError where the images are not there, or two of them share a name."""
        if split not in self.splits():
            raise UnknownName(f"{self.name} split", split, self.splits())
        place = found_folders.place_of(COLLECTION, self.images)
        return self._samples(found_folders.located(COLLECTION, place, self.follow_links))

    def _samples(self, every: list[found_folders.Located]) -> Iterator[Sample]:
        for item in every:
            yield Sample(item.sample_id, item.image, OOD_LABEL, "test", self.name, "", item.problem)

    def image(self, locator: str) -> ImageReference:
        return found_folders.image_in(found_folders.place_of(COLLECTION, self.images), locator)

    def check(self, splits: tuple[str, ...] = (), look: bool = True) -> list[Finding]:
        """Where the images were found and how many of 8,925."""
        return found_folders.findings(COLLECTION, self.images, self.follow_links, look)
