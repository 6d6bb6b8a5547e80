"""Images that lie as rows of an array in an archive (CIFAR, SVHN): a reference to one row, and its bytes as a PNG."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from openmmlo.errors import DataError

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True, slots=True)
class ArrayImage:
    """One row of an array in an archive; ``read`` wraps its pixels as a PNG whose bytes are the same everywhere.

    Args:
        archive: a file or folder, local: it stays out of the locator.
        member: which array in it.
        row: which image of that array.
        pixels: (archive, member) -> (N, H, W, 3) uint8; a function of a module, so that references can be pickled.
    """

    archive: Path
    member: str
    row: int
    pixels: Callable[[Path, str], Pixels]

    @property
    def locator(self) -> str:
        return f"{self.member}#{self.row}"

    @property
    def file(self) -> Path:
        """Where the array lies: the archive, or its member in the folder that was extracted from it."""
        return self.archive / self.member if self.archive.is_dir() else self.archive

    def read(self) -> bytes:
        try:
            if self.row < 0:
                raise IndexError("rows count from 0")
            return png_bytes(self.pixels(self.archive, self.member)[self.row])
        except (DataError, IndexError) as error:
            raise OSError(f"{self.locator} is not in the archive, or the archive is damaged") from error


def parse_locator(locator: str) -> tuple[str, int]:
    """Member and row of a locator. Raises DataError for what no ArrayImage gave."""
    member, separator, row = locator.rpartition("#")
    if not separator or not (row.isascii() and row.isdigit()):
        raise DataError(f"{locator!r} stands for no image of an archive; expected <member>#<row>.")
    return member, int(row)


def png_bytes(pixels: Pixels) -> bytes:
    """Wrap (H, W, 3) uint8 pixels as an uncompressed PNG.

    Compressors differ from version to version; stored blocks do not, so the digest of an image is the same on every
    machine. Pixels and filter bytes must fit one block of 65,535 bytes.
    """
    height, width, _ = pixels.shape
    lines = np.zeros((height, 1 + 3 * width), dtype=np.uint8)
    lines[:, 1:] = pixels.reshape(height, 3 * width)
    raw = lines.tobytes()
    size = struct.pack("<HH", len(raw), len(raw) ^ 0xFFFF)
    stored = b"\x78\x01\x01" + size + raw + struct.pack(">I", zlib.adler32(raw))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", stored), (b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body
