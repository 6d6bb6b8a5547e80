"""Where feature banks lie: one folder a bank, named by the digest of everything that decides its rows.

A folder holds ``meta.json`` with the SHA-256 of every other file, ``features.npy``, ``logits.npy`` where the model has a
classifier, and ``rows.parquet``. It appears by one rename. Chunks of a bank in the making lie beside it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from openmmlo.evaluate.features.bank import Array, FeatureBank
from openmmlo.records import digest_of
from openmmlo.writing import space_needed, sync_folder

VERSION = 1
"""Version of what is extracted and how it is stored: raising it makes every bank anew."""


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some batches of a bank: positions in the list, features, logits, digests of the images; and what failed."""

    rows: Array
    features: Array
    logits: Array | None
    sha256: Array
    failed: list[tuple[int, str, str]]


class BankStore:
    """One bank on disk.

    Args:
        root: the cache folder.
        key: JSON value of everything that decides a row.
        chunking: what decides how the work is cut; chunks of another cut are left alone.
    """

    def __init__(self, root: Path, key: dict[str, Any], chunking: int) -> None:
        self.fingerprint = digest_of(key)
        self.folder = root / self.fingerprint[:2] / self.fingerprint
        self.parts = self.folder.with_name(f"{self.fingerprint}.parts-{chunking}")

    def part(self, number: int) -> Path:
        return self.parts / f"{number:06d}.npz"

    def has(self, number: int) -> bool:
        """Whether a chunk is finished."""
        return self.part(number).is_file()

    def is_whole(self) -> bool:
        """Whether the bank stands in its place; whether it is sound shows when it is opened."""
        return (self.folder / "meta.json").is_file()

    def save(self, number: int, chunk: Chunk) -> None:
        """Write a finished chunk aside, sync it and rename it into place."""
        self.parts.mkdir(parents=True, exist_ok=True)
        aside = self.parts / f"{number:06d}.{os.getpid()}.tmp"
        arrays = {"rows": chunk.rows, "features": chunk.features, "sha256": chunk.sha256}
        if chunk.logits is not None:
            arrays["logits"] = chunk.logits
        failed = np.frombuffer(json.dumps(chunk.failed).encode(), dtype=np.uint8)
        with space_needed(self.parts), aside.open("wb") as file:
            np.savez(file, failed=failed, **arrays)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(self.part(number))

    def load(self, number: int) -> Chunk:
        """Read a finished chunk. Raises OSError, KeyError or ValueError where it is damaged."""
        with np.load(self.part(number), allow_pickle=False) as found:
            failed = [tuple(item) for item in json.loads(found["failed"].tobytes())]
            logits = found["logits"] if "logits" in found.files else None
            return Chunk(found["rows"], found["features"], logits, found["sha256"], failed)

    def assemble(self, chunks: int, samples: Any, name: str) -> None:
        """Put the chunks together, one at a time, into a bank that appears whole.

        Raises:
            OSError, KeyError or ValueError: a chunk is damaged; it has been removed, so that it is made again.
        """
        aside = self.folder.with_name(f"{self.fingerprint}.{os.getpid()}.tmp")
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        try:
            with space_needed(aside):
                self._assemble(chunks, samples, name, aside)
            try:
                aside.replace(self.folder)
            except OSError:  # another process was faster; its bank has the same key
                if not self.is_whole():
                    raise
            sync_folder(self.folder.parent)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        shutil.rmtree(self.parts, ignore_errors=True)

    def _assemble(self, chunks: int, samples: Any, name: str, aside: Path) -> None:
        heads = [self._checked(number) for number in range(chunks)]
        total = sum(len(chunk.rows) for chunk in heads)
        kept = next((chunk for chunk in heads if len(chunk.rows)), heads[0])
        del heads
        features = self._empty(aside / "features.npy", (total, *kept.features.shape[1:]), kept.features.dtype)
        logits = None
        if kept.logits is not None:
            logits = self._empty(aside / "logits.npy", (total, *kept.logits.shape[1:]), kept.logits.dtype)
        rows: list[int] = []
        digests: list[str] = []
        failed: list[tuple[str, str, str]] = []
        for number in range(chunks):
            chunk = self._checked(number)
            place = slice(len(rows), len(rows) + len(chunk.rows))
            if len(chunk.rows):
                features[place] = chunk.features
                if logits is not None:
                    logits[place] = chunk.logits
            rows.extend(chunk.rows.tolist())
            digests.extend(chunk.sha256.astype(str).tolist())
            failed.extend((samples[row].sample_id, status, reason) for row, status, reason in chunk.failed)
        for array in (features, logits):
            if array is not None and isinstance(array, np.memmap):
                array.flush()
        del features, logits
        table = pa.table(
            {
                "sample_id": pa.array([samples[row].sample_id for row in rows], pa.string()),
                "class_key": pa.array([samples[row].class_key for row in rows], pa.string()),
                "label": pa.array([samples[row].label for row in rows], pa.int64()),
                "sha256": pa.array(digests, pa.string()),
            }
        )
        pq.write_table(table, aside / "rows.parquet", compression="zstd")
        meta = {
            "fingerprint": self.fingerprint,
            "name": name,
            "rows": total,
            "failed": failed,
            "files": {path.name: file_digest(path) for path in sorted(aside.iterdir())},
        }
        with (aside / "meta.json").open("w", encoding="utf-8") as file:
            json.dump(meta, file)
            file.flush()
            os.fsync(file.fileno())

    def _checked(self, number: int) -> Chunk:
        try:
            return self.load(number)
        except Exception:
            self.part(number).unlink(missing_ok=True)
            raise

    @staticmethod
    def _empty(path: Path, shape: tuple[int, ...], dtype: Any) -> Array:
        if 0 in shape:  # an empty file cannot be mapped
            np.save(path, np.zeros(shape, dtype))
            return np.zeros(shape, dtype)
        found: Array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
        return found

    def open(self, name: str) -> FeatureBank | None:
        """The bank, its arrays mapped into memory; None where it is not there or cannot be trusted.

        An entry that is damaged, or is not what its name says, is removed.
        """
        try:
            meta = json.loads((self.folder / "meta.json").read_bytes())
            sound = meta["fingerprint"] == self.fingerprint and all(
                file_digest(self.folder / file) == digest for file, digest in meta["files"].items()
            )
            if sound and "features.npy" in meta["files"] and "rows.parquet" in meta["files"]:
                return self._read(name, meta)
        except FileNotFoundError:
            if not self.folder.exists():
                return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException):
            pass
        shutil.rmtree(self.folder, ignore_errors=True)
        return None

    def _read(self, name: str, meta: dict[str, Any]) -> FeatureBank:
        table = pq.read_table(self.folder / "rows.parquet")
        columns = {key: table.column(key).to_pylist() for key in ("sample_id", "class_key", "sha256")}
        arrays = {
            file: np.load(self.folder / f"{file}.npy", mmap_mode="r" if meta["rows"] else None, allow_pickle=False)
            for file in ("features", "logits")
            if f"{file}.npy" in meta["files"]
        }
        if any(len(array) != table.num_rows for array in arrays.values()):
            raise ValueError("arrays and rows differ in length")
        return FeatureBank(
            name=name,
            sample_ids=np.array(columns["sample_id"], dtype=object),
            class_keys=np.array(columns["class_key"], dtype=object),
            labels=table.column("label").to_numpy(),
            features=arrays["features"],
            logits=arrays.get("logits"),
            sha256=np.array(columns["sha256"], dtype=object),
            fingerprint=self.fingerprint,
            failed=tuple((str(a), str(b), str(c)) for a, b, c in meta["failed"]),
        )


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def finite_blocks(features: Array, size: int = 16_384) -> Iterator[Array]:
    """Blocks of rows as float32, so that a mapped bank never lies in memory whole."""
    for start in range(0, len(features), size):
        yield np.asarray(features[start : start + size], dtype=np.float32)
