"""An image network of timm as a sequence of tokens, the pooled one first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

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

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        self._fuse_attention(pixels.device.type != "cpu")
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
        """Recompute activations in the backward pass instead of keeping them."""
        self.network.set_grad_checkpointing(enable)


def create_network(name: str, options: Mapping[str, Any] | None = None, **more: Any) -> Any:
    """timm's network without a classifier; ``more`` (pretrained, ...) goes to ``timm.create_model``, too."""
    import timm

    try:
        return timm.create_model(name, num_classes=0, **(options or {}), **more)
    except (RuntimeError, TypeError, AssertionError) as error:
        given = dict(options or {})
        raise ModelError(
            f"timm cannot make the image encoder {name!r} with {given}: {error} timm.list_models() names all."
        ) from error
