"""Image collections for speed measurements, made once in a temporary folder."""

from __future__ import annotations

import os
from pathlib import Path

from stubs import jpeg


def photographs(folder: Path, count: int, classes: int = 10) -> Path:
    """``count`` different 500 × 375 JPEGs in class folders."""
    for index in range(count):
        target = folder / f"class{index % classes}" / f"{index:06d}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(jpeg(index, 500, 375))
    return folder


def thumbnails(folder: Path, count: int, per_class: int = 1000) -> Path:
    """``count`` names for 32 small JPEGs (hard links, so that a hundred thousand take little disk)."""
    originals = folder.parent / f"{folder.name}-originals"
    originals.mkdir(parents=True)
    group = 0
    for index in range(count):
        if index % per_class == 0:
            group = index // per_class
            (folder / f"class{group:03d}").mkdir(parents=True)
            for kind in range(32):  # fresh originals now and then: a file takes some 65,000 links at most
                (originals / f"{group}-{kind}.jpg").write_bytes(jpeg(kind, 32, 24))
        os.link(originals / f"{group}-{index % 32}.jpg", folder / f"class{group:03d}" / f"{index:06d}.jpg")
    return folder


def listed_files(root: Path, lines: list[str]) -> None:
    """A file for every path of an official list: JPEGs at either end of the list, empty ones between them."""
    made: set[Path] = set()
    for index, line in enumerate(lines):
        path = root / line.rsplit(maxsplit=1)[0]
        if path.parent not in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            made.add(path.parent)
        if index < 64 or index >= len(lines) - 2000:
            path.write_bytes(jpeg(index % 32, 32, 24))
        else:
            path.touch()
