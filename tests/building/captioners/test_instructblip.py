"""InstructBLIP against transformers called by hand, on tiny checkpoints of both flavours read from disk."""

from __future__ import annotations

import json
import multiprocessing
import pickle
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from openmmlo.building.captioners import PAPER_PROMPT, Captioner, open_captioner
from openmmlo.building.captioners.instructblip import PINNED, InstructBlip
from openmmlo.errors import ConfigError, ModelError, UnknownName
from openmmlo.models.checkpoints import folder_digest, locate, parameter_count
from openmmlo.records import Sample
from openmmlo.sources.files import FileImage

FLAVOURS = ("flan-t5", "vicuna")
Maker = Callable[[str], Path]


@pytest.fixture(scope="module")
def images() -> list[Image.Image]:
    """Four pictures with different contents, sizes and aspect ratios."""
    pictures = []
    for size, colour, shape in (
        ((500, 375), "navy", (100, 50, 300, 300)),
        ((90, 240), "gold", (10, 100, 60, 160)),
        ((224, 224), "white", (0, 0, 20, 200)),
        ((640, 100), "darkgreen", (300, 20, 600, 90)),
    ):
        picture = Image.new("RGB", size, colour)
        ImageDraw.Draw(picture).ellipse(shape, fill="crimson")
        pictures.append(picture)
    return pictures


@pytest.fixture(scope="module")
def greedy(tiny_instructblip: Maker) -> Callable[[str], InstructBlip]:
    """A loaded captioner by flavour: greedy, twelve tokens, CPU."""
    loaded: dict[str, InstructBlip] = {}

    def get(flavour: str) -> InstructBlip:
        if flavour not in loaded:
            options = {"model": str(tiny_instructblip(flavour)), "preset": "greedy", "max_new_tokens": 12}
            captioner = open_captioner("instructblip", {**options, "device": "cpu"})
            assert isinstance(captioner, InstructBlip)
            captioner.load()
            loaded[flavour] = captioner
        return loaded[flavour]

    return get


def sample(name: str = "a") -> Sample:
    return Sample(name, FileImage(Path(), f"{name}.jpg"), 0, "train", "test")


def prepared(captioner: Captioner, images: list[Image.Image]) -> list[Any]:
    return [captioner.prepare(sample(), image) for image in images]


def by_hand(folder: Path, images: list[Image.Image], prompt: str = PAPER_PROMPT) -> tuple[Any, Any, Any]:
    """Model, processor and a batch of inputs, without anything of openmmlo."""
    from transformers import BlipImageProcessorPil, InstructBlipForConditionalGeneration, InstructBlipProcessor

    model = InstructBlipForConditionalGeneration.from_pretrained(folder).eval()
    processor = InstructBlipProcessor.from_pretrained(folder)
    processor.image_processor = BlipImageProcessorPil(size={"height": 224, "width": 224})
    inputs = processor(images=images, text=[prompt] * len(images), padding=True, return_tensors="pt")
    return model, processor, inputs


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_batch_equals_single_and_images_differ(
    flavour: str, greedy: Callable[[str], InstructBlip], images: list[Image.Image]
) -> None:
    captioner = greedy(flavour)
    inputs = prepared(captioner, images)
    batch = captioner.caption(inputs)
    assert batch == [captioner.caption([item])[0] for item in inputs]
    assert batch == captioner.caption(inputs)
    assert len(set(batch)) == len(images)
    assert all(batch)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_equals_transformers_by_hand(
    flavour: str, greedy: Callable[[str], InstructBlip], tiny_instructblip: Maker, images: list[Image.Image]
) -> None:
    import torch

    captioner = greedy(flavour)
    model, processor, inputs = by_hand(tiny_instructblip(flavour), images)
    inputs_of_ours = np.stack(prepared(captioner, images))
    assert inputs_of_ours.dtype == np.float32
    np.testing.assert_array_equal(inputs_of_ours, inputs["pixel_values"].numpy())
    with torch.inference_mode():
        output = model.generate(**inputs, max_new_tokens=12, do_sample=False)
        ours = captioner._loaded.model.generate(**inputs)
    torch.testing.assert_close(ours, output, rtol=0, atol=0)
    texts = processor.batch_decode(output, skip_special_tokens=True)
    expected = [text.replace(PAPER_PROMPT, "").strip() for text in texts]
    assert captioner.caption(list(inputs_of_ours)) == expected


@pytest.mark.filterwarnings("ignore:Passing `repetition_penalty`:UserWarning")
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_lavis_preset_equals_generation_from_embeddings(
    flavour: str, tiny_instructblip: Maker, images: list[Image.Image]
) -> None:
    """The original library hands the language model embeddings alone: no echo, and no penalty on the prompt."""
    import torch

    folder = tiny_instructblip(flavour)
    model, processor, inputs = by_hand(folder, images)
    with torch.inference_mode():
        features = model.get_image_features(
            inputs["pixel_values"], inputs["qformer_input_ids"], inputs["qformer_attention_mask"], return_dict=True
        ).pooler_output
        embeddings = model.get_input_embeddings()(inputs["input_ids"])
        embeddings[:, : features.shape[1]] = features
        settings: dict[str, Any] = {"num_beams": 5, "repetition_penalty": 1.5, "length_penalty": 1.0}
        least = {"flan-t5": "min_length", "vicuna": "min_new_tokens"}[flavour]
        output = model.language_model.generate(
            inputs_embeds=embeddings,
            attention_mask=inputs["attention_mask"],
            max_new_tokens=16,
            do_sample=False,
            **settings,
            **{least: 1},
        )
    expected = [text.strip() for text in processor.batch_decode(output, skip_special_tokens=True)]
    captioner = InstructBlip(model=str(folder), max_new_tokens=16, device="cpu")
    assert captioner.preset == "lavis"
    assert captioner.caption(prepared(captioner, images)) == expected


def test_penalty_spares_the_prompt(tiny_instructblip: Maker, images: list[Image.Image]) -> None:
    """transformers' own penalty, which counts the echoed prompt, gives other captions for a decoder-only model."""
    import torch

    folder = tiny_instructblip("vicuna")
    model, processor, inputs = by_hand(folder, images)
    with torch.inference_mode():
        output = model.generate(**inputs, max_new_tokens=16, do_sample=False, repetition_penalty=1.5)
    counted = processor.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    captioner = InstructBlip(
        model=str(folder), preset="greedy", repetition_penalty=1.5, max_new_tokens=16, device="cpu"
    )
    assert captioner.caption(prepared(captioner, images)) != [text.strip() for text in counted]


def test_echo_is_cut_for_vicuna_and_never_for_t5(
    greedy: Callable[[str], InstructBlip], images: list[Image.Image]
) -> None:
    import torch

    for flavour in FLAVOURS:
        loaded = greedy(flavour)._loaded
        inputs = prepared(greedy(flavour), images)
        caption = loaded.caption(inputs[:1])[0]
        assert "picture describe" not in caption
        with torch.inference_mode():
            raw = loaded.model.generate(torch.from_numpy(inputs[0])[None], **loaded.text)
        assert raw.shape[1] > loaded.prompt_length if flavour == "vicuna" else raw.shape[1] <= 13
        if flavour == "vicuna":
            unechoed = raw[:, loaded.prompt_length :]
            for output in (raw, unechoed):  # a transformers that echoes, and one that does not
                torch.testing.assert_close(loaded._without_prompt(output), unechoed, rtol=0, atol=0)


def test_a_caption_that_repeats_the_prompt_is_kept_for_t5(
    tiny_instructblip: Maker, images: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    captioner = InstructBlip(model=str(tiny_instructblip("flan-t5")), device="cpu")
    captioner.load()
    tokens = captioner.processor().tokenizer(PAPER_PROMPT, return_tensors="pt")["input_ids"]
    monkeypatch.setattr(captioner._loaded.model, "generate", lambda **_: torch.cat([tokens[:, :0], tokens], dim=1))
    assert captioner.caption(prepared(captioner, images[:1])) == [PAPER_PROMPT]


def test_pixels_equal_the_original_transform(tiny_instructblip: Maker) -> None:
    """Pillow's bicubic resize, then ToTensor and Normalize, bit for bit; also for pictures a few pixels high."""
    rng = np.random.default_rng(0)
    captioner = InstructBlip(model=str(tiny_instructblip("flan-t5")))
    mean = np.array([0.48145466, 0.4578275, 0.40821073], dtype=np.float32)
    std = np.array([0.26862954, 0.26130258, 0.27577711], dtype=np.float32)
    for height, width in ((375, 500), (3, 70), (1, 1), (640, 3), (2, 3)):
        image = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
        resized = np.asarray(image.resize((224, 224), Image.Resampling.BICUBIC), dtype=np.float32)
        expected = ((resized / np.float32(255) - mean) / std).transpose(2, 0, 1)
        ours = captioner.prepare(sample(), image)
        assert ours.shape == (3, 224, 224)
        np.testing.assert_allclose(ours, expected, rtol=0, atol=5e-7)


def test_pickles_small_and_keeps_the_commit(greedy: Callable[[str], InstructBlip], images: list[Image.Image]) -> None:
    captioner = greedy("flan-t5")
    expected = captioner.caption(prepared(captioner, images))
    packed = pickle.dumps(captioner)
    assert len(packed) < 2_000
    again = pickle.loads(packed)  # noqa: S301 - our own bytes
    assert again == captioner
    assert again._loaded is None
    assert again._processor is None
    assert again._found == captioner._found
    assert again.caption(prepared(again, images)) == expected


def _prepare_elsewhere(captioner: InstructBlip, image: Image.Image) -> tuple[Any, bool]:
    return captioner.prepare(sample(), image), captioner._loaded is None


@pytest.mark.slow
def test_prepare_in_another_process_loads_no_weights(
    greedy: Callable[[str], InstructBlip], images: list[Image.Image]
) -> None:
    captioner = greedy("vicuna")
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        pixels, weightless = pool.submit(_prepare_elsewhere, captioner, images[0]).result()
    assert weightless
    np.testing.assert_array_equal(pixels, captioner.prepare(sample(), images[0]))


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_bfloat16(flavour: str, tiny_instructblip: Maker, images: list[Image.Image]) -> None:
    import torch

    captioner = InstructBlip(
        model=str(tiny_instructblip(flavour)), preset="greedy", max_new_tokens=8, dtype="bfloat16", device="cpu"
    )
    captions = captioner.caption(prepared(captioner, images))
    assert captioner._loaded.model.dtype == torch.bfloat16
    assert len(set(captions)) > 1
    assert captioner.identity()["dtype"] == "bfloat16"


def test_identity_says_everything_and_no_path(tiny_instructblip: Maker, tmp_path: Path) -> None:
    folder = tiny_instructblip("vicuna")
    identity = InstructBlip(model=str(folder), num_beams=3, device="cpu").identity()
    assert identity == {
        "captioner": "instructblip",
        "model": "instructblip-vicuna",
        "sha256": folder_digest(folder),
        "flavour": "vicuna",
        "preset": "lavis",
        "generation": {
            "num_beams": 3,
            "max_new_tokens": 256,
            "min_length": 1,
            "repetition_penalty": 1.5,
            "length_penalty": 1.0,
            "do_sample": False,
            "penalised": "generated tokens",
        },
        "prompt": PAPER_PROMPT,
        "dtype": "float32",
        "image_backend": "pil",
    }
    assert json.loads(json.dumps(identity)) == identity
    assert str(folder.parent) not in json.dumps(identity)
    moved = tmp_path / "instructblip-vicuna"
    shutil.copytree(folder, moved)
    (moved / ".cache").mkdir()
    (moved / ".cache" / "note").write_text("not part of the checkpoint")
    assert InstructBlip(model=str(moved), num_beams=3, device="cpu").identity() == identity
    with (moved / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)
        file.seek(-1, 2)
        file.write(bytes([last[0] ^ 1]))
    assert InstructBlip(model=str(moved), num_beams=3, device="cpu").identity()["sha256"] != identity["sha256"]


def test_check_finds_the_checkpoint_and_its_size(tiny_instructblip: Maker) -> None:
    folder = tiny_instructblip("flan-t5")
    findings = InstructBlip(model=str(folder), device="cpu").check()
    assert [finding for finding in findings if finding.level != "ok"] == []
    from transformers import InstructBlipForConditionalGeneration

    model = InstructBlipForConditionalGeneration.from_pretrained(folder)
    count = sum(weights.numel() for weights in model.parameters())
    assert parameter_count(folder) == count
    assert any(f"{count / 1e9:.2f} billion" in finding.what for finding in findings)


def test_options_are_refused_at_once() -> None:
    with pytest.raises(UnknownName, match=r"No preset named 'lavi'. Did you mean 'lavis'"):
        InstructBlip(preset="lavi")
    with pytest.raises(ConfigError, match="dtype"):
        InstructBlip(dtype="half")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="num_beams is 0"):
        InstructBlip(num_beams=0)
    with pytest.raises(ConfigError, match="prompt"):
        InstructBlip(prompt=" ")
    with pytest.raises(ConfigError, match="Did you mean 'model'"):
        open_captioner("instructblip", {"modle": "x"})


def test_float16_t5_is_refused_with_the_reason(tiny_instructblip: Maker) -> None:
    captioner = InstructBlip(model=str(tiny_instructblip("flan-t5")), dtype="float16", device="cpu")
    for act in (captioner.identity, captioner.load):
        with pytest.raises(ModelError, match="NaN instead of captions"):
            act()
    assert [finding.level for finding in captioner.check()] == ["error"]
    vicuna = InstructBlip(model=str(tiny_instructblip("vicuna")), dtype="float16", device="cpu")
    assert vicuna.identity()["dtype"] == "float16"


def test_missing_devices_are_refused(tiny_instructblip: Maker) -> None:
    import torch

    for device in (f"cuda:{torch.cuda.device_count()}", "gpu"):
        captioner = InstructBlip(model=str(tiny_instructblip("flan-t5")), device=device)
        with pytest.raises(ModelError, match=r"[Dd]evice"):
            captioner.load()
        assert any(finding.level == "error" and device in finding.what for finding in captioner.check())


@pytest.mark.parametrize("name", ["processor_config.json", "config.json"])
def test_checkpoint_without_num_query_tokens_is_refused(name: str, tiny_instructblip: Maker, tmp_path: Path) -> None:
    folder = _edited(tiny_instructblip("flan-t5"), tmp_path, name, {"num_query_tokens": None})
    captioner = InstructBlip(model=str(folder), device="cpu")
    with pytest.raises(ModelError, match=f"{name} has no num_query_tokens"):
        captioner.load()
    assert [finding.level for finding in captioner.check()] == ["error"]


@pytest.mark.parametrize(
    ("flavour", "name", "values", "message"),
    [
        ("flan-t5", "processor_config.json", {"num_query_tokens": 16}, "inserts 16 image tokens"),
        ("flan-t5", "config.json", {"image_token_index": 5}, "names image token 5"),
        ("vicuna", "tokenizer_config.json", {"bos_token": "<s>"}, "expects '</s>' \\(2\\)"),
        ("vicuna", "tokenizer_config.json", {"pad_token": "</s>"}, "padding token of its own"),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    flavour: str, name: str, values: dict[str, Any], message: str, tiny_instructblip: Maker, tmp_path: Path
) -> None:
    folder = _edited(tiny_instructblip(flavour), tmp_path, name, values)
    with pytest.raises(ModelError, match=message):
        InstructBlip(model=str(folder), device="cpu").load()


def _edited(folder: Path, tmp_path: Path, name: str, values: dict[str, Any]) -> Path:
    copy = tmp_path / "edited"
    shutil.copytree(folder, copy)
    config = {**json.loads((copy / name).read_text()), **values}
    (copy / name).write_text(json.dumps({key: value for key, value in config.items() if value is not None}))
    return copy


def test_a_prompt_longer_than_the_q_former_is_refused(tiny_instructblip: Maker) -> None:
    with pytest.raises(ModelError, match="room for 128"):
        InstructBlip(model=str(tiny_instructblip("flan-t5")), prompt="picture " * 200, device="cpu").processor()


def test_wrong_folders_are_refused(tmp_path: Path, tiny_instructblip: Maker, tiny_vlm: Maker) -> None:
    with pytest.raises(ModelError, match=r"holds no config.json"):
        InstructBlip(model=str(tmp_path)).identity()
    with pytest.raises(ModelError, match="There is no folder"):
        InstructBlip(model=str(tmp_path / "absent")).identity()
    with pytest.raises(ModelError, match=r"a blip checkpoint, not an instructblip one.*image-text-to-text"):
        InstructBlip(model=str(tiny_vlm("blip"))).load()
    bare = tmp_path / "bare"
    shutil.copytree(tiny_instructblip("flan-t5"), bare)
    (bare / "model.safetensors").unlink()
    captioner = InstructBlip(model=str(bare), device="cpu")
    assert any(f.level == "error" and "no complete weights" in f.what for f in captioner.check())
    with pytest.raises(ModelError, match="no complete weights"):
        captioner.load()
    (bare / "model.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(ModelError, match="cannot be loaded"):
        captioner.load()


def test_an_absent_hub_is_reported_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No retries: transformers alone would try for minutes."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    captioner = InstructBlip()
    started = time.monotonic()
    with pytest.raises(ModelError, match=r"HF_HUB_OFFLINE.*hf download Salesforce/instructblip-flan-t5-xl --revision"):
        captioner.identity()
    (finding,) = captioner.check()
    assert finding.level == "error"
    assert "--model DIR" in finding.what
    assert time.monotonic() - started < 5


def test_a_cached_commit_needs_no_network(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_instructblip: Maker, images: list[Image.Image]
) -> None:
    """A cache as the Hub's client lays it out serves the pinned commit, and ``main`` by its reference, offline."""
    from huggingface_hub import constants

    name = "Salesforce/instructblip-flan-t5-xl"
    commit = PINNED[name]
    repository = tmp_path / "models--Salesforce--instructblip-flan-t5-xl"
    shutil.copytree(tiny_instructblip("flan-t5"), repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for revision in (None, "main", commit):
        identity = InstructBlip(revision=revision, device="cpu").identity()
        assert identity["model"] == name
        assert identity["commit"] == commit
        assert "sha256" not in identity
    captioner = InstructBlip(preset="greedy", max_new_tokens=8, device="cpu")
    assert all(finding.level == "ok" for finding in captioner.check())
    assert len(set(captioner.caption(prepared(captioner, images)))) > 1
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE"):
        InstructBlip(revision="other").identity()


def test_the_hubs_older_file_layout_is_read(
    tiny_instructblip: Maker, tmp_path: Path, images: list[Image.Image]
) -> None:
    """The full checkpoints keep the image processor in a file of its own, under its torchvision-era name."""
    folder = tmp_path / "older"
    shutil.copytree(tiny_instructblip("flan-t5"), folder)
    values = json.loads((folder / "processor_config.json").read_text())
    pixels = values.pop("image_processor")
    pixels |= {"image_processor_type": "BlipImageProcessor", "processor_class": "InstructBlipProcessor"}
    (folder / "processor_config.json").write_text(json.dumps(values))
    (folder / "preprocessor_config.json").write_text(json.dumps(pixels))
    older = InstructBlip(model=str(folder), device="cpu")
    newer = InstructBlip(model=str(tiny_instructblip("flan-t5")), device="cpu")
    assert older.processor().image_processor.backend == "pil"
    np.testing.assert_array_equal(prepared(older, images[:1]), prepared(newer, images[:1]))


def test_pins_are_commits() -> None:
    for model, commit in PINNED.items():
        assert locate(model, None, PINNED).commit == commit
        assert len(commit) == 40
