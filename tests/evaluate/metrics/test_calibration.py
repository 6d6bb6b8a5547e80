"""Calibration error against a loop over fractions and closed forms."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from openmmlo.evaluate.metrics.calibration import BINS, calibration_error, reliability

CASES = st.lists(
    st.tuples(st.booleans(), st.floats(0, 1) | st.integers(0, BINS).map(lambda edge: edge / BINS)),
    min_size=1,
    max_size=60,
)


@given(CASES)
@example([(True, edge / BINS) for edge in range(BINS + 1)])
def test_it_is_the_weighted_gap_of_the_bins(cases: list[tuple[bool, float]]) -> None:
    bins: dict[int, list[tuple[bool, float]]] = {}
    for hit, confidence in cases:
        number = next(edge for edge in range(1, BINS + 1) if confidence <= edge / BINS)
        bins.setdefault(number, []).append((hit, confidence))
    gap = sum(
        abs(sum(Fraction(hit) for hit, _ in held) - sum(Fraction(confidence) for _, confidence in held))
        for held in bins.values()
    ) / len(cases)
    right, confidence = (np.array(side) for side in zip(*cases, strict=True))
    assert calibration_error(right, confidence) == pytest.approx(float(gap), abs=1e-12)
    held = reliability(right, confidence)
    assert [item.samples for item in held] == [len(bins.get(number, [])) for number in range(1, BINS + 1)]
    assert all((item.accuracy is None) == (item.samples == 0) for item in held)


def test_closed_forms() -> None:
    assert calibration_error(np.ones(8, dtype=bool), np.ones(8)) == 0.0
    assert calibration_error(np.zeros(8, dtype=bool), np.ones(8)) == 1.0
    assert calibration_error(np.array([True, False]), np.array([0.5, 0.5])) == 0.0
    assert calibration_error(np.array([], dtype=bool), np.array([])) is None


def test_a_bin_is_closed_above() -> None:
    confidence = np.array([0.0, 1 / 15, np.nextafter(1 / 15, 1), 1.0])
    assert [item.samples for item in reliability(np.ones(4, dtype=bool), confidence)] == [2, 1, *[0] * 12, 1]
