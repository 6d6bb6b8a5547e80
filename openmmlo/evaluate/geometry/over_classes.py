"""One number a class comes in; mean, deviation, shot groups and the slope against training images go out, as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from openmmlo.evaluate.metrics.accuracy import GROUPS

Array = np.ndarray[Any, np.dtype[Any]]


def plain(values: Array) -> list[float | None]:
    """JSON values; None for NaN."""
    return [None if np.isnan(value) else float(value) for value in values]


def over_classes(values: Array, groups: Sequence[str], train_counts: Sequence[int] | None) -> dict[str, Any] | None:
    """Summary of (C,) values; None where no class has one.

    The deviation is that of the classes at hand (divided by their number). The slope is by least squares against the
    decimal logarithm of the training images, with its 95 % interval (Student's t) and R squared; all that is None
    with fewer than three classes, or of one size. Classes without a training image are not in it.
    """
    known = ~np.isnan(values)
    if not known.any():
        return None
    names = np.asarray(groups)
    members = {group: values[known & (names == group)] for group in GROUPS} if len(names) else {}
    counts = np.asarray(train_counts if train_counts is not None else np.zeros(len(values)), np.float64)
    fitted = known & (counts > 0)
    return {
        "mean": float(values[known].mean()),
        "std": float(values[known].std()),
        "classes": int(known.sum()),
        "by_shot": {group: float(mine.mean()) for group, mine in members.items() if len(mine)},
        "std_by_shot": {group: float(mine.std()) for group, mine in members.items() if len(mine)},
        **slope(np.log10(counts[fitted]), values[fitted]),
    }


def slope(at: Array, values: Array) -> dict[str, Any]:
    """Least squares of ``values`` on ``at``: slope with its 95 % interval, R squared, and the number of points."""
    empty = {"slope": None, "slope_interval": None, "r_squared": None, "slope_classes": len(at)}
    # Fewer leave no residual to judge the slope by.
    if len(at) < 3 or np.ptp(at) == 0:
        return empty
    from scipy.special import stdtrit

    x, y = at - at.mean(), values - values.mean()
    spread, freedom = float(x @ x), len(at) - 2
    found = float(x @ y) / spread
    residual = float(np.square(y - found * x).sum())
    width = float(stdtrit(freedom, 0.975)) * (residual / freedom / spread) ** 0.5
    total = float(y @ y)
    return empty | {
        "slope": found,
        "slope_interval": [found - width, found + width],
        "r_squared": 1 - residual / total if total > 0 else None,
    }
