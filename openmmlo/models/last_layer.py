"""A classifier's features: what its last linear layer reads, found by watching one image pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from openmmlo.errors import ModelError
from openmmlo.models.encoder import Classifier, Encoding, Transform
from openmmlo.models.labels import label_names

if TYPE_CHECKING:
    import torch


def read_last_layer(
    model: torch.nn.Module,
    logits_of: Callable[[torch.Tensor], torch.Tensor],
    transform: Transform,
    labels: Sequence[str],
) -> tuple[Callable[[torch.Tensor], Encoding], Classifier]:
    """How to get features beside logits from a classifier, and the classifier.

    Args:
        logits_of: (B, 3, H, W) -> (B, C), through ``model``.

    The layer is the ``nn.Linear`` whose output is the logits. Where no single one is (two heads that are averaged, a
    convolution), features are what the module named ``classifier`` or ``head`` reads, and the map is not linear.

    Raises:
        ModelError: nothing in the network reads a vector of features for its logits.
    """
    import torch
    from torch import nn

    model.eval()
    heads = [module for module in model.modules() if isinstance(module, nn.Linear)]
    named = [
        getattr(model, name) for name in ("classifier", "head") if isinstance(getattr(model, name, None), nn.Module)
    ]
    seen = _watched(model, logits_of, _probe(transform), [*heads, *named])
    logits = seen.pop(None)[1]
    for module in heads:
        taken, given = seen.get(module, (None, None))
        if taken is not None and taken.ndim == 2 and given is not None and torch.equal(given, logits):
            bias = None if module.bias is None else module.bias.detach().cpu().float().numpy().copy()
            weight = module.weight.detach().cpu().float().numpy().copy()
            return _beside(model, logits_of, module), Classifier(label_names(labels), weight, bias)
    for module in named:
        taken, _ = seen.get(module, (None, None))
        if taken is not None and taken.flatten(1).shape[1] == taken.shape[1]:
            return _beside(model, logits_of, module), Classifier(label_names(labels))
    raise ModelError(
        f"{type(model).__name__} has no last layer that reads one vector of features for each image. "
        "Wrap it in a factory of your own: --model package.module:factory."
    )


def _probe(transform: Transform) -> torch.Tensor:
    """One image of noise, as the network wants it."""
    import numpy as np
    from PIL import Image

    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    return transform(Image.fromarray(noise)).unsqueeze(0)


def _watched(
    model: torch.nn.Module,
    logits_of: Callable[[torch.Tensor], torch.Tensor],
    pixels: torch.Tensor,
    modules: Sequence[torch.nn.Module],
) -> dict[Any, tuple[torch.Tensor, torch.Tensor]]:
    """What each module took and gave while the pixels passed; the logits under None."""
    import torch

    seen: dict[Any, tuple[torch.Tensor, torch.Tensor]] = {}

    def watch(module: torch.nn.Module, taken: tuple[Any, ...], given: Any) -> None:
        if taken and isinstance(taken[0], torch.Tensor) and isinstance(given, torch.Tensor):
            seen[module] = (taken[0], given)

    hooks = [module.register_forward_hook(watch) for module in modules]
    try:
        with torch.no_grad():
            seen[None] = (pixels, logits_of(pixels))
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def _beside(
    model: torch.nn.Module, logits_of: Callable[[torch.Tensor], torch.Tensor], layer: torch.nn.Module
) -> Callable[[torch.Tensor], Encoding]:
    """Features and logits of one pass: the features are caught on their way into the layer."""

    def images(pixels: torch.Tensor) -> Encoding:
        caught: list[torch.Tensor] = []
        hook = layer.register_forward_pre_hook(lambda _, taken: caught.append(taken[0]))
        try:
            logits = logits_of(pixels)
        finally:
            hook.remove()
        return Encoding(caught[-1].flatten(1), logits)

    return images
