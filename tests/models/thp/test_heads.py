"""The class head against its definition, and against the numbers that the method's description gives."""

from __future__ import annotations

import math

import pytest
import torch

from openmmlo.models.thp import SphericalHead


@pytest.fixture
def states() -> torch.Tensor:
    return torch.randn(4, 6, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", ["thp", "cosine"])
def test_logits_by_hand(states: torch.Tensor, kind: str) -> None:
    torch.manual_seed(0)
    head = SphericalHead(6, 9, kind, kappa=5.0, scale_start=3.0)  # type: ignore[arg-type]
    with torch.no_grad():
        logits = head(states)
        features = head.adapter.outer(torch.relu(head.adapter.inner(states)))
        torch.testing.assert_close(head.adapt(states).features, features)
    assert logits.shape == (4, 9)
    for row, feature in enumerate(features.double()):
        for column, centre in enumerate(head.centres.detach().double()):
            cosine = float(feature @ centre / (feature.norm() * centre.norm()))
            expected = 3.0 * (cosine if kind == "cosine" else 2 / (1 + 5.0 * (1 - cosine)))
            assert float(logits[row, column]) == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_a_linear_head_is_linear(states: torch.Tensor) -> None:
    torch.manual_seed(0)
    head = SphericalHead(6, 9, "linear")
    assert head.scale is None
    assert head.bias is not None
    torch.nn.init.normal_(head.bias)
    features = head.adapt(states).features
    torch.testing.assert_close(head.logits(features), features @ head.centres.T + head.bias)
    assert head.multiplier().item() == 1.0


def test_more_classes_than_width_and_gradients_reach_every_part(states: torch.Tensor) -> None:
    """The release cuts the class layer off: labels from its width on are invalid there, and its centres never move."""
    torch.manual_seed(0)
    head = SphericalHead(6, 50, "thp")
    torch.nn.functional.cross_entropy(head(states), torch.tensor([0, 6, 31, 49])).backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name
    assert head.centres.grad is not None
    assert (head.centres.grad.abs().amax(1) > 0).all()


@pytest.mark.parametrize(("scale", "probability"), [(1.6931471805599453, 0.0237), (4.84, 0.90)])
def test_probability_of_a_perfect_feature_among_a_thousand_classes(scale: float, probability: float) -> None:
    """All other centres at a right angle (methods: 2.4 % at the start, 90 % at scale 4.84)."""
    head = SphericalHead(1000, 1000, "thp", scale_start=scale)
    with torch.no_grad():
        head.centres.copy_(torch.eye(1000))
        found = head.logits(torch.eye(1000)[:1]).softmax(-1)[0, 0]
    assert head.multiplier().item() == pytest.approx(scale, rel=1e-6)
    assert float(found) == pytest.approx(probability, rel=0.01)


@pytest.mark.parametrize("scale", [1.0001, 8.0, 41.0, 41.5, 5000.0])
def test_any_scale_may_be_the_first(scale: float) -> None:
    assert SphericalHead(6, 3, scale_start=scale).multiplier().item() == pytest.approx(scale, rel=1e-6)


def test_the_scale_starts_as_released() -> None:
    head = SphericalHead(6, 3)
    assert head.scale is not None
    assert head.scale.item() == pytest.approx(0.0, abs=1e-6)
    assert head.multiplier().item() == pytest.approx(1 + math.log(2))


def test_scores_are_float32_under_autocast(states: torch.Tensor) -> None:
    torch.manual_seed(0)
    head = SphericalHead(6, 9)
    features = head.adapt(states).features
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = head.logits(features)
    assert found.dtype == torch.float32
    assert torch.equal(found, head.logits(features))
