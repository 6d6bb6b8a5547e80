"""Every entry of every table loads, keeps its Protocol, has a name and says in a line what it is."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pickle
import pkgutil
from typing import Any

import pytest
import torch

import openmmlo
from openmmlo.building.captioners import CAPTIONERS, Captioner
from openmmlo.catalog import Catalog
from openmmlo.losses import LOSSES, Staged
from openmmlo.records import Source
from openmmlo.sources import SOURCES
from openmmlo.train.posthoc import POSTHOC, Posthoc

OPTIONS = {
    "imagefolder": {"images": "photos"},
    "existing": {"captions": "captions.csv"},
    "image-text-to-text": {"model": "owner/name"},
    "openai-compatible": {"model": "owner/name"},
}
"""Options without which an entry cannot be made."""


def tables() -> dict[str, Catalog]:
    """Every Catalog in the package, found where it is defined."""
    found: dict[int, tuple[str, Catalog]] = {}
    for module in pkgutil.walk_packages(openmmlo.__path__, "openmmlo."):
        if module.name == "openmmlo.__main__":
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, Catalog):
                found.setdefault(id(value), (name, value))
    return dict(found.values())


TABLES = tables()
ENTRIES = [(table, name) for table, catalog in TABLES.items() for name in catalog]


def made(catalog: Catalog, name: str) -> Any:
    cls = catalog.load(name)
    known = {item.name for item in dataclasses.fields(cls) if item.init}
    return cls(**{key: value for key, value in OPTIONS.get(name, {}).items() if key in known})


def test_the_search_finds_the_tables() -> None:
    assert {"SOURCES", "CAPTIONERS", "LOSSES", "POSTHOC"} <= set(TABLES)
    assert len(ENTRIES) >= 11


@pytest.mark.parametrize(("table", "name"), ENTRIES)
def test_entry_loads_and_says_what_it_is(table: str, name: str) -> None:
    catalog = TABLES[table]
    assert callable(catalog.load(name))
    phrase = catalog.describe(name)
    assert phrase.endswith(".")
    assert 10 < len(phrase) <= 120


@pytest.mark.parametrize(("table", "name"), ENTRIES)
def test_name_is_kebab_case_and_the_entrys_own(table: str, name: str) -> None:
    assert name == name.lower()
    assert "_" not in name
    entry = TABLES[table].load(name)
    if dataclasses.is_dataclass(entry):
        assert made(TABLES[table], name).name == name


@pytest.mark.parametrize("name", SOURCES)
def test_source_keeps_its_protocol(name: str) -> None:
    source = made(SOURCES, name)
    assert isinstance(source, Source)
    assert hash(source) == hash(pickle.loads(pickle.dumps(source)))  # noqa: S301 - our own bytes


@pytest.mark.parametrize("name", CAPTIONERS)
def test_captioner_keeps_its_protocol(name: str) -> None:
    captioner = made(CAPTIONERS, name)
    assert isinstance(captioner, Captioner)
    assert pickle.loads(pickle.dumps(captioner)) == captioner  # noqa: S301 - our own bytes


@pytest.mark.parametrize("name", LOSSES)
def test_loss_is_a_module_whose_options_have_defaults(name: str) -> None:
    cls = LOSSES.load(name)
    assert issubclass(cls, torch.nn.Module)
    first, *options = inspect.signature(cls).parameters.values()
    assert first.name == "class_counts"
    assert not [option.name for option in options if option.default is inspect.Parameter.empty]
    assert list(inspect.signature(cls.forward).parameters) == ["self", "logits", "targets", "scale"]
    assert isinstance(cls(torch.ones(3)), Staged) is hasattr(cls, "at")


@pytest.mark.parametrize("name", POSTHOC)
def test_posthoc_classifier_keeps_its_protocol(name: str) -> None:
    posthoc = made(POSTHOC, name)
    assert isinstance(posthoc, Posthoc)
    assert posthoc.needs <= {"train", "validation"}


OPTIONED = [(catalog, name) for catalog in (SOURCES, CAPTIONERS, POSTHOC) for name in catalog]


@pytest.mark.parametrize(("catalog", "name"), OPTIONED, ids=[name for _, name in OPTIONED])
def test_options_are_fields_of_a_frozen_dataclass(catalog: Catalog, name: str) -> None:
    cls = catalog.load(name)
    assert dataclasses.is_dataclass(cls)
    assert cls.__dataclass_params__.frozen  # type: ignore[attr-defined]
