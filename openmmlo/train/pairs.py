"""Rows of a split as pairs of image and caption: read once, tokenised once, batched anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from openmmlo.data.built_source import COLUMNS
from openmmlo.data.dataset import BuiltDataset
from openmmlo.train.batch import sample_key
from openmmlo.train.order import members

Integers = npt.NDArray[np.int64]

Tokenise = Callable[[Sequence[str], int], tuple[torch.Tensor, torch.Tensor]]
"""B texts and a length -> tokens (B, T) int64 and mask (B, T) int64, T at most the length."""

_CHUNK = 1000


@dataclass(frozen=True, eq=False)
class Pairs:
    """N pairs of one split; what a row holds besides its image is in memory.

    Attributes:
        split: whose they are.
        rows: (N,) their rows in the split, which is where the packed images are.
        sample_ids: N of them.
        labels: (N,) int64, -1 out of distribution.
        keys: (N,) int64, :func:`~openmmlo.train.batch.sample_key` of each id.
        texts: N captions.
    """

    split: str
    rows: Integers
    sample_ids: tuple[str, ...]
    labels: Integers
    keys: Integers
    texts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.sample_ids)

    def subset(self, chosen: npt.NDArray[np.bool_]) -> Pairs:
        """The pairs where (N,) ``chosen`` is true, in their order."""
        at = np.flatnonzero(chosen)
        return Pairs(
            self.split, self.rows[at], tuple(self.sample_ids[i] for i in at), self.labels[at], self.keys[at],
            tuple(self.texts[i] for i in at),
        )  # fmt: skip


def read_pairs(dataset: BuiltDataset, split: str, captions: str) -> Pairs:
    """All rows of a split with their raw or masked captions. Raises DataError for a damaged file."""
    ids: list[str] = []
    labels: list[int] = []
    texts: list[str] = []
    column = COLUMNS[captions]
    for batch in dataset.batches(split, ["sample_id", "label", column]):
        ids += batch.column("sample_id").to_pylist()
        labels += batch.column("label").to_pylist()
        texts += batch.column(column).to_pylist()
    keys = np.array([sample_key(sample_id) for sample_id in ids], dtype=np.int64)
    return Pairs(split, np.arange(len(ids)), tuple(ids), np.array(labels, dtype=np.int64), keys, tuple(texts))


def held_out(labels: Integers, keys: Integers, share: float) -> npt.NDArray[np.bool_]:
    """(N,) which samples are held out for validation: of each class a share, rounded, those with the smallest keys.

    A class keeps at least one sample, so that a class of five is not trained away. The choice follows the sample ids:
    it is the same for every seed and every order of the rows.
    """
    chosen = np.zeros(len(labels), dtype=np.bool_)
    for at in (*members(labels), np.flatnonzero(labels < 0)):
        count = min(round(share * len(at)), len(at) - 1)
        chosen[at[np.argsort(keys[at], kind="stable")[: max(0, count)]]] = True
    return chosen


def class_counts(pairs: Pairs, classes: int) -> Integers:
    """(C,) samples of each class."""
    known = pairs.labels[(pairs.labels >= 0) & (pairs.labels < classes)]
    return np.bincount(known, minlength=classes).astype(np.int64)


@dataclass(frozen=True, eq=False)
class TokenTable:
    """The tokens of N captions, made once and kept without padding.

    Attributes:
        flat: all tokens, one caption after the other, int32.
        starts: (N + 1,) where each begins.
        pad: the token that fills up.
        cut: captions that were longer than the text length, and lost their end.
        longest: tokens of the longest caption, uncut.
    """

    flat: npt.NDArray[np.int32]
    starts: Integers
    pad: int
    cut: int
    longest: int

    def length(self, at: Integers) -> int:
        """Tokens of the longest among these captions."""
        return int((self.starts[at + 1] - self.starts[at]).max())

    def padded(self, at: Integers, length: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens and mask, (B, length) int64, of the captions at these positions."""
        tokens = torch.full((len(at), length), self.pad, dtype=torch.int64)
        mask = torch.zeros((len(at), length), dtype=torch.int64)
        for row, position in enumerate(at):
            words = self.flat[self.starts[position] : self.starts[position + 1]]
            tokens[row, : len(words)] = torch.from_numpy(words.astype(np.int64))
            mask[row, : len(words)] = 1
        return tokens, mask


def tokenised(
    texts: Sequence[str], tokenise: Tokenise, lengths: Callable[[Sequence[str]], list[int]], length: int, pad: int
) -> TokenTable:
    """Tokens of all texts; those that are longer than ``length`` are cut, and counted.

    Args:
        lengths: uncut tokens of texts; asked for those alone that fill the whole length.
    """
    flat: list[npt.NDArray[np.int32]] = []
    counts: list[Integers] = []
    cut, longest = 0, 0
    for chunk in _chunks(texts):
        tokens, mask = tokenise(chunk, length)
        flat.append(tokens[mask.bool()].numpy().astype(np.int32))
        kept = mask.sum(dim=1).numpy().astype(np.int64)
        counts.append(kept)
        full = [text for text, count in zip(chunk, kept, strict=True) if count >= length]
        uncut = lengths(full) if full else []
        cut += sum(count > length for count in uncut)
        longest = max(longest, int(kept.max(initial=0)), *uncut)
    starts = np.concatenate([np.zeros(1, np.int64), *counts]).cumsum()
    return TokenTable(np.concatenate([np.empty(0, np.int32), *flat]), starts, pad, cut, longest)


def _chunks(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    return (texts[start : start + _CHUNK] for start in range(0, len(texts), _CHUNK))
