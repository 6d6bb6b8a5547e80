"""The teacher's share rises in a straight line and stays."""

from __future__ import annotations

import pytest

from openmmlo.train.objectives.ramp import ramp
from openmmlo.train.state import StepState


@pytest.mark.parametrize(
    ("epoch", "progress", "epochs", "expected"),
    [(0, 0.0, 2.0, 0.0), (0, 0.5, 2.0, 0.1), (1, 0.0, 2.0, 0.2), (1, 0.75, 2.0, 0.35), (2, 0.0, 2.0, 0.4),
     (9, 0.3, 2.0, 0.4), (0, 0.25, 0.5, 0.2), (0, 0.0, 0.0, 0.4)],
)  # fmt: skip
def test_share(epoch: int, progress: float, epochs: float, expected: float) -> None:
    state = StepState(seed=0, step=0, epoch=epoch, epoch_progress=progress, steps=100)
    assert ramp(0.4, epochs, state) == pytest.approx(expected)
