"""Why a detector cannot be applied: the sentences that several of them share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from openmmlo.evaluate.detectors import Unfit

if TYPE_CHECKING:
    from openmmlo.evaluate.detectors.training import Training
    from openmmlo.evaluate.features.bank import FeatureBank
    from openmmlo.evaluate.head import Head

NO_TRAINING = "It learns from a bank of training images, and there is none; extract the benchmark's training set."


def no_training(train: FeatureBank | None) -> str | None:
    return NO_TRAINING if train is None or not len(train) else None


def needed(training: Training | None) -> Training:
    """The training data. Raises Unfit where there are none."""
    if training is None:
        raise Unfit(NO_TRAINING)
    return training


def not_linear(head: Head) -> str | None:
    if head.is_linear:
        return None
    return "It needs a classifier that is linear in the features, and this model's own is not; evaluate a probe."


def no_logits(head: Head, banks: Sequence[FeatureBank]) -> str | None:
    if head.is_linear:
        return None
    without = [bank.name for bank in banks if bank.logits is None]
    if head.columns is None or without:
        return (
            f"It needs logits, and there are none of {without[0] if without else 'the classes'}; extract with logits."
        )
    return None


def one_class(head: Head) -> str | None:
    if head.classes > 1:
        return None
    return "The benchmark has one class, so every probability is one; a softmax tells nothing apart."
