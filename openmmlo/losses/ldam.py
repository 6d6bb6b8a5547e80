"""LDAM: margins that are wider for rare classes, and class weights late in training."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional

from openmmlo.errors import ConfigError
from openmmlo.losses.class_balanced import effective_weights
from openmmlo.losses.class_counts import checked_counts
from openmmlo.losses.precision import widened


class LDAM(nn.Module):
    """Cross-entropy after a margin is taken from the target's score, rarer classes a wider one; weighed late (DRW).

    Cao et al., Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss, NeurIPS 2019
    (arXiv:1906.07413). The margin is Δ_c = max_margin (n_min / n_c)^(1/4) on similarities, so times ``scale`` on the
    logits; made for a cosine head, where the paper's scale is 30. From ``reweight_from`` on, samples have the weights
    of the class-balanced loss, and the mean is over weights, as in the authors' code.

    Args:
        class_counts: (C,) training images of each class.
        max_margin: of the rarest class.
        beta: of the weights.
        reweight_from: share of the run before which all samples weigh alike, the paper's 160 of 200 epochs; 1 is never.

    logits (B, C), targets (B,) int64 -> scalar, in nats.

    Raises:
        ConfigError: a margin below 0, beta outside [0, 1), a share outside [0, 1].
        DataError: a class has no training image.
    """

    margins: Tensor
    weights: Tensor

    def __init__(
        self, class_counts: Tensor, max_margin: float = 0.5, beta: float = 0.9999, reweight_from: float = 0.8
    ) -> None:
        super().__init__()
        if not 0 <= max_margin < math.inf:
            raise ConfigError(f"ldam: max_margin is {max_margin}; expected 0 or more.")
        if not 0 <= reweight_from <= 1:
            raise ConfigError(f"ldam: reweight_from is {reweight_from}; expected a share from 0 to 1.")
        counts = checked_counts(class_counts, "ldam")
        self.register_buffer("margins", (max_margin * (counts.min() / counts) ** 0.25).float())
        self.register_buffer("weights", effective_weights(class_counts, beta, "ldam"))
        self.reweight_from = reweight_from
        self.reweighs = False
        self.at(0.0)

    def at(self, share: float) -> None:
        """Whether samples are weighed, by the share of the run that is done."""
        self.reweighs = share >= self.reweight_from

    def forward(self, logits: Tensor, targets: Tensor, scale: Tensor | float = 1.0) -> Tensor:
        scores = widened(logits)
        margins = (self.margins[targets] * scale).to(scores.dtype)
        harder = scores.scatter_add(1, targets[:, None], -margins[:, None])
        weights = self.weights.to(scores.dtype) if self.reweighs else None
        return functional.cross_entropy(harder, targets, weights)
