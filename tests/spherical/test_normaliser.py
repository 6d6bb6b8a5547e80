"""The normalising constant and the moments, against published values, long arithmetic and quadrature."""

from __future__ import annotations

import itertools
import math

import mpmath
import pytest
import torch
from sphere_integrals import log_integral, log_kernel, moments
from torch.autograd import gradcheck, gradgradcheck

from openmmlo.spherical.normaliser import excess, log_normaliser, mean_resultant_length, second_moment

CHECK_VALUES = {
    3: (1.9319248940, 1.2387777135, 0.3170529749, -0.7400061797, -1.3005217548),
    8: (2.8204724869, 1.9675989688, 0.7968874325, -0.5213735061, -1.2021691366),
    64: (-41.4569235165, -42.3669051255, -43.5865985598, -44.9263635796, -45.6115334898),
    256: (-345.0270438988, -345.9417978958, -347.1645986263, -348.5054397519, -349.1908047996),
    768: (-1459.4139725129, -1460.3297539590, -1461.5532077248, -1462.8942720641, -1463.5796774260),
}
"""log Z of methods.md 1.2, eps = 1, numerator 1, at kappa 1, 4, 16, 64, 128."""

LENGTHS = {3: 0.4905006650, 8: 0.1478089308, 64: 0.0151220903, 256: 0.0037020555, 768: 0.0012283223}
"""R of methods.md 1.2 at kappa 16."""

DIMENSIONS = (2, 3, 4, 5, 8, 31, 32, 33, 64, 256, 2048)
KAPPAS = (1e-3, 0.1, 1.0, 2.414, 2.415, 16.0, 300.0, 1e4)
"""2.4142 is where rho^2 is 1/2 and the recursion takes over from the series."""


def one(kappa: float) -> torch.Tensor:
    return torch.tensor(kappa, dtype=torch.float64)


@pytest.mark.parametrize("d", CHECK_VALUES)
def test_check_values_of_the_constant(d: int) -> None:
    found = log_normaliser(torch.tensor([1.0, 4.0, 16.0, 64.0, 128.0]), d)
    assert found.tolist() == pytest.approx(CHECK_VALUES[d], abs=1e-9, rel=0)


@pytest.mark.parametrize(
    ("d", "eps", "expected"), [(2048, 1, -4901.2166430041), (8, 0, 0.8900400893), (256, 0, -347.1035195980)]
)
def test_check_values_of_long_vectors_and_of_the_limit(d: int, eps: float, expected: float) -> None:
    assert log_normaliser(one(16), d, eps).item() == pytest.approx(expected, abs=1e-9, rel=0)


@pytest.mark.parametrize("d", LENGTHS)
def test_check_values_of_the_mean_resultant_length(d: int) -> None:
    assert mean_resultant_length(one(16), d).item() == pytest.approx(LENGTHS[d], abs=1e-9, rel=0)


def hypergeometric(kappa: float, d: int) -> tuple[float, float, float]:
    """F - 1, log Z and R; Z by the second form of methods.md, of which mpmath loses digits as d grows."""
    with mpmath.workdps(30 + d // 4):
        k = mpmath.mpf(kappa)
        rho = k / (1 + k)
        full = mpmath.hyp2f1(mpmath.mpf(1) / 2, 1, mpmath.mpf(d) / 2, rho**2)
        area = 2 * mpmath.pi ** (mpmath.mpf(d) / 2) / mpmath.gamma(mpmath.mpf(d) / 2)
        second = area / (1 + 2 * k) * mpmath.hyp2f1(1, mpmath.mpf(d - 1) / 2, d - 1, 2 * k / (1 + 2 * k))
        return float(full - 1), float(mpmath.log(second)), float((full - 1) / (rho * full))


@pytest.mark.parametrize("d", DIMENSIONS)
def test_against_the_hypergeometric_function(d: int) -> None:
    kappas = torch.tensor(KAPPAS, dtype=torch.float64)
    found = zip(excess(kappas, d), log_normaliser(kappas, d), mean_resultant_length(kappas, d), strict=True)
    for kappa, (over, constant, length) in zip(KAPPAS, found, strict=True):
        expected = hypergeometric(kappa, d)
        assert over.item() == pytest.approx(expected[0], rel=1e-13)
        assert constant.item() == pytest.approx(expected[1], rel=1e-14, abs=1e-13)
        assert length.item() == pytest.approx(expected[2], rel=2e-13)


@pytest.mark.parametrize(("d", "kappa"), [*itertools.product((2, 3, 4, 5, 8, 31, 32, 64, 2048), (1e-3, 0.3, 16, 1e4))])
def test_constant_and_moments_against_quadrature(d: int, kappa: float) -> None:
    assert log_normaliser(one(kappa), d).item() == pytest.approx(log_integral(log_kernel(kappa), d), abs=1e-9)
    first, second = moments(kappa, d)
    assert mean_resultant_length(one(kappa), d).item() == pytest.approx(first, rel=1e-8, abs=1e-12)
    assert second_moment(one(kappa), d).item() == pytest.approx(second, rel=1e-9)


@pytest.mark.parametrize("kappa", [0.2, 1.0, 16.0, 1000.0])
def test_closed_forms_on_the_circle_and_the_ordinary_sphere(kappa: float) -> None:
    circle = 2 * math.pi / math.sqrt(1 + 2 * kappa)
    sphere = 2 * math.pi / kappa * math.log(1 + 2 * kappa)
    assert log_normaliser(one(kappa), 2).item() == pytest.approx(math.log(circle), abs=1e-14)
    assert log_normaliser(one(kappa), 3).item() == pytest.approx(math.log(sphere), abs=1e-14)


@pytest.mark.parametrize("d", [2, 3, 8, 64])
def test_only_the_ratio_of_kappa_and_eps_matters(d: int) -> None:
    kappa = torch.tensor([0.5, 16.0], dtype=torch.float64)
    torch.testing.assert_close(
        log_normaliser(4 * kappa, d, 4.0), log_normaliser(kappa, d) - math.log(4), rtol=0, atol=1e-13
    )
    torch.testing.assert_close(mean_resultant_length(4 * kappa, d, 4.0), mean_resultant_length(kappa, d))


@pytest.mark.parametrize("d", [4, 5, 8, 32, 256])
def test_the_limit_is_where_a_small_eps_leads(d: int) -> None:
    kappa = torch.tensor([0.5, 16.0], dtype=torch.float64)
    area = math.log(2) + d / 2 * math.log(math.pi) - math.lgamma(d / 2)
    expected = area + math.log((d - 2) / (d - 3)) - torch.log(kappa)
    torch.testing.assert_close(log_normaliser(kappa, d, 0.0), expected)
    torch.testing.assert_close(log_normaliser(kappa, d, 1e-12), expected, rtol=0, atol=2e-5)
    assert mean_resultant_length(kappa, d, 0.0).tolist() == pytest.approx([1 / (d - 2)] * 2)


@pytest.mark.parametrize("d", [4, 8, 64, 256, 2048])
def test_no_kappa_gets_past_one_in_d_minus_two(d: int) -> None:
    lengths = mean_resultant_length(torch.logspace(-3, 6, 40, dtype=torch.float64), d)
    assert (lengths.diff() > 0).all()
    assert lengths.max() < 1 / (d - 2)


@pytest.mark.parametrize("d", [2, 3, 5, 8, 31, 32, 256])
def test_gradients_in_kappa(d: int) -> None:
    kappa = torch.tensor([0.3, 1.0, 3.0, 16.0], dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda k: log_normaliser(k, d), kappa)
    assert gradcheck(lambda k: mean_resultant_length(k, d), kappa)
    assert gradgradcheck(lambda k: log_normaliser(k, d), kappa)


@pytest.mark.parametrize("d", [2, 3, 8, 31, 64])
def test_the_gradient_is_that_of_the_quadrature(d: int) -> None:
    kappa = one(16).requires_grad_()
    (found,) = torch.autograd.grad(log_normaliser(kappa, d), kappa)
    h = 1e-4
    expected = (log_integral(log_kernel(16 + h), d) - log_integral(log_kernel(16 - h), d)) / (2 * h)
    assert found.item() == pytest.approx(expected, rel=1e-6)


def test_float32_kappa_is_computed_in_float64() -> None:
    found = log_normaliser(torch.tensor([16.0]), 2048)
    assert found.dtype == torch.float64
    assert found.item() == pytest.approx(-4901.2166430041, abs=1e-9)
