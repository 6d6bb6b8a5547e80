"""The T-hp distribution on the unit sphere, exactly normalised."""

from __future__ import annotations

from typing import Any

import torch
from torch.distributions import Distribution, constraints
from torch.nn.functional import normalize

from openmmlo.spherical import normaliser
from openmmlo.spherical.checks import (
    SphericalError,
    check_dimension,
    check_positive,
    check_unit,
    tolerance,
)
from openmmlo.spherical.sampler import draw_direction, draw_w, place

NAME = "ThpDistribution"


class UnitVector(constraints.Constraint):  # type: ignore[misc]
    """Vectors of norm 1, as their number format can tell."""

    event_dim = 1

    def check(self, value: torch.Tensor) -> torch.Tensor:
        return (value.norm(dim=-1) - 1).abs() <= tolerance(value)


unit_vector = UnitVector()


class ThpDistribution(Distribution):  # type: ignore[misc]
    """Density proportional to 1 / (eps + kappa (1 - loc . x)) on the unit sphere of R^d, d of 2 or more.

    The T-hp similarity with the constant that makes it a density. Only kappa / eps matters: eps = 1 is that of the
    similarity, eps = 0 the limit that the paper prints (d >= 4), from which kappa cancels. The mean resultant length
    stays below 1 / (d - 2) whatever kappa is: kappa is the scale of a peak, not a concentration, and no likelihood
    should fit it (docs/spherical.md).

    Args:
        loc: (..., d) unit vectors, the mode.
        kappa: (...) above 0, or a number; broadcast with the leading dimensions of loc.
        eps: a number, 0 or more.
        validate_args: look at the values of loc, kappa and x; torch's default where None.

    Half-precision parameters are widened to float32. Constants are computed in float64 and rounded once: at d = 2048
    a float32 ``log_prob``, near 4,900, is right to 2.5e-4, half a step of that format.

    ``rsample`` has a gradient in loc at every d, and in kappa at d = 2 and 3, where the distribution function is
    inverted; at d >= 4 draws come from rejection, and it is refused where kappa requires a gradient.

    Raises:
        SphericalError: no sphere of that dimension, shapes that do not broadcast, a kappa that is not above 0, a loc
            that is not of unit length, a NaN; it is a ValueError.
    """

    arg_constraints = {"loc": unit_vector, "kappa": constraints.positive}  # noqa: RUF012 - as torch names them
    support = unit_vector

    def __init__(
        self,
        loc: torch.Tensor,
        kappa: torch.Tensor | float,
        eps: float = 1.0,
        validate_args: bool | None = None,
    ) -> None:
        if not loc.is_floating_point() or loc.ndim < 1:
            raise SphericalError(f"{NAME}: loc is {loc.dtype} of shape {tuple(loc.shape)}; expected floats (..., d).")
        check_dimension(loc.shape[-1], eps, NAME)
        dtype = torch.promote_types(loc.dtype, torch.float32)
        if isinstance(kappa, torch.Tensor):
            dtype = torch.promote_types(dtype, kappa.dtype)
        concentration = torch.as_tensor(kappa, dtype=dtype, device=loc.device)
        batch_shape = _common_shape(loc[..., 0], concentration)
        if batch_shape is None:
            raise SphericalError(
                f"{NAME}: kappa of shape {tuple(concentration.shape)} does not broadcast with the leading dimensions "
                f"of loc, {tuple(loc.shape[:-1])}."
            )
        if self._validate_args if validate_args is None else validate_args:
            check_unit(loc, "loc", NAME)
            check_positive(concentration, NAME)
        wide = loc.to(dtype) if loc.element_size() >= 4 else normalize(loc.to(dtype), dim=-1)
        self.eps = float(eps)
        self.loc = wide.expand(batch_shape + loc.shape[-1:])
        self.kappa = concentration.expand(batch_shape)
        super().__init__(batch_shape, loc.shape[-1:], validate_args=validate_args)

    @property
    def has_rsample(self) -> bool:
        """Whether ``rsample`` has every gradient that the parameters ask for."""
        return self._d <= 3 or not self.kappa.requires_grad

    def expand(self, batch_shape: Any, _instance: Any = None) -> ThpDistribution:
        """The same distribution with its batch expanded, without copies."""
        new: ThpDistribution = self._get_checked_instance(ThpDistribution, _instance)
        shape = torch.Size(batch_shape)
        new.eps = self.eps
        new.loc = self.loc.expand(shape + self.event_shape)
        new.kappa = self.kappa.expand(shape)
        super(ThpDistribution, new).__init__(shape, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def log_normalizer(self) -> torch.Tensor:
        """log Z of the density with numerator 1, (...) in nats; numerator 2, as in the similarity, adds log 2."""
        return self._rounded(normaliser.log_normaliser(self.kappa, self._d, self.eps))

    @property
    def mean_resultant_length(self) -> torch.Tensor:
        """R = E[loc . x], (...), below 1 / (d - 2)."""
        return self._rounded(normaliser.mean_resultant_length(self.kappa, self._d, self.eps))

    @property
    def mean(self) -> torch.Tensor:
        """E[x] = R loc, (..., d): inside the sphere."""
        return self.mean_resultant_length.unsqueeze(-1) * self.loc

    @property
    def mode(self) -> torch.Tensor:
        """Where the density is largest: loc."""
        return self.loc

    @property
    def variance(self) -> torch.Tensor:
        """Variance of each component, (..., d)."""
        along = normaliser.second_moment(self.kappa, self._d, self.eps).unsqueeze(-1)
        length = normaliser.mean_resultant_length(self.kappa, self._d, self.eps).unsqueeze(-1)
        squared = self.loc.double() ** 2
        return self._rounded((along - length**2) * squared + (1 - along) / (self._d - 1) * (1 - squared))

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        """Log-density with respect to the area of the sphere.

        The gradient in value is right along the sphere; across it the density says nothing.

        value (..., d) unit vectors -> (...), in nats.

        Raises:
            SphericalError: value has another width, does not broadcast, or is not of unit length.
        """
        if self._validate_args:
            self._validate_sample(value)
        # Half the squared distance is 1 - cos of unit vectors, and keeps its digits near the centre.
        gap = (value - self.loc).square().sum(dim=-1) / 2
        constant = normaliser.log_normaliser(self.kappa, self._d, self.eps)
        return self._rounded(-constant - torch.log(self.eps + self.kappa * gap).double())

    def sample(self, sample_shape: Any = (), generator: torch.Generator | None = None) -> torch.Tensor:
        """Exact draws, without a gradient.

        Args:
            sample_shape: of the draws for each member of the batch.
            generator: of random numbers, on the device of the parameters; torch's own where None.

        -> (*sample_shape, ..., d) unit vectors.
        """
        with torch.no_grad():
            return self._drawn(sample_shape, generator)

    def rsample(self, sample_shape: Any = (), generator: torch.Generator | None = None) -> torch.Tensor:
        """Exact draws with a gradient in loc, and at d = 2 and 3 in kappa; arguments and shapes as of ``sample``.

        Raises:
            SphericalError: kappa requires a gradient at d >= 4.
        """
        if not self.has_rsample:
            raise SphericalError(
                f"{NAME}: draws at d = {self._d} come from rejection and have no gradient in kappa; detach kappa for "
                "the gradient in loc alone, or use log_prob of sample()."
            )
        return self._drawn(sample_shape, generator)

    @property
    def _d(self) -> int:
        return int(self.event_shape[0])

    def _drawn(self, sample_shape: Any, generator: torch.Generator | None) -> torch.Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        w = draw_w(self.kappa.expand(shape[:-1]), self._d, self.eps, generator)
        loc = self.loc.expand(shape)
        return place(loc, w, draw_direction(loc, generator))

    def _rounded(self, wide: torch.Tensor) -> torch.Tensor:
        return wide.to(self.loc.dtype)

    def _validate_sample(self, value: torch.Tensor) -> None:
        if value.shape[-1:] != self.event_shape or _common_shape(value, self.loc) is None:
            raise SphericalError(
                f"{NAME}: value of shape {tuple(value.shape)}; expected one that ends in d = {self._d} and broadcasts "
                f"with {tuple(self.loc.shape)}."
            )
        check_unit(value, "value", NAME)


def _common_shape(one: torch.Tensor, other: torch.Tensor) -> torch.Size | None:
    """The shape that both broadcast to, if any; ``torch.broadcast_shapes`` would first load a package for seconds."""
    try:
        return torch.broadcast_tensors(one, other)[0].shape
    except RuntimeError:
        return None
