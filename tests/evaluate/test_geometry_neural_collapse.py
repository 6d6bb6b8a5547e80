"""NC1 and NC2: a simplex, a transcription with whole matrices, and what is undefined."""

from __future__ import annotations

import numpy as np
import pytest
from banks import clustered
from hypothesis import given, settings
from hypothesis import strategies as st

from openmmlo.evaluate.geometry.neural_collapse import neural_collapse


@given(st.integers(2, 12), st.integers(0, 100))
@settings(max_examples=25, deadline=None)
def test_a_simplex_without_spread_has_collapsed(classes: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    turn = np.linalg.qr(generator.normal(size=(15, 15)))[0][:, :classes]
    simplex = 3 * (np.eye(classes) - 1 / classes) @ turn.T + generator.normal(size=15)
    labels = np.repeat(np.arange(classes), generator.integers(1, 5, classes))
    found = neural_collapse(simplex[labels], labels, classes, "bank")
    for name in ("nc1", "nc2_equinorm", "nc2_equiangular", "nc2_angle"):
        assert found[name] == pytest.approx(0, abs=1e-9), name


@pytest.mark.parametrize(("classes", "width"), [(4, 9), (9, 4)])
def test_transcription_with_whole_matrices(classes: int, width: int) -> None:
    bank = clustered(80, classes, width, seed=1)
    rows = bank.features.astype(np.float64)
    means = np.array([rows[bank.labels == c].mean(axis=0) for c in range(classes)])
    centred = means - means.mean(axis=0)
    between = centred.T @ centred / classes
    within = np.mean(
        [np.cov(rows[bank.labels == c].T, bias=True) for c in range(classes)],
        axis=0,
    )
    norms = np.linalg.norm(centred, axis=1)
    cosines = [centred[c] @ centred[d] / norms[c] / norms[d] for c in range(classes) for d in range(classes) if c != d]
    found = neural_collapse(bank.features, bank.labels, classes, "bank")
    assert found["nc1"] == pytest.approx(np.trace(within @ np.linalg.pinv(between, rcond=1e-10)) / classes, rel=1e-8)
    assert found["nc2_equinorm"] == pytest.approx(norms.std() / norms.mean())
    assert found["nc2_equiangular"] == pytest.approx(np.std(cosines))
    assert found["nc2_angle"] == pytest.approx(np.mean(np.abs(np.array(cosines) + 1 / (classes - 1))))
    assert (found["classes"], found["rows"]) == (classes, 80)


def test_two_clusters_on_a_line() -> None:
    # Means at 0 and 2, variance 1 in each: Sigma_B = 1, so that NC1 = 1 / 2.
    found = neural_collapse(np.array([[-1.0], [1], [1], [3]]), np.array([0, 0, 1, 1]), 2, "bank")
    assert found["nc1"] == pytest.approx(0.5)
    assert found["nc2_equinorm"] == 0
    assert found["nc2_angle"] == pytest.approx(0)


def test_moving_all_features_changes_nothing() -> None:
    bank = clustered(60, 5, 7, seed=2)
    first = neural_collapse(bank.features.astype(np.float64), bank.labels, 5, "bank")
    second = neural_collapse(bank.features.astype(np.float64) + 100, bank.labels, 5, "bank")
    assert first == {key: pytest.approx(value, rel=1e-6) for key, value in second.items()}


def test_classes_without_a_sample_are_left_out() -> None:
    bank = clustered(60, 5, 7, seed=2)
    found = neural_collapse(bank.features, bank.labels * 2, 10, "bank")
    assert found == neural_collapse(bank.features, bank.labels, 5, "bank")


def test_one_class_and_equal_means_have_a_reason() -> None:
    alone = neural_collapse(np.ones((3, 2)), np.zeros(3, np.int64), 4, "bank")
    assert alone["nc1"] is None
    assert alone["reason"] == "features of 1 classes; it takes two"
    same = neural_collapse(np.ones((4, 2)), np.array([0, 0, 1, 1]), 2, "bank")
    assert same["nc2_angle"] is None
    assert "the same" in same["reason"]
