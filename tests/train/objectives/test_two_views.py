"""Features from two views: the losses against loops, what is trained, prototypes, and going on exactly."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from objective_runs import doubled, optimiser_of, pairs, small_model, state_at, take_step, two_views

from openmmlo.losses import make_feature_loss
from openmmlo.train.objective import Objective
from openmmlo.train.objectives.two_views import TwoViews, by_view


def units_of(objective: Any, batch: Any) -> list[list[float]]:
    """Projected features of both views, in plain numbers."""
    with torch.no_grad():
        twice = doubled(batch)
        features = objective.model.classify(twice.pixels)[0]
        return torch.nn.functional.normalize(objective.projection(features)).double().tolist()


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def test_supervised_contrast_is_that_of_its_formula() -> None:
    objective, batch = two_views(temperature=0.2), pairs(6)
    units, labels = units_of(objective, batch), batch.labels.tolist() * 2
    total = 0.0
    for i, unit in enumerate(units):
        others = [j for j in range(12) if j != i]
        below = math.log(sum(math.exp(dot(unit, units[j]) / 0.2) for j in others))
        positives = [j for j in others if labels[j] == labels[i]]
        total += sum(below - dot(unit, units[j]) / 0.2 for j in positives) / len(positives)
    found = objective(batch, state_at(0))
    assert set(found) == {"loss"}
    assert float(found["loss"].detach()) == pytest.approx(total / 12, rel=1e-5)


def test_prototypes_move_with_every_view_and_are_state() -> None:
    objective, batch = two_views("cider", momentum=0.5).train(), pairs(6)
    units, labels = units_of(objective, batch), batch.labels.tolist() * 2
    expected = [[0.0] * 8 for _ in range(4)]
    for unit, label in zip(units, labels, strict=True):
        mixed = [0.5 * old + 0.5 * new for old, new in zip(expected[label], unit, strict=True)]
        length = math.sqrt(dot(mixed, mixed))
        expected[label] = [value / length for value in mixed]
    found = objective(batch, state_at(0))
    assert set(found) == {"loss", "compactness", "dispersion"}
    assert [name for name, value in found.items() if value.requires_grad] == ["loss"]
    kept = objective.state_dict()["loss.prototypes"]
    torch.testing.assert_close(kept, torch.tensor(expected), rtol=1e-4, atol=1e-5)
    objective.eval()(batch, state_at(1))
    assert torch.equal(objective.state_dict()["loss.prototypes"], kept)


@pytest.mark.parametrize("loss", ["supcon", "cider"])
def test_features_are_trained_and_the_class_layer_is_not(loss: str) -> None:
    objective = two_views(loss).train()
    assert isinstance(objective, Objective)
    objective(pairs(8), state_at(0))["loss"].backward()
    trained = {id(parameter) for group in objective.parameter_groups() for parameter in group["params"]}
    for name, parameter in objective.named_parameters():
        moved = parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)
        assert (id(parameter) in trained) == parameter.requires_grad, name
        if name.startswith(("projection.", "model.head.adapter.", "model.image_encoder.network.blocks")):
            assert moved or name.endswith("key.bias"), name
    assert not objective.model.head.centres.requires_grad
    assert not objective.model.head.scale.requires_grad


def test_the_nearest_other_sample_is_looked_at() -> None:
    objective, batch = two_views().eval(), pairs(10, seed=2)
    batch = replace(batch, labels=torch.tensor([0, 0, 1, 1, 2, 2, 3, -1, -1, 0]))
    with torch.no_grad():
        rows = torch.nn.functional.normalize(objective.features(batch)).tolist()
    right, counted = 0, 0
    for i, row in enumerate(rows):
        label = int(batch.labels[i])
        if label < 0 or int((batch.labels == label).sum()) < 2:
            continue
        nearest = max((j for j in range(10) if j != i), key=lambda j: dot(row, rows[j]))
        counted, right = counted + 1, right + (int(batch.labels[nearest]) == label)
    assert counted == 7
    assert objective.validate(batch, state_at(0)) == {"neighbour": (right, 7)}


def test_a_run_goes_on_bit_for_bit_from_its_state() -> None:
    objective = two_views("cider").train()
    optimiser = optimiser_of(objective, torch.optim.AdamW, 1e-3)
    for step in range(2):
        take_step(objective, objective, pairs(8, seed=step), state_at(step), optimiser)
    kept = copy.deepcopy((objective.state_dict(), optimiser.state_dict()))
    other = two_views("cider").train()
    others = optimiser_of(other, torch.optim.AdamW, 1e-3)
    other.load_state_dict(kept[0])
    others.load_state_dict(kept[1])
    for step in range(2, 4):
        undisturbed = take_step(objective, objective, pairs(8, seed=step), state_at(step), optimiser)
        resumed = take_step(other, other, pairs(8, seed=step), state_at(step), others)
        assert torch.equal(undisturbed["loss"], resumed["loss"])


def test_views_of_several_processes_come_in_the_order_of_one() -> None:
    one = torch.tensor([10, 11, 12, 13, 20, 21, 22, 23])  # first and second views of four images
    two = torch.tensor([10, 11, 20, 21, 12, 13, 22, 23])  # of two processes
    assert by_view(one, 1).tolist() == one.tolist()
    assert by_view(two, 2).tolist() == one.tolist()
    assert by_view(two[:, None] * torch.ones(8, 3), 2)[:, 2].tolist() == one.tolist()


def test_frozen_parts_stay_and_classes_are_needed() -> None:
    loss = make_feature_loss("supcon", 4, 8)
    frozen = TwoViews(small_model(classes=4), loss, width=8, train_image_encoder=False, train_text_encoder=False)
    assert not frozen.train().model.image_encoder.training
    assert not frozen.model.text.training
    assert not any(parameter.requires_grad for parameter in frozen.model.image_encoder.parameters())
    with pytest.raises(ValueError, match="no class head"):
        TwoViews(small_model(), loss)
