"""A bank in the making: how its work is cut, and the finished chunks beside the place where it will stand.

Batches and chunks are cut by position in the list, so a row is computed in the same company however many processes
share the work, and after whatever interruptions. A chunk is written aside, synced and renamed; whoever finds it takes
it as it is. Locks keep two processes from computing one chunk, and nothing else: a chunk computed twice is one chunk.
"""

from __future__ import annotations

import json
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from openmmlo.evaluate.features.bank import Array
from openmmlo.writing import space_needed, sync_folder

ROWS = 512
"""Rows of a chunk, about: at most so many are computed again after a kill."""

_DAMAGE = (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error)


class ChunkDamaged(Exception):
    """A chunk on disk is not what was written; it has been removed, and is to be computed again."""


@dataclass(frozen=True)
class Cut:
    """How a list of samples is cut into batches and chunks.

    Attributes:
        samples: length of the list.
        batch_size: images of a forward pass.
    """

    samples: int
    batch_size: int

    @property
    def chunk_size(self) -> int:
        return max(1, ROWS // self.batch_size) * self.batch_size

    @property
    def chunks(self) -> int:
        return -(-self.samples // self.chunk_size)

    def positions(self, chunk: int) -> range:
        start = chunk * self.chunk_size
        return range(start, min(start + self.chunk_size, self.samples))

    def batches(self, chunk: int) -> Iterator[range]:
        """Positions of each batch of a chunk."""
        positions = self.positions(chunk)
        for start in range(0, len(positions), self.batch_size):
            yield positions[start : start + self.batch_size]


@dataclass(frozen=True, eq=False)
class Chunk:
    """What became of consecutive samples. Letters: n rows.

    Attributes:
        rows: (n,) int64 positions in the list.
        features: (n, D) as they are stored.
        logits: (n, C), or None.
        sha256: of the images' bytes, n of them; none where no image was read.
        failed: (position, status, reason) of the other positions.
    """

    rows: Array
    features: Array
    logits: Array | None
    sha256: tuple[str, ...]
    failed: tuple[tuple[int, str, str], ...]

    def strange(self) -> tuple[int, int]:
        """Rows with a NaN or an infinite number, and rows of zeros."""
        if not len(self.rows):
            return 0, 0
        finite = np.isfinite(self.features).all(axis=1)
        if self.logits is not None:
            finite &= np.isfinite(self.logits).all(axis=1)
        return int((~finite).sum()), int((~self.features.any(axis=1)).sum())


class Parts:
    """The finished chunks of one bank, cut in one way.

    Args:
        folder: made with the first chunk; chunks of another batch size lie in another one.
        cut: how the work is cut.
    """

    def __init__(self, folder: Path, cut: Cut) -> None:
        self.folder = folder
        self.cut = cut
        self._held: dict[int, FileLock] = {}

    def has(self, number: int) -> bool:
        return self._path(number).is_file()

    def missing(self) -> list[int]:
        """Numbers of the chunks that are not finished."""
        try:
            names = {entry.name for entry in os.scandir(self.folder)}
        except FileNotFoundError:
            names = set()
        return [number for number in range(self.cut.chunks) if self._path(number).name not in names]

    def claim(self, number: int) -> bool:
        """Take a chunk that nobody else is computing; False where somebody is."""
        lock = FileLock(self.folder / f"{number:06d}.lock", thread_local=False)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
        except Timeout:
            return False
        self._held[number] = lock
        return True

    def release(self, number: int) -> None:
        """Leave a chunk to others; nothing where it is not held."""
        lock = self._held.pop(number, None)
        if lock is not None:
            lock.release()

    def release_all(self) -> None:
        for number in list(self._held):
            self.release(number)

    def save(self, number: int, chunk: Chunk) -> None:
        """Write a finished chunk aside, sync it, rename it into place and release it. Raises DiskFull."""
        self.folder.mkdir(parents=True, exist_ok=True)
        aside = self.folder / f"{number:06d}.{os.getpid()}.tmp"
        arrays: dict[str, Any] = {"rows": chunk.rows, "features": chunk.features}
        if chunk.logits is not None:
            arrays["logits"] = chunk.logits
        texts = json.dumps({"sha256": chunk.sha256, "failed": chunk.failed}).encode("ascii")
        try:
            with space_needed(self.folder), aside.open("wb") as file:
                np.savez(file, texts=np.frombuffer(texts, dtype=np.uint8), **arrays)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
        aside.replace(self._path(number))
        sync_folder(self.folder)
        self.release(number)

    def load(self, number: int) -> Chunk:
        """Read a finished chunk; the archive it lies in has a checksum of every array.

        Raises:
            ChunkDamaged: it is gone, damaged, or of other positions.
        """
        try:
            with self._path(number).open("rb") as file, np.load(file, allow_pickle=False) as found:
                texts = json.loads(found["texts"].tobytes())
                chunk = Chunk(
                    rows=found["rows"],
                    features=found["features"],
                    logits=found["logits"] if "logits" in found.files else None,
                    sha256=tuple(map(str, texts["sha256"])),
                    failed=tuple((int(row), str(status), str(reason)) for row, status, reason in texts["failed"]),
                )
            positions = sorted([*chunk.rows.tolist(), *(row for row, _, _ in chunk.failed)])
            lengths = {len(chunk.rows), len(chunk.features), len(chunk.rows if chunk.logits is None else chunk.logits)}
            if positions != list(self.cut.positions(number)) or len(lengths) != 1:
                raise ValueError("other positions than those of this chunk")
        except _DAMAGE as error:
            self._path(number).unlink(missing_ok=True)
            raise ChunkDamaged(f"chunk {number}: {error}") from error
        return chunk

    def forget(self, number: int) -> None:
        """Remove a finished chunk, so that it is computed again."""
        self._path(number).unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the chunks of this and of every other cut of the bank."""
        for folder in self.folder.parent.glob(f"{self.folder.name.partition('.')[0]}.parts-*"):
            shutil.rmtree(folder, ignore_errors=True)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.npz"
