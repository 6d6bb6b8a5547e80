"""Exact inner products: of candidates, with the proof that they are enough, or of everything.

Results travel as int64 keys: the float32 inner product in the upper half, so that keys order like it, and the
complement of the row's index in the lower half, so that of equal products the smaller index has the larger key.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

Array = np.ndarray[Any, np.dtype[Any]]

LOW = 0xFFFFFFFF
BANK_ROWS = 8192
QUERY_ROWS = 512
LEAST = np.iinfo(np.int64).min


@dataclass(frozen=True, eq=False)
class Candidates:
    """For each of M queries the W rows of the bank with the largest approximate products.

    Attributes:
        rows: (M, W) int64.
        upper: (M, W) float64, descending: no inner product of the row in this place, nor of any row that is not a
            candidate or stands after it, is larger.
        estimate: (M, W) float64: the approximate products.
        whole: the candidates are all rows of the bank.
    """

    rows: Array
    upper: Array
    estimate: Array
    whole: bool


def encode(products: Array, rows: Array) -> Array:
    """Inner products and row indices -> int64 keys."""
    bits = (products.astype(np.float32) + np.float32(0)).view(np.int32)  # + 0 makes one zero of two
    ordered = (bits ^ ((bits >> 31) & 0x7FFFFFFF)).astype(np.int64)
    keys: Array = (ordered << 32) | (LOW - rows)
    return keys


def decode(keys: Array) -> tuple[Array, Array]:
    """int64 keys -> float32 inner products, int64 row indices."""
    ordered = (keys >> 32).astype(np.int32)
    return (ordered ^ ((ordered >> 31) & 0x7FFFFFFF)).view(np.float32), LOW - (keys & LOW)


def largest(keys: Array, k: int) -> Array:
    """(M, W) keys -> (M, k), descending."""
    found: Array = torch.from_numpy(keys).topk(k, dim=1).values.numpy()
    return found


def settle(bank: Array, queries: Array, candidates: Candidates, k: int) -> tuple[Array, Array]:
    """(M, k) keys, and (M,) whether they are proven.

    The first candidates are scored until the next one's upper bound lies below the k-th exact product: then neither it
    nor any row after it, nor any that is no candidate, can come into the k, not even as a tie.
    """
    upper, width = candidates.upper, candidates.rows.shape[1]
    exact = np.full(upper.shape, -np.inf)
    everyone = np.arange(len(queries))
    likely = candidates.estimate[:, k - 1 : k]
    counts = np.maximum((upper >= likely).sum(axis=1), k)
    _score(bank, queries, candidates.rows, exact, everyone, np.zeros(len(queries), np.int64), counts)
    for attempt in range(2):
        floor = -np.partition(-exact.astype(np.float32), k - 1, axis=1)[:, k - 1 : k]
        needed = np.maximum((upper.astype(np.float32) >= floor).sum(axis=1), k)  # rounding keeps the order
        more = np.flatnonzero((needed > counts) & ((needed < width) | candidates.whole))
        if attempt or not len(more):
            break
        _score(bank, queries, candidates.rows, exact, more, counts[more], needed[more])
        counts[more] = needed[more]
    proven = (needed <= counts) & ((counts < width) | candidates.whole)
    keys = encode(exact, candidates.rows)
    return largest(keys, k), proven


def _score(bank: Array, queries: Array, rows: Array, exact: Array, which: Array, start: Array, stop: Array) -> None:
    """Fill ``exact[i, start:stop]`` with float64 inner products, rows shared out to threads."""

    def some(part: Array) -> None:
        wide = queries[which[part]].astype(np.float64)
        buffer = np.empty((int((stop[part] - start[part]).max(initial=0)), bank.shape[1]))
        for place, query in zip(part.tolist(), wide, strict=True):
            row, first, last = which[place], start[place], stop[place]
            taken = buffer[: last - first]
            taken[:] = bank[rows[row, first:last]]
            np.dot(taken, query, out=exact[row, first:last])

    parts = np.array_split(np.arange(len(which)), max(1, len(which) // 64))
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        list(pool.map(some, parts))


def brute_force(bank: Array, queries: Array, k: int) -> Array:
    """(M, k) keys from all inner products in float64, by blocks."""
    found = np.full((len(queries), k), LEAST, np.int64)
    for start in range(0, len(bank), BANK_ROWS):
        block = bank[start : start + BANK_ROWS]
        rows = np.arange(start, start + len(block))
        for first in range(0, len(queries), QUERY_ROWS):
            part = slice(first, first + QUERY_ROWS)
            found[part] = merged(found[part], queries[part], block, rows)
    return found


def merged(keys: Array, queries: Array, block: Array, rows: Array) -> Array:
    """The k best keys so far (M, k) and those of a block of the bank, in float64 -> the k best of both."""
    k = keys.shape[1]
    wide = torch.from_numpy(np.asarray(queries, dtype=np.float64))
    products: Array = (wide @ torch.from_numpy(np.asarray(block, dtype=np.float64)).T).numpy()
    fresh = encode(products, rows[None, :])
    if fresh.shape[1] > k:
        fresh = largest(fresh, k)
    return largest(np.concatenate([keys, fresh], axis=1), k)
