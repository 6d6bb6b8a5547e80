"""SVHN, cropped digits: the MATLAB files as published come in, Samples go out.

Netzer et al., Reading Digits in Natural Images with Unsupervised Feature Learning, NIPS workshop 2011. The files are
``train_32x32.mat`` (73,257 digits) and ``test_32x32.mat`` (26,032) from http://ufldl.stanford.edu/housenumbers/: in
``--images``, or under OPENMMLO_DATA, there or in ``svhn`` or ``SVHN``. ``X`` is (32, 32, 3, N) uint8, ``y`` (N, 1)
with digit 0 stored as 10.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from openmmlo.errors import DataError, UnknownName
from openmmlo.records import ClassInfo, DatasetInfo, Finding, Sample
from openmmlo.sources.array_images import ArrayImage, Pixels, parse_locator
from openmmlo.sources.found_folders import candidates
from openmmlo.sources.matlab_arrays import read_arrays

SIDE = 32
FILES = {"train": "train_32x32.mat", "test": "test_32x32.mat"}
ROWS = {"train": 73_257, "test": 26_032}
MD5 = {"train": "e26dedcc434d2e4c54c9b2d4a06d8373", "test": "eb5a983be6a315427106f1b164d9cef3"}
HOMEPAGE = "http://ufldl.stanford.edu/housenumbers/"

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

Labels = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class SVHN:
    """Street View House Numbers, cropped digits, as published in MATLAB files.

    Args:
        images: one of the files, or the folder that holds them; else under OPENMMLO_DATA.
    """

    images: Path | None = None
    name: str = field(default="svhn", init=False)

    def info(self) -> DatasetInfo:
        return DatasetInfo(
            name=self.name,
            version="cropped digits, format 2",
            licence="unknown: the publishers allow non-commercial use",
            classes=tuple(ClassInfo(str(digit), word, (word, str(digit))) for digit, word in enumerate(DIGITS)),
            homepage=HOMEPAGE,
            citation="Netzer et al., Reading Digits in Natural Images with Unsupervised Feature Learning, 2011",
        )

    def splits(self) -> tuple[str, ...]:
        return tuple(FILES)

    def samples(self, split: str) -> Iterator[Sample]:
        """Raises DataError for a file that is missing, damaged or of another form."""
        file = self._need(split)
        return self._samples(split, file, read_svhn(file)[1])

    def _samples(self, split: str, file: Path, labels: Labels) -> Iterator[Sample]:
        for row, label in enumerate(labels.tolist()):
            image = ArrayImage(file, FILES[split], row, svhn_pixels)
            yield Sample(f"{split}-{row:08d}", image, label, split, self.name, str(label))

    def image(self, locator: str) -> ArrayImage:
        member, row = parse_locator(locator)
        split = next((split for split, name in FILES.items() if name == member), "")
        return ArrayImage(self._need(split), member, row, svhn_pixels)

    def check(self, splits: tuple[str, ...] = (), look: bool = True) -> list[Finding]:
        """Which files were found, how many digits they hold, and whether they are the original ones."""
        findings: list[Finding] = []
        for split in splits or self.splits():
            remedy = (
                f"Fetch {FILES.get(split, '')} from {HOMEPAGE} and lay it in OPENMMLO_DATA/svhn, or name its folder."
            )
            try:
                file = self._need(split)
                findings.append(Finding("ok", f"{split}: found {file}"))
                if look:
                    findings.extend(_look(split, file))
            except (DataError, UnknownName) as error:
                findings.append(Finding("error", f"{split}: {error}", remedy))
        return findings

    def _need(self, split: str) -> Path:
        if split not in FILES:
            raise UnknownName(f"{self.name} split", split, FILES)
        if self.images is not None and self.images.expanduser().name == FILES[split]:
            folders = [self.images.expanduser().parent]
        else:
            folders = candidates(self.images, ("svhn", "SVHN"))
        for folder in folders:
            if (folder / FILES[split]).is_file():
                return folder / FILES[split]
        searched = ", ".join(map(str, folders)) or "nothing (no --images, and OPENMMLO_DATA is not set)"
        raise DataError(f"{self.name} needs {FILES[split]}; it is not there. Searched: {searched}.")


def svhn_pixels(file: Path, _: str) -> Pixels:
    """(N, 32, 32, 3) view of the pixels of one file."""
    return read_svhn(file)[0]


def read_svhn(file: Path) -> tuple[Pixels, Labels]:
    """Pixels (N, 32, 32, 3) uint8 and digits (N,) of one file, read once a process.

    Raises:
        DataError: see :func:`openmmlo.sources.matlab_arrays.read_arrays`; also other shapes, types or digits.
    """
    try:
        stat = file.stat()
    except OSError as error:
        raise DataError(f"Cannot read {file}: {error.strerror}.") from error
    return _read(file, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=2)
def _read(file: Path, _modified: int, _size: int) -> tuple[Pixels, Labels]:
    arrays = read_arrays(file, ("X", "y"))
    pixels, digits = arrays["X"], arrays["y"]
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[:3] != (SIDE, SIDE, 3):
        raise DataError(
            f"{file}: X is {pixels.dtype} of shape {pixels.shape}; expected uint8 of ({SIDE}, {SIDE}, 3, N). Is it a "
            "file of cropped digits (format 2)?"
        )
    if digits.size != digits.shape[0] or digits.shape[0] != pixels.shape[3]:
        raise DataError(f"{file}: y has shape {digits.shape}; expected ({pixels.shape[3]}, 1), a digit an image.")
    labels = digits.reshape(-1)
    if not np.isin(labels, np.arange(1, 11)).all():
        raise DataError(f"{file}: y holds a value that is no whole number from 1 to 10 (10 is digit 0).")
    return pixels.transpose(3, 0, 1, 2), labels.astype(np.int64) % 10


def _look(split: str, file: Path) -> Iterator[Finding]:
    per_class = Counter(read_svhn(file)[1].tolist())
    sizes = f"{min(per_class.values()):,} to {max(per_class.values()):,} a digit" if per_class else "none"
    what = f"{split}: {per_class.total():,} of {ROWS[split]:,} images, {sizes}"
    if per_class.total() != ROWS[split]:
        yield Finding("warning", what, f"Fetch {file.name} from {HOMEPAGE} again, unless this file is meant.")
        return
    yield Finding("ok", what)
    with file.open("rb") as opened:
        md5 = hashlib.file_digest(opened, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if md5 != MD5[split]:
        yield Finding("warning", f"{split}: not the bytes of the original file (MD5)", f"Fetch {file.name} again.")
