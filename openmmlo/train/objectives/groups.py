"""Which parameters are trained, by the names of the parts they belong to, and which of them decay."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from typing import Any

from torch import nn


def freeze(model: nn.Module, patterns: Collection[str]) -> None:
    """Stop the gradient of every parameter whose dotted name matches a pattern, such as ``text.*.attention.*``."""
    for name, parameter in model.named_parameters():
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            parameter.requires_grad_(False)


def rest_frozen_parts(model: Any, train_image_encoder: bool, train_text_encoder: bool) -> None:
    """Evaluation mode for the encoders that are not trained: no dropout, and BatchNorm neither sees nor counts."""
    if not train_image_encoder:
        model.image_encoder.eval()
    if not train_text_encoder:
        model.text.eval()


def parameter_groups(
    model: nn.Module, steady: Collection[str] = (), factors: Mapping[str, float] | None = None
) -> list[dict[str, Any]]:
    """Groups for the optimiser of all parameters with a gradient: weights decay, the others do not.

    No decay: biases, gains of norms and scalars (temperature, kappa, scale), that is whatever has fewer than two axes.

    Args:
        steady: dotted names of what does not decay either.
        factors: dotted name -> factor on its learning rate.
    """
    factors = factors or {}
    groups: dict[tuple[bool, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            decays = parameter.ndim > 1 and name not in steady
            groups.setdefault((decays, factors.get(name, 1.0)), []).append(parameter)
    return [
        {"params": parameters, "lr_factor": factor, "weight_decay": None if decays else 0.0}
        for (decays, factor), parameters in groups.items()
    ]
