"""Supervised contrast."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from openmmlo.errors import ConfigError
from openmmlo.losses.precision import widened
from openmmlo.spherical.similarity import unit_cosines


class SupCon(nn.Module):
    """Every row is drawn to the other rows of its class and away from the rest: L_out of supervised contrast.

    Khosla et al., Supervised Contrastive Learning, NeurIPS 2020 (arXiv:2004.11362), equation 2: the mean over rows i of
    -1/|P_i| Σ_{p in P_i} log exp(u_i·u_p / T) / Σ_{a≠i} exp(u_i·u_a / T), P_i the other rows of i's class.

    Args:
        temperature: T of the paper, 0.1.

    features (B, D) unit, targets (B,) int64 -> scalar, in nats. Two views of an image are two rows. A row that no
    other shares its class with has no term and does not count; without any pair the loss is 0.

    Raises:
        ConfigError: a temperature that is not above 0.
    """

    def __init__(self, temperature: float = 0.1) -> None:
        super().__init__()
        if not 0 < temperature < math.inf:
            raise ConfigError(f"supcon: temperature is {temperature}; expected above 0.")
        self.temperature = temperature

    def forward(self, features: Tensor, targets: Tensor) -> Tensor:
        rows = widened(features)
        itself = torch.eye(len(rows), dtype=torch.bool, device=rows.device)
        logits = (unit_cosines(rows, rows) / self.temperature).masked_fill(itself, -math.inf)
        pairs = (targets[:, None] == targets[None, :]) & ~itself
        nats = (logits.logsumexp(dim=1, keepdim=True) - logits).masked_fill(~pairs, 0.0).sum(dim=1)
        others = pairs.sum(dim=1)
        return (nats / others.clamp_min(1)).sum() / (others > 0).sum().clamp_min(1)
