"""A training bank is checked at the door, and a fitted head becomes a classifier. Letters: N samples, C classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from openmmlo.errors import DataError
from openmmlo.evaluate.classifiers import FittedClassifier
from openmmlo.evaluate.features.bank import FeatureBank
from openmmlo.evaluate.features.blocks import BLOCK_NUMBERS, blocks
from openmmlo.evaluate.head import Head

Array = np.ndarray[Any, np.dtype[Any]]

NEVER = -1e4
"""Bias of a class without a training image: it is not predicted, and softmax gives it nothing."""


def check_training(bank: FeatureBank, classes: int, least: int = 1) -> Array:
    """(C,) rows of each class of a bank fit to learn from.

    Args:
        least: classes there must be.

    Raises:
        DataError: labels outside the map, too few classes, NaN or infinite features, or every row all-zero.
    """
    what = f"Bank {bank.name!r}"
    bad = int(np.sum((bank.labels < 0) | (bank.labels >= classes)))
    if bad:
        raise DataError(f"{what} has {bad:,} labels outside 0 to {classes - 1}. Use the benchmark's label map.")
    counts = np.bincount(bank.labels, minlength=classes)
    present = int(np.sum(counts > 0))
    if present < least:
        raise DataError(f"{what} has images of {present:,} of {classes:,} classes; it takes {least:,} to learn from.")
    if not any(values.any() for _, values in blocks(bank.features, what, np.float32)):
        raise DataError(f"{what} has only all-zero features; nothing can be learnt. Check the model's weights.")
    return counts


def check_readable(bank: FeatureBank, width: int) -> None:
    """Refuse a bank to predict on that has other features than the classifier learnt from.

    Raises:
        DataError: another width.
    """
    if bank.features.shape[1] != width:
        raise DataError(
            f"Bank {bank.name!r} has {bank.features.shape[1]:,} features a row; the classifier learnt from {width:,}. "
            "Extract both with one model."
        )


def of_head(head: Head, width: int, choices: dict[str, Any], centre: Array | None = None) -> FittedClassifier:
    """The classifier that predicts the largest logit of a linear head; of equal ones the lowest class.

    Args:
        width: D, features a row.
        centre: (D,) taken from the features before the head reads them. A head of the bank's own features it is not
            then, so that none is given on.
    """

    def predict(bank: FeatureBank) -> Array:
        check_readable(bank, width)
        found = np.zeros(len(bank), np.int64)
        rows = max(1, BLOCK_NUMBERS // max(head.classes, width))
        for place, values in blocks(bank.features, f"Bank {bank.name!r}", np.float32, rows):
            read = values if centre is None else values - centre
            found[place] = head.apply(head.inputs(read)).argmax(axis=1)
        return found

    return FittedClassifier(predict, head if centre is None else None, choices)
