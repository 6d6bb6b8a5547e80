"""Momentum copies of a model, and queues of their features."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from openmmlo.models.thp.model import ThpModel


class MomentumPair(nn.Module):
    """A teacher that follows a model: teacher = momentum * teacher + (1 - momentum) * model.

    ``teacher`` is a :class:`ThpModel` of its own, without gradients and always in evaluation mode; its methods are the
    model's: ``teacher.embed_images(teacher.image_tokens(pixels))``. It holds what it is used for: for embeddings the
    image encoder, the text encoder and both projections; with ``classes`` also the fusion and the class head.

    The followed model is not part of this module: its weights are in no state_dict of it.

    Args:
        model: at the start the teacher equals it.
        momentum: 0.995 in the paper.
        classes: whether the teacher classifies.
    """

    def __init__(self, model: ThpModel, momentum: float = 0.995, classes: bool = False) -> None:
        super().__init__()
        raise NotImplementedError

    def update(self, model: ThpModel, momentum: float | None = None) -> None:
        """One step towards the model (unwrapped); buffers, which BatchNorm has, are copied."""
        raise NotImplementedError

    def train(self, mode: bool = True) -> Any:
        """The teacher stays in evaluation mode, whatever the objective around it is put into."""
        raise NotImplementedError


class Queue(nn.Module):
    """The latest features of a momentum copy, first in, first out.

    Args:
        width: D.
        size: how many are kept; a multiple of the global batch.
        names: the features that are kept beside each other, ``("image", "text")``.

    ``queue["image"]`` is (D, size) float32, unit columns, random at the start as in MoCo. Buffers: they are saved.
    """

    def __init__(self, width: int, size: int, names: tuple[str, ...] = ("image", "text"), seed: int = 0) -> None:
        super().__init__()
        raise NotImplementedError

    def __getitem__(self, name: str) -> torch.Tensor:
        """(D, size), a copy that later pushes do not change."""
        raise NotImplementedError

    def push(self, **features: torch.Tensor) -> None:
        """Put (B, D) of each name over the oldest; the same B for all, of the global batch.

        Raises:
            ValueError: the size is no multiple of B, or a name is missing.
        """
        raise NotImplementedError
