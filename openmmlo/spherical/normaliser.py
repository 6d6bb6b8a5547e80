"""What makes the T-hp density integrate to one, and the moments that follow from it.

With t = mu . x on the unit sphere of R^d and rho = kappa / (eps + kappa), the density is
f(x) = 1 / (Z (eps + kappa (1 - t))), where Z = A_d / (eps + kappa) F, A_d = 2 pi^(d/2) / Gamma(d/2) is the area of
the sphere and F = 2F1(1/2, 1; d/2; rho^2). Everything here follows from F - 1, which no number overflows.

All functions take kappa of any shape, compute and return float64, and have gradients in kappa.
"""

from __future__ import annotations

import math

import torch

TERMS = 64
"""Of the series: they leave less than 1e-13 of F - 1 where the series is used."""

LONG = 32
"""From this dimension on the series serves for every kappa."""


def log_normaliser(kappa: torch.Tensor, d: int, eps: float = 1.0) -> torch.Tensor:
    """log Z of the density with numerator 1; with the numerator 2 of the similarity it is larger by log 2.

    kappa (...) -> (...) float64, in nats.
    """
    kappa = kappa.double()
    return log_area(d) - torch.log(eps + kappa) + torch.log1p(excess(kappa, d, eps))


def log_area(d: int) -> float:
    """Logarithm of the area of the unit sphere in d dimensions, on the host: float32 loses 5e-4 of it at d = 2048."""
    return math.log(2) + d / 2 * math.log(math.pi) - math.lgamma(d / 2)


def mean_resultant_length(kappa: torch.Tensor, d: int, eps: float = 1.0) -> torch.Tensor:
    """R = E[t] = (F - 1) / (rho F); 1 / (d - 2) where eps is 0, which no kappa exceeds at d > 2.

    kappa (...) -> (...) float64.
    """
    kappa = kappa.double()
    over = excess(kappa, d, eps)
    return over / (1 + over) * (eps + kappa) / kappa


def second_moment(kappa: torch.Tensor, d: int, eps: float = 1.0) -> torch.Tensor:
    """E[t^2] = R / rho: the mean of t (eps + kappa (1 - t)) under f is the mean of t on the even sphere, which is 0.

    kappa (...) -> (...) float64.
    """
    kappa = kappa.double()
    return mean_resultant_length(kappa, d, eps) * (eps + kappa) / kappa


def excess(kappa: torch.Tensor, d: int, eps: float = 1.0) -> torch.Tensor:
    """F - 1 with F = 2F1(1/2, 1; d/2; rho^2), to 1e-13 of itself.

    A series of positive terms where it converges fast; for d < 32 and rho^2 >= 1/2 a recursion over d from the closed
    form at d = 2 or 3, which would lose all digits below that rho.

    kappa (...) -> (...) float64.
    """
    kappa = kappa.double()
    if eps == 0:
        return torch.full_like(kappa, 1 / (d - 3))  # 2F1 at 1, by Gauss
    ratio = kappa / eps
    squared = (ratio / (1 + ratio)) ** 2
    if d >= LONG:
        return _series(squared, d)
    far = squared >= 0.5
    # Each branch sees numbers that it can take, so that the gradient of the other one stays finite.
    recursed = _recursed(torch.where(far, ratio, 16.0), d)
    return torch.where(far, recursed, _series(torch.where(far, 0.25, squared), d))


def _series(squared: torch.Tensor, d: int) -> torch.Tensor:
    """Sum of the products of rho^2 (i + 1/2) / (i + d/2) over i < j, for j from 1 to TERMS."""
    coefficients, last = [], 1.0
    for i in range(TERMS):
        last *= (i + 0.5) / (i + d / 2)
        coefficients.append(last)
    powers = squared.unsqueeze(-1) ** torch.arange(1, TERMS + 1, device=squared.device)
    return (powers * torch.tensor(coefficients, dtype=torch.float64, device=squared.device)).sum(dim=-1)


def _recursed(ratio: torch.Tensor, d: int) -> torch.Tensor:
    """F - 1 from F at d = 2, (1 - rho^2)^(-1/2), or at d = 3, atanh(rho) / rho, in steps of two dimensions."""
    squared = (ratio / (1 + ratio)) ** 2
    rest = (1 + 2 * ratio) / (1 + ratio) ** 2  # 1 - rho^2, without its cancellation
    over = torch.log1p(2 * ratio) / 2 * (1 + ratio) / ratio - 1 if d % 2 else torch.rsqrt(rest) - 1
    for step in range((d - 2) // 2):
        c = 1 + d % 2 / 2 + step
        over = (squared / 2 - c * rest * over) / ((c - 0.5) * squared)
    return over
