"""Momentum copies of a model, and queues of their features."""

from __future__ import annotations

import copy
from typing import Self

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from openmmlo.models.thp.model import ThpModel


class MomentumPair(nn.Module):
    """A teacher that follows a model: teacher = momentum * teacher + (1 - momentum) * model.

    ``teacher`` is a :class:`ThpModel` of its own, without gradients. It is always in evaluation mode: dropout would
    put noise into targets and queues (the release leaves it on). Its methods are the model's:
    ``teacher.embed_images(teacher.image_tokens(pixels))``. It holds what it is used for: the image encoder, the text
    encoder and both projections; with ``classes`` also the fusion and the class head. Similarities are asked of the
    model, whose temperature is the current one.

    The followed model is not part of this module: its weights are in no state_dict of it.

    Args:
        model: at the start the teacher equals it.
        momentum: 0.995 in the paper.
        classes: whether the teacher classifies.
    """

    def __init__(self, model: ThpModel, momentum: float = 0.995, classes: bool = False) -> None:
        super().__init__()
        if not 0 <= momentum <= 1:
            raise ValueError(f"momentum is {momentum}; expected 0 (a plain copy) to 1 (it never moves).")
        self.momentum = momentum
        self.teacher = copy.deepcopy(model).requires_grad_(False).eval()
        self.teacher.language_head = None
        self.teacher.match_head = None
        for layer in self.teacher.text.encoder.layer:
            layer.causal_attention = None
        if not classes:
            self.teacher.head = None
            for layer in self.teacher.text.encoder.layer:
                layer.crossattention = None

    @torch.no_grad()
    def update(self, model: ThpModel, momentum: float | None = None) -> None:
        """One step towards the model (unwrapped); buffers, which BatchNorm has, are copied."""
        own, theirs = dict(self.teacher.named_parameters()), dict(model.named_parameters())
        move = get_ema_multi_avg_fn(self.momentum if momentum is None else momentum)
        move(list(own.values()), [theirs[name].detach() for name in own], 0)
        buffers = dict(model.named_buffers())
        for name, buffer in self.teacher.named_buffers():
            buffer.copy_(buffers[name])

    def train(self, mode: bool = True) -> Self:
        """The teacher stays in evaluation mode, whatever the objective around it is put into."""
        super().train(mode)
        self.teacher.eval()
        return self


class Queue(nn.Module):
    """The latest features of a momentum copy, first in, first out.

    Args:
        width: D.
        size: how many are kept; a multiple of the global batch.
        names: the features that are kept beside each other, ``("image", "text")``.
        seed: of what it holds before the first push.

    ``queue["image"]`` is (D, size) float32: unit columns, random at the start as in MoCo. They are buffers, so they
    are saved, and so is ``pointer``, the column that the next push begins at.
    """

    pointer: torch.Tensor

    def __init__(self, width: int, size: int, names: tuple[str, ...] = ("image", "text"), seed: int = 0) -> None:
        super().__init__()
        if size < 1:
            raise ValueError(f"A queue of {size} features; expected at least 1. Without a queue, make none.")
        self.size = size
        self.names = names
        generator = torch.Generator().manual_seed(seed)
        for name in names:
            columns = torch.randn(width, size, generator=generator)
            self.register_buffer(f"{name}_features", nn.functional.normalize(columns, dim=0))
        self.register_buffer("pointer", torch.zeros((), dtype=torch.int64))

    def __getitem__(self, name: str) -> torch.Tensor:
        """(D, size), the buffer itself: push after the backward pass that reads it."""
        return self.get_buffer(f"{name}_features")

    def check(self, batch: int) -> None:
        """Raises ValueError where the size is no multiple of the global batch."""
        if batch < 1 or self.size % batch:
            below, above = self.size // max(batch, 1) * batch, -(-self.size // max(batch, 1)) * batch
            raise ValueError(
                f"The queue keeps {self.size:,} features, which is no multiple of the global batch of {batch:,}. "
                f"Set queue_size to {' or '.join(f'{size:,}' for size in (below, above) if size)}."
            )

    @torch.no_grad()
    def push(self, **features: torch.Tensor) -> None:
        """Put (B, D) of each name over the oldest; the same B for all, of the global batch.

        Raises:
            ValueError: the size is no multiple of B, or the names are not those of the queue.
        """
        counts = {len(rows) for rows in features.values()}
        if set(features) != set(self.names) or len(counts) != 1:
            raise ValueError(
                f"The queue takes {', '.join(self.names)} of one batch; came "
                f"{', '.join(f'{name} ({len(rows)})' for name, rows in features.items()) or 'nothing'}."
            )
        (batch,) = counts
        self.check(batch)
        columns = (self.pointer + torch.arange(batch, device=self.pointer.device)) % self.size
        for name, rows in features.items():
            kept = self[name]
            kept.index_copy_(1, columns, rows.detach().T.to(kept.dtype))
        self.pointer.add_(batch).remainder_(self.size)
