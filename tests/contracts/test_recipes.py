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
from openmmlo.sources import SOURCES, open_source

ROOT = recipe_root()
RECIPES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())

# Left to whoever runs a recipe: where it goes, which part of it, and what depends on the machine.
OF_A_RUN = {"out", "shard", "limit", "retry", "prefetch", "max_pixels", "lexicon", "recaption", "measure"}


def values_of(recipe: Path) -> dict[str, Any]:
    return load_recipe(recipe.parts[0], recipe.stem)


def test_the_search_finds_recipes() -> None:
    assert {"miniature", "imagenet-lt", "places-lt", "inaturalist2018", "cifar100-lt"} <= {
        recipe.stem for recipe in RECIPES
    }


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_recipe_is_found_by_its_name(recipe: Path) -> None:
    assert recipe.suffix == ".yaml"
    assert len(recipe.parts) == 2
    assert recipe.stem in recipe_names(recipe.parts[0])


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_recipe_opens_with_what_it_is(recipe: Path) -> None:
    head = (ROOT / recipe).read_text(encoding="utf-8").split("\nsource:")[0]
    for word in ("Command", "Hardware", "Hours", "Reproduces", "Measured"):
        assert re.search(rf"^# {word}: +\S", head, re.MULTILINE), word
    assert f"--recipe {recipe.stem} " in head
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
