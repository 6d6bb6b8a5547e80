"""Plain cross-entropy."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from openmmlo.losses.class_counts import checked_counts
from openmmlo.losses.precision import widened


class CrossEntropy(nn.Module):
    """Mean of -log p_y; every sample counts alike.

    Args:
        class_counts: (C,) training images of each class; not used.

    logits (B, C), targets (B,) int64 -> scalar, in nats.
    """

    def __init__(self, class_counts: Tensor) -> None:
        super().__init__()
        checked_counts(class_counts, "cross-entropy", least=0)

    def forward(self, logits: Tensor, targets: Tensor, scale: Tensor | float = 1.0) -> Tensor:
        return functional.cross_entropy(widened(logits), targets)
