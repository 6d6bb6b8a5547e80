"""Distance to the k-th nearest training feature: Euclidean, and by T-hp similarity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from openmmlo.errors import ConfigError
from openmmlo.evaluate.detectors import Fitted
from openmmlo.evaluate.detectors.reasons import needed, no_training
from openmmlo.evaluate.detectors.training import Training
from openmmlo.evaluate.features.bank import FeatureBank
from openmmlo.evaluate.head import Head
from openmmlo.spherical.similarity import thp


@dataclass(frozen=True)
class KNN:
    """Squared Euclidean distance of unit features to the k-th nearest training feature.

    Sun et al., Out-of-Distribution Detection with Deep Nearest Neighbors, ICML 2022 (arXiv:2204.06507): k = 50 for
    CIFAR, 1000 for ImageNet. For unit features it is 2 - 2 cos. A k above the number of training images is refused,
    not lowered: a benchmark's number is of the k that it names.
    """

    k: int = 50
    name: str = field(default="knn", init=False)
    post_relu: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check_k(self.name, self.k)

    def unfit(self, head: Head, train: FeatureBank | None, banks: Sequence[FeatureBank] = ()) -> str | None:
        return no_training(train) or too_few(self.k, train)

    def fit(self, training: Training | None, head: Head) -> Fitted:
        near = needed(training).neighbourhood
        return Fitted(lambda rows: 2 - 2 * near.cosine(rows, self.k))


@dataclass(frozen=True)
class ThpKNN:
    """Minus the T-hp similarity to the k-th nearest training feature: 2 / (1 + kappa (1 - cos)).

    Adapting Multi-modal Large Language Model to Concept Drift, ICLR 2025 (arXiv:2405.13459), kappa = 16; the paper
    gives no k. The similarity grows strictly with the cosine, so AUROC and FPR95 equal those of ``knn`` for every
    kappa: a difference between models comes from their features alone.
    """

    k: int = 50
    kappa: float = 16.0
    name: str = field(default="thp-knn", init=False)
    post_relu: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check_k(self.name, self.k)
        if not self.kappa > 0:
            raise ConfigError(f"thp-knn: kappa is {self.kappa}; expected a number above 0.")

    def unfit(self, head: Head, train: FeatureBank | None, banks: Sequence[FeatureBank] = ()) -> str | None:
        return no_training(train) or too_few(self.k, train)

    def fit(self, training: Training | None, head: Head) -> Fitted:
        near = needed(training).neighbourhood
        return Fitted(lambda rows: -thp(near.cosine(rows, self.k), self.kappa))


def too_few(k: int, train: FeatureBank | None) -> str | None:
    """Why there is no k-th neighbour, where there is none."""
    if train is None or k <= len(train):
        return None
    return f"k is {k:,}, and the training bank holds {len(train):,} images; give a k up to that number."


def _check_k(name: str, k: int) -> None:
    if k < 1:
        raise ConfigError(f"{name}: k is {k}; expected 1 or more.")
