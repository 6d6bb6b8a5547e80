"""Unit vectors come in; similarities of the paper and its peers and the normalised T-hp distribution go out.

Importing this room loads no torch; ``ThpDistribution`` is in ``openmmlo.spherical.distribution``.
"""

from openmmlo.spherical.checks import SphericalError
from openmmlo.spherical.similarity import (
    SIMILARITIES,
    cosine,
    cosines,
    kappa_of_r,
    r_of_kappa,
    t_vmf,
    thp,
    vmf,
    wrapped_cauchy,
)

__all__ = [
    "SIMILARITIES",
    "SphericalError",
    "cosine",
    "cosines",
    "kappa_of_r",
    "r_of_kappa",
    "t_vmf",
    "thp",
    "vmf",
    "wrapped_cauchy",
]
