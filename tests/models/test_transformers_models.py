"""Checkpoints of transformers: features are the library's own, whatever the batch, and nothing is left to chance."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from noise_images import noise_images
from torch.nn.functional import cosine_similarity

from openmmlo.errors import ModelError
from openmmlo.models import Encoder, Transform, open_model

MakeEncoder = Callable[[str], Path]
TEXTS = ["a dog", "a photo of a red umbrella near the bridge", "cat"]
DUAL = ["clip", "siglip", "align"]
CLASSIFIERS = ["vit-classifier", "resnet-classifier"]


def pixels_of(encoder: Encoder, count: int = 3) -> torch.Tensor:
    return torch.stack([encoder.transform(image) for image in noise_images(count)])


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    """Equal but for the order of sums, which follows the alignment of weights in memory."""
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", DUAL)
def test_dual_encoders_equal_the_library(kind: str, tiny_encoder: MakeEncoder) -> None:
    from transformers import AutoModel, AutoTokenizer

    folder = tiny_encoder(kind)
    encoder = open_model(f"hf:{folder}")
    assert isinstance(encoder, Encoder)
    assert encoder.reads == {"image", "text"}
    model = AutoModel.from_pretrained(folder).eval()
    pixels = pixels_of(encoder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    padding = {"clip": {"padding": True}}.get(kind, {"padding": "max_length"})
    tokens = tokenizer(TEXTS, truncation=True, return_tensors="pt", **padding)
    with torch.no_grad():
        close(encoder.encode_images(pixels).features, model.get_image_features(pixels).pooler_output)
        close(encoder.encode_texts(TEXTS), model.get_text_features(**tokens).pooler_output)
        whole = model(pixel_values=pixels, **tokens)
    images, texts = encoder.encode_images(pixels).features, encoder.encode_texts(TEXTS)
    cosines = torch.stack([cosine_similarity(image, texts) for image in images])
    bias = model.logit_bias.detach() if kind == "siglip" else 0.0
    assert encoder.logit_scale is not None
    torch.testing.assert_close(cosines * encoder.logit_scale + bias, whole.logits_per_image, rtol=1e-4, atol=1e-4)
    assert images.std(0).mean() > 0.01
    assert len({tuple(row.tolist()) for row in texts}) == 3


def test_pixels_are_those_of_the_checkpoints_processor_on_pillow(tiny_encoder: MakeEncoder) -> None:
    from transformers import CLIPImageProcessorPil

    folder = tiny_encoder("clip")
    transform = open_model(str(folder)).transform
    assert isinstance(transform, Transform)
    again = pickle.loads(pickle.dumps(transform))  # noqa: S301 - our own bytes
    processor = CLIPImageProcessorPil.from_pretrained(folder)
    for image in noise_images(4):
        expected = processor(images=image, return_tensors="pt")["pixel_values"][0]
        assert torch.equal(transform(image), expected)
        assert torch.equal(again(image), expected)
    assert transform.record["backend"] == "pil"
    assert transform.channel_std == pytest.approx((0.26862954, 0.26130258, 0.27577711))
    assert json.loads(json.dumps(transform.record)) == transform.record


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_a_classifiers_features_are_what_its_last_layer_reads(kind: str, tiny_encoder: MakeEncoder) -> None:
    from transformers import AutoModelForImageClassification

    folder = tiny_encoder(kind)
    encoder = open_model(str(folder))
    model = AutoModelForImageClassification.from_pretrained(folder).eval()
    pixels = pixels_of(encoder)
    with torch.no_grad():
        found = encoder.encode_images(pixels)
        expected = model(pixels).logits
        base = model.base_model(pixels)
        pooled = base.last_hidden_state[:, 0] if kind == "vit-classifier" else base.pooler_output.flatten(1)
    assert found.logits is not None
    close(found.logits, expected)
    close(found.features, pooled)
    assert encoder.classifier is not None
    weight, bias = encoder.classifier.weight, encoder.classifier.bias
    assert weight is not None
    assert bias is not None
    np.testing.assert_allclose(found.features.numpy() @ weight.T + bias, expected.numpy(), rtol=1e-5, atol=1e-5)
    assert encoder.logit_scale is None
    assert encoder.reads == {"image"}


def test_names_of_outputs(tiny_encoder: MakeEncoder) -> None:
    named = open_model(str(tiny_encoder("vit-classifier"))).classifier
    assert named is not None
    assert named.names[0] == ("tench, Tinca tinca", "tench", "Tinca tinca")
    made_up = open_model(str(tiny_encoder("resnet-classifier"))).classifier
    assert made_up is not None
    assert made_up.names == ((),) * 5


@pytest.mark.parametrize("kind", [*DUAL, *CLASSIFIERS])
def test_a_row_does_not_depend_on_its_batch(kind: str, tiny_encoder: MakeEncoder) -> None:
    encoder = open_model(str(tiny_encoder(kind)))
    pixels = pixels_of(encoder, 5)
    with torch.inference_mode():
        together = encoder.encode_images(pixels).features
        alone = torch.cat([encoder.encode_images(pixels[row : row + 1]).features for row in range(5)])
        torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
        if "text" in encoder.reads:
            texts = torch.cat([encoder.encode_texts([text]) for text in TEXTS])
            torch.testing.assert_close(encoder.encode_texts(TEXTS), texts, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["clip", "vit-classifier"])
def test_gradients_reach_the_pixels_and_no_weight(kind: str, tiny_encoder: MakeEncoder) -> None:
    """Against a central difference along the gradient itself."""
    encoder = open_model(str(tiny_encoder(kind)))
    pixels = pixels_of(encoder, 1).requires_grad_()
    (gradient,) = torch.autograd.grad(encoder.encode_images(pixels).features[0, 3], pixels)
    direction = gradient / gradient.norm()
    with torch.no_grad():
        up, down = (encoder.encode_images(pixels + step * direction).features[0, 3] for step in (1e-2, -1e-2))
    assert gradient.norm().item() == pytest.approx((up - down).item() / 2e-2, rel=0.05)
    assert not any(weight.requires_grad for weight in encoder.module.parameters())  # type: ignore[attr-defined]


@pytest.mark.parametrize(("kind", "limit"), [("clip", 24), ("siglip", 16), ("align", 64)])
def test_texts_that_are_cut_are_counted(kind: str, limit: int, tiny_encoder: MakeEncoder) -> None:
    encoder = open_model(str(tiny_encoder(kind)))
    long = "house " * 80
    assert encoder.identity()["text_length"] == limit
    assert encoder.count_truncated(["dog", long, long + "cat"]) == 2
    assert encoder.count_truncated([]) == 0
    assert torch.equal(*encoder.encode_texts([long + "dog", long + "cat"]))


def test_clip_reads_exactly_its_length(tiny_encoder: MakeEncoder) -> None:
    """One token a letter and two marks: 22 letters fit into 24, 23 do not."""
    encoder = open_model(str(tiny_encoder("clip")))
    assert [encoder.count_truncated(["x" * count]) for count in (22, 23)] == [0, 1]


def test_identity_is_of_the_weights_not_of_the_place(tiny_encoder: MakeEncoder, tmp_path: Path) -> None:
    folder = tiny_encoder("clip")
    copy = tmp_path / "elsewhere"
    shutil.copytree(folder, copy)
    first, second = open_model(str(folder)).identity(), open_model(str(copy)).identity()
    assert first == second
    assert str(tmp_path) not in json.dumps(second)
    from safetensors.torch import load_file, save_file

    state = load_file(copy / "model.safetensors")
    state["visual_projection.weight"][0, 0] += 1
    save_file(state, copy / "model.safetensors", metadata={"format": "pt"})
    changed = open_model(str(copy)).identity()
    assert {key for key in first if first[key] != changed[key]} == {"weights"}


def test_weights_of_a_file_replace_the_checkpoints(tiny_encoder: MakeEncoder, tmp_path: Path) -> None:
    import tiny_encoders

    other = tiny_encoders.make_clip(tmp_path / "other", seed=1)
    folder = tiny_encoder("clip")
    expected = open_model(str(other))
    pixels = pixels_of(expected)
    for weights in (other, other / "model.safetensors"):
        found = open_model(f"hf:{folder}", weights=weights)
        with torch.no_grad():
            close(found.encode_images(pixels).features, expected.encode_images(pixels).features)
        assert found.identity()["weights"] == expected.identity()["weights"]


def test_missing_weights_are_refused_not_drawn_at_random(tiny_encoder: MakeEncoder, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "headless"
    shutil.copytree(tiny_encoder("vit-classifier"), folder)
    state = load_file(folder / "model.safetensors")
    del state["classifier.weight"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        ModelError, match=r"1 weights of ViTForImageClassification .*classifier\.weight.*random numbers"
    ):
        open_model(str(folder))


def test_a_hostile_pickle_is_not_executed(tiny_encoder: MakeEncoder, tmp_path: Path) -> None:
    folder = tmp_path / "hostile"
    shutil.copytree(tiny_encoder("clip"), folder)
    (folder / "model.safetensors").unlink()
    marker = tmp_path / "executed"

    class Hostile:
        def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
            return os.system, (f"touch {marker}",)

    torch.save({"logit_scale": Hostile()}, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="hostile"):
        open_model(str(folder))
    assert not marker.exists()


def test_a_pickle_of_tensors_alone_loads(tiny_encoder: MakeEncoder, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    source = tiny_encoder("clip")
    folder = tmp_path / "bin"
    shutil.copytree(source, folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert open_model(str(folder)).identity() == open_model(str(source)).identity()


def test_precision_is_asked_for_and_features_stay_float32(tiny_encoder: MakeEncoder) -> None:
    whole = open_model(str(tiny_encoder("clip")))
    half = open_model(str(tiny_encoder("clip")), dtype="bfloat16")
    pixels = pixels_of(whole)
    with torch.no_grad():
        exact, rough = whole.encode_images(pixels).features, half.encode_images(pixels).features
    assert rough.dtype == torch.float32
    assert not torch.equal(exact, rough)
    assert cosine_similarity(exact, rough).min() > 0.99
    assert (whole.identity()["precision"], half.identity()["precision"]) == ("float32", "bfloat16")
    with pytest.raises(ModelError, match=r"dtype is 'int8'; expected one of float32"):
        open_model("pixels", dtype="int8")


def test_other_architectures_are_refused(tiny_checkpoint: Callable[[str], Path]) -> None:
    with pytest.raises(ModelError, match=r"is a 'llava' .*expected an encoder of images and texts"):
        open_model(f"hf:{tiny_checkpoint('llava')}")


def test_pixels_of_another_size_are_explained(tiny_encoder: MakeEncoder) -> None:
    with pytest.raises(ModelError, match=r"does not take pixels of 3 x 64 x 64.*Use its own transform"):
        open_model(str(tiny_encoder("clip"))).encode_images(torch.zeros(1, 3, 64, 64))


def test_a_plain_image_network_gives_pooled_features(tmp_path: Path) -> None:
    from transformers import Dinov2Config, Dinov2Model, ViTImageProcessorPil

    config = Dinov2Config(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14)
    model = Dinov2Model(config).eval()
    model.save_pretrained(tmp_path)
    ViTImageProcessorPil(size={"height": 28, "width": 28}).save_pretrained(tmp_path)
    encoder = open_model(str(tmp_path))
    pixels = pixels_of(encoder)
    with torch.no_grad():
        found = encoder.encode_images(pixels)
        close(found.features, model(pixels).pooler_output)
    assert found.logits is None
    assert encoder.classifier is None
    with pytest.raises(ModelError, match="reads no texts, only images"):
        encoder.encode_texts(["a dog"])
    with pytest.raises(ModelError, match="together with its caption"):
        encoder.encode_pairs(pixels, TEXTS)
