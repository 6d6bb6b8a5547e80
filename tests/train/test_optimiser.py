"""AdamW over groups: who is trained, with which rate and decay, and how gradients are clipped."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from training import TinyObjective

from openmmlo.errors import ConfigError
from openmmlo.train.optimiser import build_optimiser, gradient_norm, set_learning_rate, trained_parameters


def test_groups_keep_their_share_of_the_rate_and_their_decay() -> None:
    optimiser = build_optimiser(TinyObjective(), 0.1, 0.9, 0.98, 0.05)
    set_learning_rate(optimiser, 0.02)
    found = [(group["lr"], group["weight_decay"], group["betas"]) for group in optimiser.param_groups]
    assert found == [(0.02, 0.05, (0.9, 0.98)), (0.04, 0.0, (0.9, 0.98))]


def test_what_is_in_no_group_stops_to_require_gradients() -> None:
    objective = TinyObjective()
    objective.parameter_groups = lambda: [{"params": list(objective.model.head.parameters())}, {"params": []}]  # type: ignore[method-assign]
    optimiser = build_optimiser(objective, 0.1, 0.9, 0.98, 0.05)
    assert len(trained_parameters(optimiser)) == 2
    trained = {name for name, parameter in objective.named_parameters() if parameter.requires_grad}
    assert trained == {"model.head.weight", "model.head.bias"}


def test_training_nothing_is_refused() -> None:
    objective = TinyObjective()
    objective.parameter_groups = list  # type: ignore[method-assign]
    with pytest.raises(ConfigError, match="Nothing is trained"):
        build_optimiser(objective, 0.1, 0.9, 0.98, 0.05)


def test_one_step_is_decoupled_weight_decay() -> None:
    """By hand: with a zero gradient Adam moves nothing, and the weight shrinks by lr * weight_decay."""
    objective = TinyObjective()
    optimiser = build_optimiser(objective, 0.1, 0.9, 0.98, 0.05)
    before = objective.model.body.weight.detach().clone(), objective.model.head.weight.detach().clone()
    for parameter in trained_parameters(optimiser):
        parameter.grad = torch.zeros_like(parameter)
    set_learning_rate(optimiser, 0.1)
    optimiser.step()
    torch.testing.assert_close(objective.model.body.weight, before[0] * (1 - 0.1 * 0.05))
    torch.testing.assert_close(objective.model.head.weight, before[1])


@pytest.mark.parametrize("largest", [None, 0.5, 100.0])
def test_the_norm_is_that_of_all_gradients_and_clips(largest: float | None) -> None:
    parameters = [nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(2, 2)), nn.Parameter(torch.zeros(1))]
    parameters[0].grad, parameters[1].grad = torch.tensor([1.0, 2.0, 2.0]), torch.full((2, 2), 2.0)
    norm = gradient_norm(parameters, largest)
    assert float(norm) == pytest.approx(5.0)
    left = torch.cat([parameters[0].grad, parameters[1].grad.flatten()]).norm()
    assert float(left) == pytest.approx(5.0 if largest in (None, 100.0) else 0.5, rel=1e-4)
