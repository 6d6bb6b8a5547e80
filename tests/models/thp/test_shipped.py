"""The weights in the package: small, of the recipes beside them, and as good as their cards say."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from PIL import Image

from openmmlo.config import construct, load_recipe
from openmmlo.models import Transform, open_model
from openmmlo.models.thp.opening import SHIPPED, open_named, shipped
from openmmlo.models.thp.training import read_training
from openmmlo.sources import open_source
from openmmlo.sources.miniature import picture_at
from openmmlo.sources.miniature_captions import caption_of
from openmmlo.train.outcome import file_digest, files_digest
from openmmlo.train.recipe import FinetuneRecipe, PretrainRecipe

RECIPES: dict[str, tuple[str, type[PretrainRecipe | FinetuneRecipe]]] = {
    "thp-mini": ("finetune", FinetuneRecipe),
    "thp-mini-pretrained": ("pretrain", PretrainRecipe),
}
A_CLASS = 10
"""Test images of each class that are looked at here."""


@dataclass(frozen=True)
class Pictures:
    """Test images of the miniature, ``A_CLASS`` of each class, with what is true of them."""

    images: list[Image.Image]
    labels: np.ndarray
    captions: list[str]


def pixels_of(transform: Transform, pictures: Pictures) -> torch.Tensor:
    return torch.stack([transform(image) for image in pictures.images])


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    found: dict[int, list[Any]] = {}
    for sample in open_source("miniature").samples("test"):
        found.setdefault(sample.label, []).append(sample)
    samples = [sample for label in sorted(found) for sample in islice(found[label], A_CLASS)]
    images = [Image.open(io.BytesIO(sample.image.read())).convert("RGB") for sample in samples]
    captions = [caption_of(picture_at(sample.image.locator)[0]) for sample in samples]
    return Pictures(images, np.array([sample.label for sample in samples]), captions)


def accuracy_of(card: Path) -> float:
    """Accuracy over samples on images alone, as a card's metadata has it."""
    results = ModelCard.load(card).data.eval_results
    wanted = ("test", "image", "top-1")
    (value,) = (
        item.metric_value for item in results if (item.dataset_split, item.dataset_config, item.metric_name) == wanted
    )
    return float(value)


def test_both_are_there_and_small() -> None:
    assert set(shipped()) == set(RECIPES)
    assert sum(path.stat().st_size for path in SHIPPED.rglob("*") if path.is_file()) <= 12_000_000


@pytest.mark.parametrize("name", RECIPES)
def test_they_are_of_the_recipe_that_ships(name: str) -> None:
    kind, recipe = RECIPES[name]
    training = read_training(SHIPPED / name)
    assert training is not None
    expected = construct(recipe, load_recipe(kind, "thp-mini"), name)
    values = expected.to_json() | expected.decisive | {"data": "miniature"}
    machine = {"workers"}  # loader processes of the machine at hand
    said = {name: value for name, value in values.items() if name not in expected.unsaid | machine}
    assert {name: value for name, value in training["recipe"].items() if name not in machine} == said
    assert training["digests"]["recipe"] == expected.digest
    assert training["digests"]["weights"] == file_digest(SHIPPED / name / "model.safetensors")
    assert training["digests"]["tokenizer"] == files_digest(sorted((SHIPPED / name).glob("tokenizer*.json")))
    assert training["command"].startswith(f"openmmlo {kind} thp-mini --data miniature")
    with (SHIPPED / name / "log.csv").open(encoding="utf-8") as file:
        assert int(list(csv.DictReader(file))[-1]["step"]) == training["log"]["steps"]


def test_the_classifier_is_as_good_as_its_card_says(pictures: Pictures) -> None:
    encoder = open_model("thp-mini")
    with torch.no_grad():
        logits = encoder.encode_images(pixels_of(encoder.transform, pictures)).logits
    assert logits is not None
    right = float((logits.argmax(dim=1).numpy() == pictures.labels).mean())
    assert right == pytest.approx(accuracy_of(SHIPPED / "thp-mini" / "README.md"), abs=0.06)  # of a fifth of the images
    assert right > 0.5


def test_the_pretrained_one_finds_the_caption_of_an_image(pictures: Pictures) -> None:
    """Among the captions of 50 images it never saw, of a class each; at random 2 % are found."""
    encoder = open_model("thp-mini-pretrained")
    with torch.no_grad():
        images = encoder.encode_images(pixels_of(encoder.transform, pictures)[::A_CLASS]).features
        texts = encoder.encode_texts(pictures.captions[::A_CLASS])
    own = torch.arange(len(texts))
    similar = images @ texts.T
    assert float((similar.argmax(dim=1) == own).float().mean()) > 0.6
    assert float((similar.argmax(dim=0) == own).float().mean()) > 0.6


def test_the_pretrained_one_says_the_colour_it_sees(pictures: Pictures) -> None:
    """Words of the true captions come back in its own; in captions of other images far fewer do."""
    opened = open_named("thp-mini-pretrained")
    pixels = pixels_of(open_model("thp-mini-pretrained").transform, pictures)[::A_CLASS]
    written = opened.tokenizer.batch_decode(opened.model.generate_captions(pixels), skip_special_tokens=True)
    true = [set(caption.lower().split()) for caption in pictures.captions[::A_CLASS]]
    shared = np.array([[len(words & set(caption.split())) / len(words) for words in true] for caption in written])
    assert np.diag(shared).mean() > 1.2 * shared.mean()
    assert len(set(written)) > len(written) / 2
