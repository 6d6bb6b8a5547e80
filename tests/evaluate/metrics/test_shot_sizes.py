"""Sizes of the shot groups of the known data sets under both rules, as published."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from openmmlo.records import DatasetInfo, Source
from openmmlo.sources import open_source
from openmmlo.sources.longtail import exponential_counts

DATA = os.environ.get("OPENMMLO_DATA")
"""Read before the fixture that hides it from tests."""

SIZES = {
    ("imagenet-lt", "paper"): (385, 479, 136),
    ("imagenet-lt", "oltr"): (391, 463, 146),
    ("places-lt", "paper"): (131, 163, 71),
    ("places-lt", "oltr"): (132, 156, 77),
    ("inaturalist2018", "paper"): (842, 4076, 3224),
    ("inaturalist2018", "oltr"): (845, 3698, 3599),
    ("cifar100-lt", "paper"): (35, 35, 30),
}
ROWS = {"imagenet-lt": 115_846, "places-lt": 62_500, "inaturalist2018": 437_513}


def sizes(info: DatasetInfo, rule: str) -> tuple[int, ...]:
    found = Counter(info.shot_groups(rule))  # type: ignore[arg-type]
    return tuple(found[group] for group in ("many", "medium", "few"))


def holds(info: DatasetInfo, name: str) -> None:
    assert sum(info.train_counts or ()) == ROWS[name]
    for rule in ("paper", "oltr"):
        assert sizes(info, rule) == SIZES[name, rule]


def test_places_lt_by_its_list(official_splits: Path) -> None:
    holds(open_source("places-lt", {"lists": official_splits}).info(), "places-lt")


@pytest.mark.parametrize("name", ["imagenet-lt", "inaturalist2018"])
def test_others_by_their_lists_where_they_are_at_hand(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if DATA is None:
        pytest.skip("their training lists are too large to keep; set OPENMMLO_DATA to a folder that holds them")
    monkeypatch.setenv("OPENMMLO_DATA", DATA)
    source: Source = open_source(name)
    info = source.info()
    if info.train_counts is None:
        pytest.skip(f"OPENMMLO_DATA holds no training list of {name}")
    holds(info, name)


def test_cifar100_lt_by_the_formula() -> None:
    info = DatasetInfo("cifar100-lt", "1", "", (), tuple(exponential_counts(500, 100, 100)))
    assert sizes(info, "paper") == SIZES["cifar100-lt", "paper"]
    assert sum(info.train_counts or ()) == 10_847
