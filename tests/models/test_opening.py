"""Names of models: which of several meanings wins, and what those without weights say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from noise_images import noise_images
from PIL import Image

from openmmlo.errors import ModelError
from openmmlo.models import MODELS, Encoder, open_model
from openmmlo.models.opening import missing_parts

MakeEncoder = Callable[[str], Path]


@pytest.fixture
def own_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))


@pytest.mark.parametrize("name", [name for name in MODELS if name.startswith("thp-")])
def test_the_papers_models_say_where_weights_would_come_from(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openmmlo.models.thp.opening.SHIPPED", tmp_path)
    said = rf"{name} has no weights.*Hub id: none.*Recipe: openmmlo pretrain .*openmmlo finetune.*--weights PATH"
    with pytest.raises(ModelError, match=said) as caught:
        open_model(name)
    assert caught.value.exit_code == 2
    with pytest.raises(ModelError, match="does not exist; expected a file of weights"):
        open_model(name, weights=tmp_path / "some.safetensors")


def test_names_of_the_hub_say_what_to_do_offline(offline: None) -> None:
    with pytest.raises(
        ModelError, match=r"openai/clip-vit-base-patch32 is not in .*hf download .*--weights PATH"
    ) as caught:
        open_model("hf:openai/clip-vit-base-patch32")
    assert caught.value.exit_code == 2
    with pytest.raises(ModelError, match="not the name of a model on the Hub"):
        open_model("hf:no such model")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pixel", "Did you mean 'pixels'"),
        ("thp-vitb", "Did you mean 'thp-vit-b'"),
        ("openclip:ViT-B-32/openai", "Did you mean 'open_clip:ViT-B-32/openai'"),
        ("tim:resnet50", "Did you mean 'timm:resnet50'"),
        ("nothing_like_it:at_all", "no module named 'nothing_like_it'"),
        ("json:nothing", "has no 'nothing'"),
        ("hf:", "names no model: expected hf:NAME"),
        ("", "Known: pixels"),
    ],
)
def test_unknown_names(name: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        open_model(name)


def test_prefixes_win_over_folders_and_modules(
    tiny_encoder: MakeEncoder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pixels").mkdir()
    (tmp_path / "timm:resnet5").mkdir()
    assert open_model("pixels").identity()["architecture"] == "pixels"
    with pytest.raises(ModelError, match="timm has no model"):
        open_model("timm:resnet5")
    with pytest.raises(ModelError, match=r"holds no config\.json"):
        open_model("./pixels")
    (tmp_path / "own").symlink_to(tiny_encoder("clip"))
    assert open_model("own").identity() == open_model(str(tiny_encoder("clip"))).identity()


def test_factories(own_models: None, tmp_path: Path) -> None:
    encoder = open_model("own_models:whole")
    assert isinstance(encoder, Encoder)
    assert encoder.name == "whole"
    with pytest.raises(ModelError, match=r"gave a Half without .*transform.*encode_images.*encode_texts"):
        open_model("own_models:half")
    with pytest.raises(ModelError, match=r"called without arguments.*'path'"):
        open_model("own_models:demanding")
    with pytest.raises(ModelError, match="is int; expected a function or class"):
        open_model("own_models:number")
    with pytest.raises(ModelError, match="--weights does not apply"):
        open_model("own_models:whole", weights=tmp_path)


def test_nothing_is_missing_from_an_encoder() -> None:
    assert missing_parts(open_model("pixels")) == ()
    assert set(missing_parts(object())) >= {"name", "reads", "device", "transform", "encode_pairs", "count_truncated"}


def test_a_revision_is_for_the_hub(own_models: None) -> None:
    with pytest.raises(ModelError, match="A revision is for models of the Hub"):
        open_model("own_models:whole", revision="main")


def test_a_device_that_is_not_there() -> None:
    with pytest.raises(ModelError, match="No device 'gpu'"):
        open_model("pixels", device="gpu")


def test_pixels_are_the_image_made_small() -> None:
    encoder = open_model("pixels")
    image = noise_images(1)[0]
    pixels = encoder.transform(image).unsqueeze(0).requires_grad_()
    found = encoder.encode_images(pixels)
    small = image.resize((8, 8), Image.Resampling.BILINEAR)
    assert found.features.shape == (1, 192)
    for channel in range(3):
        expected = torch.tensor(list(small.getchannel(channel).tobytes())) / 255
        assert torch.equal(found.features[0, 64 * channel : 64 * (channel + 1)], expected)
    (gradient,) = torch.autograd.grad(found.features.sum(), pixels)
    assert torch.equal(gradient, torch.ones_like(pixels))
    with pytest.raises(ModelError, match="does not take pixels of 3 x 32 x 32"):
        encoder.encode_images(torch.zeros(1, 3, 32, 32))
    with pytest.raises(ModelError, match="has no weights"):
        open_model("pixels", weights=Path("some.safetensors"))
