"""The class head against its definition, and against the numbers that the method's description gives."""

from __future__ import annotations

import math

import pytest
import torch

from openmmlo.models.thp import SphericalHead
from openmmlo.models.thp.heads import R_MOST


@pytest.fixture
def states() -> torch.Tensor:
    return torch.randn(4, 6, generator=torch.Generator().manual_seed(1))


BY_HAND = {
    "thp": lambda cosine, r: 2 / (1 + 5.0 * (1 - cosine)),
    "cosine": lambda cosine, r: cosine,
    "t-vmf": lambda cosine, r: (1 + cosine) / (1 + 5.0 * (1 - cosine)) - 1,
    "wrapped-cauchy": lambda cosine, r: (1 - r**2) / (2 * math.pi * (1 + r**2 - 2 * r * cosine)),
}
"""Of each kind the similarity at kappa 5 or r."""


@pytest.mark.parametrize("kind", BY_HAND)
def test_logits_by_hand(states: torch.Tensor, kind: str) -> None:
    torch.manual_seed(0)
    head = SphericalHead(6, 9, kind, kappa=5.0, scale_start=3.0)  # type: ignore[arg-type]
    rs = torch.linspace(0.1, 0.9, 9)
    if head.concentrations is not None:
        head.concentrations.data.copy_((rs / (1 - rs)).log())
    with torch.no_grad():
        logits = head(states)
        features = head.adapter.outer(torch.relu(head.adapter.inner(states)))
        torch.testing.assert_close(head.adapt(states).features, features)
    assert logits.shape == (4, 9)
    for row, feature in enumerate(features.double()):
        for column, centre in enumerate(head.centres.detach().double()):
            cosine = float(feature @ centre / (feature.norm() * centre.norm()))
            expected = 3.0 * BY_HAND[kind](cosine, float(rs[column]))
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


def test_thp_t_vmf_and_wrapped_cauchy_are_one_head_under_three_scales(states: torch.Tensor) -> None:
    """At kappa = 16, r = 0.7034648346: (1 + 1/32) thp - 17/16, and (1 + r) / (4 pi (1 - r)) thp (methods 1.1)."""
    r = 0.7034648346
    heads = {
        "thp": SphericalHead(6, 9, "thp", scale_start=2.0),
        "t-vmf": SphericalHead(6, 9, "t-vmf", scale_start=2.0),
        "wrapped-cauchy": SphericalHead(6, 9, "wrapped-cauchy", scale_start=2.0, r_start=r),
    }
    for head in heads.values():
        report = head.load_state_dict(heads["thp"].state_dict(), strict=False)
        assert set(report.missing_keys) <= {"concentrations"}
    with torch.no_grad():
        thp, t_vmf, wrapped = (head(states) for head in heads.values())
    torch.testing.assert_close(t_vmf, 1.03125 * thp - 2.0 * 17 / 16, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(wrapped, (1 + r) / (4 * math.pi * (1 - r)) * thp, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close((1.03125 * thp).softmax(-1), t_vmf.softmax(-1))


@pytest.mark.parametrize(("start", "g"), [(0.5, 0.0), (0.2689414, -1.0), (0.7310586, 1.0)])
def test_r_starts_where_it_is_told_for_every_class(start: float, g: float) -> None:
    head = SphericalHead(6, 4, "wrapped-cauchy", r_start=start)
    assert head.concentrations is not None
    assert head.concentrations.tolist() == pytest.approx([g] * 4, abs=1e-5)
    assert head.rs().tolist() == pytest.approx([start] * 4, rel=1e-5)
    with pytest.raises(ValueError, match="A thp head has no r"):
        SphericalHead(6, 4, "thp").rs()


def test_the_gradient_of_r_is_that_of_finite_differences(states: torch.Tensor) -> None:
    torch.manual_seed(0)
    head = SphericalHead(6, 3, "wrapped-cauchy", scale_start=4.0)
    targets = torch.tensor([0, 2, 1, 0])

    def loss(move: float, place: int) -> float:
        moved = torch.zeros(3)
        moved[place] = move
        with torch.no_grad():
            head.concentrations += moved  # type: ignore[misc]
            found = float(torch.nn.functional.cross_entropy(head(states), targets))
            head.concentrations -= moved  # type: ignore[misc]
        return found

    torch.nn.functional.cross_entropy(head(states), targets).backward()
    assert head.concentrations is not None
    assert head.concentrations.grad is not None
    for place, slope in enumerate(head.concentrations.grad.tolist()):
        assert slope == pytest.approx((loss(0.01, place) - loss(-0.01, place)) / 0.02, rel=0.02, abs=1e-5)


def test_a_class_however_concentrated_has_a_finite_score() -> None:
    """From g = 17 on sigmoid(g) is 1 in float32, and the density at cosine 1 has no bound."""
    head = SphericalHead(2, 2, "wrapped-cauchy")
    with torch.no_grad():
        head.concentrations.fill_(40.0)  # type: ignore[union-attr]
        head.centres.copy_(torch.eye(2))
    assert head.rs().tolist() == pytest.approx([R_MOST] * 2)
    features = torch.eye(2, requires_grad=True)
    logits = head.logits(features)
    assert logits.isfinite().all()
    (gradient,) = torch.autograd.grad(logits.sum(), features)
    assert gradient.isfinite().all()


def test_class_scales_start_at_one_and_multiply_each_score_with_its_bias(states: torch.Tensor) -> None:
    torch.manual_seed(0)
    plain, scaled = SphericalHead(6, 9, "linear"), SphericalHead(6, 9, "linear", class_scales=True)
    torch.nn.init.normal_(plain.bias)  # type: ignore[arg-type]
    assert scaled.load_state_dict(plain.state_dict(), strict=False).missing_keys == ["class_scales"]
    assert torch.equal(plain(states), scaled(states))
    factors = torch.linspace(0.5, 2.0, 9)
    with torch.no_grad():
        scaled.class_scales.copy_(factors)  # type: ignore[union-attr]
    torch.testing.assert_close(scaled(states), plain(states) * factors)
    rows, bias = scaled.linear_map()
    features = scaled.adapt(states).features
    torch.testing.assert_close(scaled.logits(features), features @ rows.T + bias)
    assert all(ours is theirs for ours, theirs in zip(plain.linear_map(), (plain.centres, plain.bias), strict=True))


@pytest.mark.parametrize("kind", ["thp", "cosine", "t-vmf", "wrapped-cauchy"])
def test_directions_have_no_class_scales_and_no_linear_map(kind: str) -> None:
    with pytest.raises(ValueError, match=f"Class scales of a {kind} head"):
        SphericalHead(6, 4, kind, class_scales=True)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=f"A {kind} head is not linear"):
        SphericalHead(6, 4, kind).linear_map()  # type: ignore[arg-type]


def test_parameters_of_the_kinds_that_were_there_are_the_same() -> None:
    names = {kind: set(dict(SphericalHead(6, 4, kind).named_parameters())) for kind in ("thp", "cosine", "linear")}  # type: ignore[arg-type]
    adapter = {f"adapter.{part}.{what}" for part in ("inner", "outer") for what in ("weight", "bias")}
    assert names["thp"] == names["cosine"] == adapter | {"centres", "scale"}
    assert names["linear"] == adapter | {"centres", "bias"}


@pytest.mark.parametrize("kind", BY_HAND)
def test_more_classes_than_width_and_gradients_reach_every_part(states: torch.Tensor, kind: str) -> None:
    """The release cuts the class layer off: labels from its width on are invalid there, and its centres never move."""
    torch.manual_seed(0)
    head = SphericalHead(6, 50, kind)  # type: ignore[arg-type]
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


@pytest.mark.parametrize("kind", BY_HAND)
def test_scores_are_float32_under_autocast(states: torch.Tensor, kind: str) -> None:
    torch.manual_seed(0)
    head = SphericalHead(6, 9, kind)  # type: ignore[arg-type]
    features = head.adapt(states).features
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = head.logits(features)
    assert found.dtype == torch.float32
    assert torch.equal(found, head.logits(features))
