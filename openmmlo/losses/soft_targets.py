"""Cross-entropy against a mixture of one true column and a teacher's distribution."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def soft_target_cross_entropy(logits: Tensor, targets: Tensor, teacher_logits: Tensor, alpha: float) -> Tensor:
    """CE(q, softmax(logits)) with q = α·softmax(teacher_logits) + (1 − α)·one-hot, mean over rows, in nats.

    This is (1 − α)·CE(targets) + α·CE(teacher), without q in memory: Σ q = 1, so that CE = logsumexp(s) − Σ q·s. Soft
    targets of contrastive learning (ALBEF, arXiv:2107.07651; BLIP, arXiv:2201.12086) and distillation from a momentum
    teacher are this one formula.

    Args:
        logits: (B, C), any float type; the loss is computed in float32.
        targets: (B,) int64, the true column of each row.
        teacher_logits: (B, C); no gradient flows into them.
        alpha: weight of the teacher in [0, 1]; at 0 it is not read, and may be of any shape.
    """
    logits = logits.float()
    hard = functional.cross_entropy(logits, targets)
    if alpha == 0:
        return hard
    probabilities = teacher_logits.detach().float().softmax(dim=1)
    soft = (logits.logsumexp(dim=1) - (probabilities * logits).sum(dim=1)).mean()
    return (1 - alpha) * hard + alpha * soft
