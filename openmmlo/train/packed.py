"""The image bytes of a built data set, packed once into one memory-mapped file for reading in any order.

Parquet is read a row group at a time, which is slow in the random order of training; here an image is one slice.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock

from openmmlo.data.cache import cache_folder
from openmmlo.data.dataset import BuiltDataset
from openmmlo.errors import DataError
from openmmlo.progress import Progress
from openmmlo.records import digest_of
from openmmlo.writing import space_needed, sync_folder

LAYOUT = 1
"""Raised when the files change; an older pack is left alone and not read."""

_ROWS = 256


@dataclass(frozen=True, eq=False)
class PackedImages:
    """The images of one split, opened where they are first read; cheap to hand to loader processes.

    Attributes:
        folder: with ``images.bin`` (all bytes, one image after the other), ``starts.npy`` and ``meta.json``.
        rows: N.
    """

    folder: Path
    rows: int
    _open: list[Any] = field(default_factory=list, repr=False)

    def read(self, row: int) -> bytes:
        """The bytes of an image as they were built in."""
        data, starts = self._arrays()
        return data[starts[row] : starts[row + 1]].tobytes()

    def _arrays(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        if not self._open:
            starts = np.load(self.folder / "starts.npy", mmap_mode="r")
            path = self.folder / "images.bin"
            data = np.memmap(path, np.uint8, "r") if starts[-1] else np.empty(0, np.uint8)
            self._open.append((data, starts))
        found: tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]] = self._open[0]
        return found

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "rows": self.rows, "_open": []}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


def cache_root(cache: Path | None = None) -> Path:
    """Where packs lie: a folder that was named, ``OPENMMLO_CACHE``, else the user's cache folder."""
    return cache_folder("packed", cache)


def pack(dataset: BuiltDataset, split: str, cache: Path, progress: Progress) -> PackedImages:
    """Open the pack of a split, and make it where there is none; processes side by side make it once.

    Raises:
        DataError: a file of the data set is damaged, or a row has no image.
        DiskFull: there is no space for it.
    """
    name = digest_of([LAYOUT, dataset.digest, split])[:32]
    folder = cache / name
    found = _opened(folder, dataset.rows(split))
    if found is not None:
        return found
    with space_needed(_existing(cache)):
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f"{name}.lock", thread_local=False):
            found = _opened(folder, dataset.rows(split))
            if found is None:
                _make(dataset, split, folder, progress)
                found = _opened(folder, dataset.rows(split))
    if found is None:
        raise DataError(f"The pack of split {split!r} was removed while it was made. Run the same command again.")
    return found


def _make(dataset: BuiltDataset, split: str, folder: Path, progress: Progress) -> None:
    """The caller holds the lock. What a kill leaves aside, the next run removes."""
    for left in folder.parent.glob(f"{folder.name}.*.tmp"):
        shutil.rmtree(left, ignore_errors=True)
    size = sum(file.stat().st_size for file in dataset.files(split) if file.is_file())
    progress.say(
        f"Packing {dataset.rows(split):,} images of split {split} for reading in any order, once: about "
        f"{size / 10**6:,.0f} MB in {folder.parent} (OPENMMLO_CACHE names another place)."
    )
    aside = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=".tmp", dir=folder.parent))
    try:
        starts = [0]
        with (aside / "images.bin").open("wb") as file:
            for data in image_bytes(dataset, split):
                file.write(data)
                starts.append(starts[-1] + len(data))
            file.flush()
            os.fsync(file.fileno())
        if len(starts) - 1 != dataset.rows(split):
            raise DataError(
                f"{dataset.folder} says that split {split!r} has {dataset.rows(split):,} rows; its files hold "
                f"{len(starts) - 1:,}. openmmlo verify tells which are damaged."
            )
        np.save(aside / "starts.npy", np.asarray(starts, dtype=np.int64))
        meta = {"layout": LAYOUT, "digest": dataset.digest, "split": split, "rows": len(starts) - 1}
        (aside / "meta.json").write_text(json.dumps(meta | {"bytes": starts[-1]}), encoding="utf-8")
        if folder.exists():  # damaged: _opened refused it
            shutil.rmtree(folder)
        aside.replace(folder)
        sync_folder(folder.parent)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def image_bytes(dataset: BuiltDataset, split: str) -> Iterator[bytes]:
    """The image bytes of every row of a split, in order.

    Raises:
        DataError: a file cannot be read, or a row has no image.
    """
    row = 0
    for path in dataset.files(split):
        name = path.relative_to(dataset.folder).as_posix()
        try:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=_ROWS, columns=["image"]):
                    for item in batch.column("image"):
                        data = item["bytes"].as_py() if item.is_valid else None
                        if data is None:
                            raise DataError(f"{dataset.folder}: row {row:,} of split {split!r} ({name}) has no image.")
                        yield data
                        row += 1
        except (OSError, pa.ArrowException) as error:
            raise DataError(
                f"{dataset.folder} has no readable {name} ({type(error).__name__}). openmmlo verify tells what is "
                "damaged."
            ) from error


def _opened(folder: Path, rows: int) -> PackedImages | None:
    """A pack whose files have the sizes that its meta.json says, which is written last; else None."""
    try:
        meta = json.loads((folder / "meta.json").read_bytes())
        whole = meta["rows"] == rows and (folder / "images.bin").stat().st_size == meta["bytes"]
        starts = np.load(folder / "starts.npy", mmap_mode="r")
        whole = whole and starts.shape == (rows + 1,) and int(starts[-1]) == meta["bytes"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return PackedImages(folder, rows) if whole else None


def _existing(folder: Path) -> Path:
    """The folder, or the nearest above it that exists: whose disk is meant."""
    return next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
