"""Top-1 accuracy over samples, classes and shot groups, and the classes it is worst on.

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


def check_labels(what: str, values: Array, classes: int) -> None:
    """Raises DataError where values are not 0 to C - 1: ``what`` and how many samples are named."""
    if len(values) and not (int(values.min()) >= 0 and int(values.max()) < classes):
        wrong = int(np.sum((values < 0) | (values >= classes)))
        raise DataError(
            f"{wrong:,} of {len(values):,} samples have a {what} outside 0 to {classes - 1}. "
            "Use the benchmark's label map, and leave out-of-distribution samples out."
        )


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
    check_labels("label", labels, classes)
    check_labels("predicted class", predicted, classes)
    totals = np.bincount(labels, minlength=classes)
    right = np.bincount(labels[labels == predicted], minlength=classes)
    found: Array = np.divide(right, totals, out=np.full(classes, np.nan), where=totals > 0)
    return found


def top1_classes(per_class: Array) -> float | None:
    """Unweighted mean of the accuracies of the classes that have a sample.

    Args:
        per_class: (C,) as :func:`class_accuracies` gives it, here and below.
    """
    tested = per_class[~np.isnan(per_class)]
    return float(tested.mean()) if len(tested) else None


def group_accuracies(per_class: Array, groups: Sequence[str]) -> dict[str, float]:
    """Mean accuracy of the classes of each shot group; a group without a tested class is absent, never 0.

    Args:
        groups: (C,) shot group of each class; empty where the training counts are unknown.
    """
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
