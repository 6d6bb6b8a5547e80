"""Which shot group predictions fall into: of the classes' own samples, and of samples out of distribution.

Letters: N samples, C classes. ``groups`` is the (C,) shot group of each class, empty where training counts are unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from openmmlo.evaluate.metrics.accuracy import GROUPS, check_labels

Array = np.ndarray[Any, np.dtype[Any]]


def false_head_rate(labels: Array, predicted: Array, groups: Sequence[str]) -> float | None:
    """Share of the samples of few-shot classes that are predicted as a many-shot class.

    None without such samples or without a many-shot class.

    Raises:
        DataError: a label or prediction outside the map.
    """
    row = group_confusion(labels, predicted, groups).get("few", {})
    return row.get("many")


def group_confusion(labels: Array, predicted: Array, groups: Sequence[str]) -> dict[str, dict[str, float]]:
    """Share of each group's samples that is predicted into each group; groups without a sample are absent.

    true group -> predicted group -> share; a row sums to one.

    Raises:
        DataError: a label or prediction outside the map.
    """
    names = np.asarray(groups)
    if not len(names):
        return {}
    check_labels("label", labels, len(names))
    return {
        group: landing(predicted[chosen], groups) for group in GROUPS if np.any(chosen := names[labels] == group)
    }  # fmt: skip


def landing(predicted: Array, groups: Sequence[str]) -> dict[str, float]:
    """Share of samples that the classifier puts into the classes of each shot group that exists.

    Raises:
        DataError: a prediction outside the map.
    """
    names = np.asarray(groups)
    if not len(names) or not len(predicted):
        return {}
    check_labels("predicted class", predicted, len(names))
    return {group: float(np.mean(names[predicted] == group)) for group in GROUPS if group in names}
