"""Captions are written: greedily, or by a beam search."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from openmmlo.models.thp.model import ThpModel


def write_captions(model: ThpModel, pixels: torch.Tensor) -> torch.Tensor:
    raise NotImplementedError
