"""LDAM by hand, under a scale, and before and after its weights set in."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from openmmlo.losses import Staged, make_loss
from openmmlo.losses.class_balanced import effective_weights


def nats_by_hand(case: Any, scale: float, max_margin: float) -> list[float]:
    found = []
    for row, y in case.rows:
        harder = list(row)
        harder[y] -= scale * max_margin * (min(case.n) / case.n[y]) ** 0.25
        found.append(math.log(sum(math.exp(z) for z in harder)) - harder[y])
    return found


@pytest.mark.parametrize(("scale", "max_margin"), [(1.0, 0.5), (30.0, 0.5), (4.0, 0.2)])
def test_by_hand(case: Any, scale: float, max_margin: float) -> None:
    loss = make_loss("ldam", case.counts, {"max_margin": max_margin})
    expected = nats_by_hand(case, scale, max_margin)
    for given in (scale, torch.tensor(scale)):
        found = loss(case.logits, case.targets, given)
        assert float(found) == pytest.approx(sum(expected) / len(expected), rel=1e-6)


def test_weighed_the_mean_is_over_weights(case: Any) -> None:
    loss = make_loss("ldam", case.counts)
    loss.at(0.9)
    weights = [float(effective_weights(case.counts, 0.9999, "test")[y]) for _, y in case.rows]
    expected = sum(w * nats for w, nats in zip(weights, nats_by_hand(case, 7.0, 0.5), strict=True)) / sum(weights)
    assert float(loss(case.logits, case.targets, 7.0)) == pytest.approx(expected, rel=1e-6)


def test_weights_set_in_at_their_share_of_the_run_and_not_before(case: Any) -> None:
    loss = make_loss("ldam", case.counts, {"reweight_from": 0.8})
    assert isinstance(loss, Staged)
    plain = loss(case.logits, case.targets)
    found = []
    for share in (0.0, 0.799, 0.8, 0.99, 0.5):  # a run that goes on may start anywhere
        loss.at(share)
        found.append(bool(loss(case.logits, case.targets) == plain))
    assert found == [True, True, False, False, True]


@pytest.mark.parametrize(("reweight_from", "weighed"), [(0.0, True), (1.0, False)])
def test_weights_always_and_never(case: Any, reweight_from: float, weighed: bool) -> None:
    loss = make_loss("ldam", case.counts, {"reweight_from": reweight_from})
    assert loss.reweighs is (reweight_from == 0.0)
    loss.at(0.999)
    assert loss.reweighs is weighed


def test_equal_counts_have_the_widest_margin_each(case: Any) -> None:
    assert make_loss("ldam", torch.full((5,), 37)).margins.tolist() == [0.5] * 5
    margins = make_loss("ldam", case.counts).margins
    assert margins.tolist() == pytest.approx([0.5 * (2 / n) ** 0.25 for n in case.n])


def test_no_margin_is_cross_entropy(case: Any) -> None:
    found = make_loss("ldam", case.counts, {"max_margin": 0.0})(case.logits, case.targets, 30.0)
    assert float(found) == pytest.approx(float(make_loss("cross-entropy", case.counts)(case.logits, case.targets)))


def test_the_gradient_reaches_a_learnt_scale() -> None:
    cosine, a = torch.tensor([[0.8, 0.1], [0.2, 0.4]]), torch.tensor(1.0, requires_grad=True)
    loss = make_loss("ldam", torch.tensor([10, 5]))
    (found,) = torch.autograd.grad(loss(cosine * a, torch.tensor([0, 1]), a), a)
    step = 1e-3
    up, down = (loss(cosine * s, torch.tensor([0, 1]), s) for s in (1 + step, 1 - step))
    assert float(found) == pytest.approx(float(up - down) / (2 * step), rel=1e-3)
