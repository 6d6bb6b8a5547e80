"""Draws from the T-hp distribution: against the quadrature, their moments, and their gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from sphere_integrals import distribution_function, moments
from torch.autograd import gradcheck
from torch.nn.functional import normalize

from openmmlo.spherical import SphericalError
from openmmlo.spherical.distribution import ThpDistribution
from openmmlo.spherical.normaliser import mean_resultant_length
from openmmlo.spherical.sampler import acceptance, draw_direction, draw_w

CASES = [
    (2, 0.3), (2, 16.0), (2, 1e4), (3, 0.3), (3, 16.0), (3, 1e4), (4, 0.3), (4, 2.0), (4, 128.0), (5, 16.0), (8, 1.0),
    (8, 16.0), (8, 128.0), (31, 16.0), (64, 1.0), (64, 128.0), (256, 16.0), (768, 16.0), (2048, 1e4),
]  # fmt: skip
"""Dimension and kappa; both kinds of rejection are among them."""

DRAWS = 40_000


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def unit(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return normalize(torch.randn(shape, generator=seeded(seed), dtype=torch.float64), dim=-1).to(dtype)


@pytest.mark.parametrize(("d", "kappa"), CASES)
def test_w_has_the_distribution_of_the_density(d: int, kappa: float) -> None:
    w = draw_w(torch.full((DRAWS,), kappa), d, 1.0, seeded(d)).numpy()
    assert w.min() >= 0
    assert w.max() <= 1
    assert kstest(w, distribution_function(kappa, d)).pvalue > 1e-3
    t = 1 - 2 * w
    first, second = moments(kappa, d)
    assert t.mean() == pytest.approx(first, abs=4 * math.sqrt((second - first**2) / DRAWS))
    assert (t**2).mean() == pytest.approx(second, abs=4 * np.std(t**2) / math.sqrt(DRAWS))


@pytest.mark.parametrize(("d", "kappa", "other"), [(2, 16.0, 20.0), (3, 16.0, 20.0), (4, 2.0, 3.0), (8, 1.0, 2.0)])
def test_that_comparison_would_find_a_wrong_kappa(d: int, kappa: float, other: float) -> None:
    w = draw_w(torch.full((DRAWS,), other), d, 1.0, seeded(d)).numpy()
    assert kstest(w, distribution_function(kappa, d)).pvalue < 1e-3


@pytest.mark.parametrize(("d", "kappa"), [(2, 16.0), (3, 16.0), (5, 2.0), (8, 16.0), (64, 16.0), (256, 16.0)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_samples_lie_around_loc_as_the_density_says(d: int, kappa: float, dtype: torch.dtype) -> None:
    loc = unit(d, dtype=dtype)
    given = ThpDistribution(loc, kappa)
    x = given.sample((DRAWS // 4,), generator=seeded(1))
    assert x.dtype == dtype
    lengths = x.double().norm(dim=-1)
    assert (lengths - 1).abs().max() < (3e-7 if dtype == torch.float32 else 1e-15 * 4)
    gap = (x.double() - loc.double()).square().sum(dim=-1) / 2
    assert kstest((gap / 2).clamp(max=1).numpy(), distribution_function(kappa, d)).pvalue > 1e-3
    # Components: mean and variance, each within five standard errors.
    errors = (x.double().mean(dim=0) - given.mean.double()) / (given.stddev.double() / math.sqrt(len(x)))
    assert errors.abs().max() < 5
    fourth = x.double().var(dim=0) / given.variance.double()
    assert (fourth - 1).abs().max() < 0.15


def test_directions_are_even_and_at_right_angles() -> None:
    loc = unit(5).expand(20_000, 5)
    v = draw_direction(loc, seeded(3))
    assert (v * loc).sum(dim=-1).abs().max() < 1e-12
    torch.testing.assert_close(v.norm(dim=-1), torch.ones(20_000, dtype=torch.float64))
    expected = (torch.eye(5, dtype=torch.float64) - torch.outer(loc[0], loc[0])) / 4
    torch.testing.assert_close(v.T @ v / len(v), expected, rtol=0, atol=0.01)
    assert v.mean(dim=0).abs().max() < 0.02


def test_both_directions_of_the_circle_are_drawn() -> None:
    loc = unit(2).expand(10_000, 2)
    v = draw_direction(loc, seeded(3))
    turned = loc[:, 0] * v[:, 1] - loc[:, 1] * v[:, 0]
    assert sorted(set(turned.sign().tolist())) == [-1, 1]
    assert turned.mean().abs() < 0.05


def test_each_member_of_a_batch_is_drawn_from_its_own() -> None:
    kappas = torch.tensor([0.3, 4.0, 128.0])
    w = draw_w(kappas.expand(DRAWS, 3), 8, 1.0, seeded(0)).numpy()
    for column, kappa in enumerate(kappas.tolist()):
        assert kstest(w[:, column], distribution_function(kappa, 8)).pvalue > 1e-3


def test_draws_of_the_limit() -> None:
    w = draw_w(torch.full((DRAWS,), 16.0), 8, 0.0, seeded(0)).numpy()
    assert kstest(w, "beta", args=(2.5, 3.5)).pvalue > 1e-3
    x = ThpDistribution(unit(8), 16.0, eps=0).sample((10,))
    assert x.isfinite().all()


def test_acceptance() -> None:
    kappas = torch.logspace(-3, 4, 200, dtype=torch.float64)
    for d in (4, 5, 8, 64, 2048):
        assert torch.maximum(*acceptance(kappas, d, 1.0)).min() > 0.35
    sixteen = torch.tensor(16.0, dtype=torch.float64)
    assert acceptance(sixteen, 8, 1.0)[0].item() == pytest.approx(0.9111, abs=5e-5)
    assert acceptance(sixteen, 256, 1.0)[0].item() == pytest.approx(0.9407, abs=5e-5)


def test_a_generator_repeats_its_draws() -> None:
    for d in (2, 3, 8):
        given = ThpDistribution(unit(d), 16.0)
        one, two = given.sample((5,), generator=seeded(7)), given.sample((5,), generator=seeded(7))
        assert torch.equal(one, two)
        assert not torch.equal(one, given.sample((5,), generator=seeded(8)))
        state = torch.random.get_rng_state()
        given.sample((5,), generator=seeded(7))
        assert torch.equal(state, torch.random.get_rng_state())


# Gradients of draws.


@pytest.mark.parametrize("d", [2, 3])
def test_a_draw_keeps_its_quantile_as_kappa_moves(d: int) -> None:
    for kappa in (0.3, 16.0, 300.0):
        moved = [draw_w(torch.full((500,), factor * kappa), d, 1.0, seeded(5)).numpy() for factor in (1, 1.5)]
        quantiles = [distribution_function(f * kappa, d)(w) for f, w in zip((1, 1.5), moved, strict=True)]
        np.testing.assert_allclose(*quantiles, atol=2e-5)


@pytest.mark.parametrize("d", [2, 3])
def test_gradcheck_of_rsample(d: int) -> None:
    raw = torch.randn(3, d, generator=seeded(2), dtype=torch.float64, requires_grad=True)
    kappa = torch.tensor([0.5, 4.0, 16.0], dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda a, k: ThpDistribution(normalize(a, dim=-1), k).rsample((4,), seeded(1)), (raw, kappa))


@pytest.mark.parametrize("d", [4, 16])
def test_gradcheck_of_rsample_in_loc_alone(d: int) -> None:
    raw = torch.randn(3, d, generator=seeded(2), dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda a: ThpDistribution(normalize(a, dim=-1), 16.0).rsample((4,), seeded(1)), raw)


@pytest.mark.parametrize("d", [2, 3])
def test_the_mean_gradient_in_kappa_is_that_of_the_mean(d: int) -> None:
    kappa = torch.tensor(4.0, dtype=torch.float64, requires_grad=True)
    loc = unit(d)
    each = ThpDistribution(loc, kappa).rsample((100_000,), seeded(0)) @ loc
    (found,) = torch.autograd.grad(each.mean(), kappa)
    (expected,) = torch.autograd.grad(mean_resultant_length(kappa, d), kappa)
    assert found.item() == pytest.approx(expected.item(), rel=0.03)


@pytest.mark.parametrize("d", [2, 3, 8])
def test_the_mean_gradient_in_loc_is_that_of_the_mean(d: int) -> None:
    raw = unit(d).requires_grad_()
    target = unit(d, seed=1)
    loc = normalize(raw, dim=0)
    (found,) = torch.autograd.grad(ThpDistribution(loc, 16.0).rsample((100_000,), seeded(0)).mean(dim=0) @ target, raw)
    (expected,) = torch.autograd.grad(ThpDistribution(normalize(raw, dim=0), 16.0).mean @ target, raw)
    torch.testing.assert_close(found, expected, rtol=0, atol=0.01)


@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize("kappa", [1e-3, 16.0, 1e4])
def test_gradients_of_many_draws_are_finite_in_float32(d: int, kappa: float) -> None:
    scale = torch.tensor(kappa, requires_grad=True)
    loc = unit(d, dtype=torch.float32).requires_grad_()
    ThpDistribution(loc, scale).rsample((200_000,), seeded(0)).sum().backward()
    assert scale.grad is not None
    assert loc.grad is not None
    assert scale.grad.isfinite()
    assert loc.grad.isfinite().all()


def test_sample_has_no_gradient() -> None:
    kappa = torch.tensor(4.0, requires_grad=True)
    assert not ThpDistribution(unit(3, dtype=torch.float32), kappa).sample((2,)).requires_grad


def test_rejection_has_no_gradient_in_kappa_and_says_so() -> None:
    kappa = torch.tensor(4.0, requires_grad=True)
    loc = unit(8, dtype=torch.float32).requires_grad_()
    given = ThpDistribution(loc, kappa)
    assert not given.has_rsample
    with pytest.raises(SphericalError, match="draws at d = 8 come from rejection and have no gradient in kappa"):
        given.rsample()
    assert given.sample().shape == (8,)
    assert ThpDistribution(loc, kappa.detach()).has_rsample
    assert ThpDistribution(unit(3, dtype=torch.float32), kappa).has_rsample
