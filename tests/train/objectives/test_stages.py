"""Classification with any loss, and second stages: what is computed, what is trained, and what stays as it was."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from objective_runs import finetuning, optimiser_of, pairs, state_at, take_step

from openmmlo.losses import LOSSES, make_loss
from openmmlo.train.objectives.finetune import Finetuning

COUNTS = torch.tensor([40, 12, 6, 2])
RESNET: dict[str, Any] = {"image_encoder": "test_resnet", "image_options": {}, "image_size": 64}


def objective_of(**options: Any) -> Finetuning:
    return finetuning(**{"distill": False, "train_image_encoder": False, "train_text_encoder": False} | options)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_of_the_whole_heads_logits(name: str) -> None:
    objective = objective_of(loss=make_loss(name, COUNTS), head="cosine", head_scale_start=7.0)
    batch = pairs(12)
    found = objective(batch, state_at(1))
    logits = objective.model.classify(batch.pixels, batch.tokens, batch.mask)[1]
    expected = make_loss(name, COUNTS)(logits, batch.labels, scale=7.0)
    assert float(found["loss"].detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    found["loss"].backward()
    assert float(objective.model.head.centres.grad.norm()) > 0


def test_margins_are_of_cosines_and_weights_come_late() -> None:
    """CE of s (cos - Δ_y at the target), Δ_c = 0.5 (n_min / n_c)^(1/4); weights (1 - β) / (1 - β^n) from 80 of 100."""
    objective = objective_of(loss=make_loss("ldam", COUNTS), head="cosine", head_scale_start=30.0)
    batch = pairs(12)
    with torch.no_grad():
        features = objective.model.classify(batch.pixels, batch.tokens, batch.mask)[0]
        rows, centres = (torch.nn.functional.normalize(part) for part in (features, objective.model.head.centres))
        losses = []
        for row, label in zip(rows.double(), batch.labels.tolist(), strict=True):
            scores = [30 * float(row @ centre.double()) for centre in centres]
            scores[label] -= 30 * 0.5 * (2 / int(COUNTS[label])) ** 0.25
            p = torch.tensor(scores, dtype=torch.float64).softmax(0)
            losses.append(-float(p[label].log()))
        share = [(1 - 0.9999) / (1 - 0.9999 ** int(COUNTS[label])) for label in batch.labels.tolist()]
    alike = sum(losses) / 12
    weighed = sum(w * loss for w, loss in zip(share, losses, strict=True)) / sum(share)
    assert abs(alike - weighed) > 0.01 * alike
    for step, expected in ((0, alike), (79, alike), (80, weighed), (99, weighed)):
        objective.before_step(state_at(step))
        assert float(objective(batch, state_at(step))["loss"].detach()) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("options", "trained"),
    [
        ({"trains": "classifier", "head": "linear"}, {"head.centres", "head.bias"}),
        ({"trains": "classifier", "head": "cosine"}, {"head.centres", "head.scale"}),
        ({"trains": "class-scales", "head": "linear", "class_scales": True}, {"head.class_scales"}),
        ({"trains": "classifier", "head": "linear", "experts": 2}, {"head.centres", "head.bias"}),
    ],
)
def test_a_second_stage_moves_its_part_alone(options: dict[str, Any], trained: set[str]) -> None:
    objective = objective_of(**options | RESNET)
    before = copy.deepcopy(objective.model.state_dict())
    optimiser = optimiser_of(objective, torch.optim.SGD, 0.1)
    for step in range(2):
        take_step(objective.train(), objective, pairs(8, seed=step, side=64), state_at(step), optimiser)
    assert any(name.endswith("running_var") for name in before)
    moved = {name for name, value in objective.model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == trained


def test_class_scales_do_not_decay() -> None:
    objective = objective_of(trains="class-scales", head="linear", class_scales=True)
    (group,) = objective.parameter_groups()
    assert (len(group["params"]), group["weight_decay"]) == (1, 0.0)


@pytest.mark.parametrize(("factor", "trained"), [(0.0, False), (2.0, True)])
def test_a_scale_without_a_rate_stays(factor: float, trained: bool) -> None:
    objective = objective_of(head="cosine", scale_lr_factor=factor, experts=2)
    assert objective.model.head.scale.requires_grad == trained
    assert objective.model.head.adapter.scale.requires_grad == trained
    assert objective.model.head.centres.requires_grad


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="set distill to False"):
        objective_of(distill=True, loss=make_loss("focal", COUNTS))
    with pytest.raises(ValueError, match="both encoders must be frozen"):
        objective_of(trains="classifier", train_text_encoder=True)
