"""Norm of the gradient of the classifier's weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from openmmlo.evaluate.detectors import Fitted
from openmmlo.evaluate.detectors.reasons import not_linear, one_class
from openmmlo.evaluate.detectors.rows import Rows
from openmmlo.evaluate.detectors.training import Training
from openmmlo.evaluate.features.bank import FeatureBank
from openmmlo.evaluate.head import Head


@dataclass(frozen=True)
class GradNorm:
    """Minus the L1 norm of the last layer's gradient towards the uniform distribution.

    Huang et al., On the Importance of Gradients for Detecting Distributional Shifts in the Wild, NeurIPS 2021
    (arXiv:2110.00218). The gradient of -sum_c log p_c is the outer product of C p - 1 and h, so its norm is
    |h|_1 * sum_c |C p_c - 1|, which needs no backward pass and mixes no samples. The layer is the one whose output
    are the logits, scale included.
    """

    name: str = field(default="gradnorm", init=False)
    post_relu: ClassVar[bool] = True

    def unfit(self, head: Head, train: FeatureBank | None, banks: Sequence[FeatureBank] = ()) -> str | None:
        return not_linear(head) or one_class(head)

    def fit(self, training: Training | None, head: Head) -> Fitted:
        return Fitted(self._score)

    def _score(self, rows: Rows) -> np.ndarray:
        surplus = rows.peak.probabilities
        surplus *= surplus.shape[1]
        surplus -= 1
        length = np.abs(rows.inputs).sum(axis=1, dtype=np.float64)
        score: np.ndarray = -length * np.abs(surplus, out=surplus).sum(axis=1)
        return score
