"""Maximum logit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from openmmlo.evaluate.detectors import Fitted
from openmmlo.evaluate.detectors.reasons import no_logits
from openmmlo.evaluate.detectors.training import Training
from openmmlo.evaluate.features.bank import FeatureBank
from openmmlo.evaluate.head import Head


@dataclass(frozen=True)
class MaxLogit:
    """Minus the largest logit.

    Hendrycks et al., Scaling Out-of-Distribution Detection for Real-World Settings, ICML 2022 (arXiv:1911.11132).
    """

    name: str = field(default="max-logit", init=False)
    post_relu: ClassVar[bool] = False

    def unfit(self, head: Head, train: FeatureBank | None, banks: Sequence[FeatureBank] = ()) -> str | None:
        return no_logits(head, banks)

    def fit(self, training: Training | None, head: Head) -> Fitted:
        return Fitted(lambda rows: -rows.peak.largest)
