"""Simplified Hopfield energy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from openmmlo.evaluate.detectors import Fitted, Unfit
from openmmlo.evaluate.detectors.reasons import needed, no_logits, no_training
from openmmlo.evaluate.detectors.rows import Rows
from openmmlo.evaluate.detectors.training import Training
from openmmlo.evaluate.features.bank import FeatureBank
from openmmlo.evaluate.head import Head

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class SHE:
    """Minus the inner product with the stored pattern of the predicted class.

    Zhang et al., Out-of-Distribution Detection based on In-Distribution Data Patterns Memorization with Modern
    Hopfield Energy, ICLR 2023. The pattern of a class is the mean feature of its correctly classified training
    images. A class of which none is classified right, common in the tail, takes the mean of all its images, where the
    paper has nothing; how many do is part of the result.
    """

    name: str = field(default="she", init=False)
    post_relu: ClassVar[bool] = True

    def unfit(self, head: Head, train: FeatureBank | None, banks: Sequence[FeatureBank] = ()) -> str | None:
        return no_training(train) or no_logits(head, (*banks, *([train] if train is not None else [])))

    def fit(self, training: Training | None, head: Head) -> Fitted:
        known = needed(training)
        empty = int(np.count_nonzero(known.class_counts == 0))
        if empty:
            raise Unfit(f"It needs a training image of every class, and {empty:,} of {head.classes:,} have none.")
        right = known.peaks[0] == known.labels
        patterns = known.means_of(right)
        fallen = np.isnan(patterns).any(axis=1)
        if fallen.any():
            patterns[fallen] = known.class_means[fallen]

        def score(rows: Rows) -> Array:
            found: Array = -np.einsum("nd,nd->n", rows.inputs, patterns[rows.peak.predicted])
            return found

        return Fitted(score, {"classes_without_a_correct_image": int(fallen.sum())})
