"""Small models of this folder's tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from openmmlo.models.thp import ThpModel, config_for

MakeModel = Callable[..., ThpModel]

TINY: dict[str, Any] = {
    "image_encoder": "vit_tiny_patch16_224",
    "image_options": {"img_size": 16, "patch_size": 8, "embed_dim": 24, "depth": 1, "num_heads": 2},
    "image_size": 16,
    "vocab_size": 40,
    "text_width": 16,
    "text_layers": 2,
    "text_heads": 2,
    "text_intermediate": 24,
    "text_length": 12,
    "projection": 8,
}


@pytest.fixture
def tiny_model() -> MakeModel:
    """make(seed=0, **values): a random model of a few thousand weights in evaluation mode, spread wide enough to tell
    inputs apart."""

    def make(seed: int = 0, **values: Any) -> ThpModel:
        torch.manual_seed(seed)
        model = ThpModel(config_for("thp-mini", **{**TINY, **values})).eval()
        with torch.no_grad():
            for name, parameter in model.text.named_parameters():
                if parameter.ndim > 1 and "LayerNorm" not in name:
                    parameter.mul_(10.0)
        return model

    return make


@pytest.fixture
def pairs() -> Callable[..., tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """make(model, count=3, length=6): pixels, tokens and mask of pairs; each text but the first is shorter."""

    def make(
        model: ThpModel, count: int = 3, length: int = 6, seed: int = 1
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        config = model.config
        generator = torch.Generator().manual_seed(seed)
        pixels = torch.randn(count, 3, config.image_size, config.image_size, generator=generator)
        tokens = torch.randint(7, config.vocab_size, (count, length), generator=generator)
        tokens[:, 0] = config.cls_token_id
        mask = torch.ones_like(tokens)
        for row in range(count):
            end = max(length - row, 2)
            tokens[row, end - 1] = config.sep_token_id
            tokens[row, end:] = config.pad_token_id
            mask[row, end:] = 0
        return pixels, tokens, mask

    return make
