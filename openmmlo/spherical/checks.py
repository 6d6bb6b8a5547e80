"""What a similarity or a distribution may be given, checked at its door."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from openmmlo.errors import OpenmmloError

if TYPE_CHECKING:
    import torch


class SphericalError(OpenmmloError, ValueError):
    """A concentration, a vector or a dimension that the mathematics has no answer for.

    A ValueError too, as from any distribution of torch.
    """


def check_kappa(kappa: Any, where: str) -> None:
    """A number must be finite and above 0. Tensors and arrays pass unread: looking at one stalls an accelerator.

    Raises:
        SphericalError: it is not.
    """
    if isinstance(kappa, int | float) and not 0 < kappa < math.inf:
        raise SphericalError(f"{where}: kappa is {kappa}; expected a finite number above 0.")


def check_r(r: Any, where: str, *, zero: bool) -> None:
    """A number must be below 1 and above 0, or ``zero`` and 0; tensors and arrays pass unread.

    Raises:
        SphericalError: it is not.
    """
    if isinstance(r, int | float) and not (0 < r < 1 or (zero and r == 0)):
        raise SphericalError(f"{where}: r is {r}; expected a number {'from 0' if zero else 'above 0'} and below 1.")


def check_widths(x: torch.Tensor, y: torch.Tensor) -> None:
    """Rows of the same width, two dimensions at least.

    Raises:
        SphericalError: they are not.
    """
    if x.ndim < 2 or y.ndim < 2 or x.shape[-1] != y.shape[-1]:
        raise SphericalError(
            f"cosines: shapes {tuple(x.shape)} and {tuple(y.shape)}; expected (..., B, D) and (..., M, D) with one D."
        )


def check_dimension(d: int, eps: float, where: str) -> None:
    """A sphere that has the density: d of 2 or more, and of 4 or more where eps is 0.

    Raises:
        SphericalError: there is no such density.
    """
    if d < 2:
        raise SphericalError(f"{where}: vectors of {d} components; a sphere needs 2 or more.")
    if not 0 <= eps < math.inf:
        raise SphericalError(f"{where}: eps is {eps}; expected a finite number of 0 or more.")
    if eps == 0 and d < 4:
        raise SphericalError(f"{where}: eps is 0 at d = {d}, where the density has no finite integral; d >= 4 has one.")


def check_positive(values: torch.Tensor, where: str) -> None:
    """Every kappa of a tensor finite and above 0.

    Raises:
        SphericalError: one is not; the first such is named.
    """
    bad = ~((values > 0) & values.isfinite())
    if bad.any():
        raise SphericalError(f"{where}: kappa is {values[bad][0].item()}; expected finite numbers above 0.")


def check_unit(vectors: torch.Tensor, name: str, where: str) -> None:
    """Every vector (..., d) finite and of norm 1, as its number format can tell.

    Raises:
        SphericalError: one is not; the first such norm is given.
    """
    norms = vectors.detach().to(_at_least_float32(vectors)).norm(dim=-1)
    bad = ~((norms - 1).abs() <= tolerance(vectors))
    if not bad.any():
        return
    worst = norms[bad][0].item()
    if not math.isfinite(worst):
        raise SphericalError(f"{where}: {name} holds a value that is not finite; expected unit vectors.")
    raise SphericalError(
        f"{where}: {name} holds a vector of norm {worst:.6g}; expected unit vectors. Normalise it first: "
        "torch.nn.functional.normalize(..., dim=-1)."
    )


def tolerance(vectors: torch.Tensor) -> float:
    """How far from 1 a norm may be: what rounding to the number format leaves, with room for long vectors."""
    return 1e-5 if vectors.element_size() >= 4 else 1e-2


def _at_least_float32(vectors: torch.Tensor) -> torch.dtype:
    import torch

    return torch.promote_types(vectors.dtype, torch.float32)
