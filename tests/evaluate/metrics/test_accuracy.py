"""Accuracies against loops over fractions and closed forms; groups recombine; published rows that do not."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, confusion_matrix

from openmmlo.errors import DataError
from openmmlo.evaluate.metrics import accuracy, shot_confusion
from openmmlo.evaluate.metrics.accuracy import GROUPS

NAMES = st.sampled_from(GROUPS)


@st.composite
def predictions(draw: Any) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    classes = draw(st.integers(1, 12))
    size = draw(st.integers(1, 60))
    inside = st.lists(st.integers(0, classes - 1), min_size=size, max_size=size)
    groups = draw(st.lists(NAMES, min_size=classes, max_size=classes))
    return np.array(draw(inside)), np.array(draw(inside)), tuple(groups)


@given(predictions())
def test_class_accuracies_by_counting(case: tuple[np.ndarray, np.ndarray, tuple[str, ...]]) -> None:
    labels, predicted, groups = case
    found = accuracy.class_accuracies(labels, predicted, len(groups))
    right: dict[int, list[bool]] = {}
    for label, guess in zip(labels.tolist(), predicted.tolist(), strict=True):
        right.setdefault(label, []).append(label == guess)
    shares = {label: Fraction(sum(hits), len(hits)) for label, hits in right.items()}
    for number, value in enumerate(found.tolist()):
        assert value == float(shares[number]) if number in shares else math.isnan(value)
    assert accuracy.top1_samples(labels, predicted) == pytest.approx(float(np.mean(labels == predicted)))
    mean = float(sum(shares.values()) / len(shares))
    assert accuracy.top1_classes(found) == pytest.approx(mean, abs=1e-14)
    if set(predicted.tolist()) <= set(labels.tolist()) and len(right) > 1:  # where not, scikit-learn warns
        assert accuracy.top1_classes(found) == pytest.approx(balanced_accuracy_score(labels, predicted), abs=1e-14)
    harmonic = len(shares) / sum(1 / share for share in shares.values()) if all(shares.values()) else 0
    assert accuracy.harmonic_mean(found) == pytest.approx(float(harmonic), abs=1e-14)
    worst = sorted(shares.values())[: -(-len(shares) // 10)]
    assert accuracy.worst_tenth(found) == pytest.approx(float(sum(worst) / len(worst)), abs=1e-14)


@given(predictions())
def test_groups_recombine_to_the_mean_over_classes(case: tuple[np.ndarray, np.ndarray, tuple[str, ...]]) -> None:
    labels, predicted, groups = case
    per_class = accuracy.class_accuracies(labels, predicted, len(groups))
    found = accuracy.group_accuracies(per_class, groups)
    tested = [group for group, value in zip(groups, per_class, strict=True) if not math.isnan(value)]
    assert set(found) == set(tested)
    together = sum(tested.count(group) / len(tested) * value for group, value in found.items())
    assert together == pytest.approx(accuracy.top1_classes(per_class), abs=1e-14)


def test_the_published_zero_shot_row_of_clip_does_not_recombine() -> None:
    """82.0 / 70.4 / 69.6 over 385 / 479 / 136 classes give 74.8, not the 70.5 that stand beside them."""
    per_class = np.repeat([0.820, 0.704, 0.696], [385, 479, 136])
    groups = np.repeat(GROUPS, [385, 479, 136]).tolist()
    assert accuracy.group_accuracies(per_class, groups) == pytest.approx({"many": 0.82, "medium": 0.704, "few": 0.696})
    mean = accuracy.top1_classes(per_class)
    assert round(100 * mean, 1) == 74.8
    assert abs(100 * mean - 70.5) > 0.1


@given(predictions())
def test_group_confusion_is_the_confusion_matrix_of_groups(
    case: tuple[np.ndarray, np.ndarray, tuple[str, ...]],
) -> None:
    labels, predicted, groups = case
    names = np.array(groups)
    found = shot_confusion.group_confusion(labels, predicted, groups)
    matrix = confusion_matrix(names[labels], names[predicted], labels=list(GROUPS))
    for row, group in zip(matrix, GROUPS, strict=True):
        assert (group in found) == (row.sum() > 0)
        for column, other in enumerate(GROUPS):
            if group in found and other in groups:
                assert found[group][other] == pytest.approx(row[column] / row.sum(), abs=1e-14)
    few = names[labels] == "few"
    rate = shot_confusion.false_head_rate(labels, predicted, groups)
    if few.any() and "many" in groups:
        assert rate == pytest.approx(np.sum(few & (names[predicted] == "many")) / few.sum(), abs=1e-14)
    else:
        assert rate is None


def test_landing_counts_predictions_a_group() -> None:
    groups = ("many", "few", "few")
    assert shot_confusion.landing(np.array([0, 0, 1, 2]), groups) == {"many": 0.5, "few": 0.5}
    assert shot_confusion.landing(np.array([], dtype=int), groups) == {}
    assert shot_confusion.landing(np.array([0]), ()) == {}


def test_worst_tenth_rounds_up_to_whole_classes() -> None:
    assert accuracy.worst_tenth(np.arange(10) / 10) == 0.0
    assert accuracy.worst_tenth(np.arange(11) / 10) == pytest.approx(0.05)
    assert accuracy.worst_tenth(np.array([0.3, np.nan])) == 0.3


def test_one_class() -> None:
    labels, predicted = np.zeros(4, dtype=int), np.zeros(4, dtype=int)
    per_class = accuracy.class_accuracies(labels, predicted, 1)
    assert per_class.tolist() == [1.0]
    assert accuracy.group_accuracies(per_class, ("few",)) == {"few": 1.0}
    assert shot_confusion.false_head_rate(labels, predicted, ("few",)) is None


def test_without_samples_or_groups_nothing_is_defined() -> None:
    none = np.array([], dtype=int)
    per_class = accuracy.class_accuracies(none, none, 3)
    assert np.isnan(per_class).all()
    assert accuracy.top1_samples(none, none) is None
    for measure in (accuracy.top1_classes, accuracy.harmonic_mean, accuracy.worst_tenth):
        assert measure(per_class) is None
    assert accuracy.group_accuracies(per_class, ("many", "few", "few")) == {}
    assert accuracy.group_accuracies(np.ones(3), ()) == {}
    assert shot_confusion.group_confusion(none, none, ()) == {}


@pytest.mark.parametrize(("labels", "predicted", "what"), [
    ([0, 3], [0, 0], "1 of 2 samples have a label outside 0 to 2"),
    ([-1, -1], [0, 0], "2 of 2 samples have a label outside 0 to 2"),
    ([0, 0], [5, -1], "2 of 2 samples have a predicted class outside 0 to 2"),
])  # fmt: skip
def test_what_is_outside_the_label_map_is_refused(labels: list[int], predicted: list[int], what: str) -> None:
    with pytest.raises(DataError, match=what):
        accuracy.class_accuracies(np.array(labels), np.array(predicted), 3)
    with pytest.raises(DataError, match=what):
        shot_confusion.group_confusion(np.array(labels), np.array(predicted), ("many", "medium", "few"))
