"""Which parameters are trained, with which decay and which share of the learning rate."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from openmmlo.train.objectives.groups import freeze, parameter_groups


class Parts(nn.Module):
    """A little of everything."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3))
        self.head = nn.Linear(3, 2, bias=False)
        self.scale = nn.Parameter(torch.zeros(()))
        self.tied = self.head


def named(module: nn.Module, groups: list[dict[str, Any]]) -> dict[str, tuple[Any, float]]:
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    return {
        names[id(parameter)]: (group["weight_decay"], group["lr_factor"])
        for group in groups
        for parameter in group["params"]
    }


def test_weights_decay_as_the_recipe_says_and_nothing_else_does() -> None:
    parts = Parts()
    groups = parameter_groups(parts)
    assert sum(len(group["params"]) for group in groups) == 6
    assert named(parts, groups) == {
        "body.0.weight": (None, 1.0),
        "body.0.bias": (0.0, 1.0),
        "body.1.weight": (0.0, 1.0),
        "body.1.bias": (0.0, 1.0),
        "head.weight": (None, 1.0),
        "scale": (0.0, 1.0),
    }


def test_names_may_be_excepted_and_have_a_rate_of_their_own() -> None:
    parts = Parts()
    found = named(parts, parameter_groups(parts, ["head.weight"], {"scale": 500.0}))
    assert found["head.weight"] == (0.0, 1.0)
    assert found["scale"] == (0.0, 500.0)
    assert found["body.0.weight"] == (None, 1.0)


def test_what_is_frozen_is_in_no_group() -> None:
    parts = Parts()
    freeze(parts, ["body.*.weight", "scale"])
    assert set(named(parts, parameter_groups(parts))) == {"body.0.bias", "body.1.bias", "head.weight"}
