"""Resampled metrics against direct computation on the repeated samples, and the variance against its closed form."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmmlo.evaluate.metrics.bootstrap import place, resampled_detection, resampled_weights, running_mass
from openmmlo.evaluate.metrics.ood import ood_metrics


def detection(a: np.ndarray, b: np.ndarray, a_weights: np.ndarray, b_weights: np.ndarray) -> dict[str, np.ndarray]:
    order = np.argsort(a, kind="stable")
    return resampled_detection(place(a[order], b), running_mass(a_weights, order), b_weights)


@pytest.mark.parametrize("count", [1, 2, 3, 8, 9, 10, 99, 1000])
def test_running_mass_is_the_cumulative_sum(count: int) -> None:
    random = np.random.default_rng(count)
    weights, order = random.integers(0, 5, (count, 4)).astype(float), random.permutation(count)
    assert np.array_equal(running_mass(weights, order)[1:], np.cumsum(weights[order], axis=0))
    assert not running_mass(weights, order)[0].any()


def test_weights_of_a_stratum_sum_to_its_size_and_are_whole_draws() -> None:
    strata = np.array([2, 0, 0, 1, 2, 2, 0, 0])  # sizes 4, 1, 3
    weights = resampled_weights(strata, 500, np.random.default_rng(0))
    assert weights.shape == (8, 500)
    for stratum, size in ((0, 4), (1, 1), (2, 3)):
        assert weights[strata == stratum].sum(axis=0) == pytest.approx(np.full(500, size))
    assert np.all(weights[3] == 1)  # alone in its class: it stays
    draws = weights[strata == 0] * 3 / 4
    assert draws == pytest.approx(np.round(draws))
    assert weights[strata != 1].std(axis=1).min() > 0.5


def test_variance_of_a_stratified_mean_is_the_unbiased_one() -> None:
    """Sum over strata of (n_c / N)^2 s_c^2 / n_c with s_c^2 over n_c - 1; three samples a class as iNaturalist has."""
    random = np.random.default_rng(1)
    strata = np.repeat(np.arange(40), 3)
    values = random.normal(size=120) * (1 + strata / 10)
    means = values @ resampled_weights(strata, 20_000, np.random.default_rng(2)) / 120
    wanted = sum(np.var(values[strata == stratum], ddof=1) * 3 for stratum in range(40)) / 120**2
    assert means.mean() == pytest.approx(values.mean(), abs=4 * np.sqrt(wanted / 20_000))
    assert means.var() == pytest.approx(wanted, rel=0.05)


@given(st.lists(st.integers(-4, 4), min_size=2, max_size=25), st.lists(st.integers(-4, 4), min_size=2, max_size=25),
       st.integers(0, 1000))  # fmt: skip
@settings(max_examples=60)
def test_detection_of_a_resample_is_that_of_the_repeated_samples(
    inside: list[int], outside: list[int], seed: int
) -> None:
    a, b = np.array(inside, dtype=float), np.array(outside, dtype=float)
    random = np.random.default_rng(seed)
    times = [random.multinomial(len(side), np.full(len(side), 1 / len(side)), 3).T.astype(float) for side in (a, b)]
    found = detection(a, b, *times)
    for row in range(3):
        wanted = ood_metrics(*(np.repeat(side, n[:, row].astype(int)) for side, n in zip((a, b), times, strict=True)))
        for name, values in found.items():
            assert values[row] == pytest.approx(wanted[name], abs=1e-12), name


def test_a_set_drawn_whole_has_the_metrics_of_the_set() -> None:
    random = np.random.default_rng(5)
    a, b = random.normal(size=300), random.normal(1, 2, 200)
    found = detection(a, b, np.ones((300, 1)), np.ones((200, 1)))
    wanted = ood_metrics(a, b)
    assert {name: values[0] for name, values in found.items()} == pytest.approx(
        {name: wanted[name] for name in found}, abs=1e-12
    )


def test_deviation_of_auroc_is_delongs() -> None:
    """Var = var(placements of ID) / n + var(placements of OOD) / m (DeLong, DeLong and Clarke-Pearson, 1988)."""
    random = np.random.default_rng(6)
    a, b = random.normal(size=400), random.normal(1, 1, 300)
    draws = np.random.default_rng(7)
    inside = resampled_weights(np.zeros(400, dtype=int), 3000, draws)
    outside = resampled_weights(np.zeros(300, dtype=int), 3000, draws)
    found = detection(a, b, inside, outside)["auroc"]
    wins = a[:, None] < b[None, :]
    wanted = np.var(wins.mean(axis=1), ddof=1) / 400 + np.var(wins.mean(axis=0), ddof=1) / 300
    assert found.var() == pytest.approx(wanted, rel=0.1)
