"""CIDER row by row: its prototypes, both parts of its loss, and the gradient that runs through the update."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from openmmlo.errors import ConfigError
from openmmlo.losses.cider import CIDER, moved

TARGETS = torch.tensor([1, 0, 1, 1, 4, 0, 1])


def unit_rows(count: int, width: int, seed: int) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(count, width, generator=random, dtype=torch.float64), dim=1)


def moved_by_hand(prototypes: np.ndarray, rows: np.ndarray, targets: list[int], momentum: float) -> np.ndarray:
    found = prototypes.copy()
    for row, y in zip(rows, targets, strict=True):
        drawn = momentum * found[y] + (1 - momentum) * row
        found[y] = drawn / np.linalg.norm(drawn)
    return found


def made(**options: Any) -> CIDER:
    loss = CIDER(5, 4, **options).double()
    loss.prototypes.copy_(unit_rows(5, 4, 9))
    return loss


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.95])
def test_prototypes_move_sample_by_sample(momentum: float) -> None:
    prototypes, rows = unit_rows(5, 4, 1), unit_rows(7, 4, 2)
    expected = moved_by_hand(prototypes.numpy(), rows.numpy(), TARGETS.tolist(), momentum)
    np.testing.assert_allclose(moved(prototypes, rows, TARGETS, momentum).numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_any_mixture_of_classes_moves_as_one_row_after_another(seed: int) -> None:
    random = np.random.default_rng(seed)
    targets = random.integers(0, 6, 40)
    prototypes, rows = unit_rows(6, 3, seed + 10), unit_rows(40, 3, seed + 20)
    expected = moved_by_hand(prototypes.numpy(), rows.numpy(), targets.tolist(), 0.7)
    found = moved(prototypes, rows, torch.from_numpy(targets), 0.7)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("weight", "temperature"), [(1.0, 0.1), (2.0, 0.5)])
def test_both_parts_by_hand(weight: float, temperature: float) -> None:
    loss, rows = made(weight=weight, temperature=temperature), unit_rows(7, 4, 3)
    after = moved_by_hand(loss.prototypes.numpy(), rows.numpy(), TARGETS.tolist(), 0.5)
    likeness = np.exp(rows.numpy() @ after.T / temperature)
    compactness = -np.mean([math.log(row[y] / row.sum()) for row, y in zip(likeness, TARGETS.tolist(), strict=True)])
    between = np.exp(after @ after.T / temperature)
    dispersion = np.mean([math.log(np.mean([between[c, j] for j in range(5) if j != c])) for c in range(5)])
    found = loss(rows, TARGETS)
    assert float(found.compactness) == pytest.approx(compactness, rel=1e-10)
    assert float(found.dispersion) == pytest.approx(dispersion, rel=1e-10)
    assert float(found.loss) == pytest.approx(weight * compactness + dispersion, rel=1e-10)
    np.testing.assert_allclose(loss.prototypes.numpy(), after, rtol=1e-12)


def test_dispersion_has_its_gradient_through_the_update() -> None:
    loss, rows = made(), unit_rows(7, 4, 4).requires_grad_()
    (gradient,) = torch.autograd.grad(loss(rows, TARGETS).dispersion, rows)
    assert (gradient.abs().amax(dim=1) > 0).all()
    assert not loss.prototypes.requires_grad
    assert torch.autograd.gradcheck(lambda u: copy.deepcopy(loss)(u, TARGETS).dispersion, rows)


def test_compactness_takes_prototypes_as_given() -> None:
    loss, rows = made(), unit_rows(7, 4, 5).requires_grad_()
    (gradient,) = torch.autograd.grad(loss(rows, TARGETS).compactness, rows)
    fixed = rows.detach().clone().requires_grad_()
    plain = functional.cross_entropy(fixed @ loss.prototypes.T / 0.1, TARGETS)
    torch.testing.assert_close(gradient, torch.autograd.grad(plain, fixed)[0])


def test_in_evaluation_mode_prototypes_stay() -> None:
    loss, rows = made().eval(), unit_rows(7, 4, 6)
    before = loss.prototypes.clone()
    first = loss(rows, TARGETS)
    assert torch.equal(loss.prototypes, before)
    assert loss(rows, TARGETS).loss == first.loss
    assert not torch.equal(loss.train()(rows, TARGETS).loss, loss(rows, TARGETS).loss)


def test_a_class_without_a_prototype_takes_its_first_sample() -> None:
    loss, rows = CIDER(5, 4).double(), unit_rows(7, 4, 7)
    assert loss(rows, TARGETS).loss.isfinite()
    np.testing.assert_allclose(loss.prototypes[4], rows[4], rtol=1e-12)
    assert loss.prototypes[[2, 3]].abs().max() == 0


def test_prototypes_are_saved() -> None:
    loss = made()
    loss(unit_rows(7, 4, 3), TARGETS)
    again = CIDER(5, 4).double()
    again.load_state_dict(loss.state_dict())
    assert torch.equal(again.prototypes, loss.prototypes)


def test_half_precision_is_computed_in_float32_and_prototypes_keep_it() -> None:
    loss, other = CIDER(5, 4), CIDER(5, 4)
    rows = unit_rows(7, 4, 8).bfloat16()
    found, expected = loss(rows, TARGETS), other(rows.float(), TARGETS)
    assert found.loss.dtype == loss.prototypes.dtype == torch.float32
    assert torch.equal(found.loss, expected.loss)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(found.loss, CIDER(5, 4)(rows.float(), TARGETS).loss)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": 1}, "1 classes; .* expected 2 or more"),
        ({"momentum": 1.0}, "momentum is 1.0; expected a share"),
        ({"weight": -1.0}, "weight is -1.0; expected 0 or more"),
        ({"temperature": 0.0}, "temperature is 0.0; expected above 0"),
    ],
)
def test_values_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"cider: {message}"):
        CIDER(**{"classes": 3, "width": 2, **options})
