"""The paper's models: their names are known, their weights and the recipes that train them are not published yet."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from openmmlo.errors import ModelError


def thp_vit_b(weights: Path | None = None) -> NoReturn:
    """T-hp with a ViT-B/16 image encoder; weights and training recipe come in a later release."""
    _not_yet("thp-vit-b", weights)


def thp_vit_l(weights: Path | None = None) -> NoReturn:
    """T-hp with a ViT-L/16 image encoder; weights and training recipe come in a later release."""
    _not_yet("thp-vit-l", weights)


def thp_resnext50(weights: Path | None = None) -> NoReturn:
    """T-hp with a ResNeXt-50 image encoder; weights and training recipe come in a later release."""
    _not_yet("thp-resnext50", weights)


def thp_mini(weights: Path | None = None) -> NoReturn:
    """T-hp at the size of the miniature; weights and training recipe come in a later release."""
    _not_yet("thp-mini", weights)


def _not_yet(name: str, weights: Path | None) -> NoReturn:
    if weights is not None:
        raise ModelError(
            f"{name} from {str(weights)!r}: this release does not hold the model's code, so it cannot load a "
            "checkpoint of it; model and training recipes come in a later release. Models of other libraries: "
            "--model hf:NAME, timm:NAME or open_clip:NAME, each with --weights PATH."
        )
    raise ModelError(
        f"{name} has no weights at hand. Hub id: none, no weights are published yet. Recipe: the one that trains it "
        "comes in a later release. A checkpoint of your own will be named with --weights PATH. Until then: --model "
        "hf:openai/clip-vit-base-patch16, open_clip:ViT-B-16/laion2b_s34b_b88k, or pixels, which needs no weights."
    )
