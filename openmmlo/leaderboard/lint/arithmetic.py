"""Numbers of one row come in; by how much they contradict each other goes out. Everything is in points of percent."""

from __future__ import annotations

import math
from collections.abc import Mapping

from openmmlo.evaluate.metrics.accuracy import GROUPS

TOLERANCE = 0.1
"""Points. Where one decimal is printed, each number is rounded by up to 0.05: the weighted mean of the groups by as
much, and the "all" beside it by as much again."""

_EPSILON = 1e-9


def recombined(groups: Mapping[str, float], sizes: Mapping[str, int]) -> float | None:
    """Mean over classes that the accuracies of the shot groups give; None where a group that has classes is absent."""
    counted = {group: sizes.get(group, 0) for group in GROUPS if sizes.get(group, 0)}
    if not counted or any(group not in groups for group in counted):
        return None
    return math.fsum(size * groups[group] for group, size in counted.items()) / sum(counted.values())


def beyond(residual: float) -> bool:
    """Whether a residual is more than rounding explains."""
    return abs(residual) > TOLERANCE + _EPSILON


def off_curve(auroc: float, fpr95: float) -> float | None:
    """By how much an AUROC lies outside the bounds that the FPR95 of the same scores leaves; None within them.

    The ROC curve passes through (FPR95, 95 %): below that FPR it stays under 95 %, above it over 95 %.
    """
    low, high = 0.95 * (100 - fpr95), 100 - 0.05 * fpr95
    residual = max(low - auroc, auroc - high, 0.0)
    return math.copysign(residual, auroc - low) if beyond(residual) else None


def recombination(groups: Mapping[str, float], sizes: Mapping[str, int], whole: float, stated: float) -> str:
    """The sum of :func:`recombined`, written out, and by how much it misses what is stated."""
    counted = {group: sizes[group] for group in GROUPS if sizes.get(group, 0)}
    parts = " + ".join(f"{size:,} x {groups[group]:.4g}" for group, size in counted.items())
    total = sum(counted.values())
    return f"its shot groups give ({parts}) / {total:,} = {whole:.2f}, not {stated:.4g}: {whole - stated:+.2f} points"
