"""Activation shaping: the largest activations of each sample are kept, and reshaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from openmmlo.errors import ConfigError
from openmmlo.evaluate.detectors import Fitted
from openmmlo.evaluate.detectors.reasons import not_linear
from openmmlo.evaluate.detectors.rows import Rows
from openmmlo.evaluate.detectors.softmax import peak
from openmmlo.evaluate.detectors.training import Training
from openmmlo.evaluate.features.bank import FeatureBank
from openmmlo.evaluate.head import Head

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class AshS:
    """Free energy after the largest activations are kept and scaled by exp(sum before / sum after).

    Djurisic et al., Extremely Simple Activation Shaping for Out-of-Distribution Detection, ICLR 2023
    (arXiv:2209.09858), variant S.

    Attributes:
        percentile: share of the activations, in percent, that is set to zero: the paper's 90 for ImageNet; 95 for
            CIFAR.
    """

    percentile: float = 90.0
    name: str = field(default="ash-s", init=False)
    post_relu: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _check(self.name, self.percentile)

    def unfit(self, head: Head, train: FeatureBank | None, banks: Sequence[FeatureBank] = ()) -> str | None:
        return not_linear(head) or none_kept(head, self.percentile)

    def fit(self, training: Training | None, head: Head) -> Fitted:
        def score(rows: Rows) -> Array:
            kept = prune(rows.inputs, self.percentile)
            before = rows.inputs.sum(axis=1, dtype=np.float64)
            after = kept.sum(axis=1, dtype=np.float64)
            # A sample of nothing but zeros has 0 / 0; zeros stay zeros under any factor.
            ratio = np.divide(before, after, out=np.zeros_like(before), where=after != 0)
            kept *= np.exp(ratio).astype(np.float32)[:, None]
            return -peak(head.apply(kept)).log_sum

        return Fitted(score)


@dataclass(frozen=True)
class AshB:
    """Free energy after each of the largest activations is replaced by an equal share of the sum before.

    Djurisic et al., Extremely Simple Activation Shaping for Out-of-Distribution Detection, ICLR 2023
    (arXiv:2209.09858), variant B.

    Attributes:
        percentile: share of the activations, in percent, that is set to zero: the paper's 65 for ImageNet.
    """

    percentile: float = 65.0
    name: str = field(default="ash-b", init=False)
    post_relu: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _check(self.name, self.percentile)

    def unfit(self, head: Head, train: FeatureBank | None, banks: Sequence[FeatureBank] = ()) -> str | None:
        return not_linear(head) or none_kept(head, self.percentile)

    def fit(self, training: Training | None, head: Head) -> Fitted:
        def score(rows: Rows) -> Array:
            inputs = rows.inputs
            mask = largest(inputs, kept_count(inputs.shape[1], self.percentile))
            share = inputs.sum(axis=1, dtype=np.float64) / kept_count(inputs.shape[1], self.percentile)
            return -peak(head.apply(mask * share.astype(np.float32)[:, None])).log_sum

        return Fitted(score)


def prune(inputs: Array, percentile: float) -> Array:
    """(n, D) with all but the largest activations of each row set to zero: variant P."""
    pruned: Array = inputs * largest(inputs, kept_count(inputs.shape[1], percentile))
    return pruned


def kept_count(width: int, percentile: float) -> int:
    """How many activations stay, rounded as the authors do."""
    return width - int(np.round(width * percentile / 100))


def largest(inputs: Array, count: int) -> Array:
    """(n, D) bool, true at the ``count`` largest of each row; of equals, the first."""
    width = inputs.shape[1]
    if count >= width:
        return np.ones(inputs.shape, dtype=bool)
    edge = np.partition(inputs, width - count, axis=1)[:, width - count, None]
    mask: Array = inputs >= edge
    crowded = np.flatnonzero(np.count_nonzero(mask, axis=1) > count)
    if len(crowded):
        rows, bound = inputs[crowded], edge[crowded]
        above, equal = rows > bound, rows == bound
        room = count - np.count_nonzero(above, axis=1)[:, None]
        mask[crowded] = above | (equal & (np.cumsum(equal, axis=1) <= room))
    return mask


def none_kept(head: Head, percentile: float) -> str | None:
    """Why nothing is left to score, where nothing is."""
    if head.weight is None or kept_count(head.weight.shape[1], percentile):
        return None
    return f"Percentile {percentile:g} keeps none of {head.weight.shape[1]} activations; give a smaller one."


def _check(name: str, percentile: float) -> None:
    if not 0 <= percentile < 100:
        raise ConfigError(f"{name}: percentile is {percentile}; expected a number from 0 to below 100.")
