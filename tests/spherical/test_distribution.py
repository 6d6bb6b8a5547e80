"""The T-hp distribution as a density and as one of torch's distributions, and what it refuses."""

from __future__ import annotations

import itertools
import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from sphere_integrals import ANGLES, log_integral, moments
from torch.autograd import gradcheck
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily
from torch.nn.functional import normalize

from openmmlo.spherical import SphericalError, thp, wrapped_cauchy
from openmmlo.spherical.distribution import ThpDistribution


def unit(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(shape, generator=generator, dtype=torch.float64), dim=-1).to(dtype)


def arc(loc: torch.Tensor, angles: Any) -> torch.Tensor:
    """Points at these angles from loc, on one great circle."""
    other = unit(len(loc), seed=99).to(loc.dtype)
    side = normalize(other - (other @ loc) * loc, dim=0)
    angle = torch.as_tensor(angles, dtype=loc.dtype).unsqueeze(-1)
    return torch.cos(angle) * loc + torch.sin(angle) * side


# The density.


@pytest.mark.parametrize(
    ("d", "kappa"), [*itertools.product((2, 3, 4, 5, 8, 31, 32, 64), (1e-3, 1.0, 16.0, 1e4)), (512, 16.0)]
)
def test_it_integrates_to_one(d: int, kappa: float) -> None:
    loc = unit(d)
    found = ThpDistribution(loc, kappa).log_prob(arc(loc, ANGLES))
    assert log_integral(found.numpy(), d) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("d", [6, 32, 64])
def test_the_limit_integrates_to_one(d: int) -> None:
    loc = unit(d)
    found = ThpDistribution(loc, 16.0, eps=0).log_prob(arc(loc, ANGLES))
    assert log_integral(found.numpy(), d) == pytest.approx(0, abs=1e-9)


def test_kappa_cancels_from_the_limit() -> None:
    loc, x = unit(8), unit(5, 8, seed=1)
    area = math.log(2) + 4 * math.log(math.pi) - math.lgamma(4)
    expected = math.log(5 / 6) - area - torch.log(1 - x @ loc)
    for kappa in (0.1, 16.0, 128.0):
        torch.testing.assert_close(ThpDistribution(loc, kappa, eps=0).log_prob(x), expected)
    assert ThpDistribution(loc, 16.0, eps=0).log_prob(loc) == math.inf  # the limit has a pole there


def test_it_is_the_similarity_over_a_constant() -> None:
    loc, x = unit(8), unit(20, 8, seed=1)
    given = ThpDistribution(loc, 16.0)
    expected = torch.log(thp(x @ loc)) - math.log(2) - 0.7968874325
    torch.testing.assert_close(given.log_prob(x), expected, rtol=0, atol=1e-9)


def test_on_the_circle_it_is_the_wrapped_cauchy_density() -> None:
    loc = unit(2)
    angles = torch.linspace(-3, 3, 13, dtype=torch.float64)
    found = ThpDistribution(loc, 16.0).log_prob(arc(loc, angles)).exp()
    torch.testing.assert_close(found, wrapped_cauchy(torch.cos(angles), 0.7034648346), rtol=1e-8, atol=0)


@pytest.mark.parametrize(("d", "kappa"), [*itertools.product((2, 3, 8, 31, 32, 256, 2048), (1e-3, 16.0, 1e4))])
def test_float32_agrees_with_float64(d: int, kappa: float) -> None:
    loc = unit(d, dtype=torch.float32)
    x = arc(loc.double(), [0.0, 1e-3, 0.05, 1.0, math.pi - 1e-3, math.pi]).float()
    found = ThpDistribution(loc, kappa).log_prob(x)
    exact = ThpDistribution(normalize(loc.double(), dim=0), kappa).log_prob(normalize(x.double(), dim=-1))
    assert found.dtype == torch.float32
    steps = np.spacing(np.float32(exact.abs().max().item()))
    torch.testing.assert_close(found.double(), exact, rtol=0, atol=float(0.51 * steps) + 1e-6)  # rounded once


def test_the_peak_keeps_its_digits_in_float32() -> None:
    """1 - cos computed as such would be 0 or 6e-8 here, and the log-density off by 0.4."""
    loc = unit(16, dtype=torch.float32)
    x = arc(loc.double(), [3e-4]).float()
    far = ThpDistribution(loc, 1e7).log_prob(loc) - ThpDistribution(loc, 1e7).log_prob(x)
    gap = float((x.double() - loc.double()).square().sum()) / 2
    assert far.item() == pytest.approx(math.log1p(1e7 * gap), rel=1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_parameters_are_widened(dtype: torch.dtype) -> None:
    loc, x = unit(24, dtype=dtype), unit(3, 24, seed=1, dtype=dtype)
    given = ThpDistribution(loc, 13.7)
    assert given.loc.dtype == given.kappa.dtype == given.log_prob(x).dtype == torch.float32
    assert given.kappa.item() == pytest.approx(13.7)
    exact = ThpDistribution(normalize(loc.double(), dim=0), 13.7).log_prob(normalize(x.double(), dim=-1))
    torch.testing.assert_close(given.log_prob(x).double(), exact, rtol=0, atol=5e-3)
    torch.testing.assert_close(given.sample((4,)).norm(dim=-1), torch.ones(4))


@pytest.mark.parametrize("d", [2, 3, 8, 64])
def test_moments(d: int) -> None:
    loc = unit(d)
    given = ThpDistribution(loc, 16.0)
    first, second = moments(16.0, d)
    torch.testing.assert_close(given.mean, first * loc)
    around = second * torch.outer(loc, loc) + (1 - second) / (d - 1) * (torch.eye(d) - torch.outer(loc, loc))
    torch.testing.assert_close(given.variance, (around - first**2 * torch.outer(loc, loc)).diagonal())
    assert given.mode is given.loc
    assert given.stddev.square().sum().item() == pytest.approx(1 - first**2)  # of unit vectors


@pytest.mark.parametrize("d", [2, 3, 5, 8, 33])
def test_gradcheck_of_log_prob(d: int) -> None:
    x, loc = unit(4, d, seed=1).requires_grad_(), unit(3, 1, d).requires_grad_()
    kappa = torch.tensor([0.5, 2.0, 16.0, 100.0], dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda *given: ThpDistribution(given[1], given[2]).log_prob(given[0]), (x, loc, kappa))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kappa", [1e-3, 16.0, 1e4])
def test_gradients_are_finite_at_both_poles(dtype: torch.dtype, kappa: float) -> None:
    loc = unit(8, dtype=dtype).requires_grad_()
    scale = torch.tensor(kappa, dtype=dtype, requires_grad=True)
    x = torch.stack((loc.detach(), -loc.detach())).requires_grad_()
    ThpDistribution(loc, scale).log_prob(x).sum().backward()
    for leaf in (loc, scale, x):
        assert leaf.grad is not None
        assert leaf.grad.isfinite().all()
    assert x.grad is not None
    assert x.grad[0].abs().max() == 0


def test_the_gradient_along_the_sphere_is_that_of_the_cosine() -> None:
    loc, x = unit(6), unit(6, seed=1).requires_grad_()
    (found,) = torch.autograd.grad(ThpDistribution(loc, 16.0).log_prob(x), x)
    (expected,) = torch.autograd.grad(-torch.log(1 + 16 * (1 - x @ loc)), x)
    across = x.detach()
    torch.testing.assert_close(found - (found @ across) * across, expected - (expected @ across) * across)


# One of torch's distributions.


def test_batches_are_those_of_each_member() -> None:
    loc, kappa, x = unit(3, 1, 5), torch.tensor([1.0, 4.0, 16.0, 64.0], dtype=torch.float64), unit(2, 1, 4, 5, seed=1)
    given = ThpDistribution(loc, kappa)
    assert (given.batch_shape, given.event_shape) == ((3, 4), (5,))
    found = given.log_prob(x)
    assert found.shape == (2, 3, 4)
    for i, j, k in itertools.product(range(2), range(3), range(4)):
        torch.testing.assert_close(found[i, j, k], ThpDistribution(loc[j, 0], kappa[k]).log_prob(x[i, 0, k]))
    for name in ("log_normalizer", "mean_resultant_length"):
        assert getattr(given, name).shape == (3, 4)
    assert given.mean.shape == given.variance.shape == given.mode.shape == (3, 4, 5)
    assert given.sample((7, 2)).shape == (7, 2, 3, 4, 5)
    assert given.sample().shape == (3, 4, 5)


def test_expand() -> None:
    small = ThpDistribution(unit(5), 16.0, eps=2.0)
    large = small.expand((3, 2))
    assert isinstance(large, ThpDistribution)
    assert (large.batch_shape, large.event_shape, large.eps) == ((3, 2), (5,), 2.0)
    assert large.loc.untyped_storage().data_ptr() == small.loc.untyped_storage().data_ptr()
    x = unit(3, 2, 5, seed=1)
    torch.testing.assert_close(large.log_prob(x), small.log_prob(x))
    assert large.sample((4,)).shape == (4, 3, 2, 5)
    with pytest.raises(SphericalError, match="norm"):
        large.log_prob(2 * x)
    ThpDistribution(unit(5), 16.0, validate_args=False).expand((2,)).log_prob(2 * x[:, 0, :][:2])


def test_it_works_with_what_torch_builds_of_distributions() -> None:
    centres = unit(4, 6)
    mixture = MixtureSameFamily(Categorical(torch.tensor([0.1, 0.2, 0.3, 0.4])), ThpDistribution(centres, 16.0))
    x = mixture.sample((9,))
    assert x.shape == (9, 6)
    each = ThpDistribution(centres, 16.0).log_prob(x.unsqueeze(1)).exp()
    torch.testing.assert_close(mixture.log_prob(x).exp(), each @ torch.tensor([0.1, 0.2, 0.3, 0.4]).double())
    independent = Independent(ThpDistribution(centres, 16.0), 1)
    torch.testing.assert_close(independent.log_prob(centres), ThpDistribution(centres, 16.0).log_prob(centres).sum())


def test_it_says_what_its_parameters_are() -> None:
    given = ThpDistribution(unit(3), 16.0)
    assert isinstance(given, Distribution)
    assert set(given.arg_constraints) == {"loc", "kappa"}
    assert given.arg_constraints["loc"].check(torch.stack((unit(3), 2 * unit(3)))).tolist() == [True, False]
    assert given.support.event_dim == 1
    assert "ThpDistribution(loc: " in repr(given)
    again = pickle.loads(pickle.dumps(given))  # noqa: S301 - made in this line
    torch.testing.assert_close(again.log_prob(unit(3, seed=1)), given.log_prob(unit(3, seed=1)))


# Bad input.


def parts(**changed: Any) -> dict[str, Any]:
    return {"loc": unit(4), "kappa": 16.0, **changed}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (parts(kappa=0), r"kappa is 0\.0; expected finite numbers above 0"),
        (parts(kappa=torch.tensor([16.0, -2.0])), r"kappa is -2\.0;"),
        (parts(kappa=math.nan), "kappa is nan;"),
        (parts(kappa=math.inf), "kappa is inf;"),
        (parts(loc=3 * unit(4)), r"loc holds a vector of norm 3; expected unit vectors\. Normalise it first"),
        (parts(loc=torch.zeros(2, 4)), "loc holds a vector of norm 0"),
        (parts(loc=torch.tensor([math.nan, 1.0])), "loc holds a value that is not finite"),
        (parts(loc=torch.ones(1)), "vectors of 1 components; a sphere needs 2 or more"),
        (parts(loc=torch.ones(3, 0)), "vectors of 0 components"),
        (parts(loc=torch.tensor(1.0)), r"loc is torch\.float32 of shape \(\); expected floats"),
        (parts(loc=torch.tensor([1, 0])), r"loc is torch\.int64 of shape \(2,\); expected floats"),
        (parts(kappa=torch.ones(3), loc=unit(2, 4)), r"kappa of shape \(3,\) does not broadcast .* \(2,\)"),
        (parts(eps=-1.0), r"eps is -1\.0; expected a finite number of 0 or more"),
        (parts(eps=math.nan), "eps is nan"),
        (parts(eps=0, loc=unit(3)), "eps is 0 at d = 3, where the density has no finite integral"),
    ],
)  # fmt: skip
def test_what_has_no_density_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(SphericalError, match=f"ThpDistribution: {message}"):
        ThpDistribution(**given)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (unit(5), r"value of shape \(5,\); expected one that ends in d = 4 and broadcasts with \(3, 4\)"),
        (unit(2, 4), r"value of shape \(2, 4\); expected"),
        (torch.tensor(1.0), r"value of shape \(\); expected"),
        (1.5 * unit(3, 4), r"value holds a vector of norm 1\.5;"),
        (torch.full((4,), math.nan), "value holds a value that is not finite"),
    ],
)
def test_what_is_not_on_the_sphere_has_no_density(value: torch.Tensor, message: str) -> None:
    with pytest.raises(SphericalError, match=message):
        ThpDistribution(unit(3, 4), 16.0).log_prob(value)


def test_validation_may_be_turned_off() -> None:
    given = ThpDistribution(2 * unit(4), -1.0, validate_args=False)
    assert given.log_prob(unit(4)).shape == ()
    with pytest.raises(SphericalError, match="vectors of 1 components"):  # shapes cost nothing to look at
        ThpDistribution(torch.ones(1), 16.0, validate_args=False)
