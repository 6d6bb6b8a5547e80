"""Nearest class mean: a sample is of the class whose mean training feature is nearest. Nothing is trained.

NCM of Kang et al., Decoupling representation and classifier for long-tailed recognition, ICLR 2020 (arXiv:1910.09217).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from openmmlo.errors import DataError
from openmmlo.evaluate.classifiers import FittedClassifier
from openmmlo.evaluate.classifiers.heads import NEVER, check_training, of_head
from openmmlo.evaluate.features.bank import FeatureBank
from openmmlo.evaluate.features.blocks import add_by_class, blocks, unit
from openmmlo.evaluate.head import Head


@dataclass(frozen=True)
class ClassMeans:
    """Nearest class mean, by cosine or Euclidean distance.

    Args:
        metric: logits are cosines; or half the negative squared distance, up to a constant of the sample.
        features: ``l2``: of unit length; ``centred-l2``: less the mean training feature, then of unit length, for which
            there is no linear head; ``raw``.
    """

    metric: Literal["cosine", "euclidean"] = "cosine"
    features: Literal["raw", "l2", "centred-l2"] = "l2"

    @property
    def name(self) -> str:
        return "ncm"

    def fit(
        self, train: FeatureBank, classes: int, validation: FeatureBank | None = None, seed: int = 0
    ) -> FittedClassifier:
        """Average the training features of each class. Validation features and seed play no part.

        A class without a training image is never predicted. Raises DataError as the protocol says.
        """
        counts = check_training(train, classes)
        what, width = f"Bank {train.name!r}", train.features.shape[1]
        centre = np.zeros(width)
        if self.features == "centred-l2":
            for _, rows in blocks(train.features, what):
                centre += rows.sum(axis=0)
            centre /= len(train)
        sums = np.zeros((classes, width))
        for place, rows in blocks(train.features, what):
            values = rows - centre
            add_by_class(sums, values if self.features == "raw" else unit(values), np.asarray(train.labels[place]))
        means = sums / np.maximum(counts, 1)[:, None]
        absent = counts == 0
        if self.metric == "cosine":
            weight, bias = unit(means), np.zeros(classes)
        else:
            weight, bias = means, -np.square(means).sum(axis=1) / 2
        bias[absent] = NEVER
        undirected = int(np.sum(~weight[~absent].any(axis=1))) if self.metric == "cosine" else 0
        if undirected == classes - int(absent.sum()):
            raise DataError(f"{what}: the mean of every class is zero, so none has a direction. Take metric euclidean.")
        head = Head(
            kind="ncm",
            classes=classes,
            weight=weight.astype(np.float32),
            bias=bias.astype(np.float32),
            unit_features=self.metric == "cosine" or self.features != "raw",
        )
        choices = {
            "metric": self.metric,
            "features": self.features,
            "trained_on": train.name,
            "rows": len(train),
            "classes_without_images": int(absent.sum()),
            "means_without_direction": undirected,
        }
        return of_head(head, width, choices, centre.astype(np.float32) if self.features == "centred-l2" else None)
