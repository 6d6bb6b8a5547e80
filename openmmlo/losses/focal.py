"""Focal loss."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional

from openmmlo.errors import ConfigError
from openmmlo.losses.class_counts import checked_counts
from openmmlo.losses.precision import widened

LEAST = 1e-12
"""Below this 1 - p_y has no slope, so that a gamma below 1 has none that is infinite."""


class Focal(nn.Module):
    """Cross-entropy in which samples that are classified well count less: mean of (1 - p_y)^gamma (-log p_y).

    Lin et al., Focal Loss for Dense Object Detection, ICCV 2017 (arXiv:1708.02002), over a softmax in place of the
    paper's sigmoids, as long-tail papers compare with.

    Args:
        class_counts: (C,) training images of each class; not used.
        gamma: of the paper, 2; 0 is cross-entropy. LDAM's comparison has 1.

    logits (B, C), targets (B,) int64 -> scalar, in nats.

    Raises:
        ConfigError: gamma below 0.
    """

    def __init__(self, class_counts: Tensor, gamma: float = 2.0) -> None:
        super().__init__()
        if not 0 <= gamma < math.inf:
            raise ConfigError(f"focal: gamma is {gamma}; expected 0 or more.")
        checked_counts(class_counts, "focal", least=0)
        self.gamma = gamma

    def forward(self, logits: Tensor, targets: Tensor, scale: Tensor | float = 1.0) -> Tensor:
        nats = functional.cross_entropy(widened(logits), targets, reduction="none")
        missing = -(-nats).expm1()  # 1 - p_y, without its cancellation where p_y is near 1
        return (missing.clamp_min(LEAST) ** self.gamma * nats).mean()
