"""τ-normalisation: rows of the class layer brought nearer to one length."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from openmmlo.errors import ConfigError
from openmmlo.evaluate.metrics.accuracy import class_accuracies, top1_classes
from openmmlo.train.posthoc import Adjusted, ClassLayer, Evidence, Labelled, Part
from openmmlo.train.posthoc.class_layer import linear_only

if TYPE_CHECKING:
    from openmmlo.train.posthoc import Array

TAUS = tuple(step / 10 for step in range(21))
"""Of which one is chosen: 0 to 2, as Kang et al. search."""


@dataclass(frozen=True)
class TauNorm:
    """Rows of a linear class layer divided by their length to the power tau; no bias.

    Kang et al., Decoupling representation and classifier for long-tailed recognition, ICLR 2020 (arXiv:1910.09217).
    tau 0 leaves the rows, tau 1 makes them unit.

    Args:
        tau: None chooses among TAUS the one with the best mean of class accuracies on the validation split, of equal
            ones the smallest.

    Raises:
        ConfigError: tau below 0.
    """

    tau: float | None = None

    def __post_init__(self) -> None:
        if self.tau is not None and not 0 <= self.tau < math.inf:
            raise ConfigError(f"posthoc tau-norm: tau is {self.tau}; expected 0 or more.")

    @property
    def name(self) -> str:
        return "tau-norm"

    @property
    def needs(self) -> frozenset[Part]:
        return frozenset({"validation"} if self.tau is None else ())

    def apply(self, layer: ClassLayer, evidence: Evidence) -> Adjusted:
        """A linear layer without bias. Raises ConfigError for other kinds, and without a split to choose tau on."""
        linear_only(layer, self.name)
        if self.tau is not None:
            return Adjusted(ClassLayer("linear", normalised(layer.weight, self.tau)), {"tau": self.tau})
        if evidence.validation is None or not len(evidence.validation.labels):
            raise ConfigError(
                "posthoc tau-norm chooses tau on a validation split, and there is none. Set validation to a split that "
                "is not the test set, or give posthoc_options a tau."
            )
        tried = {tau: _accuracy(layer.weight, tau, evidence.validation) for tau in TAUS}
        tau = max(TAUS, key=lambda one: tried[one])
        choices = {"tau": tau, "chosen_on": "validation", "validation_top1_classes": tried[tau]}
        return Adjusted(ClassLayer("linear", normalised(layer.weight, tau)), choices)


def normalised(weight: Array, tau: float) -> Array:
    """(C, W) rows over the power tau of their length, in float32; a row of zeros stays."""
    rows = np.asarray(weight, dtype=np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    found: Array = (rows / np.where(lengths > 0, lengths, 1.0) ** tau).astype(np.float32)
    return found


def _accuracy(weight: Array, tau: float, held_out: Labelled) -> float:
    scores = np.asarray(held_out.features, dtype=np.float32) @ normalised(weight, tau).T
    found = top1_classes(class_accuracies(held_out.labels, scores.argmax(axis=1), len(weight)))
    return 0.0 if found is None else found
