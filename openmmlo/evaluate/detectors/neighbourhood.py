"""The nearest training features of a bank's rows: one search serves every k and every detector that asks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

import numpy as np

from openmmlo.evaluate.detectors.rows import Rows, block_rows
from openmmlo.evaluate.detectors.stopwatch import Stopwatch
from openmmlo.evaluate.features.bank import FeatureBank
from openmmlo.evaluate.features.neighbours import nearest, unit

Array = np.ndarray[Any, np.dtype[Any]]

PART_VALUES = 1 << 28
"""Numbers of the training bank that are held at unit length at a time, 1 GiB; a larger bank is searched in parts."""
QUERY_VALUES = 1 << 24
"""Numbers of the queries, or of what was found for them, at a time: every search has to make itself ready."""
PRODUCT_VALUES = 1 << 24
"""Cosines held at a time where all are computed."""
SMALL, SHALLOW = 65_536, 1024
"""Computing all N cosines is cheaper than a search for the k-th best of up to SMALL rows, and for k above N / SHALLOW
(measured at width 768 on two cores). It is a rule of N and k alone, so that no other k of a run changes a score."""


class Neighbourhood:
    """Cosines to the k-th nearest of a training bank's features, for every k of ``depths``.

    A row that is itself in the training bank is its own nearest neighbour. ``approximate`` searches an index, and
    ``remarks`` say with which recall.
    """

    def __init__(
        self,
        bank: FeatureBank,
        depths: Iterable[int],
        watch: Stopwatch,
        part_values: int = PART_VALUES,
        approximate: bool = False,
    ) -> None:
        self.bank = bank
        self.depths = frozenset(depths)
        self.watch = watch
        self.part = block_rows(bank.features.shape[1], part_values)
        self.approximate = approximate
        self.remarks: list[str] = []
        self._searched: FeatureBank | None = None
        self._found: dict[int, Array] = {}

    def cosine(self, rows: Rows, k: int) -> Array:
        """(n,) float64 cosine to the k-th nearest, within [-1, 1].

        The first call for a bank searches for all its rows and all of ``depths``; those of one bank are remembered.
        """
        if self._searched is not rows.bank or k not in self._found:
            with self.watch.of("neighbours"):
                self._found = self._all(rows.bank, sorted({k, *self.depths}))
                self._searched = rows.bank
        return self._found[k][rows.span]

    def _all(self, bank: FeatureBank, depths: list[int]) -> dict[int, Array]:
        if self.approximate:
            return self._approximated(bank, depths)
        shallow = [k for k in depths if len(self.bank) > SMALL and k * SHALLOW <= len(self.bank)]
        deep = depths[len(shallow) :]
        found: Array = np.empty((len(depths), len(bank)))
        step = block_rows(max(bank.features.shape[1], depths[-1]), QUERY_VALUES)
        for start in range(0, len(bank), step):
            queries = unit(bank.features[start : start + step])
            part = slice(start, start + len(queries))
            if shallow:
                found[: len(shallow), part] = self._search(queries, shallow[-1])[:, np.array(shallow) - 1].T
            if deep:
                found[len(shallow) :, part] = self._selected(queries, deep)
        np.clip(found, -1, 1, out=found)
        return dict(zip(depths, found, strict=True))

    def _approximated(self, bank: FeatureBank, depths: list[int]) -> dict[int, Array]:
        from openmmlo.evaluate.features.neighbour_index import nearest_approximately

        found = nearest_approximately(self._whole, unit(bank.features), depths[-1])
        self.remarks.append(f"neighbours of {bank.name}: {found.how}")
        cosines = np.clip(found.cosines, -1, 1).astype(np.float64)
        return {k: cosines[:, k - 1] for k in depths}

    def _selected(self, queries: Array, depths: list[int]) -> Array:
        """(len(depths), n) float32 k-th largest of all cosines."""
        k = depths[-1]
        best: Array = np.empty((len(queries), 0), dtype=np.float32)
        for part in self._parts():
            kept: Array = np.empty((len(queries), min(k, best.shape[1] + len(part))), dtype=np.float32)
            step = block_rows(len(part), PRODUCT_VALUES)
            for start in range(0, len(queries), step):
                asked = slice(start, start + step)
                cosines = queries[asked] @ part.T
                if best.shape[1]:
                    cosines = np.concatenate([best[asked], cosines], axis=1)
                first = cosines.shape[1] - kept.shape[1]
                cosines.partition(first, axis=1)
                kept[asked] = cosines[:, first:]
            best = kept
        best.sort(axis=1)
        found: Array = best[:, [k - depth for depth in depths]].T
        return found

    def _search(self, queries: Array, k: int) -> Array:
        """(n, k) float32 cosines, descending."""
        best: Array = np.empty((len(queries), 0), dtype=np.float32)
        for part in self._parts():
            cosines = nearest(part, queries, min(k, len(part))).cosines
            best = cosines if not best.size else -np.sort(-np.concatenate([best, cosines], axis=1), axis=1)[:, :k]
        return best

    def _parts(self) -> Iterator[Array]:
        if len(self.bank) <= self.part:
            yield self._whole
            return
        for start in range(0, len(self.bank), self.part):
            yield unit(self.bank.features[start : start + self.part])

    @cached_property
    def _whole(self) -> Array:
        return unit(self.bank.features)
