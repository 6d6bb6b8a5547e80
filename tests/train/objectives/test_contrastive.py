"""The contrastive loss against loops over its definition, for T-hp and cosine, with queue and soft targets."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from openmmlo.train.objectives.contrastive import Contrast, Keys, contrast

TEMPERATURE = 0.2


def thp(cosine: Tensor) -> Tensor:
    return 2 / (1 + 16 * (1 - cosine)) / TEMPERATURE


def plain(cosine: Tensor) -> Tensor:
    return cosine / TEMPERATURE


def thp_of(x: list[float], y: list[float]) -> float:
    return 2 / (1 + 16 * (1 - math.fsum(a * b for a, b in zip(x, y, strict=True)))) / TEMPERATURE


def cosine_of(x: list[float], y: list[float]) -> float:
    return math.fsum(a * b for a, b in zip(x, y, strict=True)) / TEMPERATURE


def softmax(values: list[float]) -> list[float]:
    exponentials = [math.exp(value) for value in values]
    return [value / sum(exponentials) for value in exponentials]


def unit(rows: int, seed: int) -> Tensor:
    return normalize(torch.randn(rows, 6, generator=torch.Generator().manual_seed(seed)), dim=1)


def one_direction(
    queries: Tensor, taught: Tensor, keys: Tensor, own: Tensor, alpha: float, similarity: Callable[..., float]
) -> float:
    """Mean over rows of −Σ_j q_j log p_j."""
    losses = []
    for query, teacher, place in zip(queries.tolist(), taught.tolist(), own.tolist(), strict=True):
        p = softmax([similarity(query, key) for key in keys.tolist()])
        q = [alpha * value for value in softmax([similarity(teacher, key) for key in keys.tolist()])]
        q[place] += 1 - alpha
        losses.append(-math.fsum(weight * math.log(value) for weight, value in zip(q, p, strict=True)))
    return sum(losses) / len(losses)


def found(
    similarity: Callable[[Tensor], Tensor], own: Tensor, alpha: float, queued: bool = True
) -> tuple[Contrast, dict[str, Tensor]]:
    """4 rows of a process, a global batch of 8, a queue of 5."""
    parts = {name: unit(4, seed) for seed, name in enumerate(("images", "texts"))}
    parts |= {name: unit(8, seed) for seed, name in enumerate(("image_batch", "text_batch"), 2)}
    parts |= {name: unit(5, seed) for seed, name in enumerate(("image_queue", "text_queue"), 4)}
    image_keys, text_keys = (
        Keys(parts[f"{kind}_batch"], parts[f"{kind}_queue"].T if queued else None) for kind in ("image", "text")
    )
    for name in ("images", "texts"):
        parts[name].requires_grad_()
    return contrast(parts["images"], parts["texts"], image_keys, text_keys, own, similarity, alpha), parts


@pytest.mark.parametrize("queued", [True, False])
@pytest.mark.parametrize("alpha", [0.0, 0.4])
@pytest.mark.parametrize(("similarity", "by_hand"), [(thp, thp_of), (plain, cosine_of)])
def test_it_is_the_mean_of_both_directions(
    similarity: Callable[[Tensor], Tensor], by_hand: Callable[..., float], alpha: float, queued: bool
) -> None:
    own = torch.tensor([4, 5, 6, 7])
    result, parts = found(similarity, own, alpha, queued)
    keys = {
        kind: torch.cat([parts[f"{kind}_batch"], parts[f"{kind}_queue"]]) if queued else parts[f"{kind}_batch"]
        for kind in ("image", "text")
    }
    to_texts = one_direction(parts["images"], parts["image_batch"][own], keys["text"], own, alpha, by_hand)
    to_images = one_direction(parts["texts"], parts["text_batch"][own], keys["image"], own, alpha, by_hand)
    assert to_texts != pytest.approx(to_images, rel=1e-2)
    assert float(result.loss.detach()) == pytest.approx((to_texts + to_images) / 2, rel=2e-5)


def test_negatives_are_drawn_by_the_logits_within_the_batch() -> None:
    result, parts = found(thp, torch.tensor([0, 1, 2, 3]), 0.4)
    assert result.to_texts.shape == result.to_images.shape == (4, 8)
    assert not result.to_texts.requires_grad
    expected = thp_of(parts["texts"][2].tolist(), parts["image_batch"][7].tolist())
    assert float(result.to_images[2, 7]) == pytest.approx(expected, rel=1e-5)


def test_gradients_reach_every_query() -> None:
    result, parts = found(thp, torch.tensor([0, 1, 2, 3]), 0.4)
    result.loss.backward()
    for name in ("images", "texts"):
        gradient = parts[name].grad
        assert gradient is not None
        assert bool((gradient.norm(dim=1) > 1e-4).all())


def test_the_teachers_share_of_the_targets_has_no_gradient() -> None:
    """Even where keys would take one: the targets are numbers, only what is compared with them moves."""
    random = torch.Generator().manual_seed(6)
    queries, keys = unit(4, 0), normalize(torch.randn(8, 6, generator=random), dim=1).requires_grad_()
    own = torch.arange(4)
    given = Keys(keys, None)
    loss = contrast(queries, queries, given, given, own, thp, 0.4).loss
    (found,) = torch.autograd.grad(loss, keys)
    logits = given.logits(queries, thp)
    targets = 0.4 * given.logits(keys[own], thp).detach().softmax(1) + 0.6 * torch.eye(4, 8)
    (expected,) = torch.autograd.grad(-(targets * logits.log_softmax(1)).sum(1).mean(), keys)
    torch.testing.assert_close(found, expected)


def test_cosines_are_computed_in_float32_under_autocast() -> None:
    queries, keys = unit(4, 0), Keys(unit(8, 2), unit(5, 4).T)
    expected = keys.logits(queries, thp)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(keys.logits(queries, thp), expected)
        assert (queries @ keys.batch.T).dtype == torch.bfloat16


def test_the_queue_is_read_where_it_lies() -> None:
    queue = unit(5, 4).T.contiguous()
    queries = unit(4, 0).requires_grad_()
    saved: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda kept: saved.append(kept.data_ptr()) or kept, lambda kept: kept
    ):
        Keys(unit(8, 2), queue).logits(queries, thp)
    assert queue.data_ptr() in saved
