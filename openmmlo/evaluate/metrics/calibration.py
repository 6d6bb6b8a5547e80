"""How far confidence is from accuracy."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

BINS = 15


class Bin(NamedTuple):
    """One bin of confidence: how many samples, their mean confidence and their accuracy (None in an empty bin)."""

    rows: int
    confidence: float | None
    accuracy: float | None


def reliability(right: Array, confidence: Array, bins: int = BINS) -> list[Bin]:
    """The bins of equal width over (0, 1]; a confidence of 0 counts to the first.

    Args:
        right: (N,) bool, whether the prediction is right.
        confidence: (N,) probability of the predicted class.
    """
    which = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    counts = np.bincount(which, minlength=bins)
    sums = np.bincount(which, weights=confidence, minlength=bins)
    rights = np.bincount(which, weights=right.astype(np.float64), minlength=bins)
    return [
        Bin(int(count), float(total / count), float(hit / count)) if count else Bin(0, None, None)
        for count, total, hit in zip(counts, sums, rights, strict=True)
    ]


def calibration_error(right: Array, confidence: Array, bins: int = BINS) -> float | None:
    """Expected calibration error over 15 equal-width bins of confidence.

    Guo et al., On Calibration of Modern Neural Networks, ICML 2017 (arXiv:1706.04599).
    """
    if not len(right):
        return None
    found = reliability(right, confidence, bins)
    gaps = [item.rows * abs(item.accuracy - item.confidence) for item in found if item.accuracy is not None
            and item.confidence is not None]  # fmt: skip
    return float(sum(gaps) / len(right))
