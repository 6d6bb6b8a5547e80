"""Maximum concept matching."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from openmmlo.errors import ConfigError
from openmmlo.evaluate.detectors import Fitted
from openmmlo.evaluate.detectors.reasons import one_class
from openmmlo.evaluate.detectors.rows import Rows
from openmmlo.evaluate.detectors.softmax import peak
from openmmlo.evaluate.detectors.training import Training
from openmmlo.evaluate.features.bank import FeatureBank
from openmmlo.evaluate.head import Head


@dataclass(frozen=True)
class MCM:
    """One minus the largest softmax probability of cosines between an image and the class names.

    Ming et al., Delving into Out-of-Distribution Detection with Vision-Language Representations, NeurIPS 2022
    (arXiv:2211.13445). The temperature divides raw cosines, not the model's scaled logits.
    """

    temperature: float = 1.0
    name: str = field(default="mcm", init=False)
    post_relu: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ConfigError(f"mcm: temperature is {self.temperature}; expected a number above 0.")

    def unfit(self, head: Head, train: FeatureBank | None, banks: Sequence[FeatureBank] = ()) -> str | None:
        if head.kind != "zero-shot" or head.weight is None or not head.unit_features or head.bias is not None:
            return (
                "It compares images with the names of the classes, and this head does not; "
                "use a model that reads texts, with its zero-shot head."
            )
        lengths = np.linalg.norm(head.weight, axis=1)
        if np.abs(lengths - 1).max() > 1e-3:
            return f"It needs text embeddings of unit length; one of this head has length {lengths.max():.3g}."
        return one_class(head)

    def fit(self, training: Training | None, head: Head) -> Fitted:
        return Fitted(self._score)

    def _score(self, rows: Rows) -> np.ndarray:
        # logits = scale * cosines
        return peak(rows.logits, self.temperature * rows.head.scale).doubt
