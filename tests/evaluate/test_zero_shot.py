"""Zero-shot heads: prompts as the protocol has them, ensembles against open_clip's, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from openmmlo.errors import ConfigError, DataError, ModelError, UnknownName
from openmmlo.evaluate.prompts.writing import read_templates, unnamed, write_prompts
from openmmlo.evaluate.zero_shot import zero_shot_head
from openmmlo.models import open_model
from openmmlo.records import ClassInfo

MakeEncoder = Callable[[str], Path]
CLASSES = [ClassInfo("n01440764", "tench"), ClassInfo("n02012849", "crane (n02012849)"), ClassInfo("x", "red_fox")]


class Words:
    """An encoder of texts whose embeddings are given, and which notes what it was asked."""

    name = "words"
    reads = frozenset({"image", "text"})
    logit_scale = 50.0

    def __init__(self, embed: Callable[[str], Sequence[float]], limit: int = 99) -> None:
        self.embed = embed
        self.limit = limit
        self.batches: list[list[str]] = []

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        self.batches.append(list(texts))
        return torch.tensor([list(self.embed(text)) for text in texts], dtype=torch.float32)

    def count_truncated(self, texts: Sequence[str]) -> int:
        return sum(len(text) > self.limit for text in texts)


class Said:
    """A Progress that keeps what it was told."""

    def __init__(self) -> None:
        self.total = self.done = 0
        self.messages: list[str] = []
        self.closed = False

    def start(self, total: int, done: int) -> None:
        self.total = total

    def advance(self, rows: int, failed: int) -> None:
        self.done += rows

    def say(self, message: str) -> None:
        self.messages.append(message)

    def close(self) -> None:
        self.closed = True


def by_letters(text: str) -> list[float]:
    """Counts of letters: different texts, different directions."""
    return [1.0 + text.count(letter) * (index + 1) for index, letter in enumerate("aeiounrst")]


def test_texts_of_one_template() -> None:
    """Articles stay, keys that made names unique and underscores go."""
    prompts = write_prompts([*CLASSES, ClassInfo("y", "apple")])
    assert prompts.texts == (
        ("a photo of a tench.",),
        ("a photo of a crane.",),
        ("a photo of a red fox.",),
        ("a photo of a apple.",),
    )
    assert write_prompts(CLASSES, "a sketch of a {}").texts[0] == ("a sketch of a tench",)
    with pytest.raises(UnknownName, match="Did you mean 'photo'"):
        write_prompts(CLASSES, "foto")


def test_templates_and_names_are_those_of_the_clip_repository() -> None:
    """As open_clip, which took them over independently, has them."""
    metadata = pytest.importorskip("open_clip.zero_shot_metadata")
    ours = read_templates("imagenet-80")
    assert len(ours) == 80
    assert [text.replace("{}", "X") for text in ours] == [make("X") for make in metadata.OPENAI_IMAGENET_TEMPLATES]
    from openmmlo.models.labels import imagenet_names

    classes = [ClassInfo(names[0], names[1]) for names in imagenet_names()]
    assert write_prompts(classes, class_names="openai").names == tuple(metadata.IMAGENET_CLASSNAMES)


def test_curated_names_are_of_imagenet_alone() -> None:
    with pytest.raises(DataError, match=r"1 of 3 classes are none of them \('red_fox'\)"):
        write_prompts(CLASSES, class_names="openai")
    with pytest.raises(ConfigError, match="expected one of own, openai"):
        write_prompts(CLASSES, class_names="mine")  # type: ignore[arg-type]


def test_classes_that_are_numbers_are_not_written_into_prompts() -> None:
    """iNaturalist without its class table: "a photo of a 4017." would be scored like any other prompt."""
    numbers = [ClassInfo(str(label), str(label)) for label in range(3)]
    reason = unnamed(numbers)
    assert reason is not None
    assert "3 classes have no names here, only numbers" in reason
    assert unnamed([*numbers, ClassInfo("3", "Rana pipiens")]) is None
    assert unnamed(CLASSES) is None


def test_the_ensemble_equals_open_clips(tiny_encoder: MakeEncoder) -> None:
    open_clip = pytest.importorskip("open_clip")
    folder = tiny_encoder("open-clip")
    found = zero_shot_head(open_model(str(folder)), CLASSES, "imagenet-80", batch_size=37)
    model = open_clip.create_model(f"local-dir:{folder}").eval()
    expected = open_clip.build_zero_shot_classifier(
        model,
        open_clip.get_tokenizer(f"local-dir:{folder}"),
        ["tench", "crane", "red fox"],
        list(open_clip.OPENAI_IMAGENET_TEMPLATES),
    )
    assert found.head.weight is not None
    np.testing.assert_allclose(found.head.weight, expected.T.numpy(), rtol=1e-4, atol=1e-5)
    assert found.head.scale == pytest.approx(model.logit_scale.exp().item())
    assert (found.head.kind, found.head.classes, found.head.unit_features) == ("zero-shot", 3, True)
    assert found.choices["count"] == 80


def test_an_ensemble_is_the_renormalised_mean_and_descriptors_the_mean() -> None:
    encoder: Any = Words(by_letters)
    classes = [ClassInfo("a", "ant"), ClassInfo("b", "bear")]
    table = {"a": ["six legs", "a small body"], "Bear": ["used to winters", "often brown", "has claws"]}
    found = zero_shot_head(encoder, classes, descriptors=table)
    texts = [
        ["ant, which has six legs", "ant, which is a small body"],
        ["bear, which is used to winters", "bear, which often brown", "bear, which has claws"],
    ]
    assert [text for batch in encoder.batches for text in batch] == [text for own in texts for text in own]
    units = [[np.array(by_letters(text)) / np.linalg.norm(by_letters(text)) for text in own] for own in texts]
    assert found.head.weight is not None
    np.testing.assert_allclose(found.head.weight, [np.mean(own, axis=0) for own in units], rtol=1e-6)
    image = np.abs(np.random.default_rng(0).normal(size=(1, 9))).astype(np.float32)
    similarities = [50.0 * np.mean([own @ image[0] / np.linalg.norm(image) for own in group]) for group in units]
    np.testing.assert_allclose(found.head.apply(found.head.inputs(image))[0], similarities, rtol=1e-5)
    ensemble = zero_shot_head(Words(by_letters), classes, "imagenet-80").head  # type: ignore[arg-type]
    assert ensemble.weight is not None
    np.testing.assert_allclose(np.linalg.norm(ensemble.weight, axis=1), 1.0, rtol=1e-6)


@pytest.mark.parametrize("suffix", ["json", "yaml"])
def test_descriptors_of_a_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"descriptors.{suffix}"
    table = {"n01440764": ["red eyes"], "crane (n02012849)": ["long legs"], "RED_FOX": ["a bushy tail"], "more": ["x"]}
    text = json.dumps(table) if suffix == "json" else "\n".join(f"{key}: [{items[0]}]" for key, items in table.items())
    path.write_text(text, encoding="utf-8")
    prompts = write_prompts(CLASSES, descriptors=path)
    assert prompts.texts[2] == ("red fox, which is a bushy tail",)
    assert prompts.record == write_prompts(CLASSES, descriptors={**table}).record
    path.write_text(json.dumps({"x": ["red"], "n01440764": []}), encoding="utf-8")
    with pytest.raises(DataError, match=r"2 of 3 classes have no descriptors \('tench', 'crane"):
        write_prompts(CLASSES, descriptors=path)
    path.write_text('{"x": "red"}', encoding="utf-8")
    with pytest.raises(DataError, match=r"expected \{class key or name"):
        write_prompts(CLASSES, descriptors=path)
    with pytest.raises(DataError, match="cannot be read"):
        write_prompts(CLASSES, descriptors=tmp_path / "absent.json")


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_embeddings_without_direction_are_refused_by_name(value: float) -> None:
    encoder: Any = Words(lambda text: [value] * 3 if "fox" in text else [1.0, 2.0, 3.0])
    with pytest.raises(ModelError, match=r"1 of 3 prompts are zero or not finite \(first: 'a photo of a red fox\.'\)"):
        zero_shot_head(encoder, CLASSES)


def test_embeddings_that_cancel_out_are_refused() -> None:
    opposite: Any = Words(lambda text: [1.0 if "which has" in text else -1.0, 0.0])
    table = {"n01440764": ["fins", "a tail"], "n02012849": ["legs"], "x": ["fur"]}
    kept = zero_shot_head(opposite, CLASSES, descriptors=table).head
    assert kept.weight is not None
    assert kept.weight[0].tolist() == [0.0, 0.0]

    templates = read_templates("imagenet-80")
    half = {template.replace("{}", "tench") for template in templates[:40]}
    balanced: Any = Words(lambda text: [1.0 if text in half or "tench" not in text else -1.0, 0.0])
    with pytest.raises(ModelError, match="class 'tench' cancel out"):
        zero_shot_head(balanced, CLASSES, "imagenet-80")


def test_progress_and_truncated_prompts_are_told() -> None:
    encoder: Any = Words(by_letters, limit=19)
    said = Said()
    found = zero_shot_head(encoder, CLASSES, batch_size=2, progress=said)
    assert (said.total, said.done, said.closed) == (3, 3, True)
    assert [len(batch) for batch in encoder.batches] == [2, 1]
    assert said.messages == ["1 of 3 prompts are longer than words reads; their ends are cut off."]
    assert found.choices["truncated"] == 1


def test_models_that_read_no_texts_have_no_such_head() -> None:
    with pytest.raises(ModelError, match="has no zero-shot head"):
        zero_shot_head(open_model("pixels"), CLASSES)


def test_a_tiny_clip_gives_its_own_logits(tiny_encoder: MakeEncoder) -> None:
    from transformers import AutoModel, AutoTokenizer

    folder = tiny_encoder("clip")
    encoder = open_model(str(folder))
    head = zero_shot_head(encoder, CLASSES, "a {}").head
    pixels = torch.randn((4, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    tokens = AutoTokenizer.from_pretrained(folder)(
        ["a tench", "a crane", "a red fox"], padding=True, return_tensors="pt"
    )
    with torch.no_grad():
        expected = AutoModel.from_pretrained(folder).eval()(pixel_values=pixels, **tokens).logits_per_image
        features = encoder.encode_images(pixels).features.numpy()
    np.testing.assert_allclose(head.apply(head.inputs(features)), expected.numpy(), rtol=1e-3, atol=1e-3)
