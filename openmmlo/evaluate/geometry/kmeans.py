"""Unit rows come in; the centres of a spherical k-means go out, equal for equal rows and seed.

Seeds are drawn as in Arthur and Vassilvitskii, k-means++: the advantages of careful seeding, SODA 2007; faiss does the
iterations, with centres brought back to unit length in each (Dhillon and Modha, Machine Learning 42, 2001).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from openmmlo.evaluate.features.blocks import unit

Array = np.ndarray[Any, np.dtype[Any]]

ITERATIONS = 50

_SAME = 1e-6  # squared distance below which float32 rows are one


def spherical_centres(rows: Array, count: int, seed: int) -> Array:
    """(M, D) float64 unit centres.

    Args:
        rows: (N, D) unit rows, none of them zero.
        count: centres asked for; there are fewer where there are fewer distinct rows.
        seed: of the first centres.
    """
    seeds = first_centres(rows, count, seed)
    if len(seeds) in {0, len(rows)} or len(seeds) < count:
        return seeds
    import faiss

    # A cluster that loses all its rows is refilled by faiss, which halves a large one.
    search = faiss.Kmeans(
        rows.shape[1],
        len(seeds),
        niter=ITERATIONS,
        spherical=True,
        seed=seed % 2**31,
        min_points_per_centroid=1,
        max_points_per_centroid=len(rows),
    )
    search.train(np.ascontiguousarray(rows, np.float32), init_centroids=np.ascontiguousarray(seeds, np.float32))
    found = unit(np.asarray(search.centroids, np.float64))
    return found[found.any(axis=1)]


def first_centres(rows: Array, count: int, seed: int) -> Array:
    """(M, D) rows that k-means starts from: candidates are drawn with odds of their squared distance to those before.

    Of 2 + log(count) candidates the one that leaves the rows nearest is taken, as in scikit-learn. There are fewer rows
    than ``count`` where every other one equals one that was taken.
    """
    generator = np.random.default_rng(seed)
    trials = 2 + int(np.log(max(count, 1)))
    chosen: list[int] = []
    distances = np.ones(len(rows))
    while len(chosen) < min(count, len(rows)):
        odds = np.cumsum(distances)
        if odds[-1] <= 0:
            break
        drawn = np.searchsorted(odds, generator.random(trials if chosen else 1) * odds[-1], side="right")
        drawn = np.minimum(drawn, len(rows) - 1)
        apart = np.maximum(2 - 2 * (rows[drawn] @ rows.T), 0)
        apart[apart < _SAME] = 0
        left = np.minimum(distances, apart) if chosen else apart
        best = int(left.sum(axis=1).argmin())
        chosen.append(int(drawn[best]))
        distances = left[best]
    found: Array = rows[chosen]
    return found
