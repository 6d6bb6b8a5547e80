"""Hashes, shingles and bands of all captions come in; who is a copy of whom goes out.

Equal captions are one text here, however many there are. Texts that share a band are candidates; each pair counted was
compared shingle by shingle. In a bucket of more than REACH texts each is compared with its next REACH neighbours only,
in an order that differs from band to band: the work stays linear in the number of texts, whatever they hold, and what
is found is a lower bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openmmlo.building.machine import cores
from openmmlo.building.measures.quality.pieces import Numbers, Ragged

SIMILAR = (8, 10)
"""Texts are near copies where common / all shingles (Jaccard) is at least this."""

PROMISE = (2, 3)
"""Share of equal minima from which two texts are compared: of pairs as SIMILAR demands one in 1,400 has fewer."""

REACH = 16
_AT_ONCE = 2**17  # shingles compared at a time: what the processor keeps close

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Captions:
    """N captions of a data set.

    Attributes:
        texts: (N,) equal for captions of the same normalised text.
        splits: (N,) number of the split.
        classes: (N,) number of the class; -1 where it is unknown.
        bands, minima: (N, B) and (N, H) of :func:`near.sketches`.
        shingles: N rows of :func:`near.shingles`.
    """

    texts: NDArray[np.uint64]
    splits: Numbers
    classes: Numbers
    bands: NDArray[np.uint32]
    minima: NDArray[np.uint8]
    shingles: Ragged


@dataclass(frozen=True)
class Copies:
    """What was found of N captions.

    Attributes:
        near: (N,) has a near or exact copy in its own split.
        across_classes: (N,) has one, in any split, of another known class.
        of_split: (N,) has one in the split that was asked for (its own rows included, which have themselves there).
        cluster: (N,) number of its cluster: captions linked by near copies, or by near copies of near copies.
    """

    near: Flags
    across_classes: Flags
    of_split: Flags
    cluster: Numbers


@dataclass
class _Around:
    """Of U texts: where their own captions stand, and those of their near copies.

    Splits are sets of bits, as many numbers a text as that takes; of classes least and greatest suffice, because a
    caption asks only whether any is not its own.
    """

    splits: NDArray[np.uint64]
    least: Numbers
    most: Numbers
    near_splits: NDArray[np.uint64] = field(init=False)
    near_least: Numbers = field(init=False)
    near_most: Numbers = field(init=False)

    def __post_init__(self) -> None:
        self.near_splits = np.zeros_like(self.splits)
        self.near_least = np.full_like(self.least, _NONE)
        self.near_most = np.full_like(self.most, -1)

    def tells(self, i: Numbers, j: Numbers) -> Flags:
        """Whether text i would learn anything from text j."""
        news = (self.splits[j] & ~self.near_splits[i]).any(axis=1)
        return news | (self.least[j] < self.near_least[i]) | (self.most[j] > self.near_most[i])

    def link(self, i: Numbers, j: Numbers) -> None:
        np.bitwise_or.at(self.near_splits, i, self.splits[j])
        np.minimum.at(self.near_least, i, self.least[j])
        np.maximum.at(self.near_most, i, self.most[j])


_NONE = np.iinfo(np.int64).max


def exact_copies(texts: NDArray[np.uint64], splits: Numbers) -> Flags:
    """(N,) whether another caption of the same split has the same text."""
    order = np.lexsort((texts, splits))
    same = (texts[order[1:]] == texts[order[:-1]]) & (splits[order[1:]] == splits[order[:-1]])
    found = np.zeros(len(texts), bool)
    found[order[1:][same]] = True
    found[order[:-1][same]] = True
    return found


def across_classes(texts: NDArray[np.uint64], classes: Numbers) -> Flags:
    """(N,) whether a caption of another known class, in any split, has the same text."""
    _, text = np.unique(texts, return_inverse=True)
    least, most = _extremes(text, classes, int(text.max(initial=-1)) + 1)
    return (classes >= 0) & ((least[text] < classes) | (most[text] > classes))


def find_copies(captions: Captions, split: int | None) -> Copies:
    """Find exact and near copies.

    Args:
        captions: of the whole data set, in its order.
        split: whose copies are wanted apart, usually the training split.
    """
    _, first, text = np.unique(captions.texts, return_index=True, return_inverse=True)
    around = _around(captions, text, len(first))
    cluster = _link(captions, first, around)
    splits, classes = captions.splits, captions.classes
    again = exact_copies(captions.texts, splits)
    least = np.minimum(around.least, around.near_least)[text]
    most = np.maximum(around.most, around.near_most)[text]
    everywhere = around.splits | around.near_splits
    of_split = np.zeros(len(text), bool)
    if split is not None:
        of_split = _holds(everywhere, text, np.full(len(text), split))
    return Copies(
        near=again | _holds(around.near_splits, text, splits),
        across_classes=(classes >= 0) & ((least < classes) | (most > classes)),
        of_split=of_split,
        cluster=cluster[text],
    )


def _around(captions: Captions, text: Numbers, texts: int) -> _Around:
    splits = np.zeros((texts, 1 + int(captions.splits.max(initial=0)) // 64), np.uint64)
    bits = np.left_shift(np.uint64(1), (captions.splits % 64).astype(np.uint64))
    np.bitwise_or.at(splits, (text, captions.splits // 64), bits)
    return _Around(splits, *_extremes(text, captions.classes, texts))


def _extremes(text: Numbers, classes: Numbers, texts: int) -> tuple[Numbers, Numbers]:
    """(U,) least and greatest known class of each text."""
    least, most = np.full(texts, _NONE), np.full(texts, -1)
    known = classes >= 0
    np.minimum.at(least, text[known], classes[known])
    np.maximum.at(most, text[known], classes[known])
    return least, most


def _holds(sets: NDArray[np.uint64], text: Numbers, splits: Numbers) -> Flags:
    return (sets[text, splits // 64] >> (splits % 64).astype(np.uint64) & np.uint64(1)).astype(bool)


def _link(captions: Captions, first: Numbers, around: _Around) -> Numbers:
    """(U,) cluster of each text; fills ``around``. ``first`` is the first caption of each text."""
    sizes = captions.shingles.lengths[first]
    bands = captions.bands[first]
    cluster = np.arange(len(first))  # the first text of each cluster
    with ThreadPoolExecutor(cores()) as threads:  # array work lets other threads run
        for band in range(bands.shape[1]):
            links: list[tuple[Numbers, Numbers]] = [(np.arange(len(first)), cluster)]
            for i, j in _candidates(bands, band, np.flatnonzero(sizes)):
                small, large = np.minimum(sizes[i], sizes[j]), np.maximum(sizes[i], sizes[j])
                keep = SIMILAR[1] * small >= SIMILAR[0] * large
                i, j = i[keep], j[keep]
                keep = (cluster[i] != cluster[j]) | around.tells(i, j) | around.tells(j, i)
                i, j = i[keep], j[keep]
                keep = _promising(captions.minima, first[i], first[j])
                i, j = i[keep], j[keep]
                keep = _similar(captions.shingles, first[i], first[j], threads)
                i, j = i[keep], j[keep]
                around.link(i, j)
                around.link(j, i)
                links.append((i, j))
            cluster = _clusters(links, len(first))
    return cluster


def _clusters(links: list[tuple[Numbers, Numbers]], texts: int) -> Numbers:
    """(U,) the first text of the cluster of each."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    i = np.concatenate([left for left, _ in links])
    j = np.concatenate([right for _, right in links])
    graph = coo_array((np.ones(len(i), np.int32), (i, j)), shape=(texts, texts))
    numbers = connected_components(graph, directed=False)[1]
    _, start, place = np.unique(numbers, return_index=True, return_inverse=True)
    return np.asarray(start[place], np.int64)


def _candidates(bands: NDArray[np.uint32], band: int, texts: Numbers) -> Iterator[tuple[Numbers, Numbers]]:
    """Pairs of these texts that share a band: neighbours first, then one further apart, and so on."""
    keys = bands[texts, band]
    nearby = bands[texts, (band + 1) % bands.shape[1]]  # orders a large bucket, by one more likeness
    order = np.lexsort((nearby, keys))
    keys, texts = keys[order], texts[order]
    places = np.arange(len(texts))
    for distance in range(1, REACH + 1):
        places = places[places + distance < len(texts)]
        places = places[keys[places] == keys[places + distance]]
        if not len(places):
            return
        yield texts[places], texts[places + distance]


def _promising(minima: NDArray[np.uint8], i: Numbers, j: Numbers) -> Flags:
    """Whether captions i and j share enough minima to be worth a comparison."""
    found = np.zeros(len(i), bool)
    for start in range(0, len(i), _AT_ONCE // minima.shape[1]):
        part = slice(start, start + _AT_ONCE // minima.shape[1])
        same = np.count_nonzero(minima[i[part]] == minima[j[part]], axis=1)
        found[part] = PROMISE[1] * same >= PROMISE[0] * minima.shape[1]
    return found


def _similar(shingles: Ragged, i: Numbers, j: Numbers, threads: Executor) -> Flags:
    """Whether the shingles of captions i and j are as SIMILAR demands, pair by pair."""
    ends = shingles.starts
    work = np.cumsum(ends[i + 1] - ends[i] + ends[j + 1] - ends[j]) // _AT_ONCE
    cuts = [0, *(np.flatnonzero(np.diff(work)) + 1).tolist(), len(i)]
    parts = [slice(start, end) for start, end in pairwise(cuts)]
    found = threads.map(lambda part: _alike(shingles.take(i[part]), shingles.take(j[part])), parts)
    return np.concatenate([np.zeros(0, bool), *found])


def _alike(left: Ragged, right: Ragged) -> Flags:
    keys = np.concatenate([_keys(left), _keys(right)])
    keys.sort()
    twice = keys[:-1][keys[1:] == keys[:-1]]
    common = np.bincount((twice >> np.uint64(32)).astype(np.int64), minlength=len(left.starts) - 1)
    return np.asarray(SIMILAR[1] * common >= SIMILAR[0] * (left.lengths + right.lengths - common), bool)


def _keys(rows: Ragged) -> NDArray[Any]:
    return rows.rows.astype(np.uint64) << np.uint64(32) | rows.values.astype(np.uint64)
