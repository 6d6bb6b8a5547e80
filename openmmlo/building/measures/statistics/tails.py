"""Formulas over counts: how uneven they are, and how close their falling order comes to Zipf's law.

Counts are one number a class or a word type. Where a value is not defined (no count, no images) it is None.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

LARGEST = 0.2
"""The share of classes or word types whose weight the Pareto ratio gives."""

WORDS_FITTED_FROM = 5
"""Least count of a word in the Zipf fit: below it, ranks are long runs of ties that say nothing of the slope."""

Counts = NDArray[np.int64]


class Zipf(NamedTuple):
    """log10(count) = intercept + slope · log10(rank), fitted over ranks ``first_rank`` to ``last_rank``.

    ``r2`` is None where all these counts are equal.
    """

    slope: float
    intercept: float
    r2: float | None
    first_rank: int
    last_rank: int
    least_count: int


def imbalance_factor(counts: ArrayLike) -> float | None:
    """Largest count over the smallest that is not zero; None where every count is zero.

    A class without an image makes no factor; it is to be counted beside it.
    """
    positive = _counts(counts)
    positive = positive[positive > 0]
    return float(positive.max() / positive.min()) if positive.size else None


def gini(counts: ArrayLike) -> float | None:
    """Gini coefficient: 0 where all are equal, (n - 1) / n where one of n has everything; zeros count.

    G = 2 Σ i·x_i / (n Σ x_i) - (n + 1) / n over the counts in rising order, i from 1. It equals the mean absolute
    difference of all n² pairs over twice the mean.
    """
    ordered = np.sort(_counts(counts))
    size, total = len(ordered), int(ordered.sum())
    if not total:
        return None
    weighted = int(np.arange(1, size + 1) @ ordered)
    return (2 * weighted - (size + 1) * total) / (size * total)


def pareto_share(counts: ArrayLike, largest: float = LARGEST) -> float | None:
    """Share of the total that the ``largest`` fraction of the n counts hold; zeros count.

    Where ``largest`` · n is no whole number, the next count is taken by that part of it: the value is 1 - L(1 - p) on
    the Lorenz curve L, and equal counts give exactly p.
    """
    ordered = np.sort(_counts(counts))[::-1]
    total = int(ordered.sum())
    if not total:
        return None
    wanted = largest * len(ordered)
    whole = int(wanted + 1e-9)  # 0.2 · 15 is a hair above 3
    part = max(0.0, wanted - whole)
    share = int(ordered[:whole].sum()) + (part * int(ordered[whole]) if whole < len(ordered) else 0)
    return float(share / total)


def zipf_fit(counts: ArrayLike, least_count: int = 1) -> Zipf | None:
    """Ordinary least squares of log count on log rank, from rank 1 to the last rank with ``least_count`` or more.

    Ranks are 1, 2, … by falling count; equal counts take consecutive ranks. None with fewer than three ranks, through
    which a line says nothing.
    """
    ordered = np.sort(_counts(counts))[::-1]
    last = int(np.count_nonzero(ordered >= max(1, least_count)))
    if last < 3:
        return None
    x = np.log10(np.arange(1, last + 1))
    y = np.log10(ordered[:last].astype(np.float64))
    x_mean, y_mean = float(x.mean()), float(y.mean())
    slope = float(((x - x_mean) * (y - y_mean)).sum() / ((x - x_mean) ** 2).sum())
    if ordered[0] == ordered[last - 1]:
        return Zipf(0.0, float(y[0]), None, 1, last, least_count)
    intercept = y_mean - slope * x_mean
    residual = float(((y - intercept - slope * x) ** 2).sum())
    return Zipf(slope, intercept, 1 - residual / float(((y - y_mean) ** 2).sum()), 1, last, least_count)


def rank_frequency(counts: ArrayLike, points: int = 200) -> list[tuple[int, int]]:
    """(rank, count) at no more than ``points`` ranks, evenly spaced in log rank; the first and the last are there."""
    ordered = np.sort(_counts(counts))[::-1]
    size = int(np.count_nonzero(ordered))
    if not size:
        return []
    ranks = np.unique(np.rint(np.geomspace(1, size, points)).astype(np.int64))
    return [(int(rank), int(ordered[rank - 1])) for rank in ranks]


def spearman(x: ArrayLike, y: ArrayLike) -> tuple[float, float] | None:
    """Spearman's rank correlation, ties by mean rank, with its two-sided p-value (t distribution).

    None for fewer than three pairs, or where all x or all y are equal: ranks then say nothing.
    """
    first, second = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    from scipy.stats import spearmanr

    found = spearmanr(first, second)
    return float(found.statistic), float(found.pvalue)


def rounded(value: Any) -> Any:
    """A JSON value with every float cut to six significant digits, so that two machines write the same."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(item) for item in value]
    return value


def _counts(counts: ArrayLike) -> Counts:
    return np.asarray(counts, np.int64)
