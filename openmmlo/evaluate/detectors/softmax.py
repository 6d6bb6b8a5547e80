"""The softmax of logits where one probability may be nearly one, without losing what is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, eq=False)
class Peak:
    """The largest logit of each row against all others.

    Attributes:
        predicted: (n,) its class; the first of equals.
        largest: (n,) float64.
        others: (n, C) float64 exp(logit - largest), with 0 in the place of the largest.
        rest: (n,) their sum.
    """

    predicted: Array
    largest: Array
    others: Array
    rest: Array

    @property
    def log_sum(self) -> Array:
        """(n,) log sum exp of the logits."""
        total: Array = self.largest + np.log1p(self.rest)
        return total

    @property
    def doubt(self) -> Array:
        """(n,) one minus the largest probability.

        It is summed from the other classes, so that confident samples keep an order where the probability itself
        rounds to one.
        """
        found: Array = self.rest / (1 + self.rest)
        return found

    @property
    def probabilities(self) -> Array:
        """(n, C) softmax."""
        found: Array = self.others / (1 + self.rest)[:, None]
        found[np.arange(len(found)), self.predicted] = 1 / (1 + self.rest)
        return found


def peak(logits: Array, temperature: float = 1.0) -> Peak:
    """The peak of (n, C) logits divided by a temperature, in float64."""
    scaled: Array = np.asarray(logits, dtype=np.float64) / temperature
    at = np.arange(len(scaled))
    predicted: Array = scaled.argmax(axis=1)
    largest: Array = scaled[at, predicted]
    scaled -= largest[:, None]  # a fresh array: the division made it
    others: Array = np.exp(scaled, out=scaled)
    others[at, predicted] = 0
    return Peak(predicted, largest, others, others.sum(axis=1))
