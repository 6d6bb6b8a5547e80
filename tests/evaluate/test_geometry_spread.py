"""Modality gap, uniformity and alignment: by their definitions, pair by pair."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest

from openmmlo.evaluate.geometry import spread


def rows_of(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 5))


def units(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_uniformity_is_the_mean_over_pairs() -> None:
    rows = rows_of(23, 0)
    pairs = [math.exp(-2 * np.sum((x - y) ** 2)) for x, y in combinations(units(rows), 2)]
    value, paired = spread.uniformity(rows, "bank", 0)
    assert value == pytest.approx(math.log(np.mean(pairs)), rel=1e-12)
    assert paired == 23


def test_uniformity_closed_forms() -> None:
    assert spread.uniformity(np.ones((6, 3)), "bank", 0) == (pytest.approx(0, abs=1e-12), 6)
    assert spread.uniformity(np.eye(4), "bank", 0)[0] == pytest.approx(-4)
    assert spread.uniformity(np.array([[1.0, 0], [-1, 0]]), "bank", 0)[0] == pytest.approx(-8)
    assert spread.uniformity(np.ones((1, 3)), "bank", 0) == (None, 1)


def test_uniformity_of_a_sample_is_near_that_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of(3000, 1)
    whole, _ = spread.uniformity(rows, "bank", 0)
    monkeypatch.setattr(spread, "MOST_PAIRED", 1000)
    part, paired = spread.uniformity(rows, "bank", 0)
    assert paired == 1000
    assert part == pytest.approx(whole, abs=0.05)
    assert part != whole


def test_alignment_of_rows_and_of_classes() -> None:
    images, texts = rows_of(20, 2), rows_of(20, 3)
    expected = np.mean(np.sum((units(images) - units(texts)) ** 2, axis=1))
    assert spread.alignment(images, texts, "bank") == pytest.approx(expected)
    owners = np.arange(20) % 4
    expected = np.mean(np.sum((units(images) - units(texts)[owners]) ** 2, axis=1))
    assert spread.alignment(images, texts[:4], "bank", owners) == pytest.approx(expected)
    assert spread.alignment(np.zeros((2, 5)), texts[:2], "bank") is None


def test_modality_gap_closed_forms() -> None:
    images = spread.mean_direction(np.array([[2.0, 0], [5, 0]]), "images")
    texts = spread.mean_direction(np.array([[0, 3.0]]), "texts")
    assert spread.modality_gap(images, texts) == {
        "distance": pytest.approx(math.sqrt(2)),
        "angle": pytest.approx(90),
    }
    even = spread.mean_direction(np.array([[1.0, 0], [-1, 0]]), "images")
    assert spread.modality_gap(even, texts) == {"distance": pytest.approx(1), "angle": None}
    none = spread.mean_direction(np.zeros((2, 2)), "images")
    assert spread.modality_gap(none, texts) == {"distance": None, "angle": None}
