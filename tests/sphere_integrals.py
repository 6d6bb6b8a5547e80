"""Integrals over the unit sphere by Gauss-Legendre quadrature of the angle to a pole, in float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.interpolate import CubicHermiteSpline
from scipy.special import logsumexp

Array = np.ndarray[Any, np.dtype[np.float64]]

ORDER = 16

ENDS = np.unique(np.concatenate(([0.0], np.geomspace(1e-6, math.pi, 60), np.linspace(0, math.pi, 200)[1:-1])))
"""Of the panels: narrow where a density of large kappa has its peak."""

NODES, SHARES = np.polynomial.legendre.leggauss(ORDER)
ANGLES = (ENDS[:-1, None] + np.diff(ENDS)[:, None] / 2 * (1 + NODES)).ravel()
WEIGHTS = (np.diff(ENDS)[:, None] / 2 * SHARES).ravel()


def log_measure(d: int) -> Array:
    """Logarithm of the area of the band of the sphere in d dimensions that each node stands for."""
    area = math.log(2) + (d - 1) / 2 * math.log(math.pi) - math.lgamma((d - 1) / 2)  # of the sphere of directions
    return np.asarray(area + (d - 2) * np.log(np.sin(ANGLES)) + np.log(WEIGHTS))


def log_integral(log_density: Array, d: int) -> float:
    """Logarithm of the integral over the sphere of what has these log-values at ANGLES."""
    return float(logsumexp(log_density + log_measure(d)))


def log_kernel(kappa: float, angles: Array = ANGLES) -> Array:
    """log 1 / (1 + kappa (1 - cos)), as its definition has it."""
    return np.asarray(-np.log1p(kappa * 2 * np.sin(angles / 2) ** 2))


def moments(kappa: float, d: int) -> tuple[float, float]:
    """E[t] and E[t^2] of the density proportional to that kernel."""
    log_mass = log_kernel(kappa) + log_measure(d)
    mass = np.exp(log_mass - logsumexp(log_mass))
    return float(mass @ np.cos(ANGLES)), float(mass @ np.cos(ANGLES) ** 2)


def distribution_function(kappa: float, d: int) -> Callable[[Array], Array]:
    """P(w <= .) of w = (1 - t) / 2 under that density, to some 1e-5."""
    mass = np.exp(log_kernel(kappa) + (d - 2) * np.log(np.sin(ANGLES)) + np.log(WEIGHTS))
    below = np.concatenate(([0.0], np.cumsum(mass.reshape(-1, ORDER).sum(axis=1))))
    density = np.exp(log_kernel(kappa, ENDS)) * np.abs(np.sin(ENDS)) ** (d - 2)
    spline = CubicHermiteSpline(ENDS, below / below[-1], density / below[-1])
    return lambda w: np.asarray(spline(2 * np.arcsin(np.sqrt(w))))
