"""Cells of a clustered bank, most of which a query need not look into.

In a tight cluster thousands of rows are closer to each other than an inexact product can tell, and candidates prove
nothing. But there the bank falls into cells, and a cell of unit centre c whose rows have between α₁ and α₂ along c and
at most ρ across it holds no inner product with q above

    max(α₁ q·c, α₂ q·c) + ρ √(‖q‖² - (q·c)²).

Cells are only a matter of speed: any centres give exact results.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from openmmlo.evaluate.features.neighbour_prefilter import Prefilter
from openmmlo.evaluate.features.neighbour_rescoring import LEAST, decode, largest, merged, settle

Array = np.ndarray[Any, np.dtype[Any]]

MOST = 1024  # cells
ROUND = 64  # new centres at a time
SAMPLE = 8192
BLOCK = 8192
READ = 65_536  # rows of a cell in memory at a time
SETTLED = 0.05  # a round that lowers the mean distance by less is the last
APART = 1.5
LARGE = 8  # times k: cells of more rows than that, asked by many, are read in float32 first
MANY = 2**18  # products
WORTH = 0.6  # of the bank: who would have to look into more is handed back
SLACK = 1e-12


class Cells:
    """A partition of a bank by nearest centre.

    Args:
        bank: (N, D) float16 or float32.
        seed: of the choice of centres.
    """

    def __init__(self, bank: Array, seed: int = 0) -> None:
        self.bank = bank
        centres = _centres(bank, np.random.default_rng(seed))
        members = np.empty(len(bank), np.int64)
        for start in range(0, len(bank), BLOCK):
            rows = torch.from_numpy(np.array(bank[start : start + BLOCK], dtype=np.float32))
            members[start : start + BLOCK] = (rows @ torch.from_numpy(centres).T).argmax(dim=1).numpy()
        self.order = np.argsort(members, kind="stable")
        present, sizes = np.unique(members, return_counts=True)
        self.bounds = np.concatenate([[0], np.cumsum(sizes)])
        self.sizes = sizes
        self.centres = np.empty((len(sizes), bank.shape[1]))
        self.lowest, self.highest, self.across = np.empty((3, len(sizes)))
        for cell in range(len(present)):
            self._measure(cell)

    def rows(self, cell: int) -> Array:
        """Indices of a cell's rows, ascending."""
        found: Array = self.order[self.bounds[cell] : self.bounds[cell + 1]]
        return found

    def search(self, queries: Array, k: int) -> tuple[Array, Array]:
        """(M, k) keys, and (M,) whether the row was searched to the end.

        The cells nearest to a query that hold k rows give a first k-th product; whatever cell could hold a larger one
        is read too, unless these are too many to be worth it.
        """
        keys = np.full((len(queries), k), LEAST, np.int64)
        wide = queries.astype(np.float64)
        along = wide @ self.centres.T
        squared = np.einsum("md,md->m", wide, wide)[:, None]
        across = np.sqrt(np.maximum(squared - along**2, 0) + SLACK * squared)
        highest = np.maximum(along * self.lowest, along * self.highest) + across * self.across
        highest += SLACK * np.sqrt(squared) * np.abs(self.highest).max(initial=1)
        first = np.zeros(along.shape, bool)
        home = along.argmax(axis=1)
        first[np.arange(len(home)), home] = True
        crowded = np.flatnonzero(self.sizes[home] < k)
        nearest = np.argsort(-along[crowded], axis=1, kind="stable")
        before = np.cumsum(self.sizes[nearest], axis=1) - self.sizes[nearest]
        first[crowded[:, None], nearest] = before < k
        done = (first @ self.sizes) <= WORTH * len(self.bank)
        self._visit(keys, queries, first & done[:, None])
        floor = decode(keys[:, -1:])[0]
        second = (highest.astype(np.float32) >= floor) & ~first  # rounding keeps the order, and ties are looked into
        done &= ((first | second) @ self.sizes) <= WORTH * len(self.bank)
        self._visit(keys, queries, second & done[:, None])
        return keys, done

    def _measure(self, cell: int) -> None:
        """The unit centre and extent of a cell, from its rows in float64."""
        pieces = [self.rows(cell)[start : start + BLOCK] for start in range(0, self.sizes[cell], BLOCK)]
        total = np.zeros(self.bank.shape[1])
        for rows in pieces:
            total += self.bank[rows].sum(axis=0, dtype=np.float64)
        centre = total / (np.linalg.norm(total) or 1.0)
        self.centres[cell] = centre
        self.lowest[cell], self.highest[cell], self.across[cell] = np.inf, -np.inf, 0
        for rows in pieces:
            block = self.bank[rows].astype(np.float64)
            along = block @ centre
            across = np.linalg.norm(block - along[:, None] * centre, axis=1).max() * (1 + 1e-9)
            self.lowest[cell] = min(self.lowest[cell], along.min())
            self.highest[cell] = max(self.highest[cell], along.max())
            self.across[cell] = max(self.across[cell], across)

    def _visit(self, keys: Array, queries: Array, wanted: Array) -> None:
        """Merge into ``keys`` what every query finds in the cells it wants."""
        for cell in np.flatnonzero(wanted.any(axis=0)).tolist():
            asking = np.flatnonzero(wanted[:, cell])
            rows = self.rows(cell)
            for start in range(0, len(rows), READ):
                self._look(keys, queries, asking, rows[start : start + READ])

    def _look(self, keys: Array, queries: Array, asking: Array, rows: Array) -> None:
        k = keys.shape[1]
        part: Array = np.asarray(self.bank[rows])
        if len(rows) > LARGE * k and len(asking) * len(rows) >= MANY:
            # A cell sits far from the origin: centred, its rows are short, and float32 resolves them all the better.
            prefilter = Prefilter(part, "float32", "cpu")
            found, proven = settle(part, queries[asking], prefilter.candidates(queries[asking], k), k)
            local = decode(found)[1]
            found += local - rows[local]  # the lower half holds the complement of the index
            sure, asking = asking[proven], asking[~proven]
            keys[sure] = largest(np.concatenate([keys[sure], found[proven]], axis=1), k)
        for start in range(0, len(rows) if len(asking) else 0, BLOCK):
            piece = slice(start, start + BLOCK)
            keys[asking] = merged(keys[asking], queries[asking], part[piece], rows[piece])


def _centres(bank: Array, generator: np.random.Generator) -> Array:
    """(C, D) float32 rows of a sample, chosen in rounds with probabilities that grow with the distance to those chosen.

    Bahmani et al., Scalable k-means++, VLDB 2012 (arXiv:1203.6402), without its final clustering.
    """
    places = np.sort(generator.choice(len(bank), min(SAMPLE, len(bank)), replace=False))
    sample = torch.from_numpy(np.asarray(bank[places], dtype=np.float32))
    squared = (sample**2).sum(dim=1)
    distance = torch.full((len(sample),), torch.inf)
    chosen: list[Array] = []
    previous = np.inf
    while len(chosen) * ROUND < min(MOST, len(sample)):
        weights = np.maximum(distance.numpy().astype(np.float64), 0)
        if not chosen:
            weights = np.ones(len(sample))
        some = int(np.count_nonzero(weights))
        if not some:
            break
        new = generator.choice(len(sample), min(ROUND, some), replace=False, p=weights / weights.sum())
        chosen.append(new)
        near = squared[:, None] - 2 * (sample @ sample[new].T) + squared[new][None, :]
        distance = torch.minimum(distance, near.amin(dim=1).clamp_min(0))
        distance[new] = 0
        mean = float(distance.mean())
        if mean > (1 - SETTLED) * previous and len(chosen) > 4:
            break
        previous = mean
    apart: Array = _apart(sample[np.concatenate(chosen)], APART * float(distance.mean())).numpy()
    return apart


def _apart(centres: torch.Tensor, least: float) -> torch.Tensor:
    """Those centres, in order, whose squared distance to all kept before is above ``least``.

    Centres as near to each other as rows are to their centre are of one cluster; split, its cells would overlap.
    """
    squared = (centres**2).sum(dim=1)
    near = (squared[:, None] - 2 * (centres @ centres.T) + squared[None, :] <= least).numpy()
    kept: list[int] = []
    for place in range(len(centres)):
        if not near[place, kept].any():
            kept.append(place)
    return centres[kept]
