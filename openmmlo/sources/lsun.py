"""LSUN test images as the OOD literature uses them: 10,000 small images, cropped or resized; no classes.

Images of Yu et al., LSUN (arXiv:1506.03365), cut to 32 x 32 by Liang et al., ODIN, ICLR 2018 (arXiv:1706.02690).
``LSUN.tar.gz`` (random crops; CIDER evaluates on these) and ``LSUN_resize.tar.gz`` (downsampled) are linked from
https://github.com/facebookresearch/odin. Both are read as they are, packed or unpacked: in ``--images``, or under
OPENMMLO_DATA in ``LSUN``, ``LSUN_C`` or ``LSUN_resize``, there or in ``ood_datasets`` or ``small_OOD_dataset``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from openmmlo.errors import UnknownName
from openmmlo.records import OOD_LABEL, DatasetInfo, Finding, ImageReference, Sample
from openmmlo.sources import found_folders

Variant = Literal["crop", "resize"]

ORIGIN = "https://github.com/facebookresearch/odin"

COLLECTIONS: dict[Variant, found_folders.Collection] = {
    "crop": found_folders.Collection(
        title="LSUN (crop)",
        folders=("LSUN_C", "LSUN_crop", "LSUN-C", "lsun_c", "lsun_crop", "LSUN", "lsun"),
        inner=("test", "LSUN/test", "LSUN_C/test", "LSUN_C", ""),
        archives=("LSUN.tar.gz", "LSUN_C.tar.gz", "LSUN.tar", "LSUN_C.tar"),
        rows=10_000,
        origin=f"Fetch LSUN.tar.gz, linked from {ORIGIN}, and lay it in OPENMMLO_DATA, packed or unpacked as "
        "LSUN/test/. The LMDB files of lsun.cs.princeton.edu are other images.",
        identify=lambda _, stem: stem,
    ),
    "resize": found_folders.Collection(
        title="LSUN (resize)",
        folders=("LSUN_resize", "LSUN-resize", "LSUN_R", "LSUN-R", "lsun_resize", "lsun_r", "LSUN/LSUN_resize"),
        inner=("LSUN_resize", "test", ""),
        archives=("LSUN_resize.tar.gz", "LSUN_resize.tar"),
        rows=10_000,
        origin=f"Fetch LSUN_resize.tar.gz, linked from {ORIGIN}, and lay it in OPENMMLO_DATA, packed or unpacked as "
        "LSUN_resize/LSUN_resize/.",
        identify=lambda _, stem: stem,
    ),
}


@dataclass(frozen=True)
class LSUN:
    """LSUN test images, 10,000 crops or downsampled copies of 32 x 32, for out-of-distribution detection.

    Args:
        images: the archive, or the folder with the images; else under OPENMMLO_DATA.
        variant: ``crop`` or ``resize``; numbers on the two do not compare.
        follow_links: also read files that are links out of their folder.
    """

    images: Path | None = None
    variant: Variant = "crop"
    follow_links: bool = False
    name: str = field(default="lsun", init=False)

    def info(self) -> DatasetInfo:
        return DatasetInfo(
            name=self.name,
            version=f"ODIN's test images, {self.variant}",
            licence="unknown: the publishers state none",
            classes=(),
            homepage=ORIGIN,
            citation="Yu et al., LSUN, arXiv:1506.03365; Liang et al., ODIN, ICLR 2018",
        )

    def splits(self) -> tuple[str, ...]:
        return ("test",)

    def samples(self, split: str) -> Iterator[Sample]:
        """Raises DataError where the images are not there, or two of them share a name."""
        if split not in self.splits():
            raise UnknownName(f"{self.name} split", split, self.splits())
        collection = COLLECTIONS[self.variant]
        place = found_folders.place_of(collection, self.images)
        return self._samples(found_folders.located(collection, place, self.follow_links))

    def _samples(self, every: list[found_folders.Located]) -> Iterator[Sample]:
        for item in every:
            yield Sample(item.sample_id, item.image, OOD_LABEL, "test", self.name, "", item.problem)

    def image(self, locator: str) -> ImageReference:
        return found_folders.image_in(found_folders.place_of(COLLECTIONS[self.variant], self.images), locator)

    def check(self, splits: tuple[str, ...] = (), look: bool = True) -> list[Finding]:
        """Where the images were found and how many of 10,000."""
        return found_folders.findings(COLLECTIONS[self.variant], self.images, self.follow_links, look)
