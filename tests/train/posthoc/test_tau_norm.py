"""τ-normalisation row by row, its two ends, and the choice of tau."""

from __future__ import annotations

import math

import numpy as np
import pytest

from openmmlo.errors import ConfigError
from openmmlo.train.posthoc import ClassLayer, Evidence, Labelled, open_posthoc
from openmmlo.train.posthoc.tau_norm import TAUS

RANDOM = np.random.default_rng(4)
WEIGHT = (RANDOM.normal(size=(4, 6)) * np.array([[9.0], [3.0], [1.0], [0.2]])).astype(np.float32)
LAYER = ClassLayer("linear", WEIGHT, np.array([4.0, 1.0, 0.0, -2.0], np.float32))
EVIDENCE = Evidence(np.array([500, 60, 9, 2]))


@pytest.mark.parametrize("tau", [0.0, 0.3, 1.0, 2.0])
def test_by_hand(tau: float) -> None:
    layer = open_posthoc("tau-norm", {"tau": tau}).apply(LAYER, EVIDENCE).layer
    assert (layer.kind, layer.bias, layer.scale) == ("linear", None, 1.0)
    assert layer.weight.dtype == np.float32
    for row, before in zip(layer.weight.tolist(), WEIGHT.tolist(), strict=True):
        length = math.sqrt(sum(value * value for value in before))
        assert row == pytest.approx([value / length**tau for value in before], rel=1e-5)


def test_tau_zero_is_the_layer_without_its_bias_and_tau_one_has_unit_rows() -> None:
    before = WEIGHT.copy()
    zero, one = (open_posthoc("tau-norm", {"tau": tau}).apply(LAYER, EVIDENCE).layer for tau in (0.0, 1.0))
    assert np.array_equal(zero.weight, WEIGHT)
    np.testing.assert_allclose(np.linalg.norm(one.weight, axis=1), 1.0, rtol=1e-6)
    assert np.array_equal(before, WEIGHT)


def test_a_row_of_zeros_stays() -> None:
    layer = ClassLayer("linear", np.array([[0.0, 0.0], [3.0, 4.0]], np.float32), None)
    found = open_posthoc("tau-norm", {"tau": 1.0}).apply(layer, EVIDENCE).layer
    np.testing.assert_allclose(found.weight, [[0.0, 0.0], [0.6, 0.8]], rtol=1e-6)


def test_tau_is_chosen_by_the_mean_of_class_accuracies_on_validation_samples() -> None:
    """Directions are right and rows of rare classes short, so that only a large tau finds them."""
    random = np.random.default_rng(0)
    directions = random.normal(size=(4, 6))
    labels = np.repeat([0, 1, 2, 3], [80, 40, 20, 4])
    features = (directions[labels] + 0.6 * random.normal(size=(len(labels), 6))).astype(np.float32)
    lengths = np.array([[8.0], [4.0], [1.0], [0.3]])
    weight = (lengths * directions / np.linalg.norm(directions, axis=1, keepdims=True)).astype(np.float32)
    posthoc = open_posthoc("tau-norm")
    assert posthoc.needs == {"validation"}
    found = posthoc.apply(
        ClassLayer("linear", weight), Evidence(EVIDENCE.class_counts, None, Labelled(features, labels))
    )
    accuracies = {}
    for tau in TAUS:
        rows = weight / np.linalg.norm(weight, axis=1, keepdims=True) ** tau
        right = [[] for _ in range(4)]
        for feature, label in zip(features, labels, strict=True):
            right[label].append(int(np.argmax(rows @ feature)) == label)
        accuracies[tau] = float(np.mean([np.mean(one) for one in right]))
    best = max(accuracies.values())
    assert found.choices["tau"] == min(tau for tau, value in accuracies.items() if value == best) > 0
    assert found.choices["validation_top1_classes"] == pytest.approx(best)
    assert best > accuracies[0.0] + 0.15
    expected = open_posthoc("tau-norm", {"tau": found.choices["tau"]}).apply(ClassLayer("linear", weight), EVIDENCE)
    assert np.array_equal(found.layer.weight, expected.layer.weight)
    assert tuple(step / 10 for step in range(21)) == TAUS


def test_without_validation_samples_tau_must_be_given() -> None:
    with pytest.raises(ConfigError, match=r"chooses tau on a validation split, and there is none.*give .* a tau"):
        open_posthoc("tau-norm").apply(LAYER, EVIDENCE)
    assert open_posthoc("tau-norm", {"tau": 1}).needs == frozenset()


@pytest.mark.parametrize("tau", [-0.1, math.nan, math.inf])
def test_a_tau_that_is_none(tau: float) -> None:
    with pytest.raises(ConfigError, match="posthoc tau-norm: tau is"):
        open_posthoc("tau-norm", {"tau": tau})
