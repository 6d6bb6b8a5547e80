"""The named architectures, and values that contradict each other."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch

from openmmlo.errors import ConfigError, UnknownName
from openmmlo.models.thp import ARCHITECTURES, ThpConfig, ThpModel, config_for


def by_hand(config: ThpConfig, image: int, image_width: int) -> int:
    """Parameters of a model without class head, counted from its sizes; ``image`` is the image encoder's."""
    width, inner, vocabulary = config.text_width, config.text_intermediate, config.vocab_size
    attention = 3 * (width * width + width) + (width * width + width) + 2 * width
    crossed = attention + 2 * (image_width - width) * width
    network = width * inner + inner + inner * width + width + 2 * width
    layers = config.text_layers * (2 * attention + crossed + network)
    embeddings = (vocabulary + config.text_length) * width + 2 * width
    language = width * width + width + 2 * width + vocabulary
    projections = (image_width + width + 2) * config.projection
    return image + embeddings + layers + language + projections + (2 * width + 2) + 1


@pytest.mark.parametrize(
    ("name", "image", "width"),
    # timm's counts without classifier: 85,798,656, 303,301,632 and 22,979,904
    [("thp-vit-b", 85_798_656, 768), ("thp-vit-l", 303_301_632, 1024), ("thp-resnext50", 22_979_904, 2048)],
)
def test_paper_models_have_the_parameters_of_their_sizes(name: str, image: int, width: int) -> None:
    """All but self-attention is shared: a second network for the decoder would be 85 million more."""
    with torch.device("meta"):
        model = ThpModel(config_for(name))
    assert sum(parameter.numel() for parameter in model.parameters()) == by_hand(model.config, image, width)
    config = model.config
    assert (config.text_width, config.text_layers, config.text_heads, config.text_intermediate) == (768, 12, 12, 3072)
    assert (config.projection, config.kappa, config.temperature, config.dropout) == (256, 16.0, 0.07, 0.1)


def test_the_mini_model_is_small() -> None:
    model = ThpModel(config_for("thp-mini"))
    image = sum(parameter.numel() for parameter in model.image_encoder.parameters())
    stem = 9 * (3 * 24 + 24 * 32 + 32 * 64) + 2 * (24 + 32 + 64)
    stages = sum(
        9 * (few * many + many * many) + few * many + 6 * many for few, many in pairwise((64, 32, 64, 128, 192))
    )
    assert image == stem + stages
    whole = sum(parameter.numel() for parameter in model.parameters())
    assert whole == by_hand(model.config, image, 192)
    with_head = ThpModel(config_for("thp-mini", classes=50))
    assert sum(parameter.numel() for parameter in with_head.parameters()) < 2_800_000


def test_every_architecture_is_described_and_valid() -> None:
    assert set(ARCHITECTURES) == {"thp-vit-b", "thp-vit-l", "thp-resnext50", "thp-mini", "thp-tiny"}
    for name, architecture in ARCHITECTURES.items():
        assert architecture.summary
        assert config_for(name).architecture == name


def test_the_image_size_is_said_once() -> None:
    assert config_for("thp-vit-b", image_size=384).image_options["img_size"] == 384
    assert config_for("thp-resnext50", image_size=384).image_options == {}
    with pytest.raises(ConfigError, match="image_size is 224, but image_options has img_size 192"):
        config_for("thp-vit-b", image_options={"img_size": 192})


def test_an_unknown_architecture() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'thp-vit-b'"):
        config_for("thp_vit_b")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"text_widht": 3}, "no value 'text_widht'. Did you mean 'text_width'"),
        ({"similarity": "vmf"}, "similarity is 'vmf'; expected thp or cosine"),
        ({"head": "arc"}, "head is 'arc'; expected thp or cosine or linear"),
        ({"reads": "text"}, "reads is 'text'"),
        ({"text_heads": 5}, "no multiple of text_heads 5"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"kappa": 0.0}, "kappa is 0.0; expected above 0"),
        ({"head_scale_start": 1.0}, "expected above 1"),
        ({"head_r_start": 1.0}, "head_r_start is 1.0; expected above 0 and below 1"),
        ({"head": "cosine", "class_scales": True}, "class_scales is true and head is 'cosine'"),
        ({"experts": 2, "router_top_k": 3}, "router_top_k is 3; expected 1 to 2"),
        ({"classes": 2, "class_names": [["a"]]}, "1 entries for 2 classes"),
        ({"enc_token_id": 2}, "six different ones"),
        ({"vocab_size": 5}, "six different ones below vocab_size, 5"),
        ({"text_length": 2}, "text_length is 2; expected at least 3"),
    ],
)
def test_values_that_cannot_be(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config_for("thp-mini", **values)


def test_json_keeps_every_value() -> None:
    config = config_for("thp-mini", classes=2, class_names=[["n1", "cat", "tabby"], ["n2", "dog"]], benchmark="mini")
    again = ThpConfig.from_dict(config.to_dict())
    assert again.to_dict() == config.to_dict()
    assert again.class_names == [["n1", "cat", "tabby"], ["n2", "dog"]]
