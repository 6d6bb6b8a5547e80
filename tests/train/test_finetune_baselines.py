"""Baselines by recipe: losses, second stages, two views and post-hoc classifiers from data to a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pictured_sets import Pictured, write_pictured
from stubs import jpeg

from openmmlo.config import construct, load_recipe
from openmmlo.data.images import decode
from openmmlo.errors import ConfigError, DataError, OpenmmloError, UnknownName
from openmmlo.models import open_model
from openmmlo.models.thp.encoder import transform_of
from openmmlo.models.thp.model import ThpModel
from openmmlo.models.thp.training import read_training
from openmmlo.records import ClassInfo, DatasetInfo
from openmmlo.terminal_train import show_dry_run
from openmmlo.train.dry_run import dry_run
from openmmlo.train.finetune import FinetuneTask, finetune
from openmmlo.train.outcome import Outcome, file_digest
from openmmlo.train.recipe import LATER, FinetuneRecipe

COUNTS = {"ant": 9, "bee": 5, "cat": 2}
HELD_OUT = {"ant": 2, "bee": 2, "cat": 1}
INFO = DatasetInfo(
    "pictures", "1", "cc0-1.0", tuple(ClassInfo(name[0], name) for name in COUNTS), tuple(COUNTS.values())
)


def rows(split: str, counts: dict[str, int]) -> Iterator[Pictured]:
    for label, (name, count) in enumerate(counts.items()):
        for number in range(count):
            image = jpeg(100 * label + number, 40, 36)
            yield Pictured(f"{split}/{name}-{number}", label, name[0], f"a {name} on grey", image, (name,))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    splits = {"train": rows("train", COUNTS), "val": rows("val", HELD_OUT)}
    return write_pictured(tmp_path_factory.mktemp("data") / "pictures", INFO, splits).folder


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    torch.set_num_threads(1)
    monkeypatch.setenv("OPENMMLO_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def recipe_of(name: str, data: Path, **values: Any) -> FinetuneRecipe:
    """A shipped recipe, on a few pictures and for two steps where it has any."""
    shipped = load_recipe("finetune", name)
    few: dict[str, Any] = {"data": str(data), "validation_split": "val", "validation_share": 0.0, "vocabulary": 60}
    few |= {"batch_size": 8, "warmup_steps": 0, "log_every": 1, "text_length": 12, "min_lr": 0.0}
    if shipped["steps"] != 0:
        few |= {"steps": 2, "epochs": None}
    return construct(FinetuneRecipe, shipped | few | values, name)


@pytest.fixture(scope="module")
def stage(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The first stage: cross-entropy."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("stage")
    return finetune(recipe_of("tiny-ce", data), root / "ce", device="cpu", cache=root / "cache")


def second(name: str, data: Path, stage: Outcome, out: Path, **values: Any) -> tuple[Outcome, ThpModel, ThpModel]:
    """The outcome of a second stage, its model, and that of the first."""
    outcome = finetune(recipe_of(name, data, weights=str(stage.folder), **values), out, device="cpu")
    models = [ThpModel.from_pretrained(folder).eval() for folder in (outcome.folder, stage.folder)]
    return outcome, models[0], models[1]


def pictures(data: Path, model: ThpModel, split: str = "train") -> tuple[torch.Tensor, np.ndarray]:
    """Pixels as an evaluation reads them, and labels, in the order of the rows."""
    found = list(rows(split, HELD_OUT if split == "val" else COUNTS))
    transform = transform_of(model.config)
    return torch.stack([transform(decode(row.image).image) for row in found]), np.array([row.label for row in found])


def same(first: ThpModel, other: ThpModel, *but_for: str) -> bool:
    state, theirs = first.state_dict(), other.state_dict()
    names = [name for name in theirs if not name.startswith(but_for)]
    assert len(names) > 20
    return all(torch.equal(state[name], theirs[name]) for name in names)


def test_crt_begins_a_class_layer_anew_on_features_that_stay(data: Path, stage: Outcome, tmp_path: Path) -> None:
    outcome, model, before = second("tiny-crt", data, stage, tmp_path / "crt", lr=1e-6)
    assert same(model, before, "head.centres", "head.bias")
    assert model.head.centres.shape == before.head.centres.shape
    assert float((model.head.centres - before.head.centres).detach().abs().min()) > 1e-5
    assert float(model.head.bias.detach().abs().max()) < 1e-4  # at random it is 0, and two tiny steps were taken
    assert outcome.training["digests"]["start"] != outcome.training["digests"]["weights"]
    kept = second("tiny-crt", data, stage, tmp_path / "kept", lr=1e-6, new_head=False)[1]
    torch.testing.assert_close(kept.head.centres, before.head.centres, atol=1e-4, rtol=0)
    cosine = second("tiny-crt", data, stage, tmp_path / "cosine", lr=1e-6, head="cosine")[1]
    assert cosine.head.kind == "cosine"
    assert same(cosine, before, "head.centres", "head.bias")


def test_lws_learns_a_factor_a_class(data: Path, stage: Outcome, tmp_path: Path) -> None:
    _, model, before = second("tiny-lws", data, stage, tmp_path / "lws")
    assert same(model, before)
    factors = model.head.class_scales.detach()
    assert factors.shape == (3,)
    assert 0 < float((factors - 1).abs().max()) < 0.2
    pixels, _ = pictures(data, model)
    with torch.no_grad():
        features, logits = model.classify(pixels)
        torch.testing.assert_close(logits, before.classify(pixels)[1] * factors, rtol=1e-4, atol=1e-5)
    encoder = open_model(str(tmp_path / "lws"), device="cpu")
    assert encoder.classifier is not None
    assert encoder.classifier.weight is not None
    scores = features.numpy() @ encoder.classifier.weight.T + encoder.classifier.bias
    np.testing.assert_allclose(scores, logits.numpy(), rtol=1e-3, atol=1e-4)


def test_post_hoc_logit_adjustment_takes_the_log_prior_off(data: Path, stage: Outcome, tmp_path: Path) -> None:
    outcome, model, before = second("tiny-logit-adjustment-posthoc", data, stage, tmp_path / "la")
    assert same(model, before, "head.bias")
    prior = torch.tensor([9 / 16, 5 / 16, 2 / 16])
    torch.testing.assert_close(model.head.bias.detach(), before.head.bias.detach() - prior.log())
    assert outcome.training["posthoc"] == {"name": "logit-adjustment", "options": {"tau": 1.0}, "tau": 1.0}
    log = outcome.training["log"]
    assert log["steps"] == 0
    pixels, labels = pictures(data, model, "val")
    with torch.no_grad():
        right = model.classify(pixels)[1].argmax(1).numpy() == labels
    assert log["validation_top1"] == pytest.approx(right.mean())
    assert log["validation_top1_classes"] == pytest.approx(np.mean([right[labels == c].mean() for c in range(3)]))


@pytest.mark.parametrize(("options", "chosen"), [({"tau": 0.7}, False), ({}, True)])
def test_tau_norm_divides_rows_and_leaves_the_bias_out(
    options: dict[str, float], chosen: bool, data: Path, stage: Outcome, tmp_path: Path
) -> None:
    outcome, model, before = second("tiny-tau-norm", data, stage, tmp_path / "tau", posthoc_options=options)
    tau = outcome.training["posthoc"]["tau"]
    assert ("chosen_on" in outcome.training["posthoc"]) == chosen
    assert 0 <= tau <= 2
    rows = before.head.centres.detach()
    torch.testing.assert_close(model.head.centres.detach(), rows / rows.norm(dim=1, keepdim=True) ** tau)
    assert not bool(model.head.bias.detach().any())
    assert same(model, before, "head.centres", "head.bias")


def class_means(model: ThpModel, data: Path) -> torch.Tensor:
    """(C, W) unit means of unit features of the unaugmented training images."""
    pixels, labels = pictures(data, model)
    with torch.no_grad():
        units = torch.nn.functional.normalize(model.classify(pixels)[0])
    return torch.nn.functional.normalize(torch.stack([units[labels == c].mean(0) for c in range(3)]))


def test_ncm_is_a_cosine_layer_of_class_means(data: Path, stage: Outcome, tmp_path: Path) -> None:
    _, model, before = second("tiny-ncm", data, stage, tmp_path / "ncm")
    assert model.head.kind == "cosine"
    assert same(model, before, "head.centres", "head.bias")
    centres = torch.nn.functional.normalize(model.head.centres.detach())
    torch.testing.assert_close(centres, class_means(before, data), rtol=1e-3, atol=1e-4)
    assert float(model.head.multiplier().detach()) == pytest.approx(30, rel=1e-4)


@pytest.mark.parametrize("name", ["tiny-supcon", "tiny-cider"])
def test_features_of_two_views_end_with_class_means(name: str, data: Path, stage: Outcome, tmp_path: Path) -> None:
    outcome = finetune(recipe_of(name, data, weights=str(stage.folder)), tmp_path / "features", device="cpu")
    model = ThpModel.from_pretrained(outcome.folder).eval()
    assert not any("projection.0" in key for key in model.state_dict())
    centres = torch.nn.functional.normalize(model.head.centres.detach())
    torch.testing.assert_close(centres, class_means(model, data), rtol=1e-3, atol=1e-4)
    log = outcome.training["log"]
    assert {"validation_neighbour", "validation_top1", "validation_top1_classes"} <= set(log)
    assert outcome.training["posthoc"]["name"] == "ncm"
    assert ("compactness" in log) == (name == "tiny-cider")
    encoder = open_model(str(outcome.folder), device="cpu")
    assert encoder.classifier is not None
    assert encoder.classifier.centres is not None
    read = read_training(outcome.folder)
    assert read is not None
    assert read["digests"]["weights"] == file_digest(outcome.folder / "model.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tiny-ldam-drw", "tiny-lade", "tiny-wcdas", "tiny-t-vmf", "tiny-ce-square-root"])
def test_a_baseline_trains(name: str, data: Path, tmp_path: Path) -> None:
    outcome = finetune(recipe_of(name, data), tmp_path / "out", device="cpu")
    assert np.isfinite(outcome.training["log"]["loss"])
    model = ThpModel.from_pretrained(outcome.folder)
    if name == "tiny-ldam-drw":
        assert float(model.head.multiplier().detach()) == pytest.approx(30.0, rel=1e-6)
    assert open_model(str(outcome.folder), device="cpu").classifier is not None


def test_a_run_that_follows_the_last_step_again_makes_the_same(data: Path, stage: Outcome, tmp_path: Path) -> None:
    found = [second("tiny-ncm", data, stage, tmp_path / place)[0] for place in ("one", "other")]
    assert found[0].training["digests"] == found[1].training["digests"]
    again = second("tiny-ncm", data, stage, tmp_path / "one")[0]
    assert again.finished_before


def test_a_dry_run_names_the_method(
    data: Path, stage: Outcome, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = dry_run(FinetuneTask(recipe_of("tiny-ldam-drw", data)))
    assert not found.refused
    assert found.method["loss"] == "ldam (max_margin 0.5, beta 0.9999, reweight_from 0.5)"
    show_dry_run(found)
    assert "Method:  loss ldam (" in capsys.readouterr().out
    crt = dry_run(FinetuneTask(recipe_of("tiny-crt", data, weights=str(stage.folder))))
    assert (crt.method["sampler"], crt.method["trains"]) == ("class-aware", "classifier")
    assert sum(trained for _, trained in crt.parameters.values()) == 3 * 64 + 3
    nothing = dry_run(FinetuneTask(recipe_of("tiny-tau-norm", data, weights=str(stage.folder))))
    assert (nothing.steps, nothing.method["afterwards"]) == (0, "tau-norm")
    two = dry_run(FinetuneTask(recipe_of("tiny-supcon", data, weights=str(stage.folder))))
    one = dry_run(FinetuneTask(recipe_of("tiny-ce", data)))
    assert 1.5 < two.memory["activations"] / one.memory["activations"] < 2.2  # beside what any batch keeps


def said(task: FinetuneTask) -> list[str]:
    return [f"{item.level}: {item.what}. {item.remedy}" for item in dry_run(task).findings if item.level != "ok"]


def test_a_stage_that_is_missing_is_refused_and_what_is_odd_is_said(data: Path, stage: Outcome, tmp_path: Path) -> None:
    other = recipe_of("tiny-lws", data, weights=str(stage.folder), experts=2)
    assert any(
        "has 1 experts, and the recipe 2. Start from the classifier" in line for line in said(FinetuneTask(other))
    )
    cosine = finetune(recipe_of("tiny-ce", data, head="cosine"), tmp_path / "cosine", device="cpu")
    scales = recipe_of("tiny-lws", data, weights=str(cosine.folder))
    assert any("has a class layer of kind 'cosine'" in line for line in said(FinetuneTask(scales)))
    with pytest.raises(DataError, match="kind 'cosine', and the recipe says 'linear'"):
        finetune(scales, tmp_path / "out", device="cpu")
    pretrained = recipe_of("tiny-crt", data, weights="thp-mini-pretrained")
    assert any("has no class layer" in line for line in said(FinetuneTask(pretrained)))
    twice = recipe_of("tiny-balanced-softmax", data, sampler="class-aware")
    assert any(line.startswith("warning: sampler is class-aware and loss is") for line in said(FinetuneTask(twice)))
    again = recipe_of("tiny-balanced-softmax", data, posthoc="logit-adjustment")
    assert any("never both" in line for line in said(FinetuneTask(again)))
    unheld = recipe_of("tiny-tau-norm", data, weights=str(stage.folder), validation_split=None, posthoc_options={})
    assert any("chooses on samples that are held out, and none are" in line for line in said(FinetuneTask(unheld)))


@pytest.mark.parametrize(
    ("name", "values", "error", "message"),
    [
        ("tiny-ce", {"loss": "focall"}, UnknownName, "Did you mean 'focal'"),
        ("tiny-ce", {"loss": None}, ConfigError, "classification needs one. Set loss to one of cross-entropy"),
        ("tiny-focal", {"distill": True}, ConfigError, "Set distill to false"),
        ("tiny-ce", {"steps": 0, "epochs": None}, ConfigError, "Set steps, epochs or posthoc"),
        ("tiny-ncm", {"weights": "none"}, ConfigError, "of a model at random"),
        ("tiny-tau-norm", {"new_head": True}, ConfigError, "of a model at random"),
        ("tiny-tau-norm", {"head": "cosine"}, ConfigError, "is of linear class layers, and head is 'cosine'"),
        ("tiny-ce", {"new_head": True}, ConfigError, "Set new_head to false"),
        ("tiny-ce", {"posthoc_options": {"tau": 1.0}}, ConfigError, "posthoc is null; name what they are of"),
        ("tiny-crt", {"weights": "none"}, ConfigError, "Give the folder of its first stage"),
        ("tiny-crt", {"train_text_encoder": True}, ConfigError, "Set train_text_encoder to false"),
        ("tiny-lws", {"head": "thp"}, ConfigError, "factors on the scores of a linear class layer"),
        ("tiny-lws", {"new_head": True}, ConfigError, "scales of a random layer"),
        ("tiny-supcon", {"posthoc": None, "posthoc_options": {}}, ConfigError, "Set posthoc to ncm"),
        ("tiny-supcon", {"loss": "focal"}, ConfigError, "Set loss to null"),
        ("tiny-cider", {"reads": "both"}, ConfigError, "Set reads to image"),
        ("tiny-cider", {"augmentation": "none"}, ConfigError, "two equal views teach nothing"),
        ("tiny-wcdas", {"head_r_start": 1.0}, ConfigError, "expected between 0 and 1"),
        ("tiny-ce", {"sampler": "square"}, ConfigError, "Did you mean 'square-root'"),
    ],
)
def test_what_does_not_go_together_is_refused_at_once(
    name: str, values: dict[str, Any], error: type[OpenmmloError], message: str
) -> None:
    with pytest.raises(error, match=message):
        construct(FinetuneRecipe, load_recipe("finetune", name) | values, name)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("tiny-focal", {"loss_options": {"gama": 1.0}}, "takes no 'gama'. Did you mean 'gamma'"),
        ("tiny-supcon", {"loss_options": {"temperature": 0.0}}, "expected above 0"),
        ("tiny-ncm", {"posthoc_options": {"scales": 2.0}}, "Did you mean 'scale'"),
    ],
)
def test_settings_are_checked_before_anything_is_trained(
    name: str, values: dict[str, Any], message: str, data: Path, stage: Outcome
) -> None:
    weights = {} if name == "tiny-focal" else {"weights": str(stage.folder)}
    assert any(message in line for line in said(FinetuneTask(recipe_of(name, data, **values, **weights))))


def test_keys_that_came_later_leave_the_digest_of_recipes_before_them(data: Path) -> None:
    first = recipe_of("tiny-ce", data)
    assert not LATER & set(first.decisive)
    assert set(first.to_json()) >= LATER
    assert first.unsaid == LATER
    changed: dict[str, Any] = {
        "head_r_start": 0.4, "loss": "focal", "loss_options": {"gamma": 1.0}, "contrast_width": 64, "posthoc": "ncm",
    }  # fmt: skip
    for name, value in changed.items():
        values = {name: value} if name != "loss_options" else {"loss": "focal", name: value}
        other = recipe_of("tiny-ce", data, **values)
        assert other.decisive[name] == value
        assert other.digest != first.digest
