"""Tiny encoders and classifiers with random weights, saved as users' checkpoints are saved.

As in ``tiny_checkpoints``: full architectures, processors and file layouts, small sizes, matrices spread wide so that
different images and texts give different features.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tiny_checkpoints import _randomise, _save, bert_tokenizer, t5_tokenizer


def make_clip(folder: Path, width: int = 32, layers: int = 2, seed: int = 0) -> Path:
    """Save a CLIP: 32-pixel images, 24 tokens, 16 features."""
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPProcessor

    tokenizer = clip_tokenizer()
    sizes = {"hidden_size": width, "intermediate_size": 2 * width, "num_hidden_layers": layers, "projection_dim": 16}
    config = CLIPConfig(
        text_config={
            **sizes,
            "num_attention_heads": 4,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 24,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={**sizes, "num_attention_heads": 4, "image_size": 32, "patch_size": 8},
        projection_dim=16,
    )
    tokenizer.model_max_length = 24
    processor = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    return _randomised(folder, CLIPModel(config), CLIPProcessor(processor, tokenizer), seed)


def make_siglip(folder: Path, width: int = 32, layers: int = 2, seed: int = 0) -> Path:
    """Save a SigLIP: 32-pixel images, 16 tokens padded to full length."""
    from transformers import SiglipConfig, SiglipImageProcessorPil, SiglipModel

    tokenizer = t5_tokenizer()
    tokenizer.model_max_length = 16
    tokenizer.model_input_names = ["input_ids"]
    sizes = {"hidden_size": width, "intermediate_size": 2 * width, "num_hidden_layers": layers}
    config = SiglipConfig(
        text_config={
            **sizes,
            "num_attention_heads": 4,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 16,
            "bos_token_id": None,
            "eos_token_id": 1,
            "pad_token_id": 0,
        },
        vision_config={**sizes, "num_attention_heads": 4, "image_size": 32, "patch_size": 8},
    )
    _randomised(folder, SiglipModel(config), SiglipImageProcessorPil(size={"height": 32, "width": 32}), seed)
    tokenizer.save_pretrained(folder)
    return folder


def make_align(folder: Path, width: int = 32, layers: int = 2, seed: int = 0) -> Path:
    """Save an ALIGN: an EfficientNet with a BERT, and a temperature in place of a scale."""
    from transformers import AlignConfig, AlignModel, EfficientNetImageProcessorPil

    tokenizer = bert_tokenizer()
    tokenizer.model_max_length = 64
    tokenizer.truncation_side = "right"
    config = AlignConfig(
        text_config={
            "hidden_size": width,
            "intermediate_size": 2 * width,
            "num_hidden_layers": layers,
            "num_attention_heads": 4,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 64,
        },
        vision_config={
            "image_size": 32,
            "width_coefficient": 0.25,
            "depth_coefficient": 0.25,
            "hidden_dim": 16,
            "in_channels": [8, 8],
            "out_channels": [8, 16],
            "kernel_sizes": [3, 3],
            "strides": [1, 2],
            "num_block_repeats": [1, 1],
            "expand_ratios": [1, 2],
            "depthwise_padding": [],
        },
        projection_dim=8,
    )
    processor = EfficientNetImageProcessorPil(size={"height": 32, "width": 32})
    _randomised(folder, AlignModel(config), processor, seed)
    tokenizer.save_pretrained(folder)
    return folder


def make_vit_classifier(folder: Path, width: int = 32, layers: int = 2, seed: int = 0) -> Path:
    """Save a ViT that tells seven things apart, named as ImageNet's labels are."""
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessorPil

    labels = ["tench, Tinca tinca", "goldfish", "red fox", "black cat", "old house", "stone bridge", "white-birch"]
    config = ViTConfig(
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        image_size=32,
        patch_size=8,
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
    )
    processor = ViTImageProcessorPil(size={"height": 32, "width": 32})
    return _randomised(folder, ViTForImageClassification(config), processor, seed)


def make_resnet_classifier(folder: Path, width: int = 32, layers: int = 2, seed: int = 0) -> Path:
    """Save a ResNet whose classifier is a flattening and a linear layer."""
    from transformers import ConvNextImageProcessorPil, ResNetConfig, ResNetForImageClassification

    config = ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, width],
        depths=[1] * layers,
        layer_type="basic",
        id2label={index: f"LABEL_{index}" for index in range(5)},
    )
    processor = ConvNextImageProcessorPil(size={"shortest_edge": 32}, crop_pct=0.875)
    return _randomised(folder, ResNetForImageClassification(config), processor, seed)


def make_open_clip(folder: Path, width: int = 32, layers: int = 2, seed: int = 0) -> Path:
    """Save an open_clip model as a folder that ``local-dir:`` reads: its configuration and its weights."""
    import torch
    from open_clip.model import CLIP
    from safetensors.torch import save_file

    model_cfg: dict[str, Any] = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": layers, "width": width, "head_width": 8, "patch_size": 8},
        "text_cfg": {"context_length": 20, "vocab_size": 49408, "width": 16, "heads": 2, "layers": layers},
    }
    preprocess_cfg = {"mean": [0.48, 0.45, 0.4], "std": [0.26, 0.26, 0.27], "interpolation": "bicubic"}
    model = CLIP(**model_cfg)
    _randomise(model, torch.Generator().manual_seed(seed))
    folder.mkdir(parents=True, exist_ok=True)
    settings = json.dumps({"model_cfg": model_cfg, "preprocess_cfg": preprocess_cfg})
    (folder / "open_clip_config.json").write_text(settings, encoding="utf-8")
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return folder


def make_timm(folder: Path, width: int = 32, layers: int = 2, seed: int = 0) -> Path:
    """Save timm's own test ViT with ten outputs: a folder that ``local-dir:`` reads."""
    import timm
    import torch
    from safetensors.torch import save_file

    model = timm.create_model("test_vit", num_classes=10)
    _randomise(model, torch.Generator().manual_seed(seed))
    folder.mkdir(parents=True, exist_ok=True)
    labels = [f"n{index:08d}" for index in range(10)]
    settings = {
        "architecture": "test_vit",
        "num_classes": 10,
        "label_names": labels,
        "pretrained_cfg": {**model.pretrained_cfg, "num_classes": 10, "label_names": labels},
    }
    (folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    save_file(model.state_dict(), folder / "model.safetensors")
    return folder


ENCODERS: dict[str, Callable[..., Path]] = {
    "clip": make_clip,
    "siglip": make_siglip,
    "align": make_align,
    "vit-classifier": make_vit_classifier,
    "resnet-classifier": make_resnet_classifier,
    "open-clip": make_open_clip,
    "timm": make_timm,
}


def clip_tokenizer() -> Any:
    """A CLIP tokenizer of single bytes, without merges."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTokenizer

    letters = sorted(ByteLevel.alphabet())
    pieces = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={piece: index for index, piece in enumerate(pieces)}, merges=[])


def _randomised(folder: Path, model: Any, processor: Any, seed: int) -> Path:
    import torch

    _randomise(model, torch.Generator().manual_seed(seed))
    return _save(folder, model, processor)
