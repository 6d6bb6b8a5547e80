"""Rectified activations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from openmmlo.errors import ConfigError
from openmmlo.evaluate.detectors import Fitted
from openmmlo.evaluate.detectors.percentile import percentile
from openmmlo.evaluate.detectors.reasons import needed, no_training, not_linear
from openmmlo.evaluate.detectors.rows import Rows
from openmmlo.evaluate.detectors.softmax import peak
from openmmlo.evaluate.detectors.training import Training
from openmmlo.evaluate.features.bank import FeatureBank
from openmmlo.evaluate.head import Head


@dataclass(frozen=True)
class ReAct:
    """Free energy of the logits of features clipped at a percentile of the training activations.

    Sun et al., ReAct: Out-of-distribution Detection With Rectified Activations, NeurIPS 2021 (arXiv:2111.12797).

    Attributes:
        percentile: of all training activations together, 0 to 100; one threshold for all features.
        threshold: where to clip; None takes the percentile.
    """

    percentile: float = 90.0
    threshold: float | None = None
    name: str = field(default="react", init=False)
    post_relu: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 <= self.percentile <= 100:
            raise ConfigError(f"react: percentile is {self.percentile}; expected a number from 0 to 100.")

    def unfit(self, head: Head, train: FeatureBank | None, banks: Sequence[FeatureBank] = ()) -> str | None:
        return not_linear(head) or (no_training(train) if self.threshold is None else None)

    def fit(self, training: Training | None, head: Head) -> Fitted:
        threshold = self.threshold
        if threshold is None:
            known = needed(training)
            threshold = percentile(lambda: (rows.inputs for rows in known.blocks()), self.percentile)
        limit = np.float32(threshold)

        def score(rows: Rows) -> np.ndarray:
            return -peak(head.apply(np.minimum(rows.inputs, limit))).log_sum

        return Fitted(score, {"threshold": float(threshold)})
