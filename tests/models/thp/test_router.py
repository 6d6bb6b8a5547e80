"""The router against its definition, written out expert by expert."""

from __future__ import annotations

import math

import pytest
import torch

from openmmlo.models.thp import Router, SphericalHead
from openmmlo.models.thp.router import load_balance


def weights_by_hand(router: Router, state: torch.Tensor) -> list[float]:
    """softmax((1 + softplus(b)) * S_16(h, m_e)) for one sample, in double precision and plain numbers."""
    scale = 1 + math.log1p(math.exp(float(router.scale)))
    scores = []
    for centre in router.centres.detach().double():
        x = state.double()
        cosine = float(x @ centre / (x.norm() * centre.norm()))
        scores.append(scale * 2 / (1 + router.kappa * (1 - cosine)))
    total = sum(math.exp(score) for score in scores)
    return [math.exp(score) / total for score in scores]


@pytest.fixture
def states() -> torch.Tensor:
    return torch.randn(20, 6, generator=torch.Generator().manual_seed(1))


def test_experts_are_weighed_by_the_definition(states: torch.Tensor) -> None:
    torch.manual_seed(0)
    router = Router(6, 4)
    with torch.no_grad():
        router.scale.fill_(2.0)
        routed = router(states)
        for row, state in enumerate(states):
            weights = weights_by_hand(router, state)
            assert routed.weights[row].tolist() == pytest.approx(weights, rel=1e-5)
            answer = sum(
                weight * expert.outer(torch.relu(expert.inner(state)))
                for weight, expert in zip(weights, router.experts, strict=True)
            )
            torch.testing.assert_close(routed.features[row], answer, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("top_k", [1, 2, 3])
def test_the_best_experts_are_kept_and_renormalised(states: torch.Tensor, top_k: int) -> None:
    torch.manual_seed(0)
    router = Router(6, 4, top_k)
    routed = router(states)
    for row, state in enumerate(states):
        weights = weights_by_hand(router, state)
        kept = sorted(range(4), key=lambda expert: -weights[expert])[:top_k]
        total = sum(weights[expert] for expert in kept)
        expected = [weights[expert] / total if expert in kept else 0.0 for expert in range(4)]
        assert routed.weights[row].tolist() == pytest.approx(expected, rel=1e-5, abs=1e-9)
        assert routed.probabilities[row].tolist() == pytest.approx(weights, rel=1e-5)


def test_load_balance_by_hand(states: torch.Tensor) -> None:
    torch.manual_seed(0)
    router = Router(6, 3, top_k=1)
    routed = router(states)
    weights = [weights_by_hand(router, state) for state in states]
    best = [max(range(3), key=lambda expert, row=row: row[expert]) for row in weights]
    value = 3 * sum(best.count(expert) / 20 * sum(row[expert] for row in weights) / 20 for expert in range(3))
    assert float(routed.balance) == pytest.approx(value, rel=1e-5)
    routed.balance.backward()
    assert router.centres.grad is not None
    assert router.centres.grad.abs().max() > 0


def test_load_balance_is_one_where_all_are_used_alike_and_rises_to_their_number() -> None:
    even = torch.full((6, 3), 1 / 3)
    assert float(load_balance(even, torch.full((3,), 1 / 3))) == pytest.approx(1.0)
    one = torch.tensor([[1.0, 0.0, 0.0]] * 6)
    assert float(load_balance(one, torch.tensor([1.0, 0.0, 0.0]))) == pytest.approx(3.0)


@pytest.mark.parametrize("top_k", [None, 1])
@pytest.mark.parametrize("kind", ["thp", "cosine", "linear"])
def test_one_expert_is_the_plain_head_exactly(states: torch.Tensor, kind: str, top_k: int | None) -> None:
    torch.manual_seed(0)
    plain = SphericalHead(6, 5, kind)  # type: ignore[arg-type]
    routed = SphericalHead(6, 5, kind)  # type: ignore[arg-type]
    routed.adapter = Router(6, 1, top_k)
    routed.adapter.experts[0].load_state_dict(plain.adapter.state_dict())
    with torch.no_grad():
        routed.centres.copy_(plain.centres)
    assert torch.equal(routed(states), plain(states))
    assert torch.equal(routed.adapt(states).features, plain.adapt(states).features)
    assert float(plain.adapt(states).balance) == float(routed.adapt(states).balance) == 1.0


def test_it_computes_under_autocast_what_it_computes_without(states: torch.Tensor) -> None:
    torch.manual_seed(0)
    router = Router(6, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = router(states)
    assert found.weights.dtype == torch.float32
    torch.testing.assert_close(found.weights, router(states).weights)
    torch.testing.assert_close(found.features.float(), router(states).features, rtol=0.05, atol=0.02)


def test_more_experts_kept_than_there_are() -> None:
    with pytest.raises(ValueError, match="2 experts, of which 3 are kept"):
        Router(6, 2, 3)
