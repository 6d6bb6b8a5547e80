"""How far confidence is from accuracy.

Guo et al., On Calibration of Modern Neural Networks, ICML 2017 (arXiv:1706.04599).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

BINS = 15


class Bin(NamedTuple):
    """One bin of confidence: its samples, their mean confidence and their accuracy (None in an empty bin)."""

    samples: int
    confidence: float | None
    accuracy: float | None


def reliability(right: Array, confidence: Array, bins: int = BINS) -> list[Bin]:
    """The bins of equal width over (0, 1], each closed above; a confidence of 0 counts to the first.

    Args:
        right: (N,) bool, whether the prediction is right.
        confidence: (N,) probability of the predicted class.
    """
    upper = np.arange(1, bins) / bins
    which = np.searchsorted(upper, confidence, "left")
    counts = np.bincount(which, minlength=bins)
    sums = np.bincount(which, weights=confidence, minlength=bins)
    rights = np.bincount(which[right], minlength=bins)
    return [
        Bin(int(count), float(total / count), float(hit / count)) if count else Bin(0, None, None)
        for count, total, hit in zip(counts, sums, rights, strict=True)
    ]


def calibration_error(right: Array, confidence: Array, bins: int = BINS) -> float | None:
    """Expected calibration error: mean distance of confidence and accuracy over 15 equal-width bins.

    Args:
        right: (N,) bool, whether the prediction is right.
        confidence: (N,) probability of the predicted class.
    """
    if not len(right):
        return None
    gaps = [
        count * abs(accuracy - mean)
        for count, mean, accuracy in reliability(right, confidence, bins)
        if mean is not None and accuracy is not None
    ]
    return float(sum(gaps) / len(right))
