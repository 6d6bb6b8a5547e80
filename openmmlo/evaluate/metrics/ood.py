"""Detection of out-of-distribution samples from scores, larger = further out: five numbers from one sort.

Let a be the ID scores, b the OOD scores, n and m their counts. Everything follows from how many a, and how many b, lie
below each score; ties are handled as in the Mann-Whitney statistic, and as in average precision over distinct
thresholds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from openmmlo.errors import DataError

Array = np.ndarray[Any, np.dtype[Any]]

NAMES = ("auroc", "aupr_in", "aupr_out", "fpr95_id_positive", "fpr95_ood_positive")

_BLOCK = 1 << 16


def ood_metrics(id_scores: Array, ood_scores: Array, detector: str = "scores") -> dict[str, float]:
    """All five metrics of NAMES.

    Args:
        id_scores: (n,) scores of in-distribution samples, any real type; compared in float64.
        ood_scores: (m,) scores of out-of-distribution samples.
        detector: named in errors.

    Raises:
        DataError: an empty side, or a score that is NaN or infinite; the detector and the count are named.
    """
    return from_sorted(sort_scores(id_scores, f"{detector} (ID)"), sort_scores(ood_scores, f"{detector} (OOD)"))


def sort_scores(scores: Array, detector: str = "scores") -> Array:
    """(n,) float64, ascending. Raises DataError for no score, NaN or infinite ones, or what is no real number."""
    given = np.asarray(scores)
    if given.dtype.kind not in "biuf":
        raise DataError(f"{detector}: scores are of type {given.dtype}; expected real numbers, one a sample.")
    found: Array = given.astype(np.float64).ravel()
    if not len(found):
        raise DataError(f"{detector}: no score. Expected at least one sample on the ID side and one on the OOD side.")
    found.sort()
    if not (np.isfinite(found[0]) and np.isfinite(found[-1])):  # NaN sorts to the end
        bad = int(np.sum(~np.isfinite(found)))
        raise DataError(
            f"{detector}: {bad:,} of {len(found):,} scores are NaN or infinite. Look at the features of these samples, "
            "or leave this detector out."
        )
    return found


def from_sorted(a: Array, b: Array) -> dict[str, float]:
    """All five metrics of ascending float64 scores, as :func:`sort_scores` gives them."""
    n, m = len(a), len(b)
    below, tied, out_precision, in_precision = 0, 0, 0.0, 0.0
    for start, stop, first in _runs(b, ascending=True):  # first: the b's below, the run a score is tied in left out
        block = b[start:stop]
        a_below = np.searchsorted(a, block, "left")
        below += int(a_below.sum())
        inside = a_below < n
        ties = np.flatnonzero(inside & (a[np.minimum(a_below, n - 1)] == block))
        if len(ties):
            tied += int((np.searchsorted(a, block[ties], "right") - a_below[ties]).sum())
        caught = m - first
        out_precision += float(np.sum(caught / (caught + (n - a_below))))
    for start, stop, last in _runs(a, ascending=False):  # last: the a's that are not above
        b_not_above = np.searchsorted(b, a[start:stop], "right")
        in_precision += float(np.sum(last / (last + b_not_above)))
    id_threshold = a[_share_95(n) - 1]
    ood_threshold = b[m - _share_95(m)]
    return {
        "auroc": (below + 0.5 * tied) / (n * m),
        "aupr_in": in_precision / n,
        "aupr_out": out_precision / m,
        "fpr95_id_positive": float(np.searchsorted(b, id_threshold, "right")) / m,
        "fpr95_ood_positive": (n - float(np.searchsorted(a, ood_threshold, "left"))) / n,
    }


def _share_95(count: int) -> int:
    """The least whole number that is at least 95 % of ``count``, without rounding on the way."""
    return -(-95 * count // 100)


def _runs(values: Array, ascending: bool) -> Iterator[tuple[int, int, Array]]:
    """Blocks (start, stop, ranks) of sorted values; the rank is shared by equal values.

    Ascending: how many values are smaller. Otherwise: how many are not larger.
    """
    count = len(values)
    for start in range(0, count, _BLOCK):
        stop = min(count, start + _BLOCK)
        block = values[start:stop]
        change = np.flatnonzero(block[1:] != block[:-1]) + 1
        firsts = np.concatenate(([0], change))
        lengths = np.diff(np.concatenate((firsts, [len(block)])))
        if ascending:
            ranks = start + firsts
            ranks[0] = np.searchsorted(values, block[0], "left")
        else:
            ranks = start + firsts + lengths
            ranks[-1] = np.searchsorted(values, block[-1], "right")
        yield start, stop, np.repeat(ranks, lengths)


def auroc(id_scores: Array, ood_scores: Array) -> float:
    """Chance that an OOD sample scores above an ID sample, a tie counting half."""
    return ood_metrics(id_scores, ood_scores)["auroc"]


def aupr_in(id_scores: Array, ood_scores: Array) -> float:
    """Average precision with ID as the positive class."""
    return ood_metrics(id_scores, ood_scores)["aupr_in"]


def aupr_out(id_scores: Array, ood_scores: Array) -> float:
    """Average precision with OOD as the positive class."""
    return ood_metrics(id_scores, ood_scores)["aupr_out"]


def fpr95_id_positive(id_scores: Array, ood_scores: Array) -> float:
    """Share of OOD samples accepted by the threshold that accepts 95 % of ID samples."""
    return ood_metrics(id_scores, ood_scores)["fpr95_id_positive"]


def fpr95_ood_positive(id_scores: Array, ood_scores: Array) -> float:
    """Share of ID samples flagged by the threshold that catches 95 % of OOD samples."""
    return ood_metrics(id_scores, ood_scores)["fpr95_ood_positive"]


def by_shot(
    id_scores: Array, id_groups: Array, ood_sorted: Array, groups: Sequence[str], detector: str = "scores"
) -> dict[str, dict[str, float]]:
    """The five metrics with the ID samples of one shot group at a time; a group without a sample is absent.

    Args:
        id_scores: (n,) scores of all ID samples.
        id_groups: (n,) shot group of each one's class.
        ood_sorted: (m,) OOD scores as :func:`sort_scores` gives them.
    """
    return {
        group: from_sorted(sort_scores(id_scores[id_groups == group], f"{detector} ({group})"), ood_sorted)
        for group in groups
        if np.any(id_groups == group)
    }
