"""The learning rate against torch's own schedules, which step by recursion, and at its corners."""

from __future__ import annotations

import pytest
import torch

from openmmlo.errors import ConfigError
from openmmlo.train.schedule import check_schedule, learning_rate


def test_it_equals_torchs_linear_and_cosine_schedules() -> None:
    steps, warmup, lr, least = 57, 9, 3e-3, 2e-4
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([parameter], lr=lr)
    schedule = torch.optim.lr_scheduler.SequentialLR(
        optimiser,
        [
            torch.optim.lr_scheduler.LinearLR(optimiser, 1 / (warmup + 1), 1.0, warmup),
            torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps - warmup, least),
        ],
        [warmup],
    )
    for step in range(steps):
        assert learning_rate(step, steps, lr, least, warmup) == pytest.approx(optimiser.param_groups[0]["lr"], rel=1e-9)
        optimiser.step()
        schedule.step()


def test_its_corners() -> None:
    assert learning_rate(0, 10, 1.0) == 1.0
    assert learning_rate(5, 10, 1.0, 0.2) == pytest.approx(0.6)
    assert learning_rate(0, 100, 1.0, 0.0, 3) == 0.25
    assert learning_rate(3, 100, 1.0, 0.0, 3) == 1.0
    assert 0 < learning_rate(99, 100, 1.0) < 1e-3
    assert learning_rate(0, 1, 1.0) == 1.0


def test_a_warm_up_that_never_ends_is_refused() -> None:
    check_schedule(10, 9)
    with pytest.raises(ConfigError, match="warmup_steps is 10 of 10 steps"):
        check_schedule(10, 10)
