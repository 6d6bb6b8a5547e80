"""Maximum softmax probability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from openmmlo.evaluate.detectors import Fitted
from openmmlo.evaluate.detectors.reasons import no_logits, one_class
from openmmlo.evaluate.detectors.training import Training
from openmmlo.evaluate.features.bank import FeatureBank
from openmmlo.evaluate.head import Head


@dataclass(frozen=True)
class MSP:
    """One minus the largest softmax probability.

    Hendrycks & Gimpel, A Baseline for Detecting Misclassified and Out-of-Distribution Examples in Neural Networks,
    ICLR 2017 (arXiv:1610.02136). The head's scale alters it; it stands beside the score.
    """

    name: str = field(default="msp", init=False)
    post_relu: ClassVar[bool] = False

    def unfit(self, head: Head, train: FeatureBank | None, banks: Sequence[FeatureBank] = ()) -> str | None:
        return no_logits(head, banks) or one_class(head)

    def fit(self, training: Training | None, head: Head) -> Fitted:
        return Fitted(lambda rows: rows.peak.doubt, {"scale": head.scale})
