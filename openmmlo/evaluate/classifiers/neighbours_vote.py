"""k nearest neighbours vote for their class, the nearer the more.

The weighted vote of Wu et al., CVPR 2018 (arXiv:1805.01978), with the temperature and k of DINO (Caron et al., ICCV
2021, arXiv:2104.14294): each of the k nearest training samples adds exp(cosine / T) to its class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from openmmlo.errors import ConfigError
from openmmlo.evaluate.classifiers import FittedClassifier
from openmmlo.evaluate.classifiers.heads import check_readable, check_training
from openmmlo.evaluate.features.bank import FeatureBank
from openmmlo.evaluate.features.blocks import BLOCK_NUMBERS
from openmmlo.evaluate.features.neighbours import nearest, unit

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class NeighboursVote:
    """The class with the largest vote among the k nearest training samples, by cosine; of equal votes the lowest class.

    Args:
        neighbours: k; all training samples where there are fewer.
        temperature: T of the weights exp(cosine / T).
    """

    neighbours: int = 20
    temperature: float = 0.07

    def __post_init__(self) -> None:
        if self.neighbours < 1 or not self.temperature > 0:
            raise ConfigError(
                f"knn: neighbours is {self.neighbours} and temperature {self.temperature:g}; expected at least 1 "
                "neighbour and a temperature above 0."
            )

    @property
    def name(self) -> str:
        return "knn"

    def fit(
        self, train: FeatureBank, classes: int, validation: FeatureBank | None = None, seed: int = 0
    ) -> FittedClassifier:
        """Keep the unit training features. Validation features and seed play no part. Raises DataError as usual."""
        counts = check_training(train, classes)
        bank, labels = unit(train.features), np.asarray(train.labels)
        k = min(self.neighbours, len(train))

        def predict(queried: FeatureBank) -> Array:
            check_readable(queried, bank.shape[1])
            found = nearest(bank, unit(queried.features), k)
            return vote(labels[found.indices], found.cosines, self.temperature, classes)

        choices = {
            "k": k,
            "asked_k": self.neighbours,
            "temperature": self.temperature,
            "similarity": "cosine",
            "trained_on": train.name,
            "rows": len(train),
            "classes_without_images": int(np.sum(counts == 0)),
        }
        return FittedClassifier(predict, None, choices)


def vote(labels: Array, cosines: Array, temperature: float, classes: int) -> Array:
    """(N, k) labels of neighbours and their cosines -> (N,) int64 winners."""
    found = np.zeros(len(labels), np.int64)
    step = max(1, BLOCK_NUMBERS // classes)
    for start in range(0, len(labels), step):
        mine = labels[start : start + step]
        # Relative to the nearest, so that no weight overflows at a small temperature.
        nearness = np.asarray(cosines[start : start + step], np.float64)
        weights = np.exp((nearness - nearness.max(axis=1, keepdims=True)) / temperature)
        cells = np.arange(len(mine))[:, None] * classes + mine
        votes = np.bincount(cells.ravel(), weights.ravel(), minlength=len(mine) * classes)
        found[start : start + step] = votes.reshape(len(mine), classes).argmax(axis=1)
    return found
