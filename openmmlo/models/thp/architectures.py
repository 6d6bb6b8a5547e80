"""The sizes that have a name: those of the paper, and the miniature's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from openmmlo.errors import UnknownName

if TYPE_CHECKING:
    from openmmlo.models.thp.configuration import ThpConfig

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Architecture:
    """Values of :class:`ThpConfig` that go by one name, with a phrase that says what they are."""

    summary: str
    values: dict[str, Any] = field(default_factory=dict)


ARCHITECTURES = {
    "thp-vit-b": Architecture(
        "ViT-B/16 at 224 px with a text part of BERT-base's size; the model of the paper",
        {"image_encoder": "vit_base_patch16_224", "image_options": {"img_size": 224}},
    ),
    "thp-vit-l": Architecture(
        "ViT-L/16 at 224 px with a text part of BERT-base's size",
        {"image_encoder": "vit_large_patch16_224", "image_options": {"img_size": 224}},
    ),
    "thp-resnext50": Architecture(
        "ResNeXt-50 (32x4d) at 224 px with a text part of BERT-base's size",
        {"image_encoder": "resnext50_32x4d", "image_mean": IMAGENET_MEAN, "image_std": IMAGENET_STD},
    ),
    "thp-mini": Architecture(
        # A ViT of this size learns next to nothing from the 5,499 images of the miniature in the minutes there are.
        "a small ResNet at 64 px with a small text part, for two cores and the miniature",
        {
            "image_encoder": "resnet10t",
            "image_options": {"channels": [32, 64, 128, 192], "output_stride": 16},
            "image_size": 64,
            "image_mean": (0.5, 0.5, 0.5),
            "image_std": (0.5, 0.5, 0.5),
            "vocab_size": 1_000,
            "text_width": 128,
            "text_layers": 4,
            "text_heads": 4,
            "text_intermediate": 512,
            "text_length": 64,
            "projection": 128,
            "pad_token_id": 0,
            "cls_token_id": 2,
            "sep_token_id": 3,
            "mask_token_id": 4,
            "dec_token_id": 5,
            "enc_token_id": 6,
        },
    ),
    "thp-tiny": Architecture(
        "a ResNet at 32 px with a text part of two layers, for comparing methods on one core",
        {
            "image_encoder": "resnet10t",
            "image_options": {"channels": [16, 32, 48, 64], "output_stride": 8, "stem_width": 16},
            "image_size": 32,
            "image_mean": (0.5, 0.5, 0.5),
            "image_std": (0.5, 0.5, 0.5),
            "interpolation": "bilinear",
            "vocab_size": 1_000,
            "text_width": 64,
            "text_layers": 2,
            "text_heads": 2,
            "text_intermediate": 256,
            "text_length": 64,
            "projection": 64,
            "pad_token_id": 0,
            "cls_token_id": 2,
            "sep_token_id": 3,
            "mask_token_id": 4,
            "dec_token_id": 5,
            "enc_token_id": 6,
        },
    ),
}


def config_for(architecture: str, **overrides: Any) -> ThpConfig:
    """The configuration of a named architecture, with single values replaced.

    Raises:
        UnknownName: no such architecture.
        ConfigError: no such value, or one out of range.
    """
    from openmmlo.models.thp.configuration import changed

    if architecture not in ARCHITECTURES:
        raise UnknownName("architecture", architecture, ARCHITECTURES)
    return changed({"architecture": architecture, **ARCHITECTURES[architecture].values}, **overrides)
