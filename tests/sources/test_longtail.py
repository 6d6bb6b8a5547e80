"""The exponential profile against published totals and its closed form; the selection rules by their properties."""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmmlo.records import shot_group
from openmmlo.sources.longtail import exponential_counts, keep, seeded_order


@pytest.mark.parametrize(
    ("largest", "classes", "ratio", "total"),
    [
        (500, 100, 100, 10_847),
        (500, 100, 50, 12_608),
        (500, 100, 10, 19_573),
        (5000, 10, 100, 12_406),
        (5000, 10, 50, 13_996),
        (5000, 10, 10, 20_431),
        (500, 100, 1, 50_000),
    ],
)
def test_totals_are_the_published_ones(largest: int, classes: int, ratio: float, total: int) -> None:
    assert sum(exponential_counts(largest, classes, ratio)) == total


def test_cifar100_lt_has_the_known_shot_groups() -> None:
    counts = exponential_counts(500, 100, 100)
    assert (counts[0], counts[-1]) == (500, 5)
    assert Counter(map(shot_group, counts)) == {"many": 35, "medium": 35, "few": 30}


@given(st.integers(1, 10_000), st.integers(1, 400), st.integers(1, 1_000))
def test_profile_is_the_floor_of_the_exact_value(largest: int, classes: int, ratio: int) -> None:
    if classes > 1 and ratio > largest:
        with pytest.raises(ValueError, match="leaves the smallest class empty"):
            exponential_counts(largest, classes, ratio)
        return
    counts = exponential_counts(largest, classes, ratio)
    assert len(counts) == classes
    assert counts[0] == largest
    assert counts == sorted(counts, reverse=True)
    if classes == 1:
        return
    # n is the floor where n <= x < n + 1, and x ** (C - 1) = largest ** (C - 1) / ratio ** c is exact in integers.
    steps = classes - 1
    for number in {0, 1, steps // 2, steps}:
        power = Fraction(largest**steps, ratio**number)
        assert counts[number] ** steps <= power < (counts[number] + 1) ** steps


@pytest.mark.parametrize("ratio", [0, 0.5, -1, math.nan, math.inf])
def test_a_ratio_below_one_is_refused(ratio: float) -> None:
    with pytest.raises(ValueError, match="expected 1 or more"):
        exponential_counts(500, 100, ratio)


@pytest.mark.parametrize(("largest", "classes"), [(0, 10), (10, 0)])
def test_nothing_to_choose_from_is_refused(largest: int, classes: int) -> None:
    with pytest.raises(ValueError, match="at least one class"):
        exponential_counts(largest, classes, 10)


ids = st.lists(st.text(max_size=6), unique=True, max_size=40)


@given(ids, st.integers(0, 50), st.integers(0, 5))
def test_seeded_choices_are_nested_and_keep_the_given_order(names: list[str], count: int, seed: int) -> None:
    kept = keep(names, count, "seeded", seed)
    assert len(kept) == min(count, len(names))
    assert kept == [name for name in names if name in set(kept)]
    assert set(kept) <= set(keep(names, count + 1, "seeded", seed))


@given(ids, st.text(max_size=6), st.integers(0, 5))
def test_a_new_id_leaves_the_order_of_the_others(names: list[str], new: str, seed: int) -> None:
    with_new = seeded_order({*names, new}, seed)
    assert [name for name in with_new if name != new] == [name for name in seeded_order(names, seed) if name != new]


def test_seeds_differ_and_the_choice_is_fixed_for_ever() -> None:
    names = [f"train-{row:08d}" for row in range(10)]
    assert keep(names, 3, "first") == names[:3]
    assert keep(names, 5, "seeded", 0) != keep(names, 5, "seeded", 1)
    # Computed once with sha256sum over "0\ntrain-0000000N".
    assert keep(names, 3, "seeded", 0) == ["train-00000000", "train-00000005", "train-00000009"]
