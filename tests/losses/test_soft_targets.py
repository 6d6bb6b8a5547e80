"""Cross-entropy against soft targets: row by row by hand, and as the mixture of two cross-entropies that it is."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from openmmlo.losses.soft_targets import soft_target_cross_entropy


def by_hand(logits: torch.Tensor, targets: torch.Tensor, teacher: torch.Tensor, alpha: float) -> float:
    total = 0.0
    for row, target, taught in zip(logits.tolist(), targets.tolist(), teacher.tolist(), strict=True):
        teaching = [math.exp(value) for value in taught]
        q = [alpha * value / sum(teaching) for value in teaching]
        q[target] += 1 - alpha
        whole = sum(math.exp(value) for value in row)
        total -= sum(share * math.log(math.exp(value) / whole) for share, value in zip(q, row, strict=True))
    return total / len(logits)


@pytest.mark.parametrize("alpha", [0.0, 0.25, 0.4, 1.0])
def test_it_is_the_sum_over_columns(alpha: float) -> None:
    random = torch.Generator().manual_seed(3)
    logits, teacher = torch.randn(5, 7, generator=random) * 2, torch.randn(5, 7, generator=random) * 3
    targets = torch.tensor([0, 6, 3, 3, 1])
    found = soft_target_cross_entropy(logits, targets, teacher, alpha)
    assert float(found) == pytest.approx(by_hand(logits, targets, teacher, alpha), rel=1e-5)


def test_its_gradient_is_that_of_torchs_own_mixture_and_the_teacher_gets_none() -> None:
    random = torch.Generator().manual_seed(4)
    logits = torch.randn(6, 9, generator=random, requires_grad=True)
    teacher = torch.randn(6, 9, generator=random, requires_grad=True)
    targets = torch.tensor([8, 0, 2, 2, 5, 1])
    (found,) = torch.autograd.grad(soft_target_cross_entropy(logits, targets, teacher, 0.4), logits)
    mixture = 0.4 * teacher.detach().softmax(1) + 0.6 * functional.one_hot(targets, 9)
    (expected,) = torch.autograd.grad(functional.cross_entropy(logits, mixture), logits)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)
    loss = soft_target_cross_entropy(logits, targets, teacher, 0.4)
    assert torch.autograd.grad(loss, teacher, allow_unused=True) == (None,)


def test_a_teacher_of_no_weight_is_not_read() -> None:
    logits = torch.tensor([[1.0, 2.0], [0.5, -1.0]])
    found = soft_target_cross_entropy(logits, torch.tensor([0, 1]), torch.full((1,), math.nan), 0.0)
    assert float(found) == pytest.approx((math.log(1 + math.e) + math.log(1 + math.exp(1.5))) / 2, rel=1e-6)


def test_half_precision_logits_are_summed_in_float32() -> None:
    random = torch.Generator().manual_seed(5)
    logits = (torch.randn(4, 60_000, generator=random) * 4).bfloat16()
    targets = torch.tensor([1, 2, 3, 59_999])
    found = soft_target_cross_entropy(logits, targets, logits, 0.4)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, soft_target_cross_entropy(logits.float(), targets, logits.float(), 0.4))
