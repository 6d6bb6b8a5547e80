"""Balanced softmax."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from openmmlo.losses.class_counts import checked_counts
from openmmlo.losses.precision import widened


class BalancedSoftmax(nn.Module):
    """Cross-entropy over a softmax in which each class counts as often as it has images: of z_c + log n_c.

    Ren et al., Balanced Meta-Softmax for Long-Tailed Visual Recognition, NeurIPS 2020 (arXiv:2007.10740). The raw
    logits classify.

    Args:
        class_counts: (C,) training images of each class.

    logits (B, C), targets (B,) int64 -> scalar, in nats.

    Raises:
        DataError: a class has no training image.
    """

    log_counts: Tensor

    def __init__(self, class_counts: Tensor) -> None:
        super().__init__()
        self.register_buffer("log_counts", checked_counts(class_counts, "balanced-softmax").log().float())

    def forward(self, logits: Tensor, targets: Tensor, scale: Tensor | float = 1.0) -> Tensor:
        return functional.cross_entropy(widened(logits) + self.log_counts, targets)
