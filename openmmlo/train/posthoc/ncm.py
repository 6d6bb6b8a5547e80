"""Class means in place of a trained class layer."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from openmmlo.errors import ConfigError, DataError
from openmmlo.evaluate.classifiers.class_means import ClassMeans
from openmmlo.evaluate.features.bank import FeatureBank
from openmmlo.train.posthoc import Adjusted, ClassLayer, Evidence, Part


@dataclass(frozen=True)
class NearestClassMean:
    """A cosine class layer whose rows are the means of each class's unit training features.

    NCM of Kang et al., ICLR 2020 (arXiv:1910.09217), by cosine; the same as the classifier ``ncm`` of an evaluation.

    Args:
        scale: what cosines are multiplied by. It moves probabilities, never the class; the paper has none, and 30 is
            that of LDAM's cosine layer.

    Raises:
        ConfigError: a scale that is not above 1.
    """

    scale: float = 30.0

    def __post_init__(self) -> None:
        if not 1 < self.scale < math.inf:
            raise ConfigError(f"posthoc ncm: scale is {self.scale}; expected above 1.")

    @property
    def name(self) -> str:
        return "ncm"

    @property
    def needs(self) -> frozenset[Part]:
        return frozenset({"train"})

    def apply(self, layer: ClassLayer, evidence: Evidence) -> Adjusted:
        """A cosine layer, whatever kind the old one is.

        Raises:
            ConfigError: no training features.
            DataError: features that are no numbers, or a class without a training image.
        """
        if evidence.train is None:
            raise ConfigError("posthoc ncm takes means of training features, and was given none.")
        features, labels = evidence.train
        classes = len(evidence.class_counts)
        empty = np.flatnonzero(np.bincount(labels[labels >= 0], minlength=classes) == 0)
        if len(empty):
            raise DataError(
                f"posthoc ncm: {len(empty):,} of {classes:,} classes have no training image (class {empty[0]} first), "
                "so no mean. Leave these classes out, or choose a split that has them."
            )
        rows = np.array([f"row {place}" for place in range(len(labels))])
        fitted = ClassMeans().fit(FeatureBank("train", rows, np.full(len(labels), ""), labels, features), classes)
        if fitted.head is None or fitted.head.weight is None:
            raise ValueError("class means by cosine come without a linear head")
        weight = np.asarray(fitted.head.weight, dtype=np.float32)
        return Adjusted(ClassLayer("cosine", weight, None, self.scale), {"rows": len(labels), "scale": self.scale})
