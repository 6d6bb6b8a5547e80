"""Similarities: the equivalences and slopes of their definitions, cosines in any precision, and bad input."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck
from torch.distributions import VonMises

from openmmlo.errors import OpenmmloError, UnknownName
from openmmlo.spherical import (
    SIMILARITIES,
    SphericalError,
    cosine,
    cosines,
    kappa_of_r,
    r_of_kappa,
    t_vmf,
    thp,
    vmf,
    wrapped_cauchy,
)

KAPPAS = st.floats(1e-3, 1e4)
COSINES = st.floats(-1, 1)


def slope(similarity: Callable[..., Any], cos: float, kappa: float) -> float:
    leaf = torch.tensor(cos, dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(similarity(leaf, kappa), leaf)
    return float(found)


def degrees(cos: float) -> float:
    return math.degrees(math.acos(cos))


@pytest.mark.parametrize(("cos", "expected"), [(1.0, 2.0), (0.0, 2 / 17), (-1.0, 2 / 33), (0.5, 2 / 9)])
def test_thp_at_kappa_16(cos: float, expected: float) -> None:
    assert thp(cos) == expected


@given(COSINES, KAPPAS)
def test_thp_is_t_vmf_under_another_scale(cos: float, kappa: float) -> None:
    scaled = (1 + 1 / (2 * kappa)) * thp(cos, kappa) - (1 + 1 / kappa)
    assert t_vmf(cos, kappa) == pytest.approx(scaled, rel=1e-13, abs=1e-13 * (1 + 1 / kappa))


def test_the_scale_between_heads_of_thp_and_t_vmf() -> None:
    cos = torch.linspace(-1, 1, 7, dtype=torch.float64)
    torch.testing.assert_close(
        torch.softmax(3 * t_vmf(cos), dim=0), torch.softmax(3 * 1.03125 * thp(cos), dim=0), rtol=1e-13, atol=0
    )


@given(COSINES, st.floats(0.01, 0.98))
def test_thp_is_wrapped_cauchy_under_another_scale(cos: float, r: float) -> None:
    expected = (1 - r**2) / (2 * math.pi * (1 + r**2 - 2 * r * cos))
    assert wrapped_cauchy(cos, r) == pytest.approx(expected, rel=1e-11)  # the definition loses digits, not the function
    scaled = (1 + r) / (4 * math.pi * (1 - r)) * thp(cos, kappa_of_r(r))
    assert wrapped_cauchy(cos, r) == pytest.approx(scaled, rel=1e-13)


def test_wrapped_cauchy_integrates_to_one_around_the_circle() -> None:
    angles = np.arange(4096) * 2 * math.pi / 4096  # of a periodic function the plain sum is the integral
    assert np.mean(wrapped_cauchy(np.cos(angles), 0.9)) * 2 * math.pi == pytest.approx(1, rel=1e-13)
    assert wrapped_cauchy(0.3, 0.0) == 1 / (2 * math.pi)


@given(KAPPAS)
def test_r_and_kappa_are_inverse(kappa: float) -> None:
    assert kappa_of_r(r_of_kappa(kappa)) == pytest.approx(kappa, rel=1e-11)


def test_r_of_kappa_16() -> None:
    assert r_of_kappa(16.0) == pytest.approx(0.7034648346, abs=5e-11)
    assert r_of_kappa(16.0) == pytest.approx((1 + 1 / 16) - math.sqrt((1 + 1 / 16) ** 2 - 1), rel=1e-14)
    assert r_of_kappa(1e-9) == pytest.approx(5e-10, rel=1e-8)


def test_vmf_is_the_log_density_of_von_mises_up_to_a_constant() -> None:
    angles = torch.linspace(-3, 3, 9, dtype=torch.float64)
    peer = VonMises(torch.zeros((), dtype=torch.float64), torch.tensor(5.0, dtype=torch.float64)).log_prob(angles)
    found = vmf(torch.cos(angles), 5.0)
    torch.testing.assert_close(found - found[0], peer - peer[0])


def test_the_cosine_takes_a_kappa_that_plays_no_part() -> None:
    assert cosine(0.25) == cosine(0.25, 16) == 0.25


@given(COSINES, KAPPAS)
def test_the_slope_of_thp(cos: float, kappa: float) -> None:
    found = slope(thp, cos, kappa)
    assert found == pytest.approx(2 * kappa / (1 + kappa * (1 - cos)) ** 2, rel=1e-12)
    assert found == pytest.approx(kappa * thp(cos, kappa) ** 2 / 2, rel=1e-12)


def crossing(level: float) -> float:
    """Cosine at which the slope of T-hp at kappa 16 is a level, by bisection."""
    low, high = -1.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(thp, middle, 16.0) > level else (middle, high)
    return low


def test_as_logits_thp_falls_below_vmf_and_then_below_the_cosine() -> None:
    assert slope(vmf, 0.3, 16.0) == 16
    assert slope(cosine, 0.3, 16.0) == 1
    assert 1 - crossing(16) == pytest.approx((math.sqrt(2) - 1) / 16, rel=1e-9)
    assert degrees(crossing(16)) == pytest.approx(13.07, abs=0.005)
    assert degrees(crossing(1)) == pytest.approx(44.85, abs=0.005)
    assert slope(thp, 0.0, 16.0) == pytest.approx(0.111, abs=0.0005)


@given(COSINES, st.floats(0.1, 1e4))
def test_as_kernels_thp_is_heavier_than_vmf(cos: float, kappa: float) -> None:
    assert thp(cos, kappa) / 2 >= math.exp(vmf(cos, kappa) - vmf(1.0, kappa)) * (1 - 1e-12)


@pytest.mark.parametrize("name", SIMILARITIES)
def test_every_similarity_has_its_gradients(name: str) -> None:
    similarity = SIMILARITIES.load(name)
    cos = torch.tensor([[-0.9, 0.1, 0.6], [0.95, -0.2, 0.0]], dtype=torch.float64, requires_grad=True)
    parameter = torch.tensor([0.3, 0.7, 0.9], dtype=torch.float64, requires_grad=True)  # one a class, in r's range
    assert gradcheck(similarity, (cos, parameter))
    ends = torch.tensor([-1.0, 1.0], requires_grad=True)
    (found,) = torch.autograd.grad(similarity(ends, 0.7).sum(), ends)
    assert found.isfinite().all()
    assert (found > 0).all()


@pytest.mark.parametrize("name", SIMILARITIES)
def test_every_similarity_serves_tensors_arrays_and_numbers(name: str) -> None:
    similarity = SIMILARITIES.load(name)
    cos = [-1.0, -0.3, 0.4, 1.0]
    numbers = [similarity(value, 0.7) for value in cos]
    array = similarity(np.array(cos), 0.7)
    tensor = similarity(torch.tensor(cos, dtype=torch.float64), 0.7)
    assert isinstance(array, np.ndarray)
    assert array.tolist() == numbers
    assert tensor.tolist() == pytest.approx(numbers, rel=1e-15)
    assert numbers == sorted(set(numbers))  # all of them grow with the cosine


def test_an_unknown_similarity_proposes_a_known_one() -> None:
    with pytest.raises(UnknownName, match=r"No similarity named 'tvmf'\. Did you mean 't-vmf'"):
        SIMILARITIES.load("tvmf")


# Cosines of rows.


def rows(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def reference(x: torch.Tensor, y: torch.Tensor) -> Any:
    """Pair by pair, in float64 of NumPy."""
    one, two = x.double().numpy(), y.double().numpy()
    return [[float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)) for b in two] for a in one]


@pytest.mark.parametrize(
    ("dtype", "result"),
    [(torch.bfloat16, torch.float32), (torch.float16, torch.float32), (torch.float32, torch.float32),
     (torch.float64, torch.float64)],
)  # fmt: skip
@pytest.mark.parametrize("autocast", [False, True])
def test_cosines_are_right_in_every_precision(dtype: torch.dtype, result: torch.dtype, autocast: bool) -> None:
    x, y = 7 * rows(5, 33, dtype=dtype), rows(4, 33, seed=1, dtype=dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        found = cosines(x, y)
    assert found.dtype == result
    np.testing.assert_allclose(found.numpy(), reference(x, y), atol=1e-14 if dtype == torch.float64 else 5e-7)


def test_under_autocast_a_plain_product_is_wrong() -> None:
    """What ``cosines`` turns off: without it the similarity of near neighbours has no digits left."""
    x = rows(6, 64)
    near = x + 0.02 * rows(6, 64, seed=1)
    expected = np.diag(reference(x, near))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        unit, other = torch.nn.functional.normalize(x), torch.nn.functional.normalize(near)
        careless = thp((unit @ other.T).float().diagonal().clamp(-1, 1), 1000.0)
        careful = thp(cosines(x, near).diagonal(), 1000.0)
    np.testing.assert_allclose(careful.numpy(), thp(expected, 1000.0), rtol=3e-4)
    assert np.abs(careless.numpy() / thp(expected, 1000.0) - 1).max() > 0.1


def test_cosines_stay_within_bounds_and_have_gradients_there() -> None:
    x = rows(50, 16)
    found = cosines(torch.cat((x, x)), torch.cat((x, -3 * x)))
    assert found.min() >= -1
    assert found.max() <= 1
    same = torch.nn.Parameter(x.clone())
    other = torch.nn.Parameter(torch.cat((x, -x)))
    thp(cosines(same, other)).sum().backward()
    assert same.grad is not None
    assert other.grad is not None
    assert same.grad.isfinite().all()
    assert other.grad.isfinite().all()


def test_the_gradient_of_parallel_rows_is_zero() -> None:
    x = torch.nn.Parameter(rows(1, 16))
    thp(cosines(x, torch.cat((x.detach(), -2 * x.detach())))).sum().backward()
    assert x.grad is not None
    assert x.grad.abs().max() < 1e-5  # against a slope of 2 kappa = 32


def test_the_gradient_of_an_unnormalised_weight() -> None:
    """(kappa S^2 / 2) (x - (x . mu) mu) / |w|, of methods.md 1.4."""
    x = torch.nn.functional.normalize(rows(1, 9, dtype=torch.float64), dim=-1)
    weight = torch.nn.Parameter(4 * rows(1, 9, seed=1, dtype=torch.float64))
    similarity = thp(cosines(x, weight))
    similarity.sum().backward()
    length = weight.detach().norm()
    centre = weight.detach() / length
    expected = 8 * similarity.item() ** 2 * (x - (x @ centre.T) * centre) / length
    torch.testing.assert_close(weight.grad, expected, rtol=1e-12, atol=1e-15)


def test_gradcheck_of_thp_of_cosines() -> None:
    x = rows(3, 5, dtype=torch.float64).requires_grad_()
    y = rows(2, 5, seed=1, dtype=torch.float64).requires_grad_()
    kappa = torch.tensor(16.0, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda a, b, k: thp(cosines(a, b), k), (x, y, kappa))


def test_a_gradient_reaches_half_precision_rows() -> None:
    x = rows(3, 8, dtype=torch.bfloat16).requires_grad_()
    cosines(x, rows(2, 8, seed=1)).sum().backward()
    assert x.grad is not None
    assert x.grad.dtype == torch.bfloat16
    assert x.grad.abs().max() > 0


def test_cosines_in_batches_are_those_of_each() -> None:
    x, y = rows(3, 4, 6), rows(3, 5, 6, seed=1)
    torch.testing.assert_close(cosines(x, y), torch.stack([cosines(*pair) for pair in zip(x, y, strict=True)]))
    torch.testing.assert_close(cosines(x, y[0]), torch.stack([cosines(part, y[0]) for part in x]))


def test_a_row_of_zeros_has_cosine_zero() -> None:
    x = torch.zeros(1, 4, requires_grad=True)
    found = cosines(x, rows(3, 4))
    found.sum().backward()
    assert found.tolist() == [[0, 0, 0]]
    assert x.grad is not None
    assert x.grad.isfinite().all()


@pytest.mark.slow
def test_cosines_are_counted_without_numbers() -> None:
    assert cosines(torch.empty(2, 8, device="meta"), torch.empty(3, 8, device="meta")).shape == (2, 3)


# Bad input.


@pytest.mark.parametrize("similarity", [thp, t_vmf, vmf, r_of_kappa])
@pytest.mark.parametrize("kappa", [0, -1.5, math.nan, math.inf])
def test_a_kappa_that_is_not_above_zero_is_refused(similarity: Callable[..., Any], kappa: float) -> None:
    arguments = (kappa,) if similarity is r_of_kappa else (0.5, kappa)
    with pytest.raises(SphericalError, match=f"{similarity.__name__}: kappa is {kappa}; expected a finite number"):
        similarity(*arguments)


@pytest.mark.parametrize("r", [-0.1, 1, math.nan])
def test_an_r_outside_its_range_is_refused(r: float) -> None:
    with pytest.raises(SphericalError, match=f"wrapped_cauchy: r is {r}; expected a number from 0 and below 1"):
        wrapped_cauchy(0.5, r)
    with pytest.raises(SphericalError, match=f"kappa_of_r: r is {r}; expected a number above 0 and below 1"):
        kappa_of_r(r)
    with pytest.raises(SphericalError, match="kappa_of_r: r is 0"):
        kappa_of_r(0)


@pytest.mark.parametrize(("one", "two"), [((3, 4), (3, 5)), ((4,), (3, 4)), ((3, 4), (4,))])
def test_rows_of_another_width_are_refused(one: tuple[int, ...], two: tuple[int, ...]) -> None:
    with pytest.raises(SphericalError, match=r"cosines: shapes .* expected \(..., B, D\) and \(..., M, D\)"):
        cosines(torch.ones(one), torch.ones(two))


def test_the_error_is_a_value_error_and_one_for_the_user() -> None:
    assert issubclass(SphericalError, ValueError)
    assert issubclass(SphericalError, OpenmmloError)


def test_formulas_load_no_torch() -> None:
    code = (
        "import sys, openmmlo.spherical, openmmlo.evaluate.detectors.knn\n"
        "assert openmmlo.spherical.thp(1.0) == 2\nassert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
