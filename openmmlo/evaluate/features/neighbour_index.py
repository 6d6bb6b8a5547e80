"""Approximate nearest neighbours, with their recall measured: for banks where an exact search takes too long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from openmmlo.errors import DataError
from openmmlo.evaluate.features.neighbours import Neighbours, check, nearest
from openmmlo.progress import Progress, Silent

Array = np.ndarray[Any, np.dtype[Any]]

LEAST_A_LIST = 39  # faiss warns below as many training rows a list
MOST_A_LIST = 256  # ... and reads no more
ADDED_ROWS = 65_536
QUERY_ROWS = 4096


@dataclass(frozen=True, eq=False)
class ApproximateNeighbours(Neighbours):
    """Neighbours of which some may not be the nearest.

    Attributes:
        recall: share of the exact k nearest that were found, mean over ``sampled`` queries.
        sampled: queries for which an exact search was done too.
    """

    recall: float
    sampled: int


def nearest_approximately(
    bank: Array,
    queries: Array,
    k: int,
    *,
    probes: int = 32,
    sample: int = 256,
    seed: int = 0,
    progress: Progress | None = None,
) -> ApproximateNeighbours:
    """The k rows of ``bank`` (N, D) nearest to each of ``queries`` (M, D), by faiss's inverted lists (IVF-Flat).

    4√N lists by spherical k-means; a query reads the ``probes`` nearest. Products are faiss's, in float32; the index
    holds the bank in memory, in float32. A query whose lists hold fewer than k rows is searched exactly.

    Args:
        sample: queries, drawn by ``seed``, on which recall is measured against an exact search.

    Raises:
        DataError: as :func:`openmmlo.evaluate.features.neighbours.nearest`; or fewer than one probe or sampled query.
    """
    check(bank, queries, k)
    if probes < 1 or sample < 1 or not len(queries):
        raise DataError(
            f"An approximate search with {probes:,} probes, {sample:,} sampled queries and {len(queries):,} queries; "
            "expected at least 1 of each. Recall cannot be measured otherwise."
        )
    progress = progress or Silent()
    generator = np.random.default_rng(seed)
    index = _index(bank, probes, generator, seed)
    cosines, indices = np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.int64)
    progress.start(len(queries), 0)
    for start in range(0, len(queries), QUERY_ROWS):
        part = slice(start, start + QUERY_ROWS)
        cosines[part], indices[part] = index.search(np.ascontiguousarray(queries[part], dtype=np.float32), k)
        progress.advance(len(indices[part]), 0)
    progress.close()
    chosen = np.sort(generator.choice(len(queries), min(sample, len(queries)), replace=False))
    exact = nearest(bank, np.asarray(queries[chosen]), k).indices
    recall = float(np.mean([np.isin(one, other).mean() for one, other in zip(exact, indices[chosen], strict=True)]))
    short = np.flatnonzero((indices < 0).any(axis=1))
    if len(short):
        filled = nearest(bank, np.asarray(queries[short]), k)
        cosines[short], indices[short] = filled.cosines, filled.indices
    how = (
        f"approximate: {min(probes, index.nlist):,} of {index.nlist:,} lists read, recall {recall:.4f} of the exact {k}"
    )
    how += f" nearest on {len(chosen):,} sampled queries; {len(short):,} rows searched exactly for want of rows"
    return ApproximateNeighbours(cosines, indices, how, recall, len(chosen))


def _index(bank: Array, probes: int, generator: np.random.Generator, seed: int) -> Any:
    import faiss  # here, and not above: it brings a second OpenMP runtime, which who searches exactly does not want

    rows, size = bank.shape
    lists = max(1, min(int(4 * rows**0.5), rows // LEAST_A_LIST))
    quantizer = faiss.IndexFlatIP(size)
    index = faiss.IndexIVFFlat(quantizer, size, lists, faiss.METRIC_INNER_PRODUCT)
    index.cp.seed, index.cp.spherical, index.cp.min_points_per_centroid = seed, True, 1
    places = np.sort(generator.choice(rows, min(rows, MOST_A_LIST * lists), replace=False))
    index.train(np.asarray(bank[places], dtype=np.float32))
    for start in range(0, rows, ADDED_ROWS):
        index.add(np.ascontiguousarray(bank[start : start + ADDED_ROWS], dtype=np.float32))
    index.nprobe = min(probes, lists)
    return index
