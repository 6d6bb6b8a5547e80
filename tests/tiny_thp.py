"""T-hp models small enough for any test: random weights, a tokenizer of a few words, a saved checkpoint."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch

from openmmlo.models.thp import ThpConfig, ThpModel, config_for, token_ids, train_tokenizer

TEXTS = (
    "a small red square lies beside a large blue circle.",
    "two green stars stand above one yellow triangle, on a dark ground",
    "the [mask] is left of the [mask]s and right of a white heart",
)
SIZES: dict[str, Any] = {
    "image_size": 16,
    "image_encoder": "vit_tiny_patch16_224",
    "image_options": {"img_size": 16, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2},
    "text_width": 32, "text_layers": 2, "text_heads": 2, "text_intermediate": 48, "text_length": 24, "projection": 16,
}  # fmt: skip


@cache
def tokenizer() -> Any:
    """A tokenizer of the words in TEXTS."""
    return train_tokenizer(TEXTS, 120)


def config(**changes: Any) -> ThpConfig:
    """Of a tiny ViT and a tiny text part; ``changes`` replace single values."""
    return config_for("thp-mini", **(SIZES | token_ids(tokenizer()) | changes))


def model(seed: int = 0, **changes: Any) -> ThpModel:
    """With weights large enough for every part to matter, in evaluation mode."""
    torch.manual_seed(seed)
    made = ThpModel(config(**changes)).eval()
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if weight.ndim > 1:
                weight.normal_(0.0, 0.3)
            elif name.endswith("bias"):
                weight.normal_(0.0, 0.1)
    return made


def save(folder: Path, seed: int = 0, **changes: Any) -> Path:
    """A checkpoint's folder, as training writes it, without card and training.json."""
    model(seed, **changes).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder
