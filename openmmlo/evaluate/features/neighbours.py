"""Exact k-nearest neighbours by inner product.

A cheap pass finds candidates, exact float64 inner products of these decide, and a guard proves for every row that no
other row of the bank could be among its k. What a row's guard cannot prove is searched again, more dearly:

1. candidates from bfloat16 products (neighbour_prefilter.py); processors without instructions for it begin at 3;
2. cells of the bank that cannot hold a neighbour are left out, all others read in float64 (neighbour_cells.py);
3. candidates from float32 products;
4. all products in float64 (neighbour_rescoring.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from openmmlo.errors import DataError
from openmmlo.progress import Progress, Silent

if TYPE_CHECKING:
    import torch

    from openmmlo.evaluate.features.neighbour_cells import Cells
    from openmmlo.evaluate.features.neighbour_prefilter import Prefilter

Array = np.ndarray[Any, np.dtype[Any]]

CHECKED_ROWS = 8192
TRIAL = 512  # queries that show which steps are of use
GROUP = 2048  # queries that are settled together
FAR_GROUP = 8192  # ... where each group reads the bank anew: it is too large to keep in the fast form, or goes by cells
SMALL = 2**26  # products: below, all in float64 is as fast as anything
MOSTLY = 0.3  # the guard fails for this share of a group's rows: the next groups do not try


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The k nearest rows of a bank for each of M queries.

    Attributes:
        cosines: (M, k) float32, descending: inner products, which are cosines where both sides are unit vectors.
        indices: (M, k) int64, rows of the bank; of equal cosines the smaller index comes first.
        how: for people: which steps settled how many rows.
    """

    cosines: Array
    indices: Array
    how: str

    def first(self, k: int) -> Neighbours:
        """The k nearest of them: one search serves every smaller k."""
        if not 1 <= k <= self.cosines.shape[1]:
            raise DataError(f"{k:,} neighbours asked of a search for {self.cosines.shape[1]:,}. Search for more.")
        return Neighbours(self.cosines[:, :k], self.indices[:, :k], self.how)


def nearest(
    bank: Array,
    queries: Array,
    k: int,
    *,
    device: str | torch.device | None = None,
    progress: Progress | None = None,
) -> Neighbours:
    """The k rows of ``bank`` (N, D) with the largest inner product, for each row of ``queries`` (M, D).

    Inputs are float16 or float32, and may be memory-mapped; they are read in blocks and taken as they are (:func:`unit`
    brings them to unit length; they need not be exactly of it).

    Exact means: cosines are inner products in float64, rounded to float32; rows are ordered by the rounded value, then
    by index. So set and order are those of float64 brute force, but for rows whose inner products round to the same
    float32, which stand in the order of their indices. Neither block sizes nor threads nor the device decide anything,
    up to the last bit of float64 in a value that lies just between two float32.

    Args:
        device: where candidates are found; the CPU where None.

    Raises:
        DataError: shapes or types that do not fit, k < 1 or k > N, an empty bank, NaN or infinite values.
    """
    check(bank, queries, k)
    progress = progress or Silent()
    progress.start(len(queries), 0)
    try:
        return _Search(bank, k, str(device or "cpu")).run(queries, progress)
    finally:
        progress.close()


def unit(features: Array, out: Path | None = None) -> Array:
    """(N, D) float16 or float32 -> (N, D) float32: each row h / (‖h‖ + 1e-10), by blocks; a zero row stays zero.

    Args:
        out: a ``.npy`` file to write the result into and map from there, for banks larger than memory.
    """
    if out is None:
        result: Array = np.empty(features.shape, np.float32)
    else:
        result = np.lib.format.open_memmap(out, mode="w+", dtype=np.float32, shape=features.shape)
    for start in range(0, len(features), CHECKED_ROWS):
        block = np.asarray(features[start : start + CHECKED_ROWS], dtype=np.float32)
        norms = np.sqrt(np.einsum("nd,nd->n", block, block, dtype=np.float64))[:, None]
        result[start : start + len(block)] = block / (norms + 1e-10)
    return result


def check(bank: Array, queries: Array, k: int) -> None:
    """Raises DataError where a search would have no meaning."""
    for name, features in (("bank", bank), ("queries", queries)):
        if features.ndim != 2 or features.dtype not in (np.float16, np.float32):
            raise DataError(
                f"The {name} of a neighbour search is {features.dtype} {features.shape}; expected float16 or float32 "
                "rows (N, D). Convert it with astype('float32')."
            )
    if bank.shape[1] != queries.shape[1]:
        raise DataError(
            f"Bank rows have {bank.shape[1]:,} features and queries {queries.shape[1]:,}; expected the same. "
            "Extract both with one model."
        )
    if not 1 <= k <= len(bank):
        raise DataError(
            f"k = {k:,} neighbours of a bank of {len(bank):,} rows; expected 1 to {len(bank):,}. "
            "Choose a smaller k or a larger bank."
        )
    if len(bank) >= 2**32:
        raise DataError(f"The bank has {len(bank):,} rows; at most 2**32 - 1 can be searched. Split it.")
    for name, features in (("bank", bank), ("queries", queries)):
        blocks = range(0, len(features), CHECKED_ROWS)
        bad = sum(
            int(np.count_nonzero(~np.isfinite(features[start : start + CHECKED_ROWS]).all(axis=1))) for start in blocks
        )
        if bad:
            raise DataError(
                f"The {name} of a neighbour search: {bad:,} of {len(features):,} rows hold NaN or infinite features; "
                "expected finite numbers. Extract them anew, in float32 if float16 overflowed."
            )


class _Search:
    """One search: which steps exist here, and what is kept between groups of queries."""

    def __init__(self, bank: Array, k: int, device: str) -> None:
        from openmmlo.evaluate.features.neighbour_prefilter import has_bfloat16

        self.bank, self.k, self.device = bank, k, device
        narrow = device == "cpu" and has_bfloat16()
        self.steps: tuple[str, ...] = ("bfloat16", "cells", "float32") if narrow else ("float32",)
        self.filters: dict[str, Prefilter] = {}
        self.cells: Cells | None = None
        self.settled = dict.fromkeys(("bfloat16", "cells", "float32", "float64"), 0)
        self.useless: set[str] = set()

    def run(self, queries: Array, progress: Progress) -> Neighbours:
        from openmmlo.evaluate.features.neighbour_rescoring import decode

        rows, k = len(queries), self.k
        cosines, indices = np.empty((rows, k), np.float32), np.empty((rows, k), np.int64)
        small = rows * len(self.bank) * self.bank.shape[1] < SMALL
        start, size = 0, TRIAL
        while start < rows:
            group = np.ascontiguousarray(queries[start : start + size], dtype=np.float32)
            keys = self._group(group, () if small else self.steps)
            cosines[start : start + len(group)], indices[start : start + len(group)] = decode(keys)
            progress.advance(len(group), 0)
            start += len(group)
            size = GROUP if not self.useless and self._kept() else FAR_GROUP
        how = ", ".join(f"{count:,} rows by {step}" for step, count in self.settled.items() if count)
        return Neighbours(cosines, indices, how or "no queries")

    def _kept(self) -> bool:
        return all(prefilter.kept for prefilter in self.filters.values())

    def _group(self, queries: Array, steps: tuple[str, ...]) -> Array:
        """(M, k) keys of one group of queries, by the first step that proves each."""
        from openmmlo.evaluate.features.neighbour_rescoring import brute_force

        keys = np.empty((len(queries), self.k), np.int64)
        left = np.arange(len(queries))
        for step in steps:
            if not len(left) or step in self.useless:
                continue
            found, proven = self._step(step, queries[left])
            keys[left[proven]] = found[proven]
            self.settled[step] += int(proven.sum())
            if len(left) >= TRIAL // 4 and (~proven).mean() > MOSTLY:
                self.useless.add(step)
            left = left[~proven]
        if len(left):
            keys[left] = brute_force(self.bank, queries[left], self.k)
            self.settled["float64"] += len(left)
        return keys

    def _step(self, step: str, queries: Array) -> tuple[Array, Array]:
        from openmmlo.evaluate.features.neighbour_cells import Cells
        from openmmlo.evaluate.features.neighbour_prefilter import Prefilter
        from openmmlo.evaluate.features.neighbour_rescoring import settle

        if step == "cells":
            self.cells = self.cells or Cells(self.bank)
            return self.cells.search(queries, self.k)
        if step not in self.filters:
            self.filters[step] = Prefilter(self.bank, step, self.device)
        return settle(self.bank, queries, self.filters[step].candidates(queries, self.k), self.k)
