"""Free energy of the logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from openmmlo.errors import ConfigError
from openmmlo.evaluate.detectors import Fitted
from openmmlo.evaluate.detectors.reasons import no_logits
from openmmlo.evaluate.detectors.rows import Rows
from openmmlo.evaluate.detectors.softmax import peak
from openmmlo.evaluate.detectors.training import Training
from openmmlo.evaluate.features.bank import FeatureBank
from openmmlo.evaluate.head import Head


@dataclass(frozen=True)
class Energy:
    """Free energy of the logits: minus T times log sum exp(logits / T).

    Liu et al., Energy-based Out-of-distribution Detection, NeurIPS 2020 (arXiv:2010.03759). The head's scale alters
    it; it stands beside the score.
    """

    temperature: float = 1.0
    name: str = field(default="energy", init=False)
    post_relu: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ConfigError(f"energy: temperature is {self.temperature}; expected a number above 0.")

    def unfit(self, head: Head, train: FeatureBank | None, banks: Sequence[FeatureBank] = ()) -> str | None:
        return no_logits(head, banks)

    def fit(self, training: Training | None, head: Head) -> Fitted:
        return Fitted(self._score, {"scale": head.scale})

    def _score(self, rows: Rows) -> np.ndarray:
        found = rows.peak if self.temperature == 1 else peak(rows.logits, self.temperature)
        return -self.temperature * found.log_sum
