"""Models of timm: features before the classifier, its linear layer and labels, weights from files."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from noise_images import noise_images

from openmmlo.errors import ModelError
from openmmlo.models import Encoder, Transform, open_model

MakeEncoder = Callable[[str], Path]


def test_a_folder_equals_the_library(tiny_encoder: MakeEncoder) -> None:
    folder = tiny_encoder("timm")
    encoder = open_model(str(folder))
    assert isinstance(encoder, Encoder)
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    pixels = torch.stack([encoder.transform(image) for image in noise_images(3)])
    with torch.no_grad():
        found = encoder.encode_images(pixels)
        features = model.forward_head(model.forward_features(pixels), pre_logits=True)
        torch.testing.assert_close(found.features, features, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(found.logits, model(pixels), rtol=1e-5, atol=1e-5)
    classifier = encoder.classifier
    assert classifier is not None
    assert classifier.weight is not None
    assert classifier.bias is not None
    assert found.logits is not None
    linear = found.features.numpy() @ classifier.weight.T + classifier.bias
    np.testing.assert_allclose(linear, found.logits.numpy(), rtol=1e-5, atol=1e-5)
    assert classifier.names[3] == ("n00000003",)
    assert found.features.std(0).mean() > 0.01


def test_pixels_are_those_of_the_librarys_transform(tiny_encoder: MakeEncoder) -> None:
    from timm.data import create_transform, resolve_data_config

    transform = open_model(str(tiny_encoder("timm"))).transform
    assert isinstance(transform, Transform)
    settings = resolve_data_config(timm.create_model("test_vit").pretrained_cfg)
    expected = create_transform(**settings, is_training=False)
    again = pickle.loads(pickle.dumps(transform))  # noqa: S301 - our own bytes
    for image in noise_images(2):
        assert torch.equal(transform(image), expected(image))
        assert torch.equal(again(image), expected(image))
    assert transform.record["crop_pct"] == settings["crop_pct"]


@pytest.mark.parametrize("wrapped", [False, True])
def test_weights_of_a_file_bring_their_number_of_classes(
    tiny_encoder: MakeEncoder, tmp_path: Path, wrapped: bool
) -> None:
    """Plain safetensors, and a training program's checkpoint with averaged weights from several processes."""
    from safetensors.torch import load_file

    path = tiny_encoder("timm") / "model.safetensors"
    expected = open_model(str(tiny_encoder("timm")))
    if wrapped:
        state = {f"module.{name}": tensor for name, tensor in load_file(path).items()}
        path = tmp_path / "checkpoint.pth.tar"
        torch.save({"state_dict": {}, "state_dict_ema": state, "epoch": 3}, path)
    found = open_model("timm:test_vit", weights=path)
    assert found.classifier is not None
    assert found.classifier.names == ((),) * 10
    assert found.identity()["weights"] == expected.identity()["weights"]


def test_a_network_without_classifier(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file(timm.create_model("test_vit", num_classes=0).state_dict(), tmp_path / "bare.safetensors")
    encoder = open_model("timm:test_vit", weights=tmp_path / "bare.safetensors")
    assert encoder.classifier is None
    assert encoder.encode_images(torch.zeros(2, 3, 160, 160)).logits is None


def test_a_thousand_outputs_are_imagenets(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file(timm.create_model("test_vit").state_dict(), tmp_path / "thousand.safetensors")
    classifier = open_model("timm:test_vit", weights=tmp_path / "thousand.safetensors").classifier
    assert classifier is not None
    assert classifier.names[0][:2] == ("n01440764", "tench")
    assert [names[0] for names in classifier.names] == sorted(names[0] for names in classifier.names)


@pytest.mark.parametrize("fault", ["missing", "hostile", "foreign", "text", "folder"])
def test_weights_that_do_not_fit_are_refused(tiny_encoder: MakeEncoder, tmp_path: Path, fault: str) -> None:
    import os

    from safetensors.torch import load_file

    state = load_file(tiny_encoder("timm") / "model.safetensors")
    path, marker = tmp_path / "weights.pth", tmp_path / "executed"

    class Hostile:
        def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
            return os.system, (f"touch {marker}",)

    del state["blocks.0.attn.qkv.weight"]
    contents = {"missing": state, "hostile": {"head.weight": Hostile()}, "foreign": {"a": torch.zeros(2)}}
    if fault in contents:
        torch.save(contents[fault], path)
    elif fault == "text":
        path.write_text("no weights", encoding="utf-8")
    else:
        path.mkdir()
    words = {"missing": "cannot be loaded", "foreign": "cannot be loaded", "folder": "it is a folder"}
    with pytest.raises(ModelError, match=words.get(fault, "cannot be read as tensors alone")):
        open_model("timm:test_vit", weights=path)
    assert not marker.exists()


def test_gradients_reach_the_pixels(tiny_encoder: MakeEncoder) -> None:
    encoder = open_model(str(tiny_encoder("timm")))
    pixels = torch.rand((1, 3, 160, 160), generator=torch.Generator().manual_seed(0), requires_grad=True)
    found = encoder.encode_images(pixels)
    assert found.logits is not None
    (gradient,) = torch.autograd.grad(found.logits.logsumexp(1).sum(), pixels)
    assert gradient.abs().sum() > 0


def test_unknown_names_and_names_without_weights() -> None:
    with pytest.raises(ModelError, match=r"timm has no model 'resnet5'.*Did you mean 'timm:resnet5"):
        open_model("timm:resnet5")
    with pytest.raises(
        ModelError, match=r"no pretrained weights for 'vit_huge_patch14_gap_224\.nothing'.*--weights PATH"
    ):
        open_model("timm:vit_huge_patch14_gap_224.nothing")


def test_weights_that_would_come_from_the_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match=r"timm/resnet50\.a1_in1k is not in .*hf download.*HF_HOME.*--weights PATH"):
        open_model("timm:resnet50.a1_in1k")
