"""Every metric has a direction, and better predictions move it that way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from openmmlo.evaluate.metrics import DIRECTIONS, METRICS
from openmmlo.evaluate.metrics.accuracy import class_accuracies

LABELS = np.repeat(np.arange(4), 25)
GROUPS = ("many", "many", "few", "few")


def arguments(name: str, skill: float) -> tuple[Any, ...]:
    """What a metric is called with, for a model of that skill between 0 and 1."""
    random = np.random.default_rng(0)
    predicted = np.where(random.random(100) < skill, LABELS, (LABELS + 2) % 4)
    right = predicted == LABELS
    per_class = class_accuracies(LABELS, predicted, 4)
    ids = [f"{number}" for number in range(100)]
    inside, outside = random.normal(size=100), random.normal(3 * skill, 1, 80)
    return {
        "top1-samples": (LABELS, predicted),
        "top1-classes": (per_class,),
        "groups": (per_class, GROUPS),
        "harmonic-mean": (per_class,),
        "worst-10-percent": (per_class,),
        "false-head-rate": (LABELS, predicted, GROUPS),
        "calibration-error": (right, np.full(100, 0.99)),
        "test-priors": (ids, LABELS, right, [200, 150, 10, 5]),
        "oltr-f-measure": (LABELS, predicted, np.full(100, 0.9), np.full(50, 0.9)),
    }.get(name, (inside, outside))


def test_every_metric_has_a_direction() -> None:
    assert set(DIRECTIONS) == set(METRICS)


@pytest.mark.parametrize("name", [name for name, way in DIRECTIONS.items() if way != "none"])
def test_a_better_model_moves_a_metric_in_its_direction(name: str) -> None:
    worse, better = (METRICS.load(name)(*arguments(name, skill)) for skill in (0.3, 0.9))
    if name == "groups":
        worse, better = worse["few"], better["few"]
    if name == "test-priors":
        worse, better = worse["uniform"]["top1_samples"], better["uniform"]["top1_samples"]
    assert better > worse if DIRECTIONS[name] == "higher" else better < worse
