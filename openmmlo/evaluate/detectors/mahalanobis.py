"""Mahalanobis distance to the nearest class mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from openmmlo.errors import ConfigError
from openmmlo.evaluate.detectors import Fitted, Unfit
from openmmlo.evaluate.detectors.reasons import needed, no_training
from openmmlo.evaluate.detectors.rows import Rows
from openmmlo.evaluate.detectors.training import Training
from openmmlo.evaluate.features.bank import FeatureBank
from openmmlo.evaluate.head import Head

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Mahalanobis:
    """Squared Mahalanobis distance to the nearest class mean, under one covariance shared by the classes.

    Lee et al., A Simple Unified Framework for Detecting Out-of-Distribution Samples and Adversarial Attacks, NeurIPS
    2018 (arXiv:1807.03888), on the features the classifier reads; the paper's several layers, input perturbation and
    fitted weights are left out. A class without a training image has no mean and attracts nothing; one with a single
    image has a mean and no say in the covariance.

    Attributes:
        shrinkage: share of the covariance that is replaced by the multiple of the identity of equal trace. At 0 a
            singular covariance is pseudo-inverted: directions in which no training image leaves its class mean do
            not count.
    """

    shrinkage: float = 0.0
    name: str = field(default="mahalanobis", init=False)
    post_relu: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0 <= self.shrinkage <= 1:
            raise ConfigError(f"mahalanobis: shrinkage is {self.shrinkage}; expected a number from 0 to 1.")

    def unfit(self, head: Head, train: FeatureBank | None, banks: Sequence[FeatureBank] = ()) -> str | None:
        return no_training(train)

    def fit(self, training: Training | None, head: Head) -> Fitted:
        known = needed(training)
        means = known.class_means
        covariance = known.second_moment(lambda rows: means[known.labels[rows.span]])
        directions, spread = whitening(covariance, self.shrinkage)
        if not spread.size:
            raise Unfit(
                "Every training image equals the mean of its class, so there is no covariance; give more images."
            )
        present = means[known.class_counts > 0]
        centre = present.mean(axis=0)  # nearer to the data than the origin: less is lost where squares are subtracted
        scale = directions / np.sqrt(spread)
        anchors = (present - centre) @ scale

        def score(rows: Rows) -> Array:
            white = (rows.inputs - centre) @ scale
            nearest: Array = (np.square(anchors).sum(axis=1) - 2 * white @ anchors.T).min(axis=1)
            squared: Array = np.maximum(nearest + np.square(white).sum(axis=1), 0)
            return squared

        return Fitted(score, {"rank": len(spread), "classes": len(present)})


def whitening(covariance: Array, shrinkage: float) -> tuple[Array, Array]:
    """(D, r) eigenvectors and (r,) variances of those directions in which there is any."""
    width = len(covariance)
    shrunk = (1 - shrinkage) * covariance
    shrunk[np.diag_indices(width)] += shrinkage * np.trace(covariance) / width
    variances, vectors = np.linalg.eigh(shrunk)
    kept = variances > max(variances[-1], 0) * width * np.finfo(np.float64).eps
    return vectors[:, kept], variances[kept]
