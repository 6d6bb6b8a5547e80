"""CIDER: features near the prototype of their class, prototypes far from each other."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from openmmlo.errors import ConfigError
from openmmlo.losses.precision import widened
from openmmlo.spherical.similarity import unit_cosines


class CiderLoss(NamedTuple):
    """The loss, ``weight`` · compactness + dispersion, and its parts; scalars, in nats."""

    loss: Tensor
    compactness: Tensor
    dispersion: Tensor


class CIDER(nn.Module):
    """Cross-entropy of unit features against unit prototypes of the classes, and the prototypes' likeness.

    Ming et al., How to Exploit Hyperspherical Embeddings for Out-of-Distribution Detection?, ICLR 2023
    (arXiv:2203.04450). Compactness is the mean of -log softmax_c(u·μ_c / T) at the target, dispersion the mean over c
    of log mean_{j≠c} exp(μ_c·μ_j / T). Before either, prototypes move sample by sample, in the order of the rows:
    μ_y <- unit(momentum μ_y + (1 - momentum) u). Dispersion has its gradient at the features through this update, and
    none without it; compactness takes the prototypes as given, as in the authors' code.

    Args:
        classes: C, 2 or more.
        width: D of the features.
        momentum: of the prototypes, 0.5 for CIFAR-100.
        weight: w of compactness, 1 for CIFAR-100.
        temperature: T.

    Buffer ``prototypes`` (C, D) is part of the state that a run goes on from; zero where a class has none yet, whose
    first sample becomes it. The authors' begin as class means. In evaluation mode the update is computed and not kept.

    features (B, D) unit, targets (B,) int64 -> :class:`CiderLoss`. Two views of an image are two rows.

    Raises:
        ConfigError: fewer than two classes, a momentum outside [0, 1), a temperature that is not above 0, a weight
            below 0.
    """

    prototypes: Tensor

    def __init__(
        self, classes: int, width: int, momentum: float = 0.5, weight: float = 1.0, temperature: float = 0.1
    ) -> None:
        super().__init__()
        if classes < 2:
            raise ConfigError(f"cider: {classes} classes; prototypes keep away from each other, so expected 2 or more.")
        if not 0 <= momentum < 1:
            raise ConfigError(f"cider: momentum is {momentum}; expected a share from 0 to below 1.")
        if not 0 <= weight < math.inf:
            raise ConfigError(f"cider: weight is {weight}; expected 0 or more.")
        if not 0 < temperature < math.inf:
            raise ConfigError(f"cider: temperature is {temperature}; expected above 0.")
        self.momentum = momentum
        self.weight = weight
        self.temperature = temperature
        self.register_buffer("prototypes", torch.zeros(classes, width))

    def forward(self, features: Tensor, targets: Tensor) -> CiderLoss:
        rows = widened(features)
        prototypes = moved(self.prototypes.to(rows.dtype), rows, targets, self.momentum)
        if self.training:
            self.prototypes = prototypes.detach().to(self.prototypes.dtype)
        likeness = unit_cosines(rows, prototypes.detach()) / self.temperature
        compactness = functional.cross_entropy(likeness, targets)
        dispersion = self.dispersion(prototypes)
        return CiderLoss(self.weight * compactness + dispersion, compactness, dispersion)

    def dispersion(self, prototypes: Tensor) -> Tensor:
        """(C, D) unit -> scalar. C x C numbers are in memory."""
        classes = len(prototypes)
        itself = torch.eye(classes, dtype=torch.bool, device=prototypes.device)
        likeness = (unit_cosines(prototypes, prototypes) / self.temperature).masked_fill(itself, -math.inf)
        return (likeness.logsumexp(dim=1) - math.log(classes - 1)).mean()


def moved(prototypes: Tensor, rows: Tensor, targets: Tensor, momentum: float) -> Tensor:
    """Prototypes (C, D) after every row (B, D) has moved that of its class, one after the other; a new tensor.

    Classes do not meet in the update, so their first rows move together, then their second, and so on.
    """
    present, place, counts = targets.unique(return_inverse=True, return_counts=True)
    counts, by_count = counts.sort(descending=True, stable=True)
    present = present[by_count]
    rank = torch.empty_like(by_count)
    rank[by_count] = torch.arange(len(by_count), device=rank.device)
    by_class = rank[place].argsort(stable=True)  # rows class by class, those of a class in their order
    first = counts.cumsum(0) - counts
    moving = prototypes[present]
    done: list[Tensor] = []
    sizes = counts.tolist()
    for turn in range(sizes[0]):
        left = len(moving)
        while sizes[left - 1] <= turn:
            left -= 1
        if left < len(moving):
            done.append(moving[left:])
            moving = moving[:left]
        drawn = rows[by_class[first[:left] + turn]]
        moving = functional.normalize(momentum * moving + (1 - momentum) * drawn, dim=1)
    return prototypes.index_copy(0, present, torch.cat([moving, *reversed(done)]))
