"""Class-balanced loss, and its weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from openmmlo.errors import ConfigError
from openmmlo.losses.class_counts import checked_counts
from openmmlo.losses.precision import widened


def effective_weights(class_counts: Tensor, beta: float, where: str) -> Tensor:
    """(C,) float32 weights (1 - beta) / (1 - beta^n_c), rescaled to sum C.

    beta 0 weighs classes alike; towards 1 the weights become inverse counts.

    Raises:
        ConfigError: beta outside [0, 1).
        DataError: a class has no training image.
    """
    if not 0 <= beta < 1:
        raise ConfigError(f"{where}: beta is {beta}; expected a share from 0 to below 1.")
    counts = checked_counts(class_counts, where)
    log_beta = math.log(beta) if beta else -math.inf
    weights = -1 / torch.expm1(counts * log_beta)  # 1 - beta is in every class's, and leaves with the rescaling
    return (weights * (len(weights) / weights.sum())).float()


class ClassBalanced(nn.Module):
    """Cross-entropy weighed by the inverse effective number of images of the class: mean of w_y (-log p_y).

    Cui et al., Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019 (arXiv:1901.05555), on a softmax.
    The mean is over samples, so that a batch of head classes has a small loss.

    Args:
        class_counts: (C,) training images of each class.
        beta: of the paper's (0.9, 0.99, 0.999, 0.9999) the last, its choice for the large sets.

    logits (B, C), targets (B,) int64 -> scalar, in nats.

    Raises:
        ConfigError: beta outside [0, 1).
        DataError: a class has no training image.
    """

    weights: Tensor

    def __init__(self, class_counts: Tensor, beta: float = 0.9999) -> None:
        super().__init__()
        self.register_buffer("weights", effective_weights(class_counts, beta, "class-balanced"))

    def forward(self, logits: Tensor, targets: Tensor, scale: Tensor | float = 1.0) -> Tensor:
        nats = functional.cross_entropy(widened(logits), targets, reduction="none")
        return (self.weights[targets] * nats).mean()
