"""The class layer of a model as plain arrays, and back into it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from openmmlo.errors import ConfigError
from openmmlo.train.posthoc import ClassLayer

if TYPE_CHECKING:
    import torch

    from openmmlo.models.thp.heads import SphericalHead
    from openmmlo.models.thp.model import ThpModel


def class_layer(model: ThpModel) -> ClassLayer:
    """What the model has now; class scales of a linear layer are multiplied into it.

    Raises:
        ValueError: the model has no class head.
    """
    head = _head(model)
    if head.bias is None:
        return ClassLayer(head.kind, _array(head.centres), None, head.multiplier().item())
    weight, bias = head.linear_map()
    return ClassLayer(head.kind, _array(weight), _array(bias))


def put_class_layer(model: ThpModel, layer: ClassLayer) -> None:
    """Put a linear or cosine layer in place of the model's; the adapter in front of it and all other parts stay.

    Raises:
        ValueError: the model has no class head, or the layer has other classes, features, or is of another kind.
    """
    import torch

    from openmmlo.models.thp.configuration import changed, values_of
    from openmmlo.models.thp.model import class_head

    before = _head(model)
    shape = tuple(before.centres.shape)
    if layer.kind not in ("linear", "cosine") or layer.weight.shape != shape:
        raise ValueError(f"A {layer.kind} layer of shape {layer.weight.shape}; expected linear or cosine, {shape}.")
    start = {"head_scale_start": layer.scale} if layer.kind == "cosine" else {}
    config = changed(values_of(model.config), head=layer.kind, class_scales=False, **start)
    head = class_head(config).to(before.centres).train(before.training)
    head.adapter.load_state_dict(before.adapter.state_dict())
    with torch.no_grad():
        head.centres.copy_(torch.from_numpy(np.asarray(layer.weight)))
        if head.bias is not None:
            head.bias.copy_(torch.from_numpy(np.zeros(len(layer.weight)) if layer.bias is None else layer.bias))
    model.config = config
    model.head = head


def linear_only(layer: ClassLayer, what: str) -> None:
    """Raises ConfigError where a layer compares directions."""
    if layer.kind != "linear":
        raise ConfigError(
            f"posthoc {what} is of linear class layers, and this one is {layer.kind!r}, whose scores are of directions "
            "alone. Train the first stage with --set head=linear."
        )


def _head(model: ThpModel) -> SphericalHead:
    if model.head is None:
        raise ValueError("The model has no class head.")
    head: SphericalHead = model.head
    return head


def _array(values: torch.Tensor) -> np.ndarray:
    found: np.ndarray = values.detach().float().cpu().numpy().copy()
    return found
