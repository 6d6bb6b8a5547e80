"""Losses that add a class prior: each by hand, and the identities between them."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from openmmlo.losses import make_loss


def adjusted_by_hand(case: Any, shift: list[float]) -> float:
    total = 0.0
    for row, y in case.rows:
        shifted = [z + s for z, s in zip(row, shift, strict=True)]
        total += math.log(sum(math.exp(z) for z in shifted)) - shifted[y]
    return total / len(case.rows)


@pytest.mark.parametrize("tau", [0.0, 0.7, 1.0, 2.5])
def test_logit_adjustment_by_hand(case: Any, tau: float) -> None:
    shift = [tau * math.log(n / sum(case.n)) for n in case.n]
    found = make_loss("logit-adjustment", case.counts, {"tau": tau})(case.logits, case.targets)
    assert float(found) == pytest.approx(adjusted_by_hand(case, shift), rel=1e-6)


def test_balanced_softmax_by_hand(case: Any) -> None:
    total = 0.0
    for row, y in case.rows:
        total -= math.log(case.n[y] * math.exp(row[y]) / sum(n * math.exp(z) for n, z in zip(case.n, row, strict=True)))
    found = make_loss("balanced-softmax", case.counts)(case.logits, case.targets)
    assert float(found) == pytest.approx(total / len(case.rows), rel=1e-6)


@pytest.mark.parametrize(("alpha", "lam"), [(0.05, 0.5), (0.1, 0.01), (1.0, 0.0)])
def test_lade_by_hand(case: Any, alpha: float, lam: float) -> None:
    samples, classes, whole = len(case.rows), len(case.n), sum(case.n)
    bound = 0.0
    for c, n in enumerate(case.n):
        own = [row[c] for row, y in case.rows if y == c]
        mean = sum(own) / len(own) if own else 0.0
        spread = sum(math.exp(row[c] - math.log(n / whole) - math.log(classes)) for row, _ in case.rows) / samples
        bound -= n / whole * (mean - math.log(spread) - lam * math.log(spread) ** 2)
    expected = adjusted_by_hand(case, [math.log(n / whole) for n in case.n]) + alpha * bound
    found = make_loss("lade", case.counts, {"alpha": alpha, "lam": lam})(case.logits, case.targets)
    assert float(found) == pytest.approx(expected, rel=1e-6)


def test_adjusted_by_one_is_balanced_softmax_is_lade_without_its_bound(case: Any) -> None:
    logits = case.logits.requires_grad_()
    losses = [
        make_loss("logit-adjustment", case.counts, {"tau": 1.0})(logits, case.targets),
        make_loss("balanced-softmax", case.counts)(logits, case.targets),
        make_loss("lade", case.counts, {"alpha": 0.0})(logits, case.targets),
    ]
    gradients = [torch.autograd.grad(loss, logits)[0] for loss in losses]
    for loss, gradient in zip(losses[1:], gradients[1:], strict=True):
        torch.testing.assert_close(loss, losses[0], rtol=1e-6, atol=0)
        torch.testing.assert_close(gradient, gradients[0], rtol=1e-5, atol=1e-7)
    assert make_loss("lade", case.counts)(logits, case.targets) != losses[0]


def test_equal_counts_adjust_nothing(case: Any) -> None:
    plain = float(make_loss("cross-entropy", case.counts)(case.logits, case.targets))
    for name in ("logit-adjustment", "balanced-softmax"):
        found = make_loss(name, torch.full((5,), 12))(case.logits, case.targets)
        assert float(found) == pytest.approx(plain, rel=1e-6)


def test_scores_that_equal_the_log_shares_are_balanced_out_by_the_prior() -> None:
    """With features that tell nothing the best scores are equal under the prior, and the log prior without it."""
    counts = torch.tensor([60, 30, 10])
    targets = torch.arange(3).repeat_interleave(counts)
    for name, best in (("balanced-softmax", torch.zeros(3)), ("cross-entropy", (counts / 100).log())):
        logits = best.double().expand(100, 3).clone().requires_grad_()
        (gradient,) = torch.autograd.grad(make_loss(name, counts)(logits, targets), logits)
        assert gradient.sum(0).abs().max() < 1e-7
