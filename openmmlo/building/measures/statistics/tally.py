"""Captions come in, many at a time; how often each word occurs goes out, and how often together with each label.

Arrow cuts captions at white space and counts distinct pieces; :func:`words` is asked once for each of those. No word
holds white space, so the words of a caption are the words of its pieces. That is several times as fast as asking for
every caption, with the same counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openmmlo.building.word_counts import words

Counts = NDArray[np.int64]

RAW, MASKED = 0, 1
"""Columns of every table of counts: captions as written, captions as masked."""

_WORD_BITS = 40
_WORD = (1 << _WORD_BITS) - 1


@dataclass
class Table:
    """Counts of things that have a number of their own, grown as needed: (N, 2), columns RAW and MASKED."""

    counts: Counts = field(default_factory=lambda: np.zeros((0, 2), np.int64))

    def add(self, numbers: Counts, counts: Counts) -> None:
        """Add ``counts`` (K, 2) to the rows ``numbers`` (K,), in which a number may occur more than once."""
        size = int(numbers.max(initial=-1)) + 1
        if size > len(self.counts):
            grown = np.zeros((max(size, len(self.counts) * 3 // 2), 2), np.int64)
            grown[: len(self.counts)] = self.counts
            self.counts = grown
        np.add.at(self.counts, numbers, counts)

    def rows(self, size: int) -> Counts:
        """(size, 2): the counts of the numbers below ``size``."""
        counts = self.counts[:size]
        return np.concatenate([counts, np.zeros((size - len(counts), 2), np.int64)])


@dataclass
class Pairs:
    """How often a word stands in captions of a label, for the pairs that occur.

    Attributes:
        keys: (P,) rising; ``label + 1`` and, below it, the number of the word.
        counts: (P, 2), columns RAW and MASKED; 32 bits, because there may be millions of pairs.
    """

    keys: Counts = field(default_factory=lambda: np.zeros(0, np.int64))
    counts: NDArray[np.int32] = field(default_factory=lambda: np.zeros((0, 2), np.int32))
    _waiting: list[tuple[Counts, NDArray[np.int32]]] = field(default_factory=list)
    _rows: int = 0

    def add(self, keys: Counts, counts: NDArray[np.integer[Any]]) -> None:
        """Add counts (K, 2) of pairs (K,). They are sorted in once they are half as many as those that are."""
        self._waiting.append((keys, counts.astype(np.int32, copy=False)))
        self._rows += len(keys)
        if self._rows > max(1_000_000, len(self.keys) // 2):
            self.settle()

    def settle(self) -> Pairs:
        """Sort in what was added; to be called before the attributes are read."""
        if self._waiting:
            keys = np.concatenate([self.keys, *(part for part, _ in self._waiting)])
            counts = np.concatenate([self.counts, *(part for _, part in self._waiting)])
            self._waiting, self._rows = [], 0
            order = np.argsort(keys, kind="stable")
            keys = keys[order]
            counts = counts[order]
            starts = np.flatnonzero(np.diff(keys, prepend=-1))
            self.keys = keys[starts]
            self.counts = np.add.reduceat(counts, starts) if len(starts) else counts
        return self

    @property
    def labels(self) -> Counts:
        return (self.keys >> _WORD_BITS) - 1

    @property
    def words(self) -> Counts:
        return self.keys & _WORD


def pair_keys(labels: Counts, numbers: Counts) -> Counts:
    """One number for each pair of a label (from -1 on) and a word."""
    return (labels + 1 << _WORD_BITS) | numbers


class Vocabulary:
    """Words and their numbers, from 0 on in the order in which they come."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self._numbers: dict[str, int] = {}

    def numbers(self, found: Iterable[str]) -> list[int]:
        """The numbers of some words; new words get new ones."""
        known, listed = self._numbers, self.words
        answer = []
        for word in found:
            number = known.get(word)
            if number is None:
                number = known[word] = len(listed)
                listed.append(word)
            answer.append(number)
        return answer


class Tally:
    """Counts the words of captions.

    Args:
        with_pairs: whether to count pairs of label and word too.
    """

    def __init__(self, with_pairs: bool) -> None:
        self.vocabulary = Vocabulary()
        self.table = Table()
        self.pairs = Pairs() if with_pairs else None
        self._pieces: dict[str, list[int]] = {}

    def count(self, captions: Any, labels: Counts, raw: bool, masked: bool) -> None:
        """Count (N,) captions, an Arrow array of strings, with their labels (N,) as ``raw``, ``masked`` or both."""
        import pyarrow.compute as pc

        cut = pc.ascii_split_whitespace(captions)
        lengths = pc.list_value_length(cut).to_numpy(zero_copy_only=False)
        encoded = cut.flatten().dictionary_encode()
        of_piece = self._words_of(encoded.dictionary.to_pylist())
        pieces = encoded.indices.to_numpy().astype(np.int64)
        column = np.array([[raw, masked]], np.int64)
        occurrences = np.bincount(pieces, minlength=len(of_piece.lengths))
        every = np.arange(len(of_piece.lengths))
        self.table.add(of_piece.of(every), np.repeat(occurrences, of_piece.lengths)[:, None] * column)
        if self.pairs is not None:
            size = max(1, len(every))
            keys, found = np.unique((np.repeat(labels, lengths) + 1) * size + pieces, return_counts=True)
            labels, pieces = keys // size - 1, keys % size
            many = of_piece.lengths[pieces]
            keys = pair_keys(np.repeat(labels, many), of_piece.of(pieces))
            self.pairs.add(keys, np.repeat(found, many)[:, None] * column)

    def take(self) -> tuple[list[str], Table, Pairs | None]:
        """What was counted since the last call: words, their counts, and pairs whose words are places among those.

        What is known of pieces and words stays: the next captions hold most of them again.
        """
        rows = self.table.rows(len(self.vocabulary.words))
        used = np.flatnonzero(rows.any(axis=1))
        pairs, taken = self.pairs, None
        if pairs is not None:
            pairs.settle()
            place = np.zeros(len(rows), np.int64)
            place[used] = np.arange(len(used))
            taken = Pairs(pair_keys(pairs.labels, place[pairs.words]), pairs.counts)
            self.pairs = Pairs()
        self.table = Table()
        return [self.vocabulary.words[number] for number in used.tolist()], Table(rows[used]), taken

    def _words_of(self, pieces: list[str]) -> Ragged:
        known, numbers = self._pieces, self.vocabulary.numbers
        if len(known) > 500_000:  # numerals and codes are pieces without end
            known.clear()
        lists = []
        for piece in pieces:
            found = known.get(piece)
            if found is None:
                found = known[piece] = numbers(words(piece))
            lists.append(found)
        return Ragged(lists)


class Ragged:
    """Lists of numbers of different lengths, laid end to end."""

    def __init__(self, lists: list[list[int]]) -> None:
        self.lengths = np.fromiter(map(len, lists), np.int64, len(lists))
        self._flat = np.fromiter(chain.from_iterable(lists), np.int64)
        self._starts = np.cumsum(self.lengths) - self.lengths

    def of(self, places: Counts) -> Counts:
        """The lists at these places, end to end."""
        lengths = self.lengths[places]
        before = np.cumsum(lengths) - lengths
        return self._flat[np.repeat(self._starts[places] - before, lengths) + np.arange(int(lengths.sum()))]
