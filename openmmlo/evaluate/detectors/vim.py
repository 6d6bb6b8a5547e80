"""Virtual-logit matching: the part of a feature outside the principal space, against the logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from openmmlo.errors import ConfigError
from openmmlo.evaluate.detectors import Fitted, Unfit
from openmmlo.evaluate.detectors.reasons import needed, no_training, not_linear
from openmmlo.evaluate.detectors.rows import Rows
from openmmlo.evaluate.detectors.training import Training
from openmmlo.evaluate.features.bank import FeatureBank
from openmmlo.evaluate.head import Head

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class ViM:
    """Weighted length of a feature outside the principal space of the training features, minus log sum exp of logits.

    Wang et al., ViM: Out-Of-Distribution with Virtual-logit Matching, CVPR 2022 (arXiv:2203.10807). The origin is
    moved to o = -pinv(W) b; the principal space is that of the uncentred second moment of h - o.

    Attributes:
        dimension: of the principal space; None takes the authors' rule: 1000 for a width of 2048 and more, 512 from
            768, else half of the width.
        alpha: weight of the length; None takes mean largest logit / mean length over the training images.
    """

    dimension: int | None = None
    alpha: float | None = None
    name: str = field(default="vim", init=False)
    post_relu: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.dimension is not None and self.dimension < 0:
            raise ConfigError(f"vim: dimension is {self.dimension}; expected 0 or more.")

    def unfit(self, head: Head, train: FeatureBank | None, banks: Sequence[FeatureBank] = ()) -> str | None:
        reason = not_linear(head) or no_training(train)
        if reason or train is None:
            return reason
        width = train.features.shape[1]
        dimension = self.dimension_of(width)
        if dimension >= width:
            return f"A principal space of {dimension:,} dimensions leaves none of the {width:,} of the features over."
        if len(train) <= dimension:
            return (
                f"A principal space of {dimension:,} dimensions holds all {len(train):,} training images, so nothing "
                "is left to weigh; give more images or a smaller dimension."
            )
        return None

    def dimension_of(self, width: int) -> int:
        if self.dimension is not None:
            return self.dimension
        return 1000 if width >= 2048 else 512 if width >= 768 else width // 2

    def fit(self, training: Training | None, head: Head) -> Fitted:
        known = needed(training)
        origin = origin_of(head)
        moment = known.second_moment(lambda rows: origin)
        dimension = self.dimension_of(len(moment))
        rest = np.linalg.eigh(moment)[1][:, : len(moment) - dimension]  # eigenvalues ascend

        def length(rows: Rows) -> Array:
            found: Array = np.linalg.norm((rows.inputs - origin) @ rest, axis=1)
            return found

        alpha = self.alpha
        if alpha is None:
            mean = sum(float(length(rows).sum()) for rows in known.blocks()) / len(known)
            if mean <= 1e-7 * np.sqrt(np.trace(moment)):  # what float32 features leave of nothing
                raise Unfit(
                    f"The training features lie within {dimension:,} dimensions, so nothing is left to weigh; "
                    "give a smaller dimension."
                )
            alpha = float(known.peaks[1].mean()) / mean
        return Fitted(
            lambda rows: alpha * length(rows) - rows.peak.log_sum,
            {"dimension": dimension, "alpha": alpha},
        )


def origin_of(head: Head) -> Array:
    """(D,) float64 feature of least length whose logits are nearest to zero: -pinv(W) b."""
    weight = np.asarray(head.weight, dtype=np.float64)
    if head.bias is None:
        return np.zeros(weight.shape[1])
    # Float32 weights of deficient rank have singular values of rounding noise, which must not be inverted.
    cut = max(weight.shape) * float(np.finfo(np.float32).eps)
    origin: Array = np.linalg.lstsq(weight, -np.asarray(head.bias, dtype=np.float64), rcond=cut)[0]
    return origin
