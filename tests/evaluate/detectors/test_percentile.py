"""The percentile of parts is NumPy's of the whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from openmmlo.evaluate.detectors.percentile import percentile

FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(arrays(np.float32, st.integers(1, 40), elements=FINITE), st.floats(0, 100), st.integers(1, 7))
def test_any_numbers(values: np.ndarray, q: float, parts: int) -> None:
    found = percentile(lambda: np.array_split(values, parts), q)
    ordered = np.sort(values.astype(np.float64))
    scale = np.ptp(ordered)
    assert found == pytest.approx(float(np.percentile(ordered, q)), rel=1e-12, abs=1e-12 * float(scale))


def test_tied_and_two_dimensional() -> None:
    values = np.random.default_rng(0).integers(-3, 3, (100, 70)).astype(np.float32)
    assert percentile(lambda: [values], 90) == np.percentile(values, 90)
    many = np.random.default_rng(1).normal(size=(1000, 70)).astype(np.float32)
    for q in (0, 0.1, 50, 90, 99.99, 100):
        assert percentile(lambda: [many[:300], many[300:]], q) == pytest.approx(
            float(np.percentile(many.astype(np.float64), q)), abs=1e-12
        )
