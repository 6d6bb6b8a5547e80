"""A column of captions comes in; its pieces between white space go out, each distinct one once, as numbers and hashes.

No word holds a space, so the words of a caption are the words of its pieces; asking once for each distinct piece is
several times as fast as asking for each caption. Hashes are 64 bits of BLAKE2: equal in every process and run.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import blake2b
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openmmlo.building.word_counts import MASK_WORD, words

Hashes = NDArray[np.uint64]
Numbers = NDArray[np.int64]

_REMEMBERED = 2**17  # distinct pieces a process keeps, about 50 MB: natural captions repeat theirs
_LONG = 64  # characters: longer pieces are rare, so not worth keeping
_BEHIND = "."


def hash_of(text: str) -> int:
    """64-bit hash of a text."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


MASK_HASH = np.uint64(hash_of(MASK_WORD))


@dataclass(frozen=True)
class Ragged:
    """Rows of different lengths, end to end: row ``n`` is ``values[starts[n]:starts[n + 1]]``."""

    values: NDArray[Any]
    starts: Numbers

    @property
    def lengths(self) -> Numbers:
        return np.diff(self.starts)

    @property
    def rows(self) -> Numbers:
        """(values,) the row of each value."""
        return np.repeat(np.arange(len(self.starts) - 1), self.lengths)

    def take(self, which: Numbers) -> Ragged:
        """These rows, in this order; a row may come several times."""
        lengths = self.starts[which + 1] - self.starts[which]
        starts = starts_of(lengths)
        return Ragged(self.values[np.repeat(self.starts[:-1][which] - starts[:-1], lengths) + _count(starts)], starts)

    def sums(self) -> NDArray[Any]:
        """(rows,) the sum of each row; 0 of an empty one. Wraps around for unsigned numbers."""
        total = np.concatenate([np.zeros(1, self.values.dtype), np.cumsum(self.values, dtype=self.values.dtype)])
        found: NDArray[Any] = total[self.starts[1:]] - total[self.starts[:-1]]
        return found


def _count(starts: Numbers) -> Numbers:
    return np.arange(starts[-1], dtype=np.int64)


def starts_of(lengths: NDArray[Any]) -> Numbers:
    """Where rows of these lengths start, and where the last one ends."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])


def ragged(rows: Sequence[tuple[int, ...]], dtype: Any) -> Ragged:
    """Rows of Python integers, end to end."""
    starts = starts_of(np.fromiter(map(len, rows), np.int64, len(rows)))
    return Ragged(np.fromiter(chain.from_iterable(rows), dtype, int(starts[-1])), starts)


@dataclass(frozen=True)
class Pieces:
    """The pieces between white space of N captions.

    Attributes:
        texts: (U,) distinct pieces.
        of_captions: N rows of numbers into ``texts``.
    """

    texts: list[str]
    of_captions: Ragged

    @classmethod
    def split(cls, column: Any) -> Pieces:
        """Split an Arrow array of strings, as ``str.split`` does."""
        import pyarrow as pa
        import pyarrow.compute as pc

        # Arrow reads a character past the end of a text. Behind the last one that is whatever lies in memory, and the
        # white space at its end is not split off unless that happens to be UTF-8: so another text is put there.
        padded = pa.concat_arrays([column, pa.array([_BEHIND], column.type)])
        lists = pc.utf8_split_whitespace(padded)[: len(column)]
        encoded = lists.flatten().dictionary_encode()
        texts = encoded.dictionary.to_pylist()
        numbers = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        lengths = pc.list_value_length(lists).to_numpy(zero_copy_only=False).astype(np.int64)
        of_captions = Ragged(numbers, starts_of(lengths))
        if "" in texts:  # before the first or behind the last piece, where a caption begins or ends with white space
            keep = numbers != texts.index("")
            kept = Ragged(keep.astype(np.int64), of_captions.starts).sums()
            of_captions = Ragged(numbers[keep], starts_of(kept))
        return cls(texts, of_captions)

    def sums(self, number: Callable[[str], int]) -> Numbers:
        """(N,) for each caption the sum over its pieces of what ``number`` says of a piece."""
        table = np.fromiter(map(number, self.texts), np.int64, len(self.texts))
        return Ragged(table[self.of_captions.values], self.of_captions.starts).sums()

    def hashes(self) -> Hashes:
        """(N,) equal for captions that are equal in NFC, case-folded and with single spaces."""
        table = np.fromiter((own for own, _ in self._facts), np.uint64, len(self.texts))
        pieces = self.of_captions
        place = (_count(pieces.starts) - np.repeat(pieces.starts[:-1], pieces.lengths)).astype(np.uint64)
        return np.asarray(Ragged(mixed(table[pieces.values] + mixed(place)), pieces.starts).sums(), np.uint64)

    def words(self) -> Ragged:
        """The words of each caption, hashed; what a word is says :func:`openmmlo.building.word_counts.words`."""
        return self._spread([found for _, found in self._facts])

    def tokens(self) -> Ragged:
        """The words of each caption and, as one token each, its pieces that hold no word; hashed."""
        return self._spread([found or (own,) for own, found in self._facts])

    @cached_property
    def _facts(self) -> list[tuple[int, tuple[int, ...]]]:
        return [_remembered(text) if len(text) <= _LONG else _look(text) for text in self.texts]

    def _spread(self, of_texts: Sequence[tuple[int, ...]]) -> Ragged:
        spread = ragged(of_texts, np.uint64).take(self.of_captions.values)
        return Ragged(spread.values, spread.starts[self.of_captions.starts])


def _look(piece: str) -> tuple[int, tuple[int, ...]]:
    """Hash of the folded piece, and of each of its words."""
    folded = unicodedata.normalize("NFC", piece).casefold()
    return hash_of(folded), tuple(map(hash_of, words(piece)))


_remembered = lru_cache(_REMEMBERED)(_look)


def mixed(values: Hashes) -> Hashes:
    """Spread the bits of 64-bit numbers (the finaliser of SplitMix64: Steele, Lea and Flood, OOPSLA 2014)."""
    with np.errstate(over="ignore"):
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return values ^ (values >> np.uint64(31))


def grams(words: Ragged, length: int) -> tuple[Hashes, Numbers]:
    """Hashes of all runs of ``length`` neighbouring words of a row, and the row of each."""
    count = len(words.values) - length + 1
    if count <= 0:
        return np.zeros(0, np.uint64), np.zeros(0, np.int64)
    rows = words.rows
    inside = rows[:count] == rows[length - 1 :]
    found = np.zeros(count, np.uint64)
    for place in range(length):
        found = mixed(found + words.values[place : place + count] + np.uint64(place + 1))
    return found[inside], rows[:count][inside]
