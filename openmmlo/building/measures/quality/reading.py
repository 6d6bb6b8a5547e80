"""A built data set comes in; facts of its captions go out, file by file, from several processes where that pays."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from itertools import accumulate
from typing import Any

from openmmlo.building.measures.quality.facts import COLUMNS, Facts, Look, joined, look
from openmmlo.building.schema import COLUMNS as TYPES
from openmmlo.data import BuiltDataset
from openmmlo.data.children import become_child
from openmmlo.errors import WorkerDied

File = Mapping[str, Any]

_BATCH = 5_000  # captions looked at together: enough for array work, little enough for memory
_SHOWN = 400  # characters of a caption that is quoted


def read_facts(dataset: BuiltDataset, files: Sequence[File], wanted: Look, workers: int) -> Iterator[Facts]:
    """The facts of each file, in order.

    Raises:
        DataError: a file is missing or damaged.
        WorkerDied: a process was killed.
    """
    if workers <= 1 or len(files) <= 1:
        for file in files:
            yield _look(dataset, file, wanted)
        return
    context = multiprocessing.get_context("spawn")
    shared = (dataset, wanted)
    with ProcessPoolExecutor(min(workers, len(files)), context, initializer=_begin, initargs=shared) as pool:
        try:
            yield from pool.map(_look_shared, files)
        except BrokenProcessPool as error:
            raise WorkerDied(
                "A process that read captions was killed (often: out of memory). Run the command again."
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


_shared: tuple[BuiltDataset, Look]


def _begin(dataset: BuiltDataset, wanted: Look) -> None:
    global _shared
    import pyarrow as pa

    become_child()
    pa.set_cpu_count(1)
    _shared = (dataset, wanted)


def _look_shared(file: File) -> Facts:
    dataset, wanted = _shared
    return _look(dataset, file, wanted)


def _look(dataset: BuiltDataset, file: File, wanted: Look) -> Facts:
    found = [look(batch, wanted) for batch in _batches(dataset, file, COLUMNS) if batch.num_rows]
    return joined(found) if found else no_facts(wanted)


def _batches(dataset: BuiltDataset, file: File, columns: Sequence[str]) -> Iterator[Any]:
    alone = replace(dataset, manifest={**dataset.manifest, "files": [file]})
    yield from alone.batches(file["split"], columns, _BATCH)


def no_facts(wanted: Look) -> Facts:
    """The facts of no caption."""
    import pyarrow as pa

    return look(pa.record_batch({name: pa.array([], TYPES[name]) for name in COLUMNS}), wanted)


def quotations(
    dataset: BuiltDataset, files: Sequence[File], lengths: Sequence[int], rows: Sequence[int]
) -> dict[int, dict[str, str]]:
    """Row number in the data set -> sample_id, split and caption of that row; a long caption is cut.

    Args:
        lengths: rows of each file.
    """
    found = {}
    for file, end, length in zip(files, accumulate(lengths), lengths, strict=True):
        inside = sorted(row for row in rows if end - length <= row < end)
        passed = end - length
        for batch in _batches(dataset, file, ("sample_id", "caption")) if inside else ():
            for row in inside:
                if 0 <= row - passed < batch.num_rows:
                    text = batch.column("caption")[row - passed].as_py()
                    text = text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
                    sample = batch.column("sample_id")[row - passed].as_py()
                    found[row] = {"sample_id": sample, "split": file["split"], "text": text}
            passed += batch.num_rows
    return found
