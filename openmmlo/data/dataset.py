"""A built data set as it lies on disk: opened without loading rows, read split by split in batches of columns."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from openmmlo.errors import DataError
from openmmlo.records import OOD_LABEL, DatasetInfo, digest_of


@dataclass(frozen=True)
class BuiltDataset:
    """A complete built data set.

    Attributes:
        folder: where it lies.
        manifest: what manifest.json holds.
        info: class table, licence and notes, as the source stated them; training counts too, where it knows them.
    """

    folder: Path
    manifest: dict[str, Any]
    info: DatasetInfo

    @property
    def splits(self) -> tuple[str, ...]:
        """Splits in building order, those without a row included."""
        return tuple(self.manifest["splits"])

    def rows(self, split: str) -> int:
        """Rows of a split."""
        return int(self.manifest["splits"][split]["rows"])

    def files(self, split: str) -> list[Path]:
        """Parquet files of a split, in order. A split without a row may have one, with no row group."""
        return [self.folder / file["path"] for file in self.manifest["files"] if file["split"] == split]

    def batches(self, split: str, columns: Sequence[str], size: int = 10_000) -> Iterator[pa.RecordBatch]:
        """Rows of a split in order, ``size`` at most a batch, only these columns; memory does not grow with the rows.

        Raises:
            DataError: a file is missing, or not the parquet file that the build wrote.
        """
        for path in self.files(split):
            try:
                with pq.ParquetFile(path) as file:
                    yield from file.iter_batches(batch_size=size, columns=list(columns))
            except (OSError, pa.ArrowException) as error:
                name = path.relative_to(self.folder).as_posix()
                raise DataError(
                    f"{self.folder} has no readable {name} ({type(error).__name__}). openmmlo verify tells what is "
                    "damaged; the build command writes it anew once the damaged file is deleted."
                ) from error

    def is_ood(self, split: str) -> bool:
        """Whether every row of a split is out of distribution; False for a split without a row."""
        labels = self._labels.get(split, {})
        return bool(labels) and set(labels) == {OOD_LABEL}

    @cached_property
    def _labels(self) -> dict[str, dict[int, int]]:
        counts: dict[str, dict[int, int]] = {}
        for split in self.splits:
            found: dict[int, int] = {}
            for batch in self.batches(split, ["label"]):
                for item in batch.column("label").value_counts().to_pylist():
                    found[item["values"]] = found.get(item["values"], 0) + item["counts"]
            counts[split] = found
        return counts

    def label_counts(self, split: str) -> dict[int, int]:
        """Label -> rows of a split; -1 is out of distribution."""
        return dict(self._labels[split])

    @cached_property
    def class_counts(self) -> tuple[int, ...]:
        """(C,) training images per class: the source's list where it has one, else the rows of split ``train``."""
        if self.info.train_counts is not None:
            return self.info.train_counts
        rows = self._labels.get("train", {})
        return tuple(rows.get(label, 0) for label in range(len(self.info.classes)))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what can be measured: class table, captioner, mask, and the content of every parquet file."""
        files = sorted((file["path"], file["split"], file["sha256"]) for file in self.manifest["files"])
        made = [self.manifest.get("captioner"), self.manifest.get("masking")]
        return digest_of([self.info.to_json(), *made, list(self.splits), files])


def open_dataset(folder: Path | str) -> BuiltDataset:
    """Open what ``openmmlo build`` wrote.

    Raises:
        DataError: no such folder, not a built data set, or a build that is not finished.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder. Give the folder that openmmlo build --out named.")
    manifest = _read(folder, "manifest.json")
    return BuiltDataset(folder, manifest, _info(folder, _read(folder, "classes.json")))


def _read(folder: Path, name: str) -> dict[str, Any]:
    try:
        value = json.loads((folder / name).read_bytes())
    except FileNotFoundError:
        if (folder / ".openmmlo").is_dir():
            raise DataError(
                f"{folder} holds a build that is not finished (no {name}). Run its build command again to go on."
            ) from None
        raise DataError(
            f"{folder} holds no {name}: not a data set that openmmlo built. Give the folder that openmmlo build "
            "--out named."
        ) from None
    except ValueError as error:
        raise DataError(f"{folder / name} cannot be read as JSON ({error}). Run the build command again.") from error
    if not isinstance(value, dict):
        raise DataError(f"{folder / name} does not hold what openmmlo build writes. Run the build command again.")
    return value


def _info(folder: Path, value: dict[str, Any]) -> DatasetInfo:
    try:
        return DatasetInfo.from_json(value)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{folder / 'classes.json'} does not hold what openmmlo build writes ({error!r}). Run the build again."
        ) from error
