"""A built data set comes in; what each of its splits holds goes out, counted over its files by several processes.

Counts of parts add up in any order to the same result, so the number of processes changes nothing but the time.
"""

from __future__ import annotations

import multiprocessing
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from openmmlo.building.machine import cores
from openmmlo.building.measures.statistics.naming import LEVEL, Finder, Named, Naming
from openmmlo.building.measures.statistics.tally import Counts, Pairs, Table, Tally, Vocabulary, pair_keys
from openmmlo.data import BuiltDataset, open_dataset
from openmmlo.data.children import become_child
from openmmlo.errors import DataError, WorkerDied
from openmmlo.records import OOD_LABEL

if TYPE_CHECKING:
    from openmmlo.progress import Progress

COLUMNS = ("label", "class_key", "caption", "masked_caption", "spans")

_PART_ROWS = 10_000
_ALONE_ROWS = 30_000  # below this, starting processes costs more than they save
_MOST_PROCESSES = 8  # the merging process keeps about so many busy


@dataclass
class SplitCounts:
    """What one split holds.

    Attributes:
        labels: label -> rows.
        ood_keys: class key -> rows that are out of distribution; the empty key stands for an unknown class.
        words: word number -> occurrences.
        pairs: label and noun -> occurrences; None without WordNet.
    """

    rows: int = 0
    masked_rows: int = 0
    labels: Counter[int] = field(default_factory=Counter)
    ood_keys: Counter[str] = field(default_factory=Counter)
    words: Table = field(default_factory=Table)
    pairs: Pairs | None = None
    naming: Naming | None = None

    def merge(self, other: SplitCounts) -> None:
        self.rows += other.rows
        self.masked_rows += other.masked_rows
        self.labels.update(other.labels)
        self.ood_keys.update(other.ood_keys)
        self.words.add(np.arange(len(other.words.counts)), other.words.counts)
        if self.pairs is not None and other.pairs is not None:
            other.pairs.settle()
            self.pairs.add(other.pairs.keys, other.pairs.counts)
        if self.naming is not None and other.naming is not None:
            self.naming.merge(other.naming)


@dataclass
class DatasetCounts:
    """Every split, with the words that their numbers stand for."""

    splits: dict[str, SplitCounts]
    vocabulary: Vocabulary
    nouns: Nouns | None


class Nouns:
    """Remembers which words of a vocabulary are nouns. A possessive ("lion's") is one where its noun is."""

    def __init__(self, is_noun: Callable[[str], bool]) -> None:
        self._is_noun = is_noun
        self._known = np.zeros(0, bool)

    def of(self, vocabulary: Vocabulary) -> NDArray[np.bool_]:
        """(V,) whether each word is one."""
        new = vocabulary.words[len(self._known) :]
        answers = (self._is_noun(word.removesuffix("'s")) for word in new)
        self._known = np.concatenate([self._known, np.fromiter(answers, bool, len(new))])
        return self._known


def count_dataset(
    dataset: BuiltDataset,
    is_noun: Callable[[str], bool] | None,
    progress: Progress,
    processes: int | None = None,
) -> DatasetCounts:
    """Count every split.

    Args:
        is_noun: WordNet's answer; None where it is not at hand.
        processes: as many as there are cores where None, and none but this one for small data sets.

    Raises:
        DataError: a file or the lexicon is missing or damaged.
        WorkerDied: a process was killed.
    """
    classes = len(dataset.info.classes)
    nouns = None if is_noun is None else Nouns(is_noun)
    counted = DatasetCounts(
        {split: _empty(classes, nouns is not None) for split in dataset.splits}, Vocabulary(), nouns
    )
    rows = sum(map(dataset.rows, dataset.splits))
    if processes is None:
        processes = min(cores(), _MOST_PROCESSES) if rows >= _ALONE_ROWS else 1
    progress.start(rows, 0)
    try:
        for part in _results(dataset, list(_parts(dataset)), nouns is not None, processes):
            _take(counted, part)
            progress.advance(part.counts.rows, 0)
    finally:
        progress.close()
    return counted


def total(counted: DatasetCounts, classes: int) -> SplitCounts:
    """All splits together."""
    filled = [counts for counts in counted.splits.values() if counts.rows]
    if len(filled) == 1:
        return filled[0]
    everything = _empty(classes, counted.nouns is not None)
    for counts in filled:
        everything.merge(counts)
    return everything


def _empty(classes: int, with_pairs: bool) -> SplitCounts:
    return SplitCounts(pairs=Pairs() if with_pairs else None, naming=Naming(Named.of(classes), Named.of(classes)))


@dataclass
class _Part:
    """What a process found in some files of a split; word numbers are places in ``words``."""

    split: str
    counts: SplitCounts
    words: list[str]


def _take(counted: DatasetCounts, part: _Part) -> None:
    """Add a part, its word numbers changed to those of the whole."""
    numbers = np.array(counted.vocabulary.numbers(part.words), np.int64)
    words, pairs = part.counts.words.counts, part.counts.pairs
    part.counts.words = Table()
    part.counts.words.add(numbers, words)
    if pairs is not None and counted.nouns is not None:
        noun = counted.nouns.of(counted.vocabulary)[numbers][pairs.words]
        keys = pair_keys(pairs.labels[noun], numbers[pairs.words[noun]])
        part.counts.pairs = Pairs()
        part.counts.pairs.add(keys, pairs.counts[noun])
    counted.splits[part.split].merge(part.counts)


def _parts(dataset: BuiltDataset) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Some files of one split at a time."""
    for split in dataset.splits:
        files: list[dict[str, Any]] = []
        for file in (file for file in dataset.manifest["files"] if file["split"] == split):
            files.append(file)
            if sum(file["rows"] for file in files) >= _PART_ROWS:
                yield split, files
                files = []
        if files:
            yield split, files


class _Counter:
    """Counts parts of one data set: what each process holds."""

    def __init__(self, dataset: BuiltDataset, with_pairs: bool) -> None:
        self.dataset = dataset
        self.with_pairs = with_pairs
        self.places = {item.key: place for place, item in enumerate(dataset.info.classes)}
        self.finder = _finder(dataset)
        self.tally = Tally(with_pairs)

    def count(self, split: str, files: list[dict[str, Any]]) -> _Part:
        part = BuiltDataset(self.dataset.folder, {"splits": {split: {}}, "files": files}, self.dataset.info)
        counts = _empty(len(self.places), self.with_pairs)
        for batch in _together(part.batches(split, COLUMNS, _PART_ROWS)):
            self._add(counts, batch)
        words, counts.words, counts.pairs = self.tally.take()
        return _Part(split, counts, words)

    def _add(self, counts: SplitCounts, batch: Any) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        labels: Counts = batch.column("label").to_numpy().astype(np.int64)
        keys: list[str] = batch.column("class_key").to_pylist()
        captions, hidden = batch.column("caption"), batch.column("masked_caption")
        spanned = pc.list_value_length(batch.column("spans")).to_numpy(zero_copy_only=False) > 0
        counts.rows += len(labels)
        counts.masked_rows += int(spanned.sum())
        counts.labels.update(labels.tolist())
        counts.ood_keys.update(key for key, label in zip(keys, labels.tolist(), strict=True) if label == OOD_LABEL)
        # Where nothing was masked both captions are the same, and counted once.
        plain = ~spanned
        self.tally.count(captions.filter(pa.array(plain)), labels[plain], raw=True, masked=True)
        self.tally.count(captions.filter(pa.array(spanned)), labels[spanned], raw=True, masked=False)
        self.tally.count(hidden.filter(pa.array(spanned)), labels[spanned], raw=False, masked=True)
        if counts.naming is not None:
            texts, changed = captions.to_pylist(), spanned.tolist()
            counts.naming.count(self.finder, self.places, texts, hidden.to_pylist(), keys, changed)


def _together(batches: Iterable[Any]) -> Iterator[Any]:
    """Record batches of many rows: shards are small, and every batch has a cost of its own."""
    import pyarrow as pa

    waiting: list[Any] = []
    for batch in batches:
        waiting.append(batch)
        if sum(map(len, waiting)) >= _PART_ROWS:
            yield pa.concat_batches(waiting)
            waiting = []
    if waiting:
        yield pa.concat_batches(waiting)


def _finder(dataset: BuiltDataset) -> Finder:
    from openmmlo.building.masking import Lexicon
    from openmmlo.building.masking.finder import ClassFinder

    path = dataset.folder / "lexicon.json"
    try:
        lexicon = Lexicon.from_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} cannot be read ({type(error).__name__}), and it holds the names of the classes. "
            "Run the build command again, or fetch the data set anew."
        ) from error
    return ClassFinder(lexicon, [item.key for item in dataset.info.classes], level=LEVEL)


def _results(
    dataset: BuiltDataset, parts: list[tuple[str, list[dict[str, Any]]]], with_pairs: bool, processes: int
) -> Iterable[_Part]:
    """The counts of every part, in order; no more than a few wait to be taken."""
    if processes <= 1 or len(parts) <= 1:
        counter = _Counter(dataset, with_pairs)
        yield from (counter.count(*part) for part in parts)
        return
    # Each process opens the data set itself: where a script lacks its __main__ guard the process dies before it reads
    # what it is given, and a class table of thousands would then keep this one waiting for ever.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(processes, len(parts)), context, _begin, (dataset.folder, with_pairs))
    try:
        waiting: deque[Future[_Part]] = deque()
        for part in parts:
            waiting.append(pool.submit(_count, part))
            if len(waiting) > 2 * processes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise WorkerDied(
            "A process that counts captions ended without finishing (often: out of memory). Nothing is lost; "
            "run the same command again where more memory is free. A script that calls this needs "
            "if __name__ == '__main__' around its calls."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


_begun: tuple[Path, bool] | None = None


def _begin(folder: Path, with_pairs: bool) -> None:
    global _begun
    become_child()
    _begun = folder, with_pairs


@cache
def _counter() -> _Counter:
    # Made at the first part: what is raised then reaches the user, what is raised in _begin would not.
    if _begun is None:
        raise RuntimeError("the process was not started by _results")
    folder, with_pairs = _begun
    return _Counter(open_dataset(folder), with_pairs)


def _count(part: tuple[str, list[dict[str, Any]]]) -> _Part:
    return _counter().count(*part)
