"""A built data set read like any other source: its rows come in, Samples and captions by sample id go out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from openmmlo.data.dataset import BuiltDataset, open_dataset
from openmmlo.data.stored_images import StoredImage
from openmmlo.errors import DataError, UnknownName
from openmmlo.records import DatasetInfo, Finding, Sample

COLUMNS: Mapping[str, str] = {"masked": "masked_caption", "raw": "caption"}


@dataclass(frozen=True)
class BuiltSource:
    """A folder that ``openmmlo build`` wrote, as a source of its own images.

    Args:
        folder: where it lies.
    """

    folder: Path
    name: str = field(default="built", init=False)

    def info(self) -> DatasetInfo:
        return self.dataset.info

    @property
    def dataset(self) -> BuiltDataset:
        """Raises DataError for a folder that no build finished."""
        return _opened(self.folder.expanduser().absolute())

    def splits(self) -> tuple[str, ...]:
        return self.dataset.splits

    def samples(self, split: str) -> Iterator[Sample]:
        """Rows of a split in order.

        Raises:
            DataError: the data set was published without images, or a file of it cannot be read.
        """
        dataset = self._with_split(split)
        if not has_images(dataset, split):
            raise DataError(_NO_IMAGES.format(folder=self.folder, split=split))
        return self._samples(dataset, split)

    def _samples(self, dataset: BuiltDataset, split: str) -> Iterator[Sample]:
        for file in dataset.files(split):
            name = file.relative_to(dataset.folder).as_posix()
            for group, table in _groups(dataset, file, ["sample_id", "label", "class_key"]):
                rows = zip(*(table[column].to_pylist() for column in table.column_names), strict=True)
                for row, (sample_id, label, class_key) in enumerate(rows):
                    image = StoredImage(file, f"{name}#{group}:{row}")
                    yield Sample(sample_id, image, label, split, dataset.info.name, class_key)

    def image(self, locator: str) -> StoredImage:
        """Raises DataError for a locator whose file is none of the data set's."""
        name = locator.rpartition("#")[0]
        dataset = self.dataset
        if name not in {file["path"] for file in dataset.manifest["files"]}:
            raise DataError(f"{locator!r} stands for no image of {self.folder}.")
        return StoredImage(dataset.folder / name, locator)

    def check(self, splits: tuple[str, ...] = (), look: bool = True) -> list[Finding]:
        """How many rows each split has, and whether their images are in it."""
        try:
            dataset = self.dataset
            findings = []
            for split in splits or self.splits():
                if has_images(self._with_split(split), split):
                    findings.append(Finding("ok", f"{split}: {dataset.rows(split):,} rows in {self.folder}"))
                else:
                    findings.append(Finding("error", _NO_IMAGES.format(folder=self.folder, split=split)))
        except (DataError, UnknownName) as error:
            return [Finding("error", str(error))]
        return findings

    def texts(self, split: str, wording: str) -> dict[str, str]:
        """Sample id -> caption, ``masked`` or ``raw``."""
        if wording not in COLUMNS:
            raise UnknownName("wording of captions", wording, COLUMNS)
        found: dict[str, str] = {}
        for batch in self._with_split(split).batches(split, ["sample_id", COLUMNS[wording]]):
            found.update(zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True))
        return found

    @property
    def caption_digest(self) -> str:
        """SHA-256 of where the captions come from: captioner, mask, and the content of every file."""
        return self.dataset.digest

    def _with_split(self, split: str) -> BuiltDataset:
        dataset = self.dataset
        if split not in dataset.splits:
            raise UnknownName(f"split of {self.folder}", split, dataset.splits)
        return dataset


_NO_IMAGES = (
    "{folder} was published without images, so split {split!r} has captions alone. Build it from its images with "
    "openmmlo build, or evaluate the benchmark that reads them."
)


def has_images(dataset: BuiltDataset, split: str) -> bool:
    """Whether the files of a split hold images; True for a split without a file.

    Raises:
        DataError: a file is missing or damaged.
    """
    for file in dataset.files(split)[:1]:
        with _opened_file(dataset, file) as opened:
            return "image" in opened.schema_arrow.names
    return True


def listed_pairs(dataset: BuiltDataset, split: str) -> Iterator[tuple[str, str]]:
    """(sample_id, class key) of every row of a split: what a list hash is made of."""
    for batch in dataset.batches(split, ["sample_id", "class_key"]):
        yield from zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True)


def _groups(dataset: BuiltDataset, file: Path, columns: list[str]) -> Iterator[tuple[int, pa.Table]]:
    with _opened_file(dataset, file) as opened:
        for group in range(opened.num_row_groups):
            try:
                table = opened.read_row_group(group, columns=columns)
            except (OSError, pa.ArrowException) as error:
                raise _damaged(dataset, file, error) from error
            yield group, table.select(columns)


def _opened_file(dataset: BuiltDataset, file: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(file)
    except (OSError, pa.ArrowException) as error:
        raise _damaged(dataset, file, error) from error


def _damaged(dataset: BuiltDataset, file: Path, error: Exception) -> DataError:
    name = file.relative_to(dataset.folder).as_posix()
    return DataError(
        f"{dataset.folder} has no readable {name} ({type(error).__name__}). openmmlo verify tells what is damaged."
    )


@lru_cache(maxsize=4)
def _open(folder: Path, _modified: int) -> BuiltDataset:
    return open_dataset(folder)


def _opened(folder: Path) -> BuiltDataset:
    """The data set as it is now, opened once however often it is asked for."""
    try:
        modified = (folder / "manifest.json").stat().st_mtime_ns
    except OSError:
        return open_dataset(folder)  # which says what is wrong
    return _open(folder, modified)
