"""Thinned and smoothed curves against the whole ones."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmmlo.evaluate.metrics.ood import ood_metrics
from openmmlo.evaluate.report.curves import TOLERANCE, roc, smoothed, thinned
from openmmlo.evaluate.report.scores import _curve

SCORES = st.lists(st.integers(-6, 6).map(float), min_size=1, max_size=40)


@given(SCORES, SCORES)
def test_the_curve_holds_every_threshold(inside: list[float], outside: list[float]) -> None:
    curve = roc(np.sort(inside), np.sort(outside))
    expected = [(0.0, 0.0)] + [
        (np.mean([score <= t for score in outside]), np.mean([score <= t for score in inside]))
        for t in sorted({*inside, *outside})
    ]
    assert curve == pytest.approx(np.array(expected))
    area = float(np.trapezoid(curve[:, 1], curve[:, 0]))
    assert area == pytest.approx(ood_metrics(np.array(inside), np.array(outside))["auroc"])


def distance(points: np.ndarray, line: np.ndarray) -> float:
    """How far the points lie from a line of segments, at most: by brute force over segments."""
    found = np.full(len(points), np.inf)
    for first, last in pairwise(line):
        along = last - first
        length = float(along @ along)
        share = np.clip((points - first) @ along / length, 0, 1) if length else np.zeros(len(points))
        found = np.minimum(found, np.linalg.norm(points - first - share[:, None] * along, axis=1))
    return float(found.max())


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000), st.floats(0, 3), st.booleans())
def test_a_thinned_curve_looks_the_same_and_reads_the_same_at_95_percent(seed: int, away: float, tied: bool) -> None:
    random = np.random.default_rng(seed)
    inside, outside = np.sort(random.normal(0, 1, 3000)), np.sort(random.normal(away, 1.5, 2000))
    if tied:
        inside, outside = np.round(inside, 1), np.round(outside, 1)
    whole = roc(inside, outside)
    curve, marks = _curve(inside, outside)
    assert len(curve) < 250
    assert distance(whole, curve) <= TOLERANCE + 1e-12
    numbers = ood_metrics(inside, outside)
    (accepted, id_accepted), (ood_accepted, kept) = marks
    assert accepted == numbers["fpr95_id_positive"]
    assert id_accepted >= 0.95
    assert 1 - kept == pytest.approx(numbers["fpr95_ood_positive"], abs=1e-12)
    assert 1 - ood_accepted >= 0.95
    for mark in marks:
        assert min(np.abs(curve - mark).sum(axis=1)) == 0


def test_thinning_keeps_corners_and_drops_what_lies_on_a_line() -> None:
    points = np.array([[0, 0], [0.5, 0.5], [1, 1], [1, 2], [1, 3]], dtype=float)
    assert thinned(points).tolist() == [[0, 0], [1, 1], [1, 3]]
    assert thinned(points, [(0.5, 0.5)]).tolist() == [[0, 0], [0.5, 0.5], [1, 1], [1, 3]]


def test_smoothing_follows_a_line_inside_and_a_constant_everywhere() -> None:
    at = np.linspace(0, 1, 500)
    inner = [(x, y) for x, y in smoothed(at, 3 * at, 0.05) if 0.2 < x < 0.8]
    assert [y for _, y in inner] == pytest.approx([3 * x for x, _ in inner], abs=1e-3)
    assert {round(y, 9) for _, y in smoothed(at, np.full(500, 0.4), 0.05)} == {0.4}
    assert smoothed(np.array([1.0, 1.0, 2.0]), np.array([0.1, 0.2, 0.3]), 0.1) == []
