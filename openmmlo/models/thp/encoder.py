"""T-hp models behind the one door: images, texts and images with captions become features and class scores.

A checkpoint with a class head gives what its class layer reads, of images with an empty caption or with their own; its
texts are read by the text encoder alone, into another space, so nothing compares the two. A checkpoint without one
gives the projections, in which images and texts share a space.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from openmmlo.data.transforms import PillowTransform
from openmmlo.models.encoder import Classifier, Encoding
from openmmlo.models.network import NetworkEncoder, TextReader
from openmmlo.models.thp.opening import Opened, open_folder, open_named
from openmmlo.records import digest_of

if TYPE_CHECKING:
    import numpy as np
    import torch

    from openmmlo.data.transforms import Channels, Interpolation
    from openmmlo.models.thp.configuration import ThpConfig
    from openmmlo.models.thp.model import ThpModel

Tokens = Mapping[str, "torch.Tensor"]

LATER = {"head_r_start": 0.5, "class_scales": False}
"""Values of a configuration, and their defaults, that the first published checkpoints did not have."""


def thp_vit_b(weights: Path | None = None) -> NetworkEncoder:
    """T-hp with a ViT-B/16 image encoder, the paper's model; weights by --weights."""
    return open_thp("thp-vit-b", weights)


def thp_vit_l(weights: Path | None = None) -> NetworkEncoder:
    """T-hp with a ViT-L/16 image encoder; weights by --weights."""
    return open_thp("thp-vit-l", weights)


def thp_resnext50(weights: Path | None = None) -> NetworkEncoder:
    """T-hp with a ResNeXt-50 image encoder; weights by --weights."""
    return open_thp("thp-resnext50", weights)


def thp_mini(weights: Path | None = None) -> NetworkEncoder:
    """T-hp at the size of the miniature, fine-tuned to name its classes."""
    return open_thp("thp-mini", weights)


def thp_mini_pretrained(weights: Path | None = None) -> NetworkEncoder:
    """T-hp at the size of the miniature before fine-tuning: it embeds, matches and captions."""
    return open_thp("thp-mini-pretrained", weights)


def open_thp(name: str, weights: Path | None = None) -> NetworkEncoder:
    """Open a known name, with weights of a folder or file in place of those that ship with the package.

    Raises:
        ModelError: no weights at hand, or they do not fit.
    """
    return encoder_of(name, open_named(name, weights))


def open_checkpoint(
    name: str, folder: Path, state: Mapping[str, torch.Tensor] | None = None, revision: str | None = None
) -> NetworkEncoder:
    """Open a checkpoint's folder.

    Args:
        name: what it was asked for by.
        state: weights in place of the folder's.
        revision: commit on the Hub that the folder is of.

    Raises:
        ModelError: a file is missing or damaged, or the weights do not fit.
    """
    facts = {"revision": revision} if revision is not None and state is None else {}
    return encoder_of(name, open_folder(folder, state), facts)


def encoder_of(name: str, opened: Opened, facts: Mapping[str, Any] | None = None) -> NetworkEncoder:
    """The encoder around an opened model.

    Args:
        facts: what else is known of where it is from.
    """
    model, config = opened.model, opened.model.config
    identity = {
        "library": "openmmlo",
        "architecture": config.architecture,
        "configuration": configuration_digest(config),
        **({"benchmark": config.benchmark} if config.benchmark else {}),
        **({"recipe": config.recipe_digest} if config.recipe_digest else {}),
        **(facts or {}),
    }
    if config.classes:
        return NetworkEncoder(
            name, model, transform_of(config), identity, lambda pixels: Encoding(*model.classify(pixels)),
            _reader(opened, lambda tokens: model.text.encode(tokens["tokens"], tokens["mask"], first=True)[:, 0]),
            classifier=_classifier(model), pairs=_pairs(model) if config.reads == "both" else None,
            remarks=opened.remarks,
        )  # fmt: skip
    return NetworkEncoder(
        name, model, transform_of(config), identity,
        lambda pixels: Encoding(model.embed_images(model.image_tokens(pixels))),
        _reader(opened, lambda tokens: model.embed_texts(tokens["tokens"], tokens["mask"])),
        # Its own similarity rises with the cosine, so that the nearest text is the same.
        logit_scale=1.0 / float(model.temperature.detach()), remarks=opened.remarks,
    )  # fmt: skip


def transform_of(config: ThpConfig) -> PillowTransform:
    """How images are prepared: squeezed onto the square, as in training."""
    side = config.image_size
    means, deviations = (
        cast("Channels", tuple(map(float, values))) for values in (config.image_mean, config.image_std)
    )
    return PillowTransform((side, side), None, cast("Interpolation", config.interpolation), means, deviations)


def configuration_digest(config: ThpConfig) -> str:
    """SHA-256 of the values that T-hp models have, and of none that another transformers would add.

    Values that came after checkpoints had results count only where they are not at their default: what such a
    checkpoint computes has not changed.
    """
    values = {name: getattr(config, name) for name in sorted(type(config).__annotations__)}
    return digest_of({name: value for name, value in values.items() if name not in LATER or value != LATER[name]})


def _reader(opened: Opened, encode: Callable[[Tokens], torch.Tensor]) -> TextReader:
    from openmmlo.models.thp.tokenizer import lengths, tokenize
    from openmmlo.models.transformers_models import tokenizer_digest

    def tokens_of(texts: Sequence[str]) -> Tokens:
        tokens, mask = tokenize(opened.tokenizer, [opened.reword(text) for text in texts], opened.text_length)
        return {"tokens": tokens, "mask": mask}

    def lengths_of(texts: Sequence[str]) -> Sequence[int]:
        return lengths(opened.tokenizer, [opened.reword(text) for text in texts])

    return TextReader(tokens_of, encode, lengths_of, opened.text_length, tokenizer_digest(opened.tokenizer))


def _pairs(model: ThpModel) -> Callable[[torch.Tensor, Tokens], Encoding]:
    return lambda pixels, tokens: Encoding(*model.classify(pixels, tokens["tokens"], tokens["mask"]))


def _classifier(model: ThpModel) -> Classifier | None:
    """The class layer; its rows are centres where the head compares directions."""
    config, head = model.config, model.head
    if head is None:
        return None
    names = tuple(tuple(dict.fromkeys(own)) for own in config.class_names) or ((),) * config.classes
    if head.bias is None:
        return Classifier(names, centres=_numbers(head.centres), keyed=True)
    weight, bias = head.linear_map()
    return Classifier(names, _numbers(weight), _numbers(bias), keyed=True)


def _numbers(weight: torch.Tensor) -> np.ndarray:
    found: np.ndarray = weight.detach().float().cpu().numpy().copy()
    return found
