"""The floor that every learned model must beat: an image's own pixels, made small."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from openmmlo.data.transforms import PillowTransform
from openmmlo.errors import ModelError
from openmmlo.models.encoder import Encoding
from openmmlo.models.network import NetworkEncoder

if TYPE_CHECKING:
    import torch

SIZE = 8


def open_pixels(weights: Path | None = None) -> NetworkEncoder:
    """The image at 8 x 8 RGB in [0, 1] as 192 features; no weights, the floor for learned models.

    Raises:
        ModelError: weights were given.
    """
    from torch import nn

    if weights is not None:
        raise ModelError("Model 'pixels' has no weights. Leave --weights out.")
    transform = PillowTransform((SIZE, SIZE), None, "bilinear")
    return NetworkEncoder("pixels", nn.Identity(), transform, {"library": "openmmlo", "architecture": "pixels"}, _flat)


def _flat(pixels: torch.Tensor) -> Encoding:
    """(B, 3, 8, 8) -> (B, 192), channel by channel."""
    if pixels.shape[1:] != (3, SIZE, SIZE):
        raise ValueError(f"expected 3 x {SIZE} x {SIZE}.")
    return Encoding(pixels.flatten(1))
