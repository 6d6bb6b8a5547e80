"""OOD metrics against scikit-learn, exact brute force and closed forms; their invariants; what is refused."""

from __future__ import annotations

import tracemalloc
import warnings
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from openmmlo.errors import DataError
from openmmlo.evaluate.metrics import METRICS, ood

TIED = st.integers(-3, 3).map(float)
ANY = st.floats(allow_nan=False, allow_infinity=False)
EXTREME = st.sampled_from([5e-324, -5e-324, 1e-310, 0.0, -0.0, 1.7e308, -1.7e308, 1.0, np.nextafter(1.0, 2.0)])


def lists(size: int = 40) -> Any:
    """Two sides of random, tied or extreme scores."""
    return st.sampled_from([TIED, ANY, EXTREME, TIED | EXTREME]).flatmap(
        lambda kind: st.tuples(st.lists(kind, min_size=1, max_size=size), st.lists(kind, min_size=1, max_size=size))
    )


def exact(inside: list[Any], outside: list[Any]) -> dict[str, Fraction]:
    """All five, from their definitions, by loops over every pair and threshold, in fractions."""
    n, m = len(inside), len(outside)
    wins = sum(Fraction(2 * (a < b) + (a == b), 2) for a in inside for b in outside)
    found = {"auroc": wins / (n * m)}
    for name, positives, others in (
        ("aupr_in", [-a for a in inside], [-b for b in outside]),
        ("aupr_out", outside, inside),
    ):
        total, recall = Fraction(0), Fraction(0)
        for threshold in sorted({*positives, *others}, reverse=True):
            caught = sum(value >= threshold for value in positives)
            alarms = sum(value >= threshold for value in others)
            total += (Fraction(caught, len(positives)) - recall) * Fraction(caught, caught + alarms)
            recall = Fraction(caught, len(positives))
        found[name] = total
    accepting = min(t for t in inside if 20 * sum(a <= t for a in inside) >= 19 * n)
    found["fpr95_id_positive"] = Fraction(sum(b <= accepting for b in outside), m)
    catching = max(t for t in outside if 20 * sum(b >= t for b in outside) >= 19 * m)
    found["fpr95_ood_positive"] = Fraction(sum(a >= catching for a in inside), n)
    return found


@given(lists())
@example(([0.0], [0.0]))
@example(([1.0], [0.0]))
@example(([2.0] * 20, [2.0] * 19 + [1.0]))
def test_all_five_are_those_of_exact_arithmetic(sides: tuple[list[float], list[float]]) -> None:
    found = ood.ood_metrics(np.array(sides[0]), np.array(sides[1]))
    assert tuple(found) == ood.NAMES
    for name, value in exact(*sides).items():
        assert found[name] == pytest.approx(float(value), abs=1e-12), name


@given(lists())
def test_all_five_are_scikit_learns(sides: tuple[list[float], list[float]]) -> None:
    inside, outside = map(np.array, sides)
    found = ood.ood_metrics(inside, outside)
    truth, scores = np.r_[np.zeros(len(inside)), np.ones(len(outside))], np.r_[inside, outside]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # differences of huge scores overflow there, to no harm
        assert found["auroc"] == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
        assert found["aupr_out"] == pytest.approx(average_precision_score(truth, scores), abs=1e-12)
        assert found["aupr_in"] == pytest.approx(average_precision_score(1 - truth, -scores), abs=1e-12)
        for name, positive, values in (
            ("fpr95_ood_positive", truth, scores),
            ("fpr95_id_positive", 1 - truth, -scores),
        ):
            false, true, _ = roc_curve(positive, values, drop_intermediate=False)
            reached = false[true >= 0.95 - 1e-12]  # 0.95 of 20 is 19, but a quotient may fall a hair below
            assert found[name] == pytest.approx(reached[0], abs=1e-12)


@pytest.mark.parametrize("size", [1_000, 200_000])
@pytest.mark.parametrize("digits", [1, 3, 17])
def test_many_scores_over_several_blocks_are_scikit_learns(size: int, digits: int) -> None:
    random = np.random.default_rng(size + digits)
    inside = np.round(random.normal(size=size), digits)
    outside = np.round(random.normal(0.7, 1.3, size=size // 2), digits)
    found = ood.ood_metrics(inside, outside)
    truth, scores = np.r_[np.zeros(len(inside)), np.ones(len(outside))], np.r_[inside, outside]
    assert found["auroc"] == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
    assert found["aupr_out"] == pytest.approx(average_precision_score(truth, scores), abs=1e-12)
    assert found["aupr_in"] == pytest.approx(average_precision_score(1 - truth, -scores), abs=1e-12)
    accepting = np.sort(inside)[int(np.ceil(0.95 * size)) - 1]
    assert found["fpr95_id_positive"] == np.mean(outside <= accepting)


@given(lists(), st.sampled_from([1, 2, 3, 7]))
def test_numbers_do_not_depend_on_blocks(sides: tuple[list[float], list[float]], block: int) -> None:
    inside, outside = map(np.array, sides)
    whole = ood.ood_metrics(inside, outside)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ood, "_BLOCK", block)
        assert ood.ood_metrics(inside, outside) == pytest.approx(whole, abs=1e-14)


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=30), st.lists(st.integers(-1000, 1000), min_size=1),
       st.integers(-10_000, 10_000), st.integers(-8, 8))  # fmt: skip
def test_a_constant_or_a_positive_factor_changes_nothing(
    inside: list[int], outside: list[int], shift: int, power: int
) -> None:
    plain = ood.ood_metrics(np.array(inside), np.array(outside))
    moved = [np.array(side, dtype=np.float64) * 2.0**power + shift for side in (inside, outside)]  # exact in float64
    assert ood.ood_metrics(*moved) == plain


@given(lists())
def test_swapping_roles_with_negated_scores_maps_the_metrics(sides: tuple[list[float], list[float]]) -> None:
    inside, outside = map(np.array, sides)
    one, other = ood.ood_metrics(inside, outside), ood.ood_metrics(-outside, -inside)
    assert other["auroc"] == pytest.approx(one["auroc"], abs=1e-15)
    assert other["fpr95_id_positive"] == one["fpr95_ood_positive"]
    assert other["fpr95_ood_positive"] == one["fpr95_id_positive"]
    assert other["aupr_in"] == pytest.approx(one["aupr_out"], abs=1e-14)
    assert other["aupr_out"] == pytest.approx(one["aupr_in"], abs=1e-14)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8, np.uint8, np.int64, np.bool_])
def test_every_real_type_gives_the_same_numbers(dtype: Any) -> None:
    inside, outside = np.array([0, 0, 1, 1, 0]).astype(dtype), np.array([1, 1, 0, 1]).astype(dtype)
    wanted = {name: float(value) for name, value in exact([0, 0, 1, 1, 0], [1, 1, 0, 1]).items()}
    assert ood.ood_metrics(inside, outside) == pytest.approx(wanted, abs=1e-15)


def test_the_positive_class_changes_fpr95_by_tens_of_points() -> None:
    """Known by hand: 100 ID scores 0 to 99; 10 OOD scores, one far below the others."""
    inside, outside = np.arange(100), np.array([10.0, *[98.5] * 9])
    found = ood.ood_metrics(inside, outside)
    assert found["fpr95_id_positive"] == 0.1  # the threshold is 94: only the score of 10 is accepted
    assert found["fpr95_ood_positive"] == 0.9  # all ten must be caught: 10 to 99 are flagged


@pytest.mark.parametrize(
    ("inside", "outside", "value"), [([0.0], [1.0], 1.0), ([1.0], [0.0], 0.0), ([3.0], [3.0], 0.5)]
)
def test_one_sample_each_side(inside: list[float], outside: list[float], value: float) -> None:
    found = ood.ood_metrics(np.array(inside), np.array(outside))
    assert found["auroc"] == value
    assert found["fpr95_id_positive"] == found["fpr95_ood_positive"] == (0.0 if value == 1 else 1.0)


def test_equal_scores_say_nothing() -> None:
    found = ood.ood_metrics(np.full(30, 7.5), np.full(10, 7.5))
    assert found == {
        "auroc": 0.5, "aupr_in": 0.75, "aupr_out": 0.25, "fpr95_id_positive": 1.0, "fpr95_ood_positive": 1.0,
    }  # fmt: skip


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("side", [0, 1])
def test_nan_and_infinite_scores_name_detector_and_count(bad: float, side: int) -> None:
    sides = [np.arange(5.0), np.arange(6.0)]
    sides[side][1:3] = bad
    with pytest.raises(DataError, match=r"knn \((ID|OOD)\): 2 of [56] scores are NaN or infinite"):
        ood.ood_metrics(*sides, detector="knn")


def test_empty_sides_and_what_is_no_number_are_refused() -> None:
    some, none = np.ones(3), np.ones(0)
    for sides in ((some, none), (none, some), (none, none)):
        with pytest.raises(DataError, match=r"vim \((ID|OOD)\): no score"):
            ood.ood_metrics(*sides, detector="vim")
    for wrong in (np.array(["a"]), np.array([1j]), np.array([None], dtype=object)):
        with pytest.raises(DataError, match="expected real numbers"):
            ood.ood_metrics(some, wrong)


@given(lists(12))
@settings(max_examples=20)
def test_each_metric_alone_is_that_of_all_five(sides: tuple[list[float], list[float]]) -> None:
    inside, outside = map(np.array, sides)
    for name, value in ood.ood_metrics(inside, outside).items():
        assert METRICS.load(name.replace("_", "-"))(inside, outside) == value


def test_shot_groups_are_those_of_their_samples_and_empty_ones_are_absent() -> None:
    random = np.random.default_rng(3)
    inside, outside = random.normal(size=60), random.normal(1, 1, 40)
    groups = np.array(["many", "few"], dtype=object)[random.integers(0, 2, 60)]
    found = ood.by_shot(inside, groups, ood.sort_scores(outside), ("many", "medium", "few"))
    assert set(found) == {"many", "few"}
    for group, values in found.items():
        assert values == ood.ood_metrics(inside[groups == group], outside)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_additional_memory_is_below_three_times_the_input(dtype: Any) -> None:
    random = np.random.default_rng(0)
    inside, outside = random.normal(size=1_500_000).astype(dtype), random.normal(1, 1, 1_500_000).astype(dtype)
    tracemalloc.start()
    try:
        ood.ood_metrics(inside, outside)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * (inside.nbytes + outside.nbytes)


def test_given_scores_are_not_changed() -> None:
    inside, outside = np.array([3.0, 1.0, 2.0]), np.array([5.0, 4.0])
    ood.ood_metrics(inside, outside)
    assert inside.tolist() == [3.0, 1.0, 2.0]
    assert outside.tolist() == [5.0, 4.0]
