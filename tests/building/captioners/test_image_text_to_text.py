"""Any image-text checkpoint, against transformers called by hand on tiny BLIP, LLaVA and Qwen2-VL checkpoints."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from openmmlo.building.captioners import PAPER_PROMPT, open_captioner
from openmmlo.building.captioners.image_text_to_text import ImageTextToText, without_prompt
from openmmlo.errors import ConfigError, ModelError
from openmmlo.models.checkpoints import folder_digest
from openmmlo.records import Sample
from openmmlo.sources.files import FileImage

Maker = Callable[[str], Path]
ARCHITECTURES = ("blip", "llava", "qwen2-vl")


@pytest.fixture(scope="module")
def images() -> list[Image.Image]:
    pictures = []
    for size, colour, shape in (
        ((500, 375), "navy", (100, 50, 300, 300)),
        ((90, 240), "gold", (10, 100, 60, 160)),
        ((224, 224), "white", (0, 0, 20, 200)),
        ((300, 100), "darkgreen", (100, 20, 290, 90)),
    ):
        picture = Image.new("RGB", size, colour)
        ImageDraw.Draw(picture).ellipse(shape, fill="crimson")
        pictures.append(picture)
    return pictures


def make(folder: Path, **options: Any) -> ImageTextToText:
    captioner = open_captioner(
        "image-text-to-text", {"model": str(folder), "max_new_tokens": 10, "device": "cpu", **options}
    )
    assert isinstance(captioner, ImageTextToText)
    return captioner


def sample() -> Sample:
    return Sample("a", FileImage(Path(), "a.jpg"), 0, "train", "test")


def prepared(captioner: ImageTextToText, images: list[Image.Image]) -> list[Any]:
    return [captioner.prepare(sample(), image) for image in images]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_batch_equals_single_and_images_differ(architecture: str, tiny_vlm: Maker, images: list[Image.Image]) -> None:
    captioner = make(tiny_vlm(architecture))
    inputs = prepared(captioner, images)
    batch = captioner.caption(inputs)
    assert batch == [captioner.caption([item])[0] for item in inputs]
    assert len(set(batch)) > 1
    assert all(batch)
    again = pickle.loads(pickle.dumps(captioner))  # noqa: S301 - our own bytes
    assert len(pickle.dumps(captioner)) < 2_000
    assert again._model is None
    assert again.caption(prepared(again, images)) == batch


@pytest.mark.parametrize(
    ("architecture", "before", "after", "missing"),
    [
        ("blip", "", "", 1),
        ("llava", "USER: <image>\n", " ASSISTANT:", 0),
        ("qwen2-vl", "user\n<|vision_start|><|image_pad|><|vision_end|>", "assistant\n", 0),
    ],
    ids=ARCHITECTURES,
)
def test_equals_transformers_by_hand(
    architecture: str, before: str, after: str, missing: int, tiny_vlm: Maker, images: list[Image.Image]
) -> None:
    """BLIP does not echo the prompt's last token, the separator."""
    import torch
    from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoProcessor

    folder = tiny_vlm(architecture)
    model = AutoModelForImageTextToText.from_pretrained(folder).eval()
    processor = AutoProcessor.from_pretrained(folder)
    processor.image_processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    captioner = make(folder)
    ours = captioner.caption(prepared(captioner, images))
    for image, caption in zip(images, ours, strict=True):
        inputs = processor(images=[image], text=[before + PAPER_PROMPT + after], return_tensors="pt")
        with torch.inference_mode():
            output = model.generate(**inputs, max_new_tokens=10, min_new_tokens=1, do_sample=False)
        echoed = inputs["input_ids"].shape[1] - missing
        assert caption == processor.tokenizer.decode(output[0, echoed:], skip_special_tokens=True).strip()
    identity = captioner.identity()
    assert identity["text"] == before + PAPER_PROMPT + after
    assert identity["image_backend"] == "pil"


def test_inputs_are_prepared_ahead_only_where_their_shape_is_fixed(tiny_vlm: Maker, images: list[Image.Image]) -> None:
    for architecture in ("blip", "llava"):
        inputs = prepared(make(tiny_vlm(architecture)), images)
        assert all(item["pixel_values"].shape == inputs[0]["pixel_values"].shape for item in inputs)
    for image, item in zip(images, prepared(make(tiny_vlm("qwen2-vl")), images), strict=True):
        np.testing.assert_array_equal(item, np.asarray(image))
        assert item.dtype == np.uint8


def test_beams_and_penalty_reach_generation(tiny_vlm: Maker, images: list[Image.Image]) -> None:
    folder = tiny_vlm("llava")
    plain = make(folder, min_length=10)
    lavis = make(folder, preset="lavis", min_length=10)
    assert plain.caption(prepared(plain, images)) != lavis.caption(prepared(lavis, images))
    assert lavis.identity()["generation"]["num_beams"] == 5


def test_sampling_defaults_of_a_checkpoint_are_dropped(
    tiny_vlm: Maker, images: list[Image.Image], tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    folder = tmp_path / "llava"
    shutil.copytree(tiny_vlm("llava"), folder)
    settings = json.loads((folder / "generation_config.json").read_text())
    settings |= {"do_sample": True, "temperature": 5.0, "top_p": 0.5, "max_length": 20}
    (folder / "generation_config.json").write_text(json.dumps(settings))
    sampling, plain = make(folder), make(tiny_vlm("llava"))
    assert sampling.caption(prepared(sampling, images)) == plain.caption(prepared(plain, images))
    assert [str(item.message) for item in recwarn if "sample" in str(item.message)] == []


def test_an_image_alone(tiny_vlm: Maker, images: list[Image.Image]) -> None:
    captioner = make(tiny_vlm("blip"), prompt="")
    inputs = prepared(captioner, images)
    assert set(inputs[0]) == {"pixel_values"}
    assert len(set(captioner.caption(inputs))) > 1
    assert make(tiny_vlm("llava"), prompt="").identity()["text"] == "USER: <image>\n ASSISTANT:"


def test_without_template_the_prompt_must_hold_the_image(
    tiny_vlm: Maker, tmp_path: Path, images: list[Image.Image]
) -> None:
    folder = tmp_path / "llava"
    shutil.copytree(tiny_vlm("llava"), folder)
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match="no chat template and its prompt holds no '<image>'"):
        make(folder).identity()
    written = make(folder, prompt=f"USER: <image>\n{PAPER_PROMPT} ASSISTANT:")
    templated = make(tiny_vlm("llava"))
    assert written.caption(prepared(written, images)) == templated.caption(prepared(templated, images))


def test_an_echoed_prompt_is_cut_by_position() -> None:
    import torch

    prompt = torch.tensor([[7, 1, 2, 3], [7, 1, 2, 3]])
    answer = torch.tensor([[1, 2, 3], [9, 9, 9]])
    torch.testing.assert_close(without_prompt(torch.cat([prompt, answer], dim=1), prompt), answer)
    torch.testing.assert_close(without_prompt(answer, prompt), answer)
    torch.testing.assert_close(without_prompt(answer, None), answer)
    blip = torch.cat([torch.tensor([[8, 1, 2], [8, 1, 2]]), answer], dim=1)
    torch.testing.assert_close(without_prompt(blip, prompt), torch.tensor([[1, 2, 3], [9, 9, 9]]))


def test_an_instructblip_goes_through_this_door_too(tiny_instructblip: Maker, images: list[Image.Image]) -> None:
    captioner = make(tiny_instructblip("flan-t5"))
    assert len(set(captioner.caption(prepared(captioner, images)))) > 1
    with pytest.raises(ModelError, match="NaN"):
        make(tiny_instructblip("flan-t5"), dtype="float16").load()


def test_identity_and_check(tiny_vlm: Maker) -> None:
    folder = tiny_vlm("blip")
    captioner = make(folder)
    identity = captioner.identity()
    assert identity["sha256"] == folder_digest(folder)
    assert identity["architecture"] == "blip"
    assert str(folder.parent) not in json.dumps(identity)
    assert all(finding.level == "ok" for finding in captioner.check())


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs a model"):
        open_captioner("image-text-to-text", {})
    folder = tmp_path / "text-only"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    captioner = make(folder)
    with pytest.raises(ModelError, match="text-only"):
        captioner.load()
    assert [finding.level for finding in captioner.check()] == ["error"]
