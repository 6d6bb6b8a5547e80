"""The rows of a built data set come in, the few that a page shows go out: by a seeded hash, from few row groups.

A cell is what a reader can filter by: one class in one split. A parquet file gives up an image only together with its
row group, so row groups are ranked by hash first: every cell takes its rows from the best-ranked group that holds it.
In a shuffled data set a few groups then serve all cells; in a sorted one each class needs its own.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from openmmlo.data import BuiltDataset
from openmmlo.errors import DataError
from openmmlo.records import OOD_LABEL

SEED = 2024

_READ_AT_ONCE = 2**18  # bytes: a row group of large images is then never in memory as a whole


class Cell(NamedTuple):
    """Rows that share split, label and class; the class of a label of -1 is unknown where ``class_key`` is empty."""

    split: str
    label: int
    class_key: str


class Place(NamedTuple):
    """Where a row lies: a row group of a split's file, and the row within it."""

    split: str
    file: int
    group: int
    row: int


@dataclass(frozen=True, slots=True)
class Pick:
    """A chosen row.

    Attributes:
        turn: 0 for the first row of its cell, 1 for the next one ...
        rank: 0 for the first cell of its class, 1 for that in another split ...
        key: hash of its row group, then of the row: sorting by it keeps rows of a group together.
    """

    cell: Cell
    place: Place
    turn: int
    rank: int
    key: int


@dataclass(frozen=True)
class Survey:
    """What is there, and what was chosen.

    Attributes:
        counts: rows of every cell, in the order of splits, then labels, then class keys.
        picks: chosen rows, the most wanted first: one of each class, then one of each cell, then more.
    """

    counts: dict[Cell, int]
    picks: tuple[Pick, ...]


def survey(dataset: BuiltDataset, per_cell: int, per_unnamed: int, seed: int = SEED) -> Survey:
    """Count every cell and choose rows, in one pass over two columns.

    Args:
        per_cell: most rows chosen of a class in a split.
        per_unnamed: most rows chosen of a split's out-of-distribution rows whose class is not known.

    Memory grows with the number of cells, not of rows.

    Raises:
        DataError: a parquet file is missing or damaged.
    """
    counts: dict[Cell, int] = {}
    best: dict[Cell, list[tuple[int, Place]]] = {}
    for ordinal, split in enumerate(dataset.splits):
        layout = _Layout.of(dataset, split)
        first = 0
        for batch in dataset.batches(split, ["label", "class_key"], 65_536):
            keys = layout.keys(first, batch.num_rows, seed + ordinal)
            for offset, (label, class_key, key) in enumerate(
                zip(batch.column("label").to_pylist(), batch.column("class_key").to_pylist(), keys, strict=True)
            ):
                cell = Cell(split, label, class_key or "")
                counts[cell] = counts.get(cell, 0) + 1
                heap = best.setdefault(cell, [])
                most = per_unnamed if label == OOD_LABEL and not class_key else per_cell
                # Keys are negated: the heap's first entry is the one to lose.
                if len(heap) < most:
                    heapq.heappush(heap, (-key, layout.place(first + offset)))
                elif -key > heap[0][0]:
                    heapq.heapreplace(heap, (-key, layout.place(first + offset)))
            first += batch.num_rows
    order = {split: place for place, split in enumerate(dataset.splits)}
    cells = sorted(counts, key=lambda cell: (order[cell.split], cell.label == OOD_LABEL, cell.label, cell.class_key))
    return Survey({cell: counts[cell] for cell in cells}, tuple(_ordered({cell: best[cell] for cell in cells})))


def _ordered(best: dict[Cell, list[tuple[int, Place]]]) -> list[Pick]:
    rows = {cell: sorted((-negated, place) for negated, place in heap) for cell, heap in best.items()}
    of_class: dict[tuple[int, str, str], list[Cell]] = {}
    for cell in rows:
        unnamed = cell.split if cell.label == OOD_LABEL and not cell.class_key else ""
        of_class.setdefault((cell.label, cell.class_key, unnamed), []).append(cell)
    picks = [
        Pick(cell, place, turn, rank, key)
        for cells in of_class.values()
        for rank, cell in enumerate(sorted(cells, key=lambda cell: rows[cell][0]))
        for turn, (key, place) in enumerate(rows[cell])
    ]
    return sorted(picks, key=lambda pick: (pick.turn, pick.rank, pick.key, pick.place))


@dataclass(frozen=True)
class _Layout:
    """Row groups of one split, in order."""

    split: str
    groups: tuple[tuple[int, int], ...]
    starts: tuple[int, ...]

    @classmethod
    def of(cls, dataset: BuiltDataset, split: str) -> _Layout:
        groups: list[tuple[int, int]] = []
        rows: list[int] = []
        for number, path in enumerate(dataset.files(split)):
            with opened(dataset, path) as file:
                for group in range(file.num_row_groups):
                    groups.append((number, group))
                    rows.append(file.metadata.row_group(group).num_rows)
        return cls(split, tuple(groups), (0, *accumulate(rows)))

    def place(self, row: int) -> Place:
        group = bisect_right(self.starts, row) - 1
        return Place(self.split, *self.groups[group], row - self.starts[group])

    def keys(self, first: int, rows: int, seed: int) -> list[int]:
        """A hash a row: 32 bits of its row group's hash above 32 bits of its own."""
        numbers = np.arange(first, first + rows, dtype=np.uint64)
        groups = np.searchsorted(np.asarray(self.starts, dtype=np.uint64), numbers, side="right").astype(np.uint64)
        of_group = _mixed(groups + np.uint64(seed << 40)) >> np.uint64(32)
        of_row = _mixed(numbers + np.uint64((seed << 40) + (1 << 39))) >> np.uint64(32)
        keys: list[int] = ((of_group << np.uint64(32)) | of_row).tolist()
        return keys


def _mixed(values: np.ndarray) -> np.ndarray:
    """SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) of 64-bit numbers."""
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def opened(dataset: BuiltDataset, path: Path) -> pq.ParquetFile:
    """Open one of a data set's parquet files.

    Raises:
        DataError: it is missing or damaged.
    """
    try:
        return pq.ParquetFile(path, pre_buffer=False, buffer_size=_READ_AT_ONCE)
    except (OSError, pa.ArrowException) as error:
        raise _damaged(dataset, path, error) from error


def chosen_rows(dataset: BuiltDataset, picks: list[Pick], columns: list[str]) -> Iterator[tuple[Pick, dict[str, Any]]]:
    """Yield every pick with these columns of its row, row group by row group.

    Raises:
        DataError: a parquet file is missing or damaged.
    """
    for split in dataset.splits:
        files = dataset.files(split)
        here = sorted((pick for pick in picks if pick.cell.split == split), key=lambda pick: pick.place)
        by_file: dict[int, dict[int, list[Pick]]] = {}
        for pick in here:
            by_file.setdefault(pick.place.file, {}).setdefault(pick.place.group, []).append(pick)
        for number, groups in by_file.items():
            with opened(dataset, files[number]) as file:
                for group, wanted in groups.items():
                    try:
                        yield from _rows(file, group, wanted, columns)
                    except (OSError, pa.ArrowException) as error:
                        raise _damaged(dataset, files[number], error) from error


def _rows(
    file: pq.ParquetFile, group: int, wanted: list[Pick], columns: list[str]
) -> Iterator[tuple[Pick, dict[str, Any]]]:
    """Rows of one row group, read no further than the last one that is wanted."""
    last = wanted[-1].place.row
    waiting = iter(wanted)
    pick = next(waiting)
    first = 0
    for batch in file.iter_batches(last + 1, row_groups=[group], columns=columns, use_threads=False):
        while pick.place.row < first + batch.num_rows:
            yield pick, batch.slice(pick.place.row - first, 1).to_pylist()[0]
            following = next(waiting, None)
            if following is None:
                return
            pick = following
        first += batch.num_rows


def _damaged(dataset: BuiltDataset, path: Path, error: Exception) -> DataError:
    name = path.relative_to(dataset.folder).as_posix()
    return DataError(
        f"{dataset.folder} has no readable {name} ({type(error).__name__}). openmmlo verify tells what is damaged; the "
        "build command writes it anew once the damaged file is deleted."
    )
