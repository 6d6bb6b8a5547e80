"""Supervised contrast against its double sum, and rows that have no partner."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from openmmlo.errors import ConfigError
from openmmlo.losses.supcon import SupCon


def unit_rows(count: int, width: int, seed: int) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(count, width, generator=random, dtype=torch.float64), dim=1)


def by_hand(rows: list[list[float]], targets: list[int], temperature: float) -> float:
    def likeness(i: int, j: int) -> float:
        return math.exp(sum(a * b for a, b in zip(rows[i], rows[j], strict=True)) / temperature)

    terms = []
    for i in range(len(rows)):
        partners = [p for p in range(len(rows)) if p != i and targets[p] == targets[i]]
        whole = sum(likeness(i, a) for a in range(len(rows)) if a != i)
        if partners:
            terms.append(-sum(math.log(likeness(i, p) / whole) for p in partners) / len(partners))
    return sum(terms) / len(terms)


@pytest.mark.parametrize("temperature", [0.07, 0.1, 0.5])
@pytest.mark.parametrize("targets", [[0, 1, 2, 1, 0, 1, 2, 1], [3, 3, 3, 3, 3, 3, 3, 3], [0, 1, 2, 3, 4, 4, 5, 6]])
def test_by_hand(temperature: float, targets: list[int]) -> None:
    rows = unit_rows(8, 5, 1)
    found = SupCon(temperature)(rows, torch.tensor(targets))
    assert float(found) == pytest.approx(by_hand(rows.tolist(), targets, temperature), rel=1e-10)


def test_its_gradient_is_that_of_finite_differences_and_a_lone_row_only_repels() -> None:
    rows, targets = unit_rows(6, 4, 2).requires_grad_(), torch.tensor([0, 0, 1, 1, 1, 2])
    assert torch.autograd.gradcheck(lambda u: SupCon()(u, targets), rows)
    (gradient,) = torch.autograd.grad(SupCon()(rows, targets), rows)
    assert gradient[5].abs().max() > 0


def test_without_any_pair_nothing_is_learnt() -> None:
    rows = unit_rows(3, 4, 3).requires_grad_()
    found = SupCon()(rows, torch.tensor([0, 1, 2]))
    (gradient,) = torch.autograd.grad(found, rows)
    assert float(found.detach()) == 0.0
    assert gradient.abs().max() == 0


def test_half_precision_is_computed_in_float32() -> None:
    rows, targets = unit_rows(8, 5, 4).bfloat16(), torch.tensor([0, 1] * 4)
    found = SupCon(0.05)(rows, targets)
    assert found.dtype == torch.float32
    assert torch.equal(found, SupCon(0.05)(rows.float(), targets))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(found, SupCon(0.05)(rows.float(), targets))


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf])
def test_temperatures_that_are_none(temperature: float) -> None:
    with pytest.raises(ConfigError, match="supcon: temperature is"):
        SupCon(temperature)
