"""Next-token loss: by hand, with smoothing, and without the places that are no token."""

from __future__ import annotations

import math

import pytest
import torch

from openmmlo.losses.next_token import IGNORED, next_token_loss


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_it_is_the_sum_over_tokens_that_count(smoothing: float) -> None:
    random = torch.Generator().manual_seed(1)
    vocabulary = 11
    logits = torch.randn(3, 4, vocabulary, generator=random)
    targets = torch.tensor([[1, 5, 10, IGNORED], [2, IGNORED, IGNORED, IGNORED], [0, 0, 7, 3]])
    expected, counted = 0.0, 0
    for row, wanted in zip(logits.flatten(0, 1).tolist(), targets.flatten().tolist(), strict=True):
        if wanted == IGNORED:
            continue
        whole = math.log(sum(math.exp(value) for value in row))
        q = [smoothing / vocabulary + (1 - smoothing) * (place == wanted) for place in range(vocabulary)]
        expected += sum(share * (whole - value) for share, value in zip(q, row, strict=True))
        counted += 1
    assert counted == 8
    assert float(next_token_loss(logits, targets, smoothing)) == pytest.approx(expected, rel=1e-5)


def test_no_token_at_all_is_no_loss() -> None:
    logits = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(2), requires_grad=True)
    loss = next_token_loss(logits, torch.full((2, 3), IGNORED), 0.1)
    assert float(loss) == 0.0
    (gradient,) = torch.autograd.grad(loss, logits)
    assert torch.count_nonzero(gradient) == 0


def test_half_precision_logits_give_a_loss_in_float32() -> None:
    logits = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(2)).bfloat16()
    targets = torch.tensor([[0, 1, 2], [3, 4, IGNORED]])
    found = next_token_loss(logits, targets, 0.1)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, next_token_loss(logits.float(), targets, 0.1))
