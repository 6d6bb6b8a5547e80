"""Focal loss, sample by sample, and where probabilities reach 1."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from openmmlo.losses import make_loss


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
def test_by_hand(case: Any, gamma: float) -> None:
    total = 0.0
    for row, y in case.rows:
        p = math.exp(row[y]) / sum(math.exp(z) for z in row)
        total -= (1 - p) ** gamma * math.log(p)
    found = make_loss("focal", case.counts, {"gamma": gamma})(case.logits, case.targets)
    assert float(found) == pytest.approx(total / len(case.rows), rel=1e-10)


def test_gamma_zero_is_cross_entropy(case: Any) -> None:
    logits = case.logits.requires_grad_()
    focal = make_loss("focal", case.counts, {"gamma": 0.0})(logits, case.targets)
    plain = make_loss("cross-entropy", case.counts)(logits, case.targets)
    torch.testing.assert_close(focal, plain, rtol=1e-14, atol=0)
    torch.testing.assert_close(*(torch.autograd.grad(loss, logits)[0] for loss in (focal, plain)))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_a_sample_beyond_doubt_has_a_gradient_of_zero(gamma: float) -> None:
    logits = torch.tensor([[200.0, 0.0, 0.0], [1.0, 0.0, 0.0]], requires_grad=True)
    loss = make_loss("focal", torch.ones(3), {"gamma": gamma})(logits, torch.tensor([0, 0]))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient[0].abs().max() == 0
    assert gradient[1].isfinite().all()
    assert gradient[1].abs().max() > 0


def test_small_doubts_do_not_cancel() -> None:
    """In float32 1 - p is 0 here; the doubt of e^-20 is not."""
    logits = torch.tensor([[20.0, 0.0]])
    found = make_loss("focal", torch.ones(2), {"gamma": 1.0})(logits, torch.tensor([0]))
    assert float(found) == pytest.approx(math.exp(-20) ** 2, rel=1e-5)
