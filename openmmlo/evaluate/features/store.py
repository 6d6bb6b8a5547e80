"""Where feature banks lie: a folder a bank, named by the digest of everything that decides its rows.

``<cache>/<first two letters>/<digest>/`` holds ``features.npy``, ``logits.npy`` where the model has a classifier,
``rows.parquet`` (id, class key, label and digest of each image) and ``meta.json``: what decides a row, what failed,
and size and SHA-256 of the other files. It appears by one rename and never changes afterwards.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock

from openmmlo.errors import DataError
from openmmlo.evaluate.features.bank import Array, FeatureBank
from openmmlo.evaluate.features.chunks import Chunk, Cut, Parts
from openmmlo.records import Sample, digest_of
from openmmlo.writing import space_needed, sync_folder

FORMAT = 1
"""Layout of a bank's folder; another one is not read."""

_SCHEMA = pa.schema(
    [
        ("sample_id", pa.string()),
        ("class_key", pa.dictionary(pa.int32(), pa.string())),
        ("label", pa.int64()),
        ("sha256", pa.string()),
    ]
)


class Distrusted(Exception):
    """An entry of the cache is not the bank that its name promises; the reason is one line."""


@dataclass(frozen=True, eq=False)
class _Totals:
    rows: int
    features: Array
    logits: Array | None


class BankStore:
    """One bank of a cache.

    Args:
        cache: the folder of all banks.
        identity: JSON value of everything that decides a row.
        made: JSON value of what else is worth knowing of it (versions, device); it decides nothing.
    """

    def __init__(self, cache: Path, identity: dict[str, Any], made: dict[str, Any] | None = None) -> None:
        self.identity = identity
        self.made = made or {}
        self.fingerprint = digest_of(identity)
        self.folder = cache / self.fingerprint[:2] / self.fingerprint

    def parts(self, cut: Cut) -> Parts:
        """Its finished chunks for this cut."""
        return Parts(self.folder.with_name(f"{self.fingerprint}.parts-{cut.batch_size}"), cut)

    def is_whole(self) -> bool:
        """Whether a bank stands in its place; whether it can be trusted shows when it is opened."""
        return (self.folder / "meta.json").is_file()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Wait until no other process assembles or removes this bank, and keep them waiting."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder.with_name(f"{self.fingerprint}.lock"), thread_local=False):
            yield

    def open(self, name: str) -> FeatureBank | None:
        """The bank, its arrays mapped into memory; None where there is none.

        Every file's size and SHA-256 are checked: about a second a gigabyte, against hours of extraction.

        Raises:
            Distrusted: damaged, foreign, or of another layout.
        """
        if not os.path.lexists(self.folder):
            return None
        try:
            meta = self._checked_meta()
            return self._read(name, meta)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException) as error:
            raise Distrusted(" ".join(f"{type(error).__name__}: {error}".split())) from error

    def discard(self) -> None:
        """Remove the bank. The caller holds :meth:`changing`."""
        if self.folder.is_symlink() or self.folder.is_file():
            self.folder.unlink()
        elif self.folder.exists():
            aside = Path(tempfile.mkdtemp(prefix=f"{self.fingerprint}.", suffix=".tmp", dir=self.folder.parent))
            self.folder.replace(aside)  # at once, so that nobody opens half of it
            shutil.rmtree(aside, ignore_errors=True)

    def assemble(self, name: str, samples: Sequence[Sample], parts: Parts) -> None:
        """Put finished chunks together, one at a time in memory. The caller holds :meth:`changing`.

        Raises:
            ChunkDamaged: a chunk must be computed again.
            DataError: no image has a row; a row is NaN or infinite; every row is zero.
            DiskFull: there is no space; the chunks are kept.
        """
        totals = self._totals(name, samples, parts)
        for left in self.folder.parent.glob(f"{self.fingerprint}.*.tmp"):  # by a kill: nobody else is at work here
            shutil.rmtree(left, ignore_errors=True)
        aside = Path(tempfile.mkdtemp(prefix=f"{self.fingerprint}.", suffix=".tmp", dir=self.folder.parent))
        try:
            with space_needed(aside):
                self._write(aside, name, samples, parts, totals)
            aside.chmod(0o777 & ~_umask())
            aside.replace(self.folder)
            sync_folder(self.folder.parent)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
        parts.remove()

    def _totals(self, name: str, samples: Sequence[Sample], parts: Parts) -> _Totals:
        rows = 0
        like: Chunk | None = None
        infinite: dict[int, int] = {}
        zero = 0
        first_failure: tuple[int, str, str] | None = None
        for number in range(parts.cut.chunks):
            chunk = parts.load(number)
            rows += len(chunk.rows)
            strange, empty = chunk.strange()
            zero += empty
            if strange:
                infinite[number] = strange
            if like is None and len(chunk.rows):
                like = chunk
            if first_failure is None and chunk.failed:
                first_failure = chunk.failed[0]
        if infinite or 0 < rows == zero:  # a few zeros are an image in which a network sees nothing: a black one
            for number in infinite or range(parts.cut.chunks):
                parts.forget(number)
            raise strange_features(name, rows, sum(infinite.values()), zero if zero == rows else 0)
        if like is None:
            row, status, reason = first_failure or (0, "", "")
            raise DataError(
                f"{name}: none of {len(samples):,} images could be read; the first, {samples[row].sample_id!r}, is "
                f"{status}: {reason}. Check where the images of this set lie."
            )
        return _Totals(rows, like.features, like.logits)

    def _write(self, aside: Path, name: str, samples: Sequence[Sample], parts: Parts, totals: _Totals) -> None:
        failed: list[tuple[str, str, str]] = []
        files: dict[str, dict[str, Any]] = {}
        arrays = {"features": totals.features} | ({} if totals.logits is None else {"logits": totals.logits})
        writers = {key: _ArrayFile(aside / f"{key}.npy", totals.rows, like) for key, like in arrays.items()}
        tables = []
        for number in range(parts.cut.chunks):
            chunk = parts.load(number)
            failed += [(samples[row].sample_id, status, reason) for row, status, reason in chunk.failed]
            if not len(chunk.rows):
                continue
            for key, array_file in writers.items():
                array_file.append(chunk.features if key == "features" else chunk.logits)
            tables.append(_table(samples, chunk))
        with (aside / "rows.parquet").open("wb") as file:
            pq.write_table(pa.concat_tables(tables).unify_dictionaries(), file, compression="zstd")
            _synced(file)
        for array_file in writers.values():
            array_file.close()
        for path in sorted(aside.iterdir()):
            files[path.name] = {"bytes": path.stat().st_size, "sha256": file_digest(path)}
        meta = {
            "format": FORMAT,
            "fingerprint": self.fingerprint,
            "identity": self.identity,
            "made": self.made,
            "name": name,
            "rows": totals.rows,
            "failed": failed,
            "files": files,
        }
        with (aside / "meta.json").open("w", encoding="utf-8") as text:
            json.dump(meta | {"digest": digest_of(meta)}, text, indent=1)
            _synced(text)
        sync_folder(aside)

    def _checked_meta(self) -> dict[str, Any]:
        meta: dict[str, Any] = json.loads((self.folder / "meta.json").read_bytes())
        digest = meta.pop("digest")
        if digest_of(meta) != digest:
            raise ValueError("meta.json was altered")
        if meta["format"] != FORMAT:
            raise ValueError(f"layout {meta['format']}, expected {FORMAT}")
        if meta["fingerprint"] != self.fingerprint or digest_of(meta["identity"]) != self.fingerprint:
            raise ValueError("it is the bank of another model, list or transform")
        for file, facts in meta["files"].items():
            path = self.folder / Path(file).name
            if path.stat().st_size != facts["bytes"] or file_digest(path) != facts["sha256"]:
                raise ValueError(f"{file} was altered")
        return meta

    def _read(self, name: str, meta: dict[str, Any]) -> FeatureBank:
        table = pq.read_table(self.folder / "rows.parquet")
        arrays: dict[str, Array] = {
            key: np.load(self.folder / f"{key}.npy", mmap_mode="r", allow_pickle=False)
            for key in ("features", "logits")
            if f"{key}.npy" in meta["files"]
        }
        if {len(array) for array in arrays.values()} | {meta["rows"]} != {table.num_rows}:
            raise ValueError("arrays and rows differ in length")
        keys = table.column("class_key").unify_dictionaries().combine_chunks()
        digests = table.column("sha256")
        return FeatureBank(
            name=name,
            sample_ids=_texts(table.column("sample_id")),
            class_keys=_texts(keys.dictionary)[keys.indices.to_numpy()],
            labels=table.column("label").to_numpy(),
            features=arrays["features"],
            logits=arrays.get("logits"),
            sha256=None if digests.null_count else _texts(digests),
            fingerprint=self.fingerprint,
            failed=tuple((str(row), str(status), str(reason)) for row, status, reason in meta["failed"]),
        )


def strange_features(name: str, rows: int, infinite: int, zero: int) -> DataError:
    """The error for rows that no detector could use."""
    found = [
        f"{count:,} of {rows:,} rows {what}"
        for count, what in ((infinite, "hold NaN or infinite numbers"), (zero, "are zero in every feature"))
        if count
    ]
    return DataError(
        f"Features of {name}: {' and '.join(found)}; expected finite numbers, and some that are not zero. "
        "Store fp32, compute in float32, and check the model's weights."
    )


class _ArrayFile:
    """A .npy file of known length that is written block by block: a full disk is an error, not a bus error."""

    def __init__(self, path: Path, rows: int, like: Array) -> None:
        self.like = like
        self._file: BinaryIO = path.open("wb")
        header = {
            "descr": np.lib.format.dtype_to_descr(like.dtype),
            "fortran_order": False,
            "shape": (rows, *like.shape[1:]),
        }
        np.lib.format.write_array_header_1_0(self._file, header)

    def append(self, block: Array | None) -> None:
        if block is None or block.dtype != self.like.dtype or block.shape[1:] != self.like.shape[1:]:
            raise DataError(
                f"The model gave rows of {self.like.shape[1:]} {self.like.dtype} and others that differ; expected one "
                "width for all. A model whose output depends on the batch cannot be evaluated."
            )
        self._file.write(np.ascontiguousarray(block).data)

    def close(self) -> None:
        _synced(self._file)
        self._file.close()


def _table(samples: Sequence[Sample], chunk: Chunk) -> pa.Table:
    rows = [samples[row] for row in chunk.rows.tolist()]
    columns = [
        pa.array([sample.sample_id for sample in rows], pa.string()),
        pa.array([sample.class_key for sample in rows], pa.string()).dictionary_encode(),
        pa.array([sample.label for sample in rows], pa.int64()),
        pa.array(chunk.sha256 or [None] * len(rows), pa.string()),
    ]
    return pa.table(columns, schema=_SCHEMA)


def _texts(column: Any) -> Array:
    """(N,) of Python strings."""
    found: Array = np.array(column.to_pylist(), dtype=object)
    return found


def _synced(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
