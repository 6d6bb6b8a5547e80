"""Next-token cross-entropy of a decoder under teacher forcing."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

IGNORED = -100
"""Target of a place that is no token."""


def next_token_loss(logits: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Sum of cross-entropies over all tokens that count, in nats; divide by their number for the mean.

    The sum, not the mean: processes hold different numbers of tokens, and the mean over all is wanted.

    Args:
        logits: (B, T, V), any float type; the loss is computed in float32.
        targets: (B, T) int64: the token that follows each place, IGNORED where there is none.
        label_smoothing: share of the target spread evenly over all V tokens; 0.1 in BLIP.
    """
    return functional.cross_entropy(
        logits.float().flatten(0, 1),
        targets.flatten(),
        ignore_index=IGNORED,
        reduction="sum",
        label_smoothing=label_smoothing,
    )
