"""Predictions come in; their classes from head to tail go out, the order of every chart that has a class a mark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from openmmlo.evaluate.metrics.accuracy import GROUPS
from openmmlo.evaluate.predictions import Predictions
from openmmlo.pages.charts import LogScale, Tick

MEANINGS = {
    "paper": {"many": "over 100 training images", "medium": "20 to 100", "few": "under 20"},
    "oltr": {"many": "100 training images or more", "medium": "21 to 99", "few": "20 or fewer"},
}


@dataclass(frozen=True)
class Classes:
    """Classes by falling count of training images; in label order, and without groups, where counts are unknown.

    Attributes:
        order: (C,) labels, head first.
        names: (C,) in that order; the key where a class has no name.
        counts, groups: (C,) in that order, or empty.
        shots: rule of the groups.
    """

    order: list[int]
    names: list[str]
    counts: list[int]
    groups: list[str]
    shots: str

    def ordered(self, values: Sequence[Any] | None) -> list[Any]:
        """Values in label order -> from head to tail; empty where they are not of these classes."""
        return [values[label] for label in self.order] if values and len(values) == len(self.order) else []

    def scale(self) -> LogScale:
        """The axis of training images, the largest class at the left, with room at both ends."""
        trained = [count for count in self.counts if count > 0] or [1]
        high = max(max(trained) * 1.15, 10.0)
        return LogScale(high, min(trained) / 1.15)

    def bands(self) -> list[dict[str, Any]]:
        """The shot groups side by side along the ranks, in percent, with their sizes."""
        found, size, start = [], max(1, len(self.order)), 0
        for group in GROUPS:
            count = self.groups.count(group)
            if count:
                found.append({
                    "group": group, "count": count, "meaning": MEANINGS[self.shots][group],
                    "start": round(100 * start / size, 3), "middle": round(100 * (start + count / 2) / size, 3),
                    "end": round(100 * (start + count) / size, 3),
                })  # fmt: skip
            start += count
        return found

    def rank_ticks(self) -> list[Tick]:
        """Round ranks below a chart that has a class a mark."""
        size = len(self.order)
        steps = (factor * 10**power for power in range(9) for factor in (1, 2, 5))
        step = next(step for step in steps if size <= 5 * step)
        ranks = [1, *(rank for rank in range(step, size + 1, step) if rank > 1)]
        return [Tick(round(100 * (rank - 0.5) / size, 3), f"{rank:,}") for rank in ranks]


def classes_of(predictions: Predictions) -> Classes:
    """The classes of a benchmark, head first; equal counts keep label order."""
    counts = predictions.train_counts
    labels = np.arange(len(predictions.classes))
    order = (labels if counts is None else np.argsort(-np.asarray(counts), kind="stable")).tolist()
    return Classes(
        order=order,
        names=[predictions.classes[label][1] or predictions.classes[label][0] for label in order],
        counts=[] if counts is None else [counts[label] for label in order],
        groups=[predictions.groups[label] for label in order] if predictions.groups else [],
        shots=predictions.shots,
    )
