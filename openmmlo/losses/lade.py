"""LADE: balanced softmax, and a bound that draws the logits towards those of uniform classes."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from openmmlo.errors import ConfigError
from openmmlo.losses.class_counts import log_prior
from openmmlo.losses.precision import widened


class LADE(nn.Module):
    """Balanced softmax plus alpha times a regularised Donsker-Varadhan bound on the logits themselves.

    Hong et al., Disentangling Label Distribution for Long-tailed Visual Recognition, CVPR 2021 (arXiv:2012.00321).
    CE(z + log π) + alpha L_r with L_r = -Σ_c π_c (mean of z_ic over samples of c - E_c - lam E_c²) and
    E_c = log mean_i exp(z_ic - log π_c - log C). The prior is added in the first part alone: in the second it would
    cancel the correction. A class without a sample in the batch has a mean of zero. The raw logits classify.

    Args:
        class_counts: (C,) training images of each class.
        alpha: weight of the bound; the authors' 0.05 for ImageNet-LT, theirs for CIFAR-100-LT (ratio 100) is 0.1.
        lam: λ, weight of E_c²; 0.5 for ImageNet-LT, 0.01 for CIFAR-100-LT.

    logits (B, C), targets (B,) int64 -> scalar, in nats.

    Raises:
        ConfigError: alpha or lam below 0.
        DataError: a class has no training image.
    """

    log_prior: Tensor
    prior: Tensor

    def __init__(self, class_counts: Tensor, alpha: float = 0.05, lam: float = 0.5) -> None:
        super().__init__()
        for name, value in (("alpha", alpha), ("lam", lam)):
            if not 0 <= value < math.inf:
                raise ConfigError(f"lade: {name} is {value}; expected 0 or more.")
        self.alpha = alpha
        self.lam = lam
        self.register_buffer("log_prior", log_prior(class_counts, "lade"))
        self.register_buffer("prior", self.log_prior.exp())

    def forward(self, logits: Tensor, targets: Tensor, scale: Tensor | float = 1.0) -> Tensor:
        scores = widened(logits)
        loss = functional.cross_entropy(scores + self.log_prior, targets)
        return loss if self.alpha == 0 else loss + self.alpha * self.bound(scores, targets)

    def bound(self, scores: Tensor, targets: Tensor) -> Tensor:
        """L_r of raw logits (B, C)."""
        samples, classes = scores.shape
        seen = self.prior.new_zeros(classes).scatter_add(0, targets, torch.ones_like(targets, dtype=self.prior.dtype))
        own = scores.gather(1, targets[:, None])[:, 0]
        means = (own * self.prior[targets] / seen[targets]).sum()  # Σ_c π_c mean of c, a sum over samples
        spread = scores.logsumexp(dim=0) - math.log(samples) - self.log_prior - math.log(classes)
        return (self.prior * (spread + self.lam * spread.square())).sum() - means
