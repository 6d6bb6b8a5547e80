"""The learning rate as a function of the step."""

from __future__ import annotations

import math

from openmmlo.errors import ConfigError


def learning_rate(step: int, steps: int, lr: float, min_lr: float = 0.0, warmup_steps: int = 0) -> float:
    """Linear warm-up to ``lr``, then half a cosine towards ``min_lr`` (Loshchilov and Hutter, arXiv:1608.03983).

    With w warm-up steps of S: lr (s + 1) / (w + 1) for s < w; then min_lr + (lr - min_lr) (1 + cos(pi u)) / 2 with
    u = (s - w) / (S - w). The first step trains, step w has ``lr``, and ``min_lr`` would be reached at step S.

    Args:
        step: s, from 0 to S - 1.
    """
    if step < warmup_steps:
        return lr * (step + 1) / (warmup_steps + 1)
    share = (step - warmup_steps) / (steps - warmup_steps)
    return min_lr + (lr - min_lr) * (1 + math.cos(math.pi * share)) / 2


def check_schedule(steps: int, warmup_steps: int) -> None:
    """Raises ConfigError where the warm-up would never end. A run without a step needs none."""
    if steps and warmup_steps >= steps:
        raise ConfigError(
            f"warmup_steps is {warmup_steps} of {steps} steps; the learning rate would never be reached. Expected "
            "fewer: a twentieth of the steps is common (--set warmup_steps=N)."
        )
