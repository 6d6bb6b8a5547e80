"""How a teacher's share in the targets rises."""

from __future__ import annotations

from openmmlo.train.state import StepState


def ramp(alpha: float, epochs: float, state: StepState) -> float:
    """``alpha`` after ``epochs`` epochs, and before that the part of it that has passed: 0 in the first step."""
    if epochs <= 0:
        return alpha
    return alpha * min(1.0, state.epochs_done / epochs)
