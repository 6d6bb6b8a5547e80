"""BatchNorm over the rows of all processes, so that two of them compute what one would with the whole batch."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

PLAIN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def synchronise_batch_norm(objective: Any, world: int, device: torch.device) -> bool:
    """Let BatchNorm see the rows of all processes, where there are several; whether it now does, or has no need.

    On CUDA it is torch's SyncBatchNorm; on processors, which torch's does not run on, :class:`SharedBatchNorm`, for
    plain BatchNorm alone. With accumulation it sees one accumulated batch at a time.
    """
    layers = [part for part in objective.modules() if isinstance(part, _BatchNorm)]
    if world == 1 or not layers:
        return True
    if device.type == "cuda":
        from timm.layers import convert_sync_batchnorm  # torch's own loses the activation that timm puts into layers

        convert_sync_batchnorm(objective)
        return True
    for module in list(objective.modules()):
        for name, child in module.named_children():
            if type(child) in PLAIN:
                setattr(module, name, SharedBatchNorm.of(child))
    return all(type(layer) in PLAIN for layer in layers)


class SharedBatchNorm(_BatchNorm):
    """BatchNorm with the mean and variance of the global batch, by two sums over processes, forward and backward.

    Every process holds as many rows. In evaluation it is the layer it stands for.
    """

    @classmethod
    def of(cls, layer: Any) -> SharedBatchNorm:
        """In place of a plain layer, with its parameters and buffers."""
        made = cls(layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats)
        made.weight, made.bias = layer.weight, layer.bias
        made.running_mean, made.running_var = layer.running_mean, layer.running_var
        made.num_batches_tracked = layer.num_batches_tracked
        made.training = layer.training
        return made

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002 - torch's own name
        return

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """(B, C, ...) -> the same shape and type; computed in float32."""
        if not self.training:
            found: Tensor = super().forward(input)
            return found
        values = input.to(torch.float32)
        places = [place for place in range(values.ndim) if place != 1]
        shape = [-1 if place == 1 else 1 for place in range(values.ndim)]
        count = values.numel() // values.shape[1] * dist.get_world_size()
        mean = summed(values.sum(places)) / count
        centred = values - mean.view(shape)
        variance = summed(centred.square().sum(places)) / count
        self._remember(mean.detach(), variance.detach() * count / max(count - 1, 1))
        normed = centred * torch.rsqrt(variance + self.eps).view(shape)
        if self.affine:
            normed = normed * self.weight.view(shape) + self.bias.view(shape)
        return normed.to(input.dtype)

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        if not self.track_running_stats:
            return
        self.num_batches_tracked.add_(1)
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(variance.to(self.running_var.dtype), share)


def summed(values: Tensor) -> Tensor:
    """The sum over processes; the gradient, too, is that of the sum of all their losses."""
    total: Tensor = _Sum.apply(values)
    return total


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total
