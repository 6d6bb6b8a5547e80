"""Logit adjustment in training."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional

from openmmlo.errors import ConfigError
from openmmlo.losses.class_counts import log_prior
from openmmlo.losses.precision import widened


class LogitAdjustment(nn.Module):
    """Cross-entropy of logits to which tau times the log class prior is added.

    Menon et al., Long-tail learning via logit adjustment, ICLR 2021 (arXiv:2007.07314), equation 10. The raw logits
    classify; whoever takes the prior away from them once more does it twice.

    Args:
        class_counts: (C,) training images of each class.
        tau: of the paper, 1; 0 is cross-entropy.

    logits (B, C), targets (B,) int64 -> scalar, in nats.

    Raises:
        ConfigError: tau below 0.
        DataError: a class has no training image.
    """

    shift: Tensor

    def __init__(self, class_counts: Tensor, tau: float = 1.0) -> None:
        super().__init__()
        if not 0 <= tau < math.inf:
            raise ConfigError(f"logit-adjustment: tau is {tau}; expected 0 or more.")
        self.register_buffer("shift", tau * log_prior(class_counts, "logit-adjustment"))

    def forward(self, logits: Tensor, targets: Tensor, scale: Tensor | float = 1.0) -> Tensor:
        return functional.cross_entropy(widened(logits) + self.shift, targets)
