"""Class-balanced weights by hand, and at both ends of beta."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from openmmlo.losses import make_loss
from openmmlo.losses.class_balanced import effective_weights


def weights_by_hand(counts: list[int], beta: float) -> list[float]:
    raw = [(1 - beta) / (1 - beta**n) for n in counts]
    return [len(counts) * one / sum(raw) for one in raw]


@pytest.mark.parametrize("beta", [0.5, 0.9, 0.9999])
def test_by_hand(case: Any, beta: float) -> None:
    weights = weights_by_hand(case.n, beta)
    assert effective_weights(case.counts, beta, "test").tolist() == pytest.approx(weights, rel=1e-6)
    total = sum(weights[y] * (math.log(sum(math.exp(z) for z in row)) - row[y]) for row, y in case.rows)
    found = make_loss("class-balanced", case.counts, {"beta": beta})(case.logits, case.targets)
    assert float(found) == pytest.approx(total / len(case.rows), rel=1e-6)


@pytest.mark.parametrize("beta", [0.0, 1e-9])
def test_towards_beta_zero_classes_weigh_alike(case: Any, beta: float) -> None:
    assert effective_weights(case.counts, beta, "test").tolist() == pytest.approx([1.0] * 5, rel=1e-6)
    plain = make_loss("cross-entropy", case.counts)(case.logits, case.targets)
    found = make_loss("class-balanced", case.counts, {"beta": beta})(case.logits, case.targets)
    assert float(found) == pytest.approx(float(plain), rel=1e-6)


def test_towards_beta_one_weights_are_inverse_counts(case: Any) -> None:
    inverse = 1 / case.counts.double()
    found = effective_weights(case.counts, 1 - 1e-12, "test")
    torch.testing.assert_close(found.double(), 5 * inverse / inverse.sum(), rtol=1e-6, atol=0)


def test_a_hundred_thousand_images_do_not_overflow() -> None:
    found = effective_weights(torch.tensor([1_000_000, 1]), 0.9999, "test")
    assert found.tolist() == pytest.approx(weights_by_hand([1_000_000, 1], 0.9999), rel=1e-6)
    assert found.sum().item() == pytest.approx(2)
