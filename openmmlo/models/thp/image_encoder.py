"""An image network of timm as a sequence of tokens, the pooled one first."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from openmmlo.errors import ModelError


class ImageEncoder(nn.Module):
    """(B, 3, H, W) -> (B, P, width): the pooled token, then one for each place.

    The pooled token of a transformer is its class token; where there is none, and of a convolutional map, it is the
    mean over the places. It is not pretrained: nothing is fetched here.

    Args:
        name: timm's, as in ``timm.list_models()``.
        options: for ``timm.create_model``.

    Raises:
        ModelError: timm knows no such model or no such option.
    """

    def __init__(self, name: str, options: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.network = create_network(name, options)
        self.width = int(self.network.num_features)
        self._fused = True
        self._checkpointed = False

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        self._fuse_attention(pixels.device.type != "cpu")
        if self._checkpointed:
            _count_batches_once(self.network)
        found = self.network.forward_features(pixels)
        if found.ndim == 4:
            places = found.flatten(2).transpose(1, 2) if found.shape[1] == self.width else found.flatten(1, 2)
        else:
            places = found
        if found.ndim == 3 and getattr(self.network, "cls_token", None) is not None:
            return places
        return torch.cat([places.mean(1, keepdim=True), places], 1)

    def _fuse_attention(self, fused: bool) -> None:
        """As in the text part: torch's fused kernel is for accelerators, on a CPU its backward pass is slow."""
        if fused != self._fused:
            for module in self.network.modules():
                if hasattr(module, "fused_attn"):
                    module.fused_attn = fused
            self._fused = fused

    def checkpoint_gradients(self, enable: bool) -> None:
        """Recompute activations in the backward pass instead of keeping them.

        Raises:
            ModelError: this network cannot.
        """
        try:
            self.network.set_grad_checkpointing(enable)
        except (AssertionError, AttributeError) as error:
            if enable:
                raise ModelError(
                    f"timm's {type(self.network).__name__} cannot recompute activations; leave gradient checkpointing "
                    "off (gradient_checkpointing: false), or take another image encoder."
                ) from error
        self._checkpointed = enable


def _count_batches_once(network: nn.Module) -> None:
    """Let BatchNorm's running statistics take in each batch once, although checkpointing passes it through twice."""
    for layer in network.modules():
        if isinstance(layer, _BatchNorm) and not getattr(layer, "counts_once", False):
            layer.register_forward_pre_hook(partial(_before_batch_norm, momentum=layer.momentum))
            layer.counts_once = True


def _before_batch_norm(layer: Any, _: Any, momentum: float | None) -> None:
    again = torch._C._current_graph_task_id() != -1  # within a backward pass, as torch.utils.checkpoint tells it
    layer.momentum = 0.0 if again else momentum
    if again and layer.training and layer.num_batches_tracked is not None:
        layer.num_batches_tracked.sub_(1)


_OF_WEIGHTS = ("pretrained", "checkpoint_path", "cache_dir")


def create_network(name: str, options: Mapping[str, Any] | None = None, **more: Any) -> Any:
    """timm's network without a classifier; ``more`` (pretrained, ...) goes to ``timm.create_model``, too.

    A configuration, which may be anybody's, fetches and opens nothing: neither by the name nor by an option.
    """
    import timm

    if ":" in name:
        raise ModelError(f"Image encoder {name!r} is no name of timm's own, which timm.list_models() has.")
    asked = sorted(option for option in options or {} if option.startswith(_OF_WEIGHTS))
    if asked:
        raise ModelError(
            f"image_options has {', '.join(asked)}; weights come from the checkpoint, or from load_timm "
            "(image_weights of a recipe). Leave it out."
        )
    try:
        return timm.create_model(name, num_classes=0, **(options or {}), **more)
    except (RuntimeError, TypeError, AssertionError) as error:
        given = dict(options or {})
        raise ModelError(
            f"timm cannot make the image encoder {name!r} with {given}: {error} timm.list_models() names all."
        ) from error
