"""Paths of metrics: every leaf once."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from openmmlo.errors import SubmissionRefused
from openmmlo.leaderboard.metric_paths import LEAVES, PATH, flat, numbers

SCORED = {
    "departures": [],
    "classification": {"test": {"rows": 4, "groups": {"many": 0.5}, "few": None, "per_class": [0.5, None], "none": {}}},
    "ood": {"svhn": {"group": "far", "detectors": {"msp": {"auroc": 0.25}}}},
}


def test_leaves_by_their_keys() -> None:
    assert flat(SCORED) == {
        "classification.test.rows": 4,
        "classification.test.groups.many": 0.5,
        "classification.test.few": None,
        "ood.svhn.group": "far",
        "ood.svhn.detectors.msp.auroc": 0.25,
    }
    assert flat(SCORED, lists=True) == flat(SCORED) | {
        "departures.length": 0,
        "classification.test.per_class.length": 2,
        "classification.test.per_class.0": 0.5,
        "classification.test.per_class.1": None,
        "classification.test.none": {},
    }


def test_numbers_alone() -> None:
    assert numbers(SCORED | {"yes": True}) == {
        "classification.test.rows": 4,
        "classification.test.groups.many": 0.5,
        "ood.svhn.detectors.msp.auroc": 0.25,
    }


def test_two_metrics_of_one_path() -> None:
    """A detector called ``a.by_shot.few`` could hide a number of detector ``a``."""
    detectors = {"a": {"by_shot": {"few": {"auroc": 0.1}}}, "a.by_shot.few": {"auroc": 0.9}}
    with pytest.raises(SubmissionRefused, match=r"Two metrics are called 'ood\.a\.by_shot\.few\.auroc'"):
        flat({"ood": detectors})


def nested(depth: int, key: int, leaves: int) -> dict[str, Any]:
    """So many leaves below so many keys of so many letters."""
    found: dict[str, Any] = {f"{place:x}": 0 for place in range(leaves)}
    for _ in range(depth):
        found = {"k" * key: found}
    return found


@pytest.mark.parametrize(
    ("shape", "match"),
    [((50, 300, 50_000), f"more than {PATH} characters"), ((1, 3, LEAVES + 1), "more than 400,000 metrics")],
    ids=["long", "many"],
)
def test_long_keys_around_many_leaves_cost_no_memory(shape: tuple[int, int, int], match: str) -> None:
    """A file of a megabyte could ask for 50,000 paths of 15,000 characters."""
    scored = nested(*shape)
    tracemalloc.start()
    try:
        with pytest.raises(SubmissionRefused, match=match):
            flat(scored, lists=True)
        assert tracemalloc.get_traced_memory()[1] < 150e6
    finally:
        tracemalloc.stop()
