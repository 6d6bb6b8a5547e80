"""Models of timm: image classifiers, and image networks without a classifier."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openmmlo.data.transforms import LibraryTransform
from openmmlo.errors import ModelError
from openmmlo.models.checkpoints import require_files
from openmmlo.models.encoder import Classifier, Encoding
from openmmlo.models.labels import imagenet_names
from openmmlo.models.loading import explained, weights_hint
from openmmlo.models.network import NetworkEncoder
from openmmlo.models.opening import Wanted
from openmmlo.models.weights import read_weights
from openmmlo.records import digest_of

if TYPE_CHECKING:
    import torch

FILES = ("model.safetensors", "pytorch_model.bin")


def open_timm(wanted: Wanted) -> NetworkEncoder:
    """Open ``timm:NAME`` with its pretrained weights, ``timm:hf-hub:OWNER/NAME``, or NAME with weights from a file.

    Features are those before the classifier, as ``forward_head(pre_logits=True)`` gives them. The outputs of a
    classifier whose checkpoint names no labels go by timm's own convention: their number tells the ImageNet subset.

    Raises:
        ModelError: an unknown name, weights that are not at hand or do not fit.
    """
    from timm.data import create_transform, resolve_data_config

    _check_name(wanted)
    with explained(Path(wanted.rest)):
        model = _created(wanted)
        model.eval()
        data = resolve_data_config(model.pretrained_cfg, model=model)
        apply = create_transform(**data, is_training=False)
    size = data["input_size"]
    settings = {"library": "timm", "backend": "pil", "steps": [repr(step) for step in apply.transforms]}
    settings |= {key: list(value) if isinstance(value, tuple) else value for key, value in sorted(data.items())}
    red, green, blue = map(float, data["std"])
    classifier = _classifier(model, size)
    facts = {
        "library": "timm",
        "architecture": str(model.pretrained_cfg.get("architecture") or type(model).__name__),
        "configuration": digest_of([type(model).__name__, list(size), repr(model)]),
    }
    transform = LibraryTransform(apply, settings, (red, green, blue))

    def images(pixels: torch.Tensor) -> Encoding:
        found = model.forward_features(pixels)
        features = model.forward_head(found, pre_logits=True).flatten(1)
        if classifier is None:
            return Encoding(features)
        logits = model.get_classifier()(features) if classifier.weight is not None else model.forward_head(found)
        return Encoding(features, logits)

    return NetworkEncoder(wanted.name, model, transform, facts, images, classifier=classifier)


def _check_name(wanted: Wanted) -> None:
    """Refuse what timm does not know, or what needs a Hub that cannot be reached, before it tries for minutes."""
    import timm

    name = wanted.rest
    schema, _, where = name.partition(":")
    if where:
        if schema == "hf-hub":
            model, _, revision = where.partition("@")
            with weights_hint():
                require_files(model, FILES, revision or None)
        return
    architecture = name.partition(".")[0]
    if not timm.is_model(architecture):
        names = timm.list_models()
        near = get_close_matches(architecture, names, n=1)
        hint = f" Did you mean 'timm:{near[0]}'?" if near else ""
        raise ModelError(f"timm has no model {name!r}.{hint} timm.list_models() names all {len(names):,}.")
    if wanted.weights is not None:
        return
    try:
        settings = timm.get_pretrained_cfg(name)
    except RuntimeError:  # a tag that is none of the architecture's
        settings = None
    if settings is None or not (settings.hf_hub_id or settings.url or settings.file):
        tags = ", ".join(timm.list_pretrained(f"{architecture}*")[:5]) or "none of this architecture"
        raise ModelError(f"timm has no pretrained weights for {name!r}. Pretrained: {tags}. Your own: --weights PATH.")
    if settings.hf_hub_id:
        with weights_hint():
            require_files(settings.hf_hub_id, FILES)


def _created(wanted: Wanted) -> Any:
    """The network with its weights, all of them."""
    import timm

    if wanted.weights is None:
        return timm.create_model(wanted.rest, pretrained=True)
    state = read_weights(wanted.weights)
    settings = timm.create_model(wanted.rest, pretrained=False).pretrained_cfg
    layer = settings.get("classifier")
    head = state.get(f"{layer}.weight") if isinstance(layer, str) else None
    classes = int(settings["num_classes"]) if not isinstance(layer, str) else 0 if head is None else int(head.shape[0])
    plain = timm.create_model(wanted.rest, pretrained=False, num_classes=classes)
    if plain.state_dict().keys() == state.keys():
        plain.load_state_dict(state)
        return plain
    # Names of another layout: timm knows those of the original releases.
    source = {"state_dict": state, "num_classes": classes}
    return timm.create_model(wanted.rest, pretrained=True, num_classes=classes, pretrained_cfg_overlay=source)


def _classifier(model: Any, size: tuple[int, ...]) -> Classifier | None:
    """The last layer; linear where one ``nn.Linear`` on the features gives the logits."""
    import torch
    from torch import nn

    layer = model.get_classifier()
    if not model.num_classes or isinstance(layer, nn.Identity):
        return None
    names = _names(model.pretrained_cfg, int(model.num_classes))
    if isinstance(layer, nn.Linear):
        pixels = torch.rand((1, *size), generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            found = model.forward_features(pixels)
            direct = layer(model.forward_head(found, pre_logits=True))
            if direct.shape == (1, model.num_classes) and torch.allclose(direct, model.forward_head(found), atol=1e-5):
                weight = layer.weight.detach().float().numpy().copy()
                bias = None if layer.bias is None else layer.bias.detach().float().numpy().copy()
                return Classifier(names, weight, bias)
    return Classifier(names)


def _names(settings: Mapping[str, Any], classes: int) -> tuple[tuple[str, ...], ...]:
    """Labels of the checkpoint; else of the ImageNet subset with as many classes; else none."""
    from timm.data import infer_imagenet_subset

    labels = settings.get("label_names")
    if labels and len(labels) == classes:
        described = settings.get("label_descriptions") or {}
        return tuple(
            tuple(dict.fromkeys([str(label), *(part.strip() for part in str(described.get(label, label)).split(","))]))
            for label in labels
        )
    subset = infer_imagenet_subset({"num_classes": classes})
    return imagenet_names(subset) if subset else ((),) * classes
