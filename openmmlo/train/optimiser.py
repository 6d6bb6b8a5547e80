"""AdamW over what an objective says is trained, each group with its own share of the learning rate."""

from __future__ import annotations

from typing import Any

import torch

from openmmlo.errors import ConfigError
from openmmlo.train.objective import Objective


def build_optimiser(
    objective: Objective, lr: float, beta1: float, beta2: float, weight_decay: float
) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter, arXiv:1711.05101) over the objective's groups.

    A parameter in no group stops to require gradients: it is not trained, and costs no gradient.

    Raises:
        ConfigError: nothing is trained.
        ValueError: a parameter is in two groups.
    """
    groups: list[dict[str, Any]] = []
    for group in objective.parameter_groups():
        parameters = list(group["params"])
        if parameters:
            factor = float(group.get("lr_factor", 1.0))
            decay = group.get("weight_decay")
            decay = weight_decay if decay is None else float(decay)
            groups.append({"params": parameters, "lr": lr * factor, "lr_factor": factor, "weight_decay": decay})
    if not groups:
        raise ConfigError("Nothing is trained: every part of the model is frozen. Unfreeze one in the recipe.")
    trained = {id(parameter) for group in groups for parameter in group["params"]}
    for _, parameter in objective.named_parameters():
        parameter.requires_grad_(id(parameter) in trained)
    device = groups[0]["params"][0].device.type
    return torch.optim.AdamW(groups, lr=lr, betas=(beta1, beta2), fused=device in {"cpu", "cuda"})


def set_learning_rate(optimiser: torch.optim.Optimizer, lr: float) -> None:
    """Give every group its share."""
    for group in optimiser.param_groups:
        group["lr"] = lr * group["lr_factor"]


def trained_parameters(optimiser: torch.optim.Optimizer) -> list[torch.nn.Parameter]:
    """Every parameter that the optimiser changes."""
    return [parameter for group in optimiser.param_groups for parameter in group["params"]]


def gradient_norm(parameters: list[torch.nn.Parameter], largest: float | None) -> torch.Tensor:
    """The L2 norm of all gradients together; where it is above ``largest`` they are scaled down to it."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients, norm_type=2.0)
    if largest is not None:
        torch.nn.utils.clip_grads_with_norm_(parameters, largest, norm)
    return norm
