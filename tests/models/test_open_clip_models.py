"""Models of open_clip: the library's own numbers, names with their weights, and what to do without them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from noise_images import noise_images

from openmmlo.errors import ModelError
from openmmlo.models import Encoder, open_model

open_clip = pytest.importorskip("open_clip")
MakeEncoder = Callable[[str], Path]
TEXTS = ["a dog", "a photo of a red umbrella", "cat " * 40]


def test_a_folder_equals_the_library(tiny_encoder: MakeEncoder) -> None:
    folder = tiny_encoder("open-clip")
    encoder = open_model(str(folder))
    assert isinstance(encoder, Encoder)
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    model.eval()
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    images = noise_images(3)
    pixels = torch.stack([encoder.transform(image) for image in images])
    assert torch.equal(pixels, torch.stack([preprocess(image) for image in images]))
    with torch.no_grad():
        found, texts = encoder.encode_images(pixels).features, encoder.encode_texts(TEXTS)
        torch.testing.assert_close(found, model.encode_image(pixels), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(texts, model.encode_text(tokenizer(TEXTS)), rtol=1e-5, atol=1e-5)
    assert encoder.logit_scale == pytest.approx(model.logit_scale.exp().item())
    assert found.std(0).mean() > 0.01
    assert texts.std(0).mean() > 0.01


def test_texts_that_are_cut_are_counted(tiny_encoder: MakeEncoder) -> None:
    """Marks at both ends: 18 words of one piece fit into 20 tokens."""
    encoder = open_model(str(tiny_encoder("open-clip")))
    assert [encoder.count_truncated(["cat " * count]) for count in (18, 19)] == [0, 1]


def test_weights_of_a_file(tiny_encoder: MakeEncoder, tmp_path: Path) -> None:
    import tiny_encoders

    other = tiny_encoders.make_open_clip(tmp_path / "other", seed=1)
    folder = tiny_encoder("open-clip")
    found = open_model(f"open_clip:local-dir:{folder}", weights=other / "open_clip_model.safetensors")
    assert found.identity() == open_model(str(other)).identity()
    torch.save({"logit_scale": torch.tensor(1.0), "odd": torch.zeros(1)}, tmp_path / "few.pt")
    with pytest.raises(ModelError, match=r"few\.pt' do not fit .* are missing and 1 are not the model's"):
        open_model(f"open_clip:local-dir:{folder}", weights=tmp_path / "few.pt")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ViT-B-23/openai", "Did you mean 'open_clip:ViT-B-32'"),
        ("ViT-B-32/laion2b_s34b_b79", r"Did you mean 'open_clip:ViT-B-32/laion2b_s34b_b79k'\?.*--weights PATH"),
        ("ViT-B-32", "several weights, and none was named.*openai.*--weights PATH"),
        ("ViT-B-32-quickgelu/laion2b_s34b_b79k", "has no weights|were not trained with QuickGELU"),
        ("ViT-B-32/laion2b_s34b_b79k", r"laion/CLIP-ViT-B-32-laion2B-s34B-b79K is not in .*HF_HOME.*--weights PATH"),
        ("hf-hub:owner/name", r"owner/name is not in the local cache.*--weights PATH"),
    ],
)
def test_names_without_weights_explain_themselves(
    name: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match=message):
        open_model(f"open_clip:{name}")


def test_a_missing_install_gives_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(ModelError, match=r'pip install "openmmlo\[clip\]"'):
        open_model("open_clip:ViT-B-32/openai")
