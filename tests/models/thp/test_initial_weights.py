"""Weights that others trained, and those that do not fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertModel

from openmmlo.errors import ModelError
from openmmlo.models.thp import ThpModel, fetch_bert, load_bert, load_timm

MakeModel = Callable[..., ThpModel]


def bert(**sizes: Any) -> BertModel:
    values: dict[str, Any] = {
        "vocab_size": 38, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 24, "max_position_embeddings": 20,
    }  # fmt: skip
    return BertModel(BertConfig(**values | sizes))


def test_a_berts_weights_go_into_both_self_attentions(tiny_model: MakeModel) -> None:
    model = tiny_model()
    untouched = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = bert().state_dict()
    load_bert(model, state)
    source = "encoder.layer.1.attention.self.query.weight"
    for name in (source, source.replace("attention.self", "causal_attention.self")):
        assert torch.equal(model.text.state_dict()[name], state[source])
    words = model.text.embeddings.word_embeddings.weight
    assert torch.equal(words[:38], state["embeddings.word_embeddings.weight"])
    assert torch.equal(words[38:], untouched["text.embeddings.word_embeddings.weight"][38:])
    for name, tensor in model.state_dict().items():
        if ".crossattention." in name or name.startswith("language_head."):
            assert torch.equal(tensor, untouched[name])


def test_names_of_the_first_release_and_of_a_model_around_bert(tiny_model: MakeModel) -> None:
    one, other = tiny_model(), tiny_model()
    state = bert().state_dict()
    load_bert(one, state)
    old = {
        "bert." + name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): item
        for name, item in state.items()
    }
    assert any(name.endswith("gamma") for name in old)
    load_bert(other, old)
    for found, expected in zip(other.state_dict().values(), one.state_dict().values(), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"hidden_size": 32}, r"word_embeddings.weight has shape \(38, 32\); expected \(40, 16\)"),
        ({"num_hidden_layers": 1}, "layer.1.attention.self.query.weight is missing"),
        ({"vocab_size": 41}, r"has shape \(41, 16\)"),
        ({"max_position_embeddings": 8}, r"position_embeddings.weight has shape \(8, 16\)"),
    ],
)
def test_a_bert_of_another_size(tiny_model: MakeModel, sizes: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load_bert(tiny_model(), bert(**sizes).state_dict())


def test_weights_of_something_else(tiny_model: MakeModel) -> None:
    with pytest.raises(ModelError, match="no weights of a BERT"):
        load_bert(tiny_model(), {"fc.weight": torch.zeros(2, 2)})


def test_a_berts_folder_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = bert()
    expected.save_pretrained(tmp_path)
    found = fetch_bert(str(tmp_path))
    assert torch.equal(found["encoder.layer.0.output.dense.weight"], expected.encoder.layer[0].output.dense.weight)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"holds none of model\.safetensors"):
        fetch_bert(str(tmp_path / "empty"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="the Hub cannot be reached"):
        fetch_bert("someone/absent")


def test_timms_positions_are_resampled(tiny_model: MakeModel, tmp_path: Path) -> None:
    from timm.layers import resample_abs_pos_embed

    source = timm.create_model("test_vit", img_size=160)
    torch.nn.init.normal_(source.pos_embed)
    save_file(source.state_dict(), tmp_path / "model.safetensors")
    model = tiny_model(image_encoder="test_vit", image_options={"img_size": 64}, image_size=64)
    load_timm(model, tmp_path / "model.safetensors")
    expected = {name: item for name, item in source.state_dict().items() if not name.startswith("head.")}
    positions = resample_abs_pos_embed(expected.pop("pos_embed"), (4, 4), num_prefix_tokens=1)
    state = model.image_encoder.network.state_dict()
    torch.testing.assert_close(state.pop("pos_embed"), positions)
    assert state.keys() == expected.keys()
    for name, tensor in state.items():
        assert torch.equal(tensor, expected[name])


def test_timm_weights_that_are_not_at_hand(tiny_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="the Hub cannot be reached"):
        load_timm(tiny_model(image_encoder="vit_base_patch16_224", image_options={"img_size": 16, "depth": 1}))
    with pytest.raises(ModelError, match="no pretrained weights for 'vit_giant_patch14_224'"):
        load_timm(tiny_model(image_encoder="vit_giant_patch14_224", image_options={"img_size": 14, "depth": 1},
                             image_size=14))  # fmt: skip
