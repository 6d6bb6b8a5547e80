"""Logit adjustment after training."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from openmmlo.errors import ConfigError
from openmmlo.train.posthoc import Adjusted, ClassLayer, Evidence, Part
from openmmlo.train.posthoc.class_layer import linear_only


@dataclass(frozen=True)
class PosthocLogitAdjustment:
    """The bias of a linear class layer less tau times the log class prior.

    Menon et al., Long-tail learning via logit adjustment, ICLR 2021 (arXiv:2007.07314), equation 9: for a layer that
    was trained by plain cross-entropy. After a loss that adds the prior it would adjust twice.

    Args:
        tau: of the paper, 1; 0 changes nothing.

    Raises:
        ConfigError: tau below 0.
    """

    tau: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.tau < math.inf:
            raise ConfigError(f"posthoc logit-adjustment: tau is {self.tau}; expected 0 or more.")

    @property
    def name(self) -> str:
        return "logit-adjustment"

    @property
    def needs(self) -> frozenset[Part]:
        return frozenset()

    def apply(self, layer: ClassLayer, evidence: Evidence) -> Adjusted:
        """A linear layer. Raises ConfigError for other kinds, DataError for a class without a training image."""
        import torch

        from openmmlo.losses.class_counts import log_prior

        linear_only(layer, self.name)
        prior = log_prior(torch.from_numpy(np.asarray(evidence.class_counts)), self.name).numpy()
        bias = np.float32(0) if layer.bias is None else layer.bias
        return Adjusted(ClassLayer("linear", layer.weight, bias - np.float32(self.tau) * prior), {"tau": self.tau})
