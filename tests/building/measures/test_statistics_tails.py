"""Formulas over counts against scipy, pandas, brute force and closed forms, on random and on degenerate counts."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from openmmlo.building.measures.statistics.tails import (
    gini,
    imbalance_factor,
    pareto_share,
    rank_frequency,
    rounded,
    spearman,
    zipf_fit,
)

COUNTS = st.lists(st.integers(0, 10_000), min_size=1, max_size=60)


@given(COUNTS)
def test_gini_is_half_the_relative_mean_difference(counts: list[int]) -> None:
    if not sum(counts):
        assert gini(counts) is None
        return
    differences = sum(abs(x - y) for x, y in product(counts, counts))
    assert gini(counts) == pytest.approx(differences / (2 * len(counts) * sum(counts)), abs=1e-12)


def test_gini_in_closed_form() -> None:
    assert gini([7] * 9) == 0
    assert gini([0, 0, 0, 12]) == 0.75
    assert gini([5]) == 0
    assert gini(range(1, 101)) == pytest.approx((100 - 1) / (3 * 100))  # 1 … n: (n - 1) / 3n
    assert gini([10**12, 1]) == pytest.approx(0.5, abs=1e-9)
    assert gini([]) is None


@given(COUNTS, st.sampled_from([0.1, 0.2, 0.25, 0.5, 1.0]))
def test_pareto_ratio_is_a_point_of_the_lorenz_curve(counts: list[int], largest: float) -> None:
    if not sum(counts):
        assert pareto_share(counts, largest) is None
        return
    rising = np.sort(np.asarray(counts, float))
    curve = np.concatenate([[0.0], np.cumsum(rising) / rising.sum()])
    expected = 1 - np.interp((1 - largest) * len(counts), np.arange(len(counts) + 1), curve)
    assert pareto_share(counts, largest) == pytest.approx(expected, abs=1e-9)


def test_pareto_ratio_of_known_counts() -> None:
    assert pareto_share([80, 5, 5, 5, 5]) == 0.8
    assert pareto_share([3] * 7) == pytest.approx(0.2)
    assert pareto_share([8, 2, 0]) == pytest.approx(0.6 * 8 / 10)  # 0.2 · 3 classes: six tenths of the largest
    assert pareto_share([1] * 14 + [86]) == pytest.approx(0.88)  # 0.2 · 15 is three, not a hair more
    assert pareto_share([4]) == pytest.approx(0.2)
    assert pareto_share([]) is None


def test_imbalance_factor_leaves_out_empty_classes() -> None:
    assert imbalance_factor([1280, 30, 5]) == 256
    assert imbalance_factor([1280, 30, 5, 0]) == 256
    assert imbalance_factor([7]) == 1
    assert imbalance_factor([0, 0]) is None
    assert imbalance_factor([]) is None


@given(COUNTS, st.integers(1, 50))
def test_zipf_fit_is_the_regression_of_scipy(counts: list[int], least: int) -> None:
    used = sorted((count for count in counts if count >= least), reverse=True)
    fit = zipf_fit(counts, least)
    if len(used) < 3:
        assert fit is None
        return
    assert fit is not None
    assert (fit.first_rank, fit.last_rank, fit.least_count) == (1, len(used), least)
    expected = scipy.stats.linregress(np.log10(np.arange(1, len(used) + 1)), np.log10(used))
    assert fit.slope == pytest.approx(expected.slope, abs=1e-9)
    assert fit.intercept == pytest.approx(expected.intercept, abs=1e-9)
    if len(set(used)) == 1:
        assert fit.r2 is None
    else:
        assert fit.r2 == pytest.approx(expected.rvalue**2, abs=1e-9)


def test_zipf_fit_finds_the_exponent_that_was_put_in() -> None:
    fit = zipf_fit([round(10**9 * rank**-1.3) for rank in range(1, 2000)], 5)
    assert fit is not None
    assert fit.slope == pytest.approx(-1.3, abs=1e-4)
    assert fit.intercept == pytest.approx(9, abs=1e-3)
    assert fit.r2 == pytest.approx(1, abs=1e-6)
    flat = zipf_fit([4, 4, 4, 4])
    assert flat == (0.0, math.log10(4), None, 1, 4, 1)
    assert zipf_fit([9, 8]) is None
    assert zipf_fit([0, 0, 0]) is None


@given(st.lists(st.integers(0, 500), max_size=400), st.integers(3, 40))
def test_rank_frequency_takes_points_of_the_sorted_counts(counts: list[int], points: int) -> None:
    positive = sorted((count for count in counts if count), reverse=True)
    found = rank_frequency(counts, points)
    assert len(found) <= points
    assert all(positive[rank - 1] == count for rank, count in found)
    assert [rank for rank, _ in found] == sorted({rank for rank, _ in found})
    if positive:
        assert found[0] == (1, positive[0])
        assert found[-1] == (len(positive), positive[-1])
    else:
        assert found == []


PAIRS = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=3, max_size=50)


@given(PAIRS)
def test_spearman_is_pearson_of_mean_ranks(pairs: list[tuple[int, int]]) -> None:
    x, y = (pd.Series(side) for side in zip(*pairs, strict=True))
    found = spearman(x, y)
    if x.nunique() == 1 or y.nunique() == 1:
        assert found is None
        return
    assert found is not None
    rho, p = found
    assert rho == pytest.approx(x.rank().corr(y.rank()), abs=1e-9)
    if abs(rho) < 1 - 1e-9:
        t = rho * math.sqrt((len(x) - 2) / (1 - rho**2))
        assert p == pytest.approx(2 * scipy.stats.t.sf(abs(t), len(x) - 2), abs=1e-9)


def test_spearman_of_orders_and_of_too_little() -> None:
    assert spearman([1, 2, 3, 4], [10, 20, 40, 80]) == (pytest.approx(1), pytest.approx(0))
    assert spearman([1, 2, 3, 4], [8, 4, 2, 1]) == (pytest.approx(-1), pytest.approx(0))
    assert spearman([1, 2], [1, 2]) is None
    assert spearman([], []) is None


def test_rounding_keeps_six_digits_everywhere_but_in_whole_numbers() -> None:
    value = {"a": 1 / 3, "b": [123456789, 1e-30 / 3, None, True], "c": {"d": (2 / 3, "x")}}
    assert rounded(value) == {"a": 0.333333, "b": [123456789, 3.33333e-31, None, True], "c": {"d": [0.666667, "x"]}}
