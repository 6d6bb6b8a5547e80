"""Recipes: what they refuse before anything is read, and what makes two of them the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from openmmlo.config import construct
from openmmlo.errors import ConfigError
from openmmlo.train.recipe import INCIDENTAL, FinetuneRecipe, PretrainRecipe


def pretrain(**values: Any) -> PretrainRecipe:
    return construct(PretrainRecipe, values, "recipe")


def finetune(**values: Any) -> FinetuneRecipe:
    return construct(FinetuneRecipe, {"weights": "somewhere"} | values, "recipe")


def test_defaults_are_the_papers_table_7() -> None:
    found = pretrain()
    assert (found.steps, found.warmup_steps, found.lr, found.weight_decay) == (400_000, 1000, 1e-4, 0.05)
    assert (found.beta1, found.beta2, found.batch_size, found.dropout, found.text_length) == (0.9, 0.98, 50, 0.1, 512)
    tuned = finetune()
    assert (tuned.steps, tuned.warmup_steps, tuned.lr, tuned.batch_size) == (18_000, 0, 2e-5, 400)
    assert not tuned.train_image_encoder


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"learning_rate": 1}, "takes no 'learning_rate'"),
        ({"steps": None}, "neither is set"),
        ({"epochs": 3}, "both are set"),
        ({"batch_size": 1}, "1 sample a batch; contrast needs at least 2"),
        ({"batch_size": 4, "accumulation": 4, "queue_size": 8}, "contrast needs at least 2"),
        ({"batch_size": 70}, "queue_size 57600 is no multiple of the global batch, 70.* fits: 57610"),
        ({"batch_size": 10, "accumulation": 3}, "does not part into 3 accumulated batches"),
        ({"itc": False}, "itm draws its negatives"),
        ({"itc": False, "itm": False, "lm": False}, "at least one loss"),
        ({"min_lr": 1.0}, "min_lr is 1, above lr"),
        ({"validation_split": "train"}, "is the training split"),
        ({"validation_split": "val", "validation_share": 0.1}, "expected one of them"),
        ({"precision": "fp8"}, "expected one of 'fp32', 'bf16', 'fp16'"),
        ({"dropout": 1.0}, "dropout is 1; expected from 0 to below 1"),
        ({"clip_norm": 0}, "clip_norm is 0"),
        ({"text_length": 2}, "text_length is 2; expected at least 3"),
        ({"seed": -1}, "seed is -1; expected at least 0"),
        ({"temperature": 0}, "temperature is 0"),
    ],
)
def test_what_cannot_be_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        pretrain(**values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"weights": "none"}, "no whole model; set model"),
        ({"weights": "timm:resnet50"}, "no whole model; set model"),
        ({"experts": 2, "router_top_k": 3}, "router_top_k is 3 of 2 experts"),
        ({"reads": "image", "caption_dropout": 0.5}, "none is read"),
        ({"caption_dropout": 1.5}, "a share from 0 to 1"),
        ({"head_scale_start": 1.0}, "head_scale_start is 1"),
        ({"head": "thq"}, "Did you mean 'thp'"),
    ],
)
def test_what_cannot_be_fine_tuned_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        finetune(**values)


def test_a_batch_without_contrast_may_be_one() -> None:
    assert pretrain(batch_size=1, itc=False, itm=False).batch_size == 1


def test_only_what_decides_a_result_changes_the_digest(tmp_path: Path) -> None:
    first = pretrain(data="a", workers=1)
    assert first.digest == pretrain(data=tmp_path, workers=3, log_every=7, save_every=9, target="x").digest
    assert first.digest != pretrain(data="a", workers=1, lr=2e-4).digest
    assert set(first.to_json()) - set(first.decisive) == INCIDENTAL


def test_a_folder_of_weights_counts_by_its_name(tmp_path: Path) -> None:
    for place in ("here", "there"):
        (tmp_path / place / "start").mkdir(parents=True)
    here, there = (finetune(weights=str(tmp_path / place / "start")) for place in ("here", "there"))
    assert here.decisive["weights"] == "start"
    assert here.digest == there.digest
    assert finetune(weights="owner/name").decisive["weights"] == "owner/name"
    assert finetune(weights="timm:vit.openai", model="thp-vit-b").decisive["weights"] == "timm:vit.openai"


def test_a_recipe_has_one_digest_whether_its_weights_are_there_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    absent = finetune(weights="trained/pretrain/thp-mini").digest
    (tmp_path / "trained" / "pretrain" / "thp-mini").mkdir(parents=True)
    assert finetune(weights="trained/pretrain/thp-mini").digest == absent
