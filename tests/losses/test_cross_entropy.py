"""Cross-entropy, sample by sample."""

from __future__ import annotations

import math
from typing import Any

import pytest

from openmmlo.losses import make_loss


def test_by_hand(case: Any) -> None:
    nats = [math.log(sum(math.exp(z) for z in row)) - row[y] for row, y in case.rows]
    found = make_loss("cross-entropy", case.counts)(case.logits, case.targets)
    assert float(found) == pytest.approx(sum(nats) / len(nats), rel=1e-12)


def test_it_takes_a_class_without_images(case: Any) -> None:
    expected = make_loss("cross-entropy", case.counts)(case.logits, case.targets)
    assert make_loss("cross-entropy", case.counts * 0)(case.logits, case.targets) == expected
