"""Every recipe is flat and complete, opens with what a reader wants to know, and becomes a configuration."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from openmmlo.building import BuildConfig
from openmmlo.building.captioners import PAPER_PROMPT, open_captioner
from openmmlo.config import construct, describe_recipe, load_recipe, recipe_names, recipe_root
from openmmlo.models.thp.architectures import ARCHITECTURES, config_for
from openmmlo.models.thp.opening import NAMES
from openmmlo.sources import SOURCES, open_source
from openmmlo.train.order import Order
from openmmlo.train.recipe import FinetuneRecipe, PretrainRecipe

ROOT = recipe_root()
CHECKOUT = Path(__file__).parents[2]
RECIPES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())

# Left to whoever runs a recipe: where it goes, which part of it, and what depends on the machine.
TRAINING = {"pretrain": PretrainRecipe, "finetune": FinetuneRecipe}

OF_A_RUN = {"out", "shard", "limit", "retry", "prefetch", "max_pixels", "lexicon", "recaption", "measure"}


def values_of(recipe: Path) -> dict[str, Any]:
    return load_recipe(recipe.parts[0], recipe.stem)


def test_the_search_finds_recipes() -> None:
    sets = {"imagenet-lt", "places-lt", "inaturalist2018", "cifar100-lt"}
    assert {"miniature"} | sets <= set(recipe_names("building"))
    released = {f"{name}-released" for name in sets - {"cifar100-lt"}}
    assert {"thp-mini"} | sets | released <= set(recipe_names("pretrain"))
    assert {"thp-mini", "tiny-ce", "imagenet-lt-only-finetuning"} | sets | released <= set(recipe_names("finetune"))
    assert {recipe.parts[0] for recipe in RECIPES} == {"building", *TRAINING}


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_recipe_is_found_by_its_name(recipe: Path) -> None:
    assert recipe.suffix == ".yaml"
    assert len(recipe.parts) == 2
    assert recipe.stem in recipe_names(recipe.parts[0])


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_recipe_opens_with_what_it_is(recipe: Path) -> None:
    text = (ROOT / recipe).read_text(encoding="utf-8")
    head = "".join(line for line in text.splitlines(keepends=True) if line.startswith("#"))
    assert text.startswith(head)
    for word in ("Command", "Hardware", "Hours", "Reproduces", "Measured"):
        assert re.search(rf"^# {word}: +\S", head, re.MULTILINE), word
    command = f"build --recipe {recipe.stem} " if recipe.parts[0] == "building" else f"{recipe.parts[0]} {recipe.stem} "
    assert f"openmmlo {command}" in head
    assert 20 < len(describe_recipe(recipe.parts[0], recipe.stem)) <= 100


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_recipe_is_flat(recipe: Path) -> None:
    text = (ROOT / recipe).read_text(encoding="utf-8")
    assert not any(isinstance(token, (yaml.AnchorToken, yaml.AliasToken, yaml.TagToken)) for token in yaml.scan(text))
    for key, value in values_of(recipe).items():
        if isinstance(value, dict):
            assert key.endswith("_options")
            assert not any(isinstance(item, dict) for item in value.values())


@pytest.mark.parametrize("recipe", [recipe for recipe in RECIPES if recipe.parts[0] == "building"], ids=str)
def test_building_recipe_becomes_a_configuration(recipe: Path, tmp_path: Path) -> None:
    values = values_of(recipe)
    assert set(values) == {item.name for item in dataclasses.fields(BuildConfig)} - OF_A_RUN
    config = construct(BuildConfig, values | {"out": tmp_path}, f"recipe {recipe.stem}")
    assert config.source in SOURCES
    source = open_source(config.source, config.source_options)
    assert set(config.splits) <= set(source.splits())
    captioner = open_captioner(config.captioner, config.captioner_options)
    assert captioner.name == config.captioner
    assert config.captioner_options.get("prompt", PAPER_PROMPT) == PAPER_PROMPT


@pytest.mark.parametrize("recipe", [recipe for recipe in RECIPES if recipe.parts[0] in TRAINING], ids=str)
def test_training_recipe_becomes_a_configuration_of_a_model(recipe: Path) -> None:
    values = values_of(recipe)
    cls = TRAINING[recipe.parts[0]]
    assert set(values) == {item.name for item in dataclasses.fields(cls)}
    found = construct(cls, values, f"recipe {recipe.stem}")
    assert found.data is not None
    assert found.data.name in recipe_names("building")
    building = load_recipe("building", found.data.name)
    assert {found.split, found.validation_split or found.split} <= set(building["splits"])
    assert building["with_images"]
    if found.model is not None:
        assert found.model in ARCHITECTURES
        assert config_for(found.model, text_length=found.text_length).text_length == found.text_length


@pytest.mark.parametrize("name", recipe_names("finetune"))
def test_a_learnt_scale_gets_where_it_is_needed(name: str) -> None:
    """With a thousand classes a start at 1.693 must grow to about 5, which a learning rate of 2e-5 never does."""
    found = construct(FinetuneRecipe, load_recipe("finetune", name), name)
    assert found.head == "linear" or found.head_scale_start >= 5 or found.lr * found.scale_lr_factor >= 0.0099


@pytest.mark.parametrize("recipe", [recipe for recipe in RECIPES if recipe.parts[0] in TRAINING], ids=str)
def test_a_batch_parts_over_the_hardware_that_a_recipe_names(recipe: Path) -> None:
    found = construct(TRAINING[recipe.parts[0]], values_of(recipe), recipe.stem)
    (hardware,) = re.findall(r"^# Hardware: +(\w+) (?:GPUs?|CPU cores?)", (ROOT / recipe).read_text(), re.MULTILINE)
    order = Order(10**6, found.batch_size, found.accumulation, 0)
    order.check_processes({"one": 1, "two": 2, "four": 4}[hardware])


@pytest.mark.parametrize("name", recipe_names("finetune"))
def test_fine_tuning_starts_where_a_recipe_of_pre_training_ends(name: str) -> None:
    found = construct(FinetuneRecipe, load_recipe("finetune", name), name)
    if found.weights == "none" or found.weights.startswith("timm:"):
        return
    if found.weights == "thp-mini-pretrained":  # the one that comes along
        before = NAMES[found.weights]
    else:
        folder, kind, before = Path(found.weights).parts
        assert folder == "trained"
        if kind == "finetune":
            of_second_stage(found, construct(FinetuneRecipe, load_recipe("finetune", before), before))
            return
        assert kind == "pretrain"
    start = construct(PretrainRecipe, load_recipe("pretrain", before), before)
    assert (start.data, start.split) == (found.data, found.split)
    places = start.text_length if start.text_weights == "none" else config_for(start.model).text_length
    assert found.text_length <= places


def of_second_stage(found: FinetuneRecipe, start: FinetuneRecipe) -> None:
    """Starts from a classifier of the same data and shape, and reads what that one did."""
    assert found.trains != "all" or found.steps == 0 or found.objective != "classification"
    for name in ("data", "split", "validation_split", "validation_share", "model", "experts", "reads", "text_length"):
        assert getattr(found, name) == getattr(start, name), name
    if found.trains != "classifier" and found.objective == "classification":
        assert found.head == start.head


TINY = [name for name in recipe_names("finetune") if name.startswith("tiny-")]
BUDGET = (
    "data", "split", "validation_share", "batch_size", "epochs", "lr", "min_lr", "warmup_steps", "weight_decay",
    "clip_norm", "precision", "augmentation", "dropout",
)  # fmt: skip
"""What baselines that are compared have in common."""


def test_baselines_that_are_compared_have_one_budget() -> None:
    recipes = {name: construct(FinetuneRecipe, load_recipe("finetune", name), name) for name in TINY}
    scratch = [recipe for recipe in recipes.values() if recipe.weights == "none"]
    assert len(scratch) >= 11
    assert len({tuple(getattr(recipe, name) for name in BUDGET) for recipe in scratch}) == 1
    family = [recipe for recipe in recipes.values() if recipe.weights.startswith("trained/pretrain/")]
    assert len(family) >= 8
    assert len({tuple(getattr(recipe, name) for name in BUDGET if name != "split") for recipe in family}) == 1
    assert {(recipe.head_scale_start, recipe.scale_lr_factor) for recipe in family} == {(8.0, 10.0)}
    before = {name: load_recipe("pretrain", name) for name in recipe_names("pretrain") if name.startswith("tiny-")}
    assert len(before) >= 6
    differing = {key for key in before["tiny-thp"] if len({str(item[key]) for item in before.values()}) > 1}
    assert differing == {"similarity", "kappa", "trainable_kappa", "split"}


@pytest.mark.parametrize("recipe", [recipe for recipe in RECIPES if recipe.parts[0] in TRAINING], ids=str)
def test_a_published_number_that_a_recipe_aims_at_is_the_papers(recipe: Path, published: list[dict[str, str]]) -> None:
    """Every number of a target that names a table stands in that table for T-hp."""
    target = values_of(recipe)["target"]
    tables = re.findall(r"Table (\d)", target)
    if not tables:
        assert target.startswith("none")
        return
    known = {float(row["value"]) for row in published if row["table"] in tables and "T-hp" in row["method"]}
    numbers = [float(number) for number in re.findall(r"(?<![\w.-])\d+\.\d+", target)]
    assert numbers
    assert set(numbers) <= known
