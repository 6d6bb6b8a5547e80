"""Similarities of unit vectors as functions of their cosine: T-hp, and what it is compared with.

The formulas are plain arithmetic, so one serves tensors, NumPy arrays and numbers. ``docs/spherical.md`` says what is
true of their tails.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

from openmmlo.catalog import Catalog
from openmmlo.spherical.checks import check_kappa, check_r, check_widths

if TYPE_CHECKING:
    import numpy as np
    import torch

Values = TypeVar("Values", float, "np.ndarray[Any, Any]", "torch.Tensor")
"""Numbers, one or many: what comes in as one kind goes out as that kind."""

SIMILARITIES = Catalog(
    "similarity",
    {
        "thp": "openmmlo.spherical.similarity:thp",
        "cosine": "openmmlo.spherical.similarity:cosine",
        "t-vmf": "openmmlo.spherical.similarity:t_vmf",
        "wrapped-cauchy": "openmmlo.spherical.similarity:wrapped_cauchy",
        "vmf": "openmmlo.spherical.similarity:vmf",
    },
)
"""Functions of a cosine and kappa; of wrapped-cauchy the second argument is r, which ``r_of_kappa`` gives."""


def cosines(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Cosine of every row of x with every row of y, normalised here.

    Computed in float32, or float64 where an input is that, whatever the inputs and autocast say: 1 - cos cancels in
    half precision. On a GPU torch keeps float32 products only while ``torch.get_float32_matmul_precision()`` is its
    default, "highest". Clamped to [-1, 1] with the bounds inside, so parallel rows have a gradient, which is zero. A
    row of zeros has no direction: its cosines are 0, and its gradient is finite but of no use.

    x (..., B, D), y (..., M, D) -> (..., B, M), in float32 or float64.

    Raises:
        SphericalError: rows of different width.
    """
    import torch
    from torch.nn.functional import normalize

    check_widths(x, y)
    dtype = torch.promote_types(torch.promote_types(x.dtype, y.dtype), torch.float32)
    with _without_autocast(x.device.type):
        return unit_cosines(normalize(x.to(dtype), dim=-1), normalize(y.to(dtype), dim=-1))


def unit_cosines(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The same for rows that are unit already, in one float type; nothing is copied, so y may be a large queue.

    x (..., B, D), y (..., M, D) -> (..., B, M).
    """
    with _without_autocast(x.device.type):
        return (x @ y.mT).clamp(-1, 1)


def thp(cosine: Values, kappa: Any = 16.0) -> Values:
    """T-hp similarity 2 / (1 + kappa (1 - cos)), from 2 / (1 + 2 kappa) to 2.

    Adapting Multi-modal Large Language Model to Concept Drift, ICLR 2025 (arXiv:2405.13459), kappa = 16. Its slope in
    the cosine is kappa S^2 / 2. ``kappa`` is a number, or of a shape that broadcasts; it may be trained.

    Raises:
        SphericalError: kappa is a number that is not above 0.
    """
    check_kappa(kappa, "thp")
    similarity: Values = 2 / (1 + kappa * (1 - cosine))
    return similarity


def t_vmf(cosine: Values, kappa: Any = 16.0) -> Values:
    """t-vMF similarity (1 + cos) / (1 + kappa (1 - cos)) - 1, from -1 to 1.

    Kobayashi, T-vMF Similarity for Regularizing Intra-Class Feature Distribution, CVPR 2021. Equal to
    (1 + 1/(2 kappa)) thp - (1 + 1/kappa): as logits it is T-hp under another scale.

    Raises:
        SphericalError: kappa is a number that is not above 0.
    """
    check_kappa(kappa, "t_vmf")
    similarity: Values = (1 + cosine) / (1 + kappa * (1 - cosine)) - 1
    return similarity


def wrapped_cauchy(cosine: Values, r: Any) -> Values:
    """Wrapped Cauchy density (1 - r^2) / (2 pi (1 + r^2 - 2 r cos)), r from 0 to 1.

    Han, Wrapped Cauchy Distributed Angular Softmax for Long-Tailed Visual Recognition, ICML 2023 (arXiv:2305.18732).
    Equal to (1 + r) / (4 pi (1 - r)) thp at ``kappa_of_r(r)``.

    Raises:
        SphericalError: r is a number outside [0, 1).
    """
    check_r(r, "wrapped_cauchy", zero=True)
    # The denominator of the definition, so written that nothing cancels where r and cos are near 1.
    density: Values = (1 - r) * (1 + r) / (2 * math.pi * ((1 - r) * (1 - r) + 2 * r * (1 - cosine)))
    return density


def vmf(cosine: Values, kappa: Any = 16.0) -> Values:
    """Log-density of von Mises-Fisher without its constant: kappa cos.

    Raises:
        SphericalError: kappa is a number that is not above 0.
    """
    check_kappa(kappa, "vmf")
    log_density: Values = kappa * cosine
    return log_density


def cosine(cosine: Values, kappa: Any = None) -> Values:
    """The cosine itself; kappa has no part in it, and stands here so that a switch may name any similarity."""
    return cosine


def kappa_of_r(r: Values) -> Values:
    """The kappa at which T-hp is the wrapped Cauchy of r, up to a factor: 2 r / (1 - r)^2.

    Raises:
        SphericalError: r is a number outside (0, 1).
    """
    check_r(r, "kappa_of_r", zero=False)
    kappa: Values = 2 * r / ((1 - r) * (1 - r))
    return kappa


def r_of_kappa(kappa: Values) -> Values:
    """The r at which wrapped Cauchy is the T-hp of kappa, up to a factor: (1 + 1/kappa) - sqrt((1 + 1/kappa)^2 - 1).

    Raises:
        SphericalError: kappa is a number that is not above 0.
    """
    check_kappa(kappa, "r_of_kappa")
    # The same number, without its cancellation at small kappa.
    r: Values = kappa / (1 + kappa + (1 + 2 * kappa) ** 0.5)
    return r


def _without_autocast(device_type: str) -> AbstractContextManager[Any]:
    import torch

    if not torch.amp.is_autocast_available(device_type):  # "meta", on which a dry run counts
        return nullcontext()
    off: AbstractContextManager[Any] = torch.autocast(device_type, enabled=False)
    return off
