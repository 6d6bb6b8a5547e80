"""Means, intervals and ranks against scipy, a published quantile and a brute-force comparison of all pairs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from openmmlo.leaderboard.ranks import Rank, Value, over_seeds, ranks


def test_the_interval_of_three_seeds_is_students() -> None:
    """t(0.975, 2) = 4.3027 (tables of Student's t): mean 0.5, sd 0.1, half width 4.3027 * 0.1 / sqrt(3)."""
    found = over_seeds([0.4, 0.5, 0.6])
    assert found.mean == pytest.approx(0.5)
    assert found.sd == pytest.approx(0.1)
    assert found.interval is not None
    assert found.interval[1] - found.mean == pytest.approx(4.3027 * 0.1 / 3**0.5, abs=1e-5)


def test_mean_deviation_and_interval_are_scipys() -> None:
    values = np.random.default_rng(0).normal(0.6, 0.05, 7)
    found = over_seeds(values.tolist())
    expected = stats.t.interval(0.95, 6, loc=values.mean(), scale=stats.sem(values))
    assert found.sd == pytest.approx(values.std(ddof=1))
    assert found.interval == pytest.approx(expected)
    assert found.values == tuple(values)


def test_one_seed_has_neither_deviation_nor_interval() -> None:
    assert over_seeds([0.7]) == Value(0.7, (0.7,))


def by_hand(values: list[Value], higher: bool) -> list[Rank]:
    def ends(value: Value) -> tuple[float, float]:
        return value.interval or (value.mean, value.mean)

    found = []
    for own in values:
        low, high = ends(own)
        above = sum(ends(other)[0] > high for other in values)
        below = sum(ends(other)[1] < low for other in values)
        better, worse = (above, below) if higher else (below, above)
        found.append(Rank(1 + better, len(values) - worse))
    return found


@pytest.mark.parametrize("higher", [True, False])
def test_ranks_are_those_of_comparing_every_pair(higher: bool) -> None:
    generator = np.random.default_rng(1)
    values = [
        over_seeds(generator.normal(generator.uniform(0, 1), 0.02, seeds).tolist()) for seeds in (1, 2, 3, 3, 3, 5) * 6
    ]
    values += [Value(0.5, (0.5,)), Value(0.5, (0.5,))]
    found = ranks(values, "higher" if higher else "lower")
    assert found == by_hand(values, higher)
    assert any(rank is not None and rank.best != rank.worst for rank in found)


def test_rows_whose_intervals_overlap_tie_and_others_do_not() -> None:
    first, second, third = (Value(mean, (mean,), 0.1, (mean - 0.1, mean + 0.1)) for mean in (0.9, 0.75, 0.5))
    found = ranks([first, second, third], "higher")
    assert [rank.text for rank in found if rank] == ["1–2", "1–2", "3"]


def test_ties_are_not_transitive_so_a_rank_is_a_range() -> None:
    """A ties with B and B with C, and A is better than C: A is 1 or 2, B anything, C 2 or 3."""
    values = [Value(mean, (mean,), 0.1, (mean - 0.1, mean + 0.1)) for mean in (0.9, 0.75, 0.6)]
    assert [(rank.best, rank.worst) for rank in ranks(values, "higher") if rank] == [(1, 2), (1, 3), (2, 3)]


def test_points_rank_by_value_and_equal_points_tie() -> None:
    values = [Value(mean, (mean,)) for mean in (0.3, 0.2, 0.2, 0.1)]
    assert [rank.text for rank in ranks(values, "lower") if rank] == ["4", "2–3", "2–3", "1"]


def test_a_metric_that_only_describes_ranks_nothing() -> None:
    assert ranks([Value(0.3, (0.3,)), Value(0.2, (0.2,))], "none") == [None, None]
