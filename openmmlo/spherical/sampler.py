"""Exact draws from the T-hp density: how far from the centre, and in which direction.

A draw is x = (1 - 2w) mu + 2 sqrt(w (1 - w)) v, where w = (1 - t) / 2 is drawn rather than t, which has no digits left
near the centre, and v is a random unit vector at right angles to mu.
"""

from __future__ import annotations

import math

import torch
from torch.nn.functional import normalize

from openmmlo.spherical.normaliser import excess

LEAST = 2.0**-53
"""Uniform draws stay this far from 0 and 1, so that no gradient is infinite."""


def draw_w(kappa: torch.Tensor, d: int, eps: float, generator: torch.Generator | None = None) -> torch.Tensor:
    """Draw w = (1 - t) / 2, one for each kappa.

    d = 2 and 3 by the inverse of the distribution function, with a gradient in kappa; d >= 4 by rejection from a Beta,
    without one.

    kappa (...) -> (...) float64, from 0 to 1.
    """
    kappa = kappa.double()
    if d > 3:
        with torch.no_grad():
            return _rejected(kappa.reshape(-1), d, eps, generator).reshape(kappa.shape)
    uniform = torch.rand(kappa.shape, dtype=torch.float64, device=kappa.device, generator=generator)
    uniform = uniform.clamp(LEAST, 1 - LEAST)
    ratio = kappa / eps
    if d == 3:
        w = torch.expm1(uniform * torch.log1p(2 * ratio)) / (2 * ratio)
    else:  # the angle is 2 atan(tan(pi uniform / 2) / sqrt(1 + 2 ratio)), and w the squared sine of its half
        sine, cosine = torch.sin(math.pi / 2 * uniform), torch.cos(math.pi / 2 * uniform)
        w = sine**2 / (sine**2 + (1 + 2 * ratio) * cosine**2)
    return w.clamp(max=1 - LEAST)


def draw_direction(loc: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
    """Draw a unit vector at right angles to each unit vector of loc, evenly; with a gradient in loc.

    loc (..., d) -> (..., d).
    """
    if loc.shape[-1] > 2:
        normal = torch.randn(loc.shape, dtype=loc.dtype, device=loc.device, generator=generator)
        return normalize(normal - (normal * loc).sum(dim=-1, keepdim=True) * loc, dim=-1)
    # The circle has two. A normal draw would jump from one to the other as loc moves, and a jump has no gradient.
    side = torch.randint(0, 2, loc.shape[:-1], device=loc.device, generator=generator) * 2 - 1
    return torch.stack((-loc[..., 1], loc[..., 0]), dim=-1) * side.unsqueeze(-1)


def place(loc: torch.Tensor, w: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
    """The unit vectors that lie w from loc in a direction.

    loc (..., d), w (...) float64, direction (..., d) -> (..., d), in the format of loc.
    """
    along, across = (1 - 2 * w).to(loc.dtype), (2 * torch.sqrt(w * (1 - w))).to(loc.dtype)
    return normalize(along.unsqueeze(-1) * loc + across.unsqueeze(-1) * direction, dim=-1)


def acceptance(kappa: torch.Tensor, d: int, eps: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Shares of draws that are kept at d >= 4, from the Beta that is high near the centre and from the even one.

    kappa (...) float64 -> two of (...) float64.
    """
    rho, full = kappa / (eps + kappa), 1 + excess(kappa, d, eps)
    return rho * full * (d - 3) / (d - 2), eps / (eps + kappa) * full


def _rejected(kappa: torch.Tensor, d: int, eps: float, generator: torch.Generator | None) -> torch.Tensor:
    """Draws of w at d >= 4, (n,) of kappa (n,): Beta((d-3)/2, (d-1)/2) or Beta((d-1)/2, (d-1)/2), whichever keeps more.

    The density of w is proportional to (w (1 - w))^((d-3)/2) / (eps + 2 kappa w).
    """
    near, even = acceptance(kappa, d, eps)
    peaked = near > even
    drawn = torch.empty_like(kappa)
    waiting = torch.arange(len(kappa), device=kappa.device)
    while len(waiting):
        high, doubled = peaked[waiting], 2 * kappa[waiting]
        first = torch.where(high, (d - 3) / 2, (d - 1) / 2).to(torch.float64)
        one = torch._standard_gamma(first, generator)
        other = torch._standard_gamma(torch.full_like(first, (d - 1) / 2), generator)
        w = one / (one + other)
        uniform = torch.rand(w.shape, dtype=torch.float64, device=w.device, generator=generator)
        kept = uniform * (eps + doubled * w) < torch.where(high, doubled * w, eps)
        drawn[waiting[kept]] = w[kept]
        waiting = waiting[~kept]
    return drawn
