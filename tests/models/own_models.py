"""Models of a user's own, as ``--model own_models:NAME`` finds them."""

from __future__ import annotations

from openmmlo.models.network import NetworkEncoder
from openmmlo.models.pixels import open_pixels


def whole() -> NetworkEncoder:
    encoder = open_pixels()
    encoder.name = "whole"
    return encoder


def demanding(path: str) -> NetworkEncoder:
    raise AssertionError(path)


class Half:
    """Lacks most of the Protocol; asking for its device would fail."""

    name = "half"

    @property
    def device(self) -> str:
        raise AssertionError("not asked")

    def identity(self) -> dict[str, str]:
        return {}


half = Half
number = 7
