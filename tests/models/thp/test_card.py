"""The card of a checkpoint as the Hub's client reads it; what a result says in it; foreign text adds no markup."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import tiny_thp
import torch
import yaml
from evaluated import evaluated
from hub_card_rules import LICENCES, TASKS
from PIL import Image

from openmmlo.errors import ModelError
from openmmlo.models import open_model
from openmmlo.models.card_results import CardResult, results_of
from openmmlo.models.checkpoints import read_config
from openmmlo.models.thp.card import render_card
from openmmlo.models.thp.training import read_training

TRAINING = {
    "command": "openmmlo finetune thp-mini",
    "recipe": {"weights": "thp-mini-pretrained", "lr": 2e-4, "validation_split": None},
    "digests": {"recipe": "a" * 64, "weights": "b" * 64, "data": "c" * 64},
    "data": {"name": "miniature", "version": "1", "rows": 4321},
    "log": {"steps": 900, "seconds": 512.5, "loss": 0.31},
}
RESULTS = [
    CardResult("miniature", 1, "test", "image", "accuracy", 0.6125),
    CardResult("miniature", 1, "test", "image", "accuracy_few", 0.25),
    CardResult("miniature", 1, "near-ood", "image", "auroc", 0.71, "thp-knn"),
    CardResult("miniature", 1, "test", "masked", "accuracy", 0.8),
]


def config(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = tiny_thp.config(**changes).to_dict()
    return found


def front_of(card: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(card.split("---\n")[1])
    return found


def test_the_hubs_client_reads_results_and_metadata() -> None:
    from huggingface_hub import ModelCard

    card = render_card("thp-mini", config(classes=5, benchmark="miniature"), TRAINING, RESULTS, datasets=["owner/set"])
    data = ModelCard(card).data  # type: ignore[no-untyped-call]
    assert data.license in LICENCES
    assert data.pipeline_tag == "image-classification"
    assert data.pipeline_tag in TASKS
    assert data.library_name == "openmmlo"
    assert data.datasets == ["owner/set"]
    assert set(data.metrics) == {"accuracy", "roc_auc"}
    assert data.model_name == "thp-mini"
    found = [
        (item.dataset_type, item.dataset_config, item.dataset_split, item.metric_type, item.metric_value)
        for item in data.eval_results
    ]
    assert found == [
        ("miniature", "image", "test", "accuracy", 0.6125),
        ("miniature", "image", "test", "accuracy", 0.25),
        ("miniature", "image", "near-ood", "roc_auc", 0.71),
        ("miniature", "masked", "test", "accuracy", 0.8),
    ]
    assert "captions" in data.eval_results[3].task_name or "caption" in data.eval_results[3].task_name


def test_a_card_without_results_makes_no_claims() -> None:
    from huggingface_hub import ModelCard

    card = render_card("x", config())
    data = ModelCard(card).data.to_dict()  # type: ignore[no-untyped-call]
    assert "model-index" not in data
    assert "metrics" not in data
    assert data["pipeline_tag"] == "zero-shot-image-classification"
    assert "Nothing was measured" in card
    assert "Nothing is known of its training" in card
    assert "embed_images" in card


def test_the_body_tells_recipe_digests_numbers_and_limits() -> None:
    whole = config(classes=5, head="cosine", benchmark="miniature")
    card = render_card("thp-mini", whole, TRAINING, RESULTS, packaged=True)
    for words in (
        "openmmlo finetune thp-mini", "| lr | 0.0002 |", "| validation\\_split | – |", f"| recipe | {'a' * 64} |",
        "| rows | 4321 |", "| loss | 0.31 |",
        "| miniature 1 | test | the image | top-1 | 61.25 |",
        "| miniature 1 | test | the image | top-1, few-shot classes | 25.00 |",
        "| miniature 1 | near-ood | the image | AUROC of thp-knn | 71.00 |",
        "| miniature 1 | test | the image and its masked caption | top-1 | 80.00 |",
        "openmmlo eval --model thp-mini --benchmark miniature",
        "Captions are written by a model that saw the image, test images included",
        "cosine of a feature and a class's centre",
    ):  # fmt: skip
        assert words in card


def commands_of(card: str) -> tuple[str, str]:
    """What it tells to type, and its Python."""
    (typed,) = re.findall(r"```bash\n(openmmlo eval .*)\n```", card)
    (python,) = re.findall(r"```python\n(.+?)\n```", card, re.DOTALL)
    return typed, python


@pytest.mark.parametrize("classes", [0, 2])
@pytest.mark.parametrize("packaged", [True, False])
def test_what_it_says_of_its_use_works(
    classes: int, packaged: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [["n1", "cat"], ["n2", "dog"]][:classes]
    saved = tiny_thp.save(tmp_path / "thp-mini", classes=classes, class_names=names)
    Image.new("RGB", (40, 30)).save(tmp_path / "picture.png")
    monkeypatch.chdir(tmp_path)
    if packaged:
        monkeypatch.setattr("openmmlo.models.thp.opening.SHIPPED", tmp_path)
    typed, python = commands_of(render_card("thp-mini", read_config(saved), packaged=packaged))
    assert typed == f"openmmlo eval --model {'thp-mini' if packaged else './thp-mini'}"
    found: dict[str, Any] = {}
    exec(python, found)
    expected = open_model(str(saved)).encode_images(found["pixels"]).features
    torch.testing.assert_close(found["features" if classes else "images"], expected)
    assert (capsys.readouterr().out.strip() in map(str, names)) == bool(classes)


def test_on_the_hub_it_is_named_by_its_repository() -> None:
    typed, python = commands_of(render_card("mine", config(), repo="someone/mine"))
    assert typed == "openmmlo eval --model someone/mine"
    assert 'from_pretrained("someone/mine")' in python


def test_foreign_text_adds_no_markup() -> None:
    hostile = "a | b\n---\n# <script>`x`</script>\x85\u2028---\ny: [z](http://w)"
    training = {
        "command": f"openmmlo ```{hostile}", "recipe": {hostile: hostile}, "digests": {"recipe": hostile},
        "data": {"name": {"deep": hostile}}, "log": {},
    }  # fmt: skip
    results = [CardResult(hostile, 1, hostile, "image", "auroc", 0.5, hostile)]
    card = render_card(hostile, config() | {"architecture": hostile}, training, results)
    front = front_of(card)
    assert front["model-index"][0]["results"][0]["dataset"]["name"] == hostile
    body = card.split("---\n", 2)[2]
    outside = "".join(body.split("````")[::2])  # the command's block has a longer fence than the command
    prose = "".join(outside.split("```")[::2])
    assert "### " not in prose
    assert "<script>" not in prose
    assert "[z](" not in prose
    assert len([line for line in prose.splitlines() if line.startswith("| recipe")]) == 2
    assert [line for line in prose.splitlines() if line.startswith("#")][1:] == [
        "## How to use it", "## What it reaches", "## How it was trained", "## Limits", "## Citation",
    ]  # fmt: skip


def test_results_become_rows_image_first_captions_after() -> None:
    result, _ = evaluated(detectors=("msp", "thp-knn"))
    found = results_of(result)
    scored = result["scored"]
    rows = {(item.set, item.reads, item.metric, item.detector): item.value for item in found}
    assert len(rows) == len(found)
    assert rows["test", "image", "accuracy", ""] == scored["classification"]["test"]["top1_samples"]
    assert rows["sketch", "image", "accuracy_classes", ""] == scored["classification"]["sketch"]["top1_classes"]
    assert rows["test", "image", "accuracy_few", ""] == scored["classification"]["test"]["groups"]["few"]
    near = scored["ood"]["near-open"]["detectors"]["thp-knn"]["auroc"]
    assert rows["near-open", "image", "auroc", "thp-knn"] == near
    own = result["measured"]["captions"]["own"]
    assert rows["test", "masked", "accuracy", ""] == own["masked"]["top1_samples"]
    assert not any(item.reads == "raw" or item.detector == "msp" for item in found)
    assert [item.reads for item in found] == sorted((item.reads for item in found), key=["image", "masked"].index)
    assert front_of(render_card("x", config(), None, found))["model-index"]


def test_training_is_read_from_the_folder(tmp_path: Path) -> None:
    assert read_training(tmp_path) is None
    (tmp_path / "training.json").write_text(json.dumps(TRAINING))
    assert read_training(tmp_path) == TRAINING


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"recipe": {"lr": 1}}', '{"recipe": 3, "digests": {"recipe": "a"}}',
             '{"recipe": {"lr": 1}, "digests": {"recipe": "a"}, "log": []}', "\x00"],
)  # fmt: skip
def test_damaged_training_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "training.json").write_text(text)
    with pytest.raises(ModelError, match=r"training\.json of checkpoint"):
        read_training(tmp_path)
