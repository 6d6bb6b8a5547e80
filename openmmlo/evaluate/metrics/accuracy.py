"""Top-1 accuracy over samples, classes and shot groups, and what it hides.

Letters: N samples, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from openmmlo.errors import DataError

Array = np.ndarray[Any, np.dtype[Any]]

GROUPS = ("many", "medium", "few")


def top1_samples(labels: Array, predicted: Array) -> float | None:
    """Share of the samples that are predicted right."""
    return float(np.mean(labels == predicted)) if len(labels) else None


def class_accuracies(labels: Array, predicted: Array, classes: int) -> Array:
    """(C,) float64 share of each class's samples that are predicted right; NaN for a class without a sample.

    Args:
        labels: (N,) 0 to C - 1.
        predicted: (N,) 0 to C - 1.

    Raises:
        DataError: a label or prediction outside the map.
    """
    for what, values in (("label", labels), ("predicted class", predicted)):
        if len(values) and not (int(values.min()) >= 0 and int(values.max()) < classes):
            wrong = int(np.sum((values < 0) | (values >= classes)))
            raise DataError(
                f"{wrong:,} samples have a {what} outside 0 to {classes - 1}. Use the label map."
            )
    totals = np.bincount(labels, minlength=classes)
    right = np.bincount(labels[labels == predicted], minlength=classes)
    found: Array = np.divide(right, totals, out=np.full(classes, np.nan), where=totals > 0)
    return found


def top1_classes(per_class: Array) -> float | None:
    """Unweighted mean of the accuracies of the classes that have a sample."""
    tested = per_class[~np.isnan(per_class)]
    return float(tested.mean()) if len(tested) else None


def group_accuracies(per_class: Array, groups: Sequence[str]) -> dict[str, float]:
    """Mean accuracy of the classes of each shot group; a group without a tested class is absent, never 0."""
    names = np.asarray(groups)
    found = {}
    for group in GROUPS:
        accuracy = top1_classes(per_class[names == group]) if len(names) else None
        if accuracy is not None:
            found[group] = accuracy
    return found


def harmonic_mean(per_class: Array) -> float | None:
    """Harmonic mean of the class accuracies; 0 as soon as one class is never right."""
    tested = per_class[~np.isnan(per_class)]
    if not len(tested):
        return None
    return float(len(tested) / np.sum(1 / tested)) if np.all(tested > 0) else 0.0


def worst_tenth(per_class: Array) -> float | None:
    """Mean accuracy of the worst tenth of the tested classes, rounded up to whole classes."""
    tested = np.sort(per_class[~np.isnan(per_class)])
    return float(tested[: math.ceil(len(tested) / 10)].mean()) if len(tested) else None


def false_head_rate(labels: Array, predicted: Array, groups: Sequence[str]) -> float | None:
    """Share of the samples of few-shot classes that are predicted as a many-shot class."""
    names = np.asarray(groups)
    if not len(names):
        return None
    few = names[labels] == "few"
    return float(np.mean(names[predicted[few]] == "many")) if few.any() and "many" in names else None


def group_confusion(labels: Array, predicted: Array, groups: Sequence[str]) -> dict[str, dict[str, float]]:
    """Share of each group's samples that is predicted into each group; groups without a sample are absent."""
    names = np.asarray(groups)
    if not len(names):
        return {}
    true, guessed = names[labels], names[predicted]
    return {
        group: {other: float(np.mean(guessed[true == group] == other)) for other in GROUPS if other in names}
        for group in GROUPS
        if np.any(true == group)
    }


def landing(predicted: Array, groups: Sequence[str]) -> dict[str, float]:
    """Share of out-of-distribution samples that the classifier puts into classes of each shot group."""
    names = np.asarray(groups)
    if not len(names) or not len(predicted):
        return {}
    return {group: float(np.mean(names[predicted] == group)) for group in GROUPS if group in names}
