"""Points come in; curves that a reader sees the same way in far fewer of them go out.

Letters: n ID scores, m OOD scores, P points.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

TOLERANCE = 0.0015
"""How far a thinned curve may lie from the whole one, as a share of the plot: half a pixel."""


def smoothed(at: Array, values: Array, width: float, places: int = 80) -> list[tuple[float, float]]:
    """Mean of the values near each place, by a Gaussian kernel; empty with fewer than three different places.

    Args:
        at: (P,) where the values lie.
        values: (P,) without NaN.
        width: standard deviation of the kernel, as a share of the range of ``at``.
    """
    if len(np.unique(at)) < 3:
        return []
    spread = width * float(np.ptp(at))
    where = np.linspace(at.min(), at.max(), places)
    weights = np.exp(-0.5 * np.square((where[:, None] - at[None, :]) / spread))
    means = weights @ values / weights.sum(axis=1)
    return list(zip(where.tolist(), means.tolist(), strict=True))


def roc(id_sorted: Array, ood_sorted: Array) -> Array:
    """(P, 2) the whole curve, by rising threshold: share of OOD accepted, share of ID accepted.

    A sample is accepted where its score is at most the threshold. Scores are ascending.
    """
    thresholds = np.unique(np.concatenate([id_sorted, ood_sorted]))
    accepted = [np.searchsorted(side, thresholds, "right") / len(side) for side in (ood_sorted, id_sorted)]
    return np.concatenate([[[0.0, 0.0]], np.stack(accepted, axis=1)])


def thinned(points: Array, kept: Sequence[tuple[float, ...]] = (), tolerance: float = TOLERANCE) -> Array:
    """(P', 2) of the points, so that none lies further than ``tolerance`` from the line through them.

    Douglas and Peucker, Cartographica 10, 1973. Points equal to one in ``kept`` stay.

    Args:
        points: (P, 2) in order.
    """
    stay = np.zeros(len(points), dtype=bool)
    stay[[0, -1]] = True
    for point in kept:
        stay[int(np.abs(points - np.asarray(point)).sum(axis=1).argmin())] = True
    fixed = np.flatnonzero(stay).tolist()
    spans = list(pairwise(fixed))
    while spans:
        first, last = spans.pop()
        inner = points[first + 1 : last]
        if not len(inner):
            continue
        along = points[last] - points[first]
        length = float(np.hypot(*along)) or 1.0
        off = inner - points[first]
        away = np.abs(along[0] * off[:, 1] - along[1] * off[:, 0]) / length
        farthest = int(away.argmax())
        if away[farthest] > tolerance:
            middle = first + 1 + farthest
            stay[middle] = True
            spans += [(first, middle), (middle, last)]
    found: Array = points[stay]
    return found
