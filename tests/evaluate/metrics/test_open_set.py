"""OLTR's F-measure against a loop over samples that counts as their paper's code does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmmlo.evaluate.metrics.open_set import oltr_f_measure

CONFIDENCE = st.floats(0, 1) | st.sampled_from([0.1, np.nextafter(0.1, 0), np.nextafter(0.1, 1)])
KNOWN = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), CONFIDENCE), min_size=1, max_size=30)


@given(KNOWN, st.lists(CONFIDENCE, min_size=1, max_size=30))
def test_it_counts_rejected_id_samples_as_false_positives(
    known: list[tuple[int, int, float]], unknown: list[float]
) -> None:
    answers = [(label, guess if share >= 0.1 else -1) for label, guess, share in known]
    answers += [(-1, 0 if share >= 0.1 else -1) for share in unknown]
    right = sum(label == answer for label, answer in answers if label != -1)
    wrong = sum(label != answer for label, answer in answers if label != -1)
    taken = sum(label != answer for label, answer in answers if label == -1)
    # F = 2PR / (P + R) with P = right / (right + wrong) and R = right / (right + taken)
    wanted = 2 * right / (2 * right + wrong + taken) if right else 0.0
    labels, predicted, confidence = (np.array(side) for side in zip(*known, strict=True))
    assert oltr_f_measure(labels, predicted, confidence, np.array(unknown)) == pytest.approx(wanted, abs=1e-12)


def test_closed_forms() -> None:
    zero, one = np.zeros(4, dtype=int), np.ones(4)
    assert oltr_f_measure(zero, zero, one, np.zeros(9)) == 1.0
    assert oltr_f_measure(zero, zero, one, np.ones(4)) == pytest.approx(2 / 3)
    assert oltr_f_measure(zero, zero, np.full(4, 0.05), np.zeros(9)) == 0.0
    assert oltr_f_measure(zero, zero, one, np.array([])) is None
    assert oltr_f_measure(zero[:0], zero[:0], one[:0], one) is None
