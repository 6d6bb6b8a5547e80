"""What the processes that share a global batch know of each other: features, texts, counts.

The global batch is rank 0's rows, then rank 1's, and so on (``openmmlo.train.order.part``); every process holds as many
rows, padded to one length.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from openmmlo.train.state import StepState


def own_rows(rows: int, state: StepState, device: torch.device) -> Tensor:
    """(B,) int64: where this process's rows stand in the global batch."""
    return torch.arange(rows, device=device) + state.rank * rows


@torch.no_grad()
def gathered(tensor: Tensor, state: StepState) -> Tensor:
    """(B, ...) of every process -> (B·world, ...), the global batch, on every process; no gradient."""
    if state.world == 1:
        return tensor
    return _all(tensor, state)


def gathered_with_gradient(tensor: Tensor, state: StepState) -> Tensor:
    """The same, and each process's rows receive the gradient of every process's loss.

    The gradients are added. DistributedDataParallel then takes the mean over processes, as of all gradients: that is
    the gradient of the mean of their losses.
    """
    if state.world == 1:
        return tensor
    rows: Tensor = _Gathering.apply(tensor, state)
    return rows


@torch.no_grad()
def summed(tensor: Tensor, state: StepState) -> Tensor:
    """The sum over processes."""
    if state.world == 1:
        return tensor
    total = tensor.clone()
    dist.all_reduce(total)
    return total


def _all(tensor: Tensor, state: StepState) -> Tensor:
    found = tensor.new_empty((tensor.shape[0] * state.world, *tensor.shape[1:]))
    dist.all_gather_into_tensor(found, tensor.contiguous())
    return found


class _Gathering(torch.autograd.Function):
    """Gather forward, reduce and scatter backward."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, state: StepState) -> Tensor:
        ctx.world = state.world
        return _all(tensor, state)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        own = gradient.new_empty((gradient.shape[0] // ctx.world, *gradient.shape[1:]))
        dist.reduce_scatter_tensor(own, gradient.contiguous())
        return own, None
