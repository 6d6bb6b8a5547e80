"""Training images of each class, and the logarithm of their shares."""

from __future__ import annotations

import torch
from torch import Tensor

from openmmlo.errors import DataError


def checked_counts(class_counts: Tensor, where: str, least: int = 1) -> Tensor:
    """(C,) class counts in float64.

    Args:
        where: what needs them, for messages.
        least: images that each class must have.

    Raises:
        DataError: not a row of numbers, or a class with fewer images.
    """
    counts = torch.as_tensor(class_counts).detach().to(torch.float64)
    if counts.ndim != 1 or not len(counts):
        raise DataError(f"{where}: class counts of shape {tuple(counts.shape)}; expected (C,), one number a class.")
    short = ~((counts >= least) & counts.isfinite())
    if short.any():
        first = int(short.nonzero()[0])
        raise DataError(
            f"{where}: {int(short.sum()):,} of {len(counts):,} classes have fewer than {least} training images (class "
            f"{first} has {counts[first].item():g}). Leave these classes out, or choose a split that has them."
        )
    return counts


def log_prior(class_counts: Tensor, where: str) -> Tensor:
    """(C,) float32 log π, π_c = n_c / Σ n.

    Raises:
        DataError: a class has no training image.
    """
    counts = checked_counts(class_counts, where)
    return (counts / counts.sum()).log().float()
