"""A look at a bank before anything is computed from it: numbers that are none, zeros, widths, signs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from openmmlo.errors import DataError
from openmmlo.evaluate.detectors.rows import BLOCK_VALUES, block_rows
from openmmlo.evaluate.features.bank import FeatureBank
from openmmlo.evaluate.head import Head

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Inspected:
    """What a bank's features are like.

    Attributes:
        name: of the bank.
        zero: rows of nothing but zeros.
        negative: share of the numbers that are below zero.
        remark: on rows of zeros; empty where there are none.
    """

    name: str
    zero: int
    negative: float
    remark: str


def inspect(bank: FeatureBank, head: Head, block_values: int = BLOCK_VALUES) -> Inspected:
    """Look at every number of a bank, and of its perturbed one.

    A few rows of zeros are remarked upon: a ReLU network may see nothing in a black image, and a cosine to them is 0.

    Raises:
        DataError: no row; features or logits that are NaN or infinite; nothing but zeros; a width other than the
            head's; a perturbed bank of other rows.
    """
    features = bank.features
    if not len(bank):
        raise DataError(f"Bank {bank.name!r} holds no row. Expected at least one image; see why none was extracted.")
    if features.ndim != 2 or len(features) != len(bank) or len(bank.labels) != len(bank):
        raise DataError(
            f"Bank {bank.name!r}: {len(bank):,} ids, features of shape {features.shape}, {len(bank.labels):,} labels; "
            "expected one row and one label an id. Extract it anew."
        )
    if head.weight is not None and head.weight.shape != (head.classes, features.shape[1]):
        raise DataError(
            f"Bank {bank.name!r} has features of width {features.shape[1]:,}, and the head's weight is "
            f"{head.weight.shape}; expected ({head.classes}, {features.shape[1]}). They are of two models."
        )
    strange = zero = negative = 0
    first_zero = ""
    step = block_rows(features.shape[1], block_values)
    for start in range(0, len(bank), step):
        block = np.asarray(features[start : start + step], dtype=np.float32)
        strange += int(np.count_nonzero(~np.isfinite(block).all(axis=1)))
        negative += int(np.count_nonzero(block < 0))
        empty = np.flatnonzero(~block.any(axis=1))
        if len(empty) and not zero:
            first_zero = str(bank.sample_ids[start + int(empty[0])])
        zero += len(empty)
    if strange:
        raise DataError(
            f"Bank {bank.name!r}: {strange:,} of {len(bank):,} rows hold NaN or infinite features. Expected finite "
            "numbers; extract in float32 if half precision overflowed, else look at the model."
        )
    if not head.is_linear and bank.logits is not None:
        _finite_logits(bank, bank.logits, block_values)
    if zero == len(bank):
        raise DataError(f"Bank {bank.name!r}: all {zero:,} rows are zero. Expected features; look at the model.")
    if bank.perturbed is not None:
        if not np.array_equal(bank.perturbed.sample_ids, bank.sample_ids):
            raise DataError(f"The perturbed bank of {bank.name!r} has other rows than the bank. Extract both anew.")
        inspect(bank.perturbed, head, block_values)
    remark = ""
    if zero:
        remark = (
            f"{zero:,} of {len(bank):,} features of {bank.name!r} are all zero (the first: {first_zero}); they have "
            "no direction, and their cosine to anything counts as 0."
        )
    return Inspected(bank.name, zero, negative / features.size, remark)


def _finite_logits(bank: FeatureBank, logits: Array, block_values: int) -> None:
    step = block_rows(logits.shape[1], block_values)
    strange = sum(
        int(np.count_nonzero(~np.isfinite(logits[start : start + step]).all(axis=1)))
        for start in range(0, len(bank), step)
    )
    if strange:
        raise DataError(
            f"Bank {bank.name!r}: {strange:,} of {len(bank):,} rows hold NaN or infinite logits. Expected finite "
            "numbers; extract in float32 if half precision overflowed, else look at the model."
        )
