"""Fine-tuning: the loss against its definition, frozen parts, empty captions, the teacher, and going on exactly."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from objective_runs import finetuning, optimiser_of, pairs, small_model, state_at, take_step

from openmmlo.models.thp.momentum import MomentumPair
from openmmlo.train.objective import Objective
from openmmlo.train.objectives.finetune import Finetuning


@torch.enable_grad()
def moved(**options: Any) -> Finetuning:
    """After two steps at a high rate."""
    objective = finetuning(**options).train()
    optimiser = optimiser_of(objective, torch.optim.SGD, 0.2)
    for step in range(2):
        take_step(objective, objective, pairs(8, seed=step), state_at(step), optimiser)
    return objective


def names_of(objective: Finetuning, groups: list[dict[str, Any]]) -> set[str]:
    names = {id(parameter): name for name, parameter in objective.model.named_parameters()}
    return {names[id(parameter)] for group in groups for parameter in group["params"]}


PARTS = [(True, True), (True, False), (False, True), (False, False)]


@pytest.mark.parametrize(("image", "text"), PARTS)
@pytest.mark.parametrize("head", ["thp", "cosine", "linear"])
def test_loss_is_the_mixture_of_labels_and_teacher(image: bool, text: bool, head: str) -> None:
    options = {"train_image_encoder": image, "train_text_encoder": text, "head": head, "alpha": 0.4}
    objective = finetuning(**options).train()
    whole = MomentumPair(objective.model, momentum=0.9, classes=True)  # with every part, frozen or not
    optimiser = optimiser_of(objective, torch.optim.SGD, 0.2)
    for step in range(2):
        whole.update(objective.model)
        take_step(objective, objective, pairs(8, seed=step), state_at(step), optimiser)
    batch = pairs(8, seed=2)
    whole.update(objective.model)
    objective.before_step(state_at(2))
    found = objective(batch, state_at(2))
    with torch.no_grad():
        student = objective.model.classify(batch.pixels, batch.tokens, batch.mask)[1]
        teacher = whole.teacher.classify(batch.pixels, batch.tokens, batch.mask)[1]
        assert not torch.allclose(student, teacher, atol=1e-4)
        alpha = 0.4 * 2 / 3
        total = 0.0
        for row in range(8):
            p = student[row].softmax(0)
            total -= (1 - alpha) * float(p[batch.labels[row]].log())
            total -= alpha * float((teacher[row].softmax(0) * p.log()).sum())
    assert float(found["loss"].detach()) == pytest.approx(total / 8, rel=1e-5)
    assert set(found) == {"loss", "classes"}


def test_without_a_teacher_it_is_cross_entropy() -> None:
    objective = moved(distill=False)
    batch = pairs(8, seed=2)
    logits = objective.model.classify(batch.pixels, batch.tokens, batch.mask)[1]
    expected = torch.nn.functional.cross_entropy(logits, batch.labels)
    assert float(objective(batch, state_at(2))["loss"].detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    assert objective.momentum is None
    assert not any("momentum" in name for name in objective.state_dict())


@pytest.mark.parametrize(("image", "text"), PARTS)
def test_frozen_parts_have_no_gradient_and_stay_in_evaluation_mode(image: bool, text: bool) -> None:
    objective = finetuning(train_image_encoder=image, train_text_encoder=text).train()
    assert isinstance(objective, Objective)
    objective(pairs(8), state_at(1))["loss"].backward()
    trained = names_of(objective, objective.parameter_groups())
    for name, parameter in objective.model.named_parameters():
        assert (name in trained) == parameter.requires_grad == (parameter.grad is not None), name
    assert {"head.centres", "head.scale", "head.adapter.inner.weight"} <= trained
    assert any(name.startswith("image_encoder.") for name in trained) == image
    assert any(name.startswith("text.") for name in trained) == text
    kinds = ("causal_attention", "language_head", "match_head", "image_projection", "text_projection", "temperature")
    assert not any(kind in name for name in trained for kind in kinds)
    assert objective.model.image_encoder.training == image
    assert objective.model.text.training == text
    assert objective.model.head.training
    assert not objective.eval().model.head.training


@pytest.mark.parametrize("trained", [True, False])
def test_batch_norm_of_a_frozen_image_encoder_stands_still(trained: bool) -> None:
    network: dict[str, Any] = {"image_encoder": "test_resnet", "image_options": {}, "image_size": 64}
    objective = finetuning(train_image_encoder=trained, scale_lr_factor=1.0, **network)
    encoder = objective.model.image_encoder
    before = copy.deepcopy(encoder.state_dict())
    optimiser = optimiser_of(objective, torch.optim.SGD, 0.05)
    for step in range(2):
        take_step(objective.train(), objective, pairs(8, seed=step, side=64), state_at(step), optimiser)
        objective.eval().validate(pairs(4, seed=9, side=64), state_at(step))
    stood = {name: torch.equal(value, before[name]) for name, value in encoder.state_dict().items()}
    statistics = [still for name, still in stood.items() if name.endswith(("running_mean", "running_var"))]
    assert statistics
    assert all(stood.values()) if not trained else not any(statistics)


def test_a_frozen_image_encoder_keeps_no_graph() -> None:
    objective = finetuning(train_image_encoder=False).train()
    seen: list[bool] = []
    objective.model.image_encoder.register_forward_hook(lambda *found: seen.append(found[-1].requires_grad))
    objective(pairs(8), state_at(1))
    assert seen == [False]
    assert objective.momentum is not None
    assert objective.momentum.teacher.image_encoder is None


def test_gradients_reach_every_centre_and_the_router() -> None:
    objective = finetuning(experts=3).train()
    found = objective(pairs(16), state_at(1))
    assert "balance" not in found  # every expert answers every sample
    found["loss"].backward()
    head = objective.model.head
    assert head.centres.shape == (4, 32)
    assert bool((head.centres.grad.norm(dim=1) > 1e-6).all())
    assert bool((head.adapter.centres.grad.norm(dim=1) > 1e-9).all())
    assert float(head.adapter.scale.grad.abs()) > 0
    assert float(head.scale.grad.abs()) > 0


@pytest.mark.parametrize(("top_k", "balanced"), [(1, True), (2, True), (3, False), (None, False)])
def test_balance_is_added_where_experts_are_left_out(top_k: int | None, balanced: bool) -> None:
    objective = finetuning(experts=3, router_top_k=top_k).train()
    assert ("balance" in objective(pairs(16), state_at(1))) == balanced


def test_an_expert_that_no_sample_keeps_has_a_gradient_of_zeros() -> None:
    """So several processes need not look for parameters without one."""
    objective, batch = finetuning(experts=3, router_top_k=1).train(), pairs(16)
    model, router = objective.model, objective.model.head.adapter
    with torch.no_grad():
        middle = model.fuse(model.image_tokens(batch.pixels), batch.tokens, batch.mask).mean(0)
        router.centres.copy_(torch.stack([middle, -middle, -middle]))
    objective(batch, state_at(1))["loss"].backward()
    assert not objective.sparse
    moved, *still = ([float(p.grad.abs().sum()) for p in expert.parameters()] for expert in router.experts)
    assert min(moved) > 0
    assert still == [[0.0] * 4] * 2


@torch.no_grad()
def test_a_router_that_leaves_experts_out_is_balanced() -> None:
    objective = finetuning(experts=3, router_top_k=1, balance=0.5, distill=False).train()
    batch = pairs(16)
    fused = objective.model.fuse(objective.model.image_tokens(batch.pixels), batch.tokens, batch.mask)
    probabilities = objective.model.route(fused).probabilities.tolist()
    first = [row.index(max(row)) for row in probabilities]
    expected = 3 * sum(first.count(e) / 16 * sum(row[e] for row in probabilities) / 16 for e in range(3))
    found = objective(batch, state_at(0))
    assert float(found["balance"]) == pytest.approx(0.5 * expected, rel=1e-5)
    assert float(found["loss"]) == pytest.approx(float(found["classes"] + found["balance"]), rel=1e-6)


def test_the_balance_alone_moves_the_centres_of_a_router_that_keeps_one_expert() -> None:
    objective = finetuning(experts=3, router_top_k=1, distill=False).train()
    found = objective(pairs(16), state_at(0))
    (through_classes,) = torch.autograd.grad(
        found["classes"], objective.model.head.adapter.centres, allow_unused=True, retain_graph=True
    )
    (through_balance,) = torch.autograd.grad(found["balance"], objective.model.head.adapter.centres)
    assert through_classes is None or float(through_classes.abs().max()) < 1e-6
    assert float(through_balance.abs().max()) > 1e-6


@torch.no_grad()
def test_empty_captions_are_drawn_by_sample_and_read_as_an_image_alone() -> None:
    objective = moved(caption_dropout=0.5, distill=False)
    batch = pairs(64, seed=2)
    with_caption = objective.model.classify(batch.pixels, batch.tokens, batch.mask)[1]
    alone = objective.model.classify(batch.pixels)[1]
    assert not torch.allclose(with_caption, alone, atol=1e-3)
    as_caption, as_image = (
        torch.nn.functional.cross_entropy(logits, batch.labels, reduction="none") for logits in (with_caption, alone)
    )

    def losses(step: int) -> torch.Tensor:
        return torch.stack([objective(one(batch, row), state_at(step))["loss"] for row in range(64)])

    each = losses(2)
    dropped = (each - as_image).abs() < (each - as_caption).abs()
    torch.testing.assert_close(each, torch.where(dropped, as_image, as_caption))
    assert 16 < int(dropped.sum()) < 48
    assert float(objective(batch, state_at(2))["loss"]) == pytest.approx(float(each.mean()), rel=1e-4)
    later = losses(3)
    assert int((((later - as_image).abs() < (later - as_caption).abs()) != dropped).sum()) > 8


def one(batch: Any, row: int) -> Any:
    tensors = {name: getattr(batch, name)[[row]] for name in ("pixels", "tokens", "mask", "labels", "keys")}
    return replace(batch, sample_ids=(batch.sample_ids[row],), **tensors)


@torch.no_grad()
@pytest.mark.parametrize("options", [{"caption_dropout": 1.0}, {"reads": "image"}])
def test_images_alone(options: dict[str, Any]) -> None:
    objective = finetuning(distill=False, **options)
    batch = pairs(8)
    expected = torch.nn.functional.cross_entropy(objective.model.classify(batch.pixels)[1], batch.labels)
    assert float(objective(batch, state_at(1))["loss"]) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("experts", [1, 3])
def test_scales_have_a_rate_of_their_own_and_centres_do_not_decay(experts: int) -> None:
    objective = finetuning(experts=experts, scale_lr_factor=50.0)
    groups = objective.parameter_groups()
    router = {"head.adapter.scale"} if experts > 1 else set()
    assert names_of(objective, [group for group in groups if group["lr_factor"] == 50.0]) == {"head.scale"} | router
    assert {group["lr_factor"] for group in groups} == {1.0, 50.0}
    free = names_of(objective, [group for group in groups if group["weight_decay"] == 0])
    assert {"head.centres", "head.scale"} <= free
    assert ("head.adapter.centres" in free) == (experts > 1)
    decaying = names_of(objective, [group for group in groups if group["weight_decay"] is None])
    assert "text.encoder.layer.0.crossattention.self.query.weight" in decaying


def test_the_weight_of_a_linear_head_decays() -> None:
    objective = finetuning(head="linear")
    decaying = [group for group in objective.parameter_groups() if group["weight_decay"] is None]
    assert "head.centres" in names_of(objective, decaying)


def test_a_model_without_classes_is_refused() -> None:
    with pytest.raises(ValueError, match="no class head"):
        Finetuning(small_model())


@torch.no_grad()
def test_validation_counts_samples_and_classes_with_captions_and_without() -> None:
    objective = moved().eval()
    kept = copy.deepcopy(objective.state_dict())
    batch = pairs(40, seed=3)
    batch = replace(batch, labels=batch.labels.clone().index_fill(0, torch.tensor([0, 5]), -1))
    found = objective.validate(batch, state_at(2))
    assert set(found) == {"top1", "top1_classes", "top1_image_only", "top1_classes_image_only"}
    for ending, captions in (("", (batch.tokens, batch.mask)), ("_image_only", (None, None))):
        chosen = objective.model.classify(batch.pixels, *captions)[1].argmax(1).tolist()
        labels = batch.labels.tolist()
        right = [sum(a == b == c for a, b in zip(chosen, labels, strict=True)) for c in range(4)]
        assert 0 < sum(right) < 38
        assert found[f"top1{ending}"] == (sum(right), 38)
        sums, counts = found[f"top1_classes{ending}"]
        assert torch.as_tensor(sums).tolist() == right
        assert torch.as_tensor(counts).tolist() == [labels.count(c) for c in range(4)]
    assert all(torch.equal(value, objective.state_dict()[name]) for name, value in kept.items())


def test_a_model_of_images_alone_is_validated_on_these() -> None:
    objective = finetuning(reads="image").eval()
    assert set(objective.validate(pairs(8), state_at(0))) == {"top1", "top1_classes"}


def test_a_run_goes_on_bit_for_bit_from_its_state() -> None:
    options: dict[str, Any] = {"experts": 3, "router_top_k": 2, "caption_dropout": 0.3, "train_image_encoder": True}
    objective = finetuning(**options).train()
    optimiser = optimiser_of(objective, torch.optim.AdamW, 1e-3)
    for step in range(2):
        take_step(objective, objective, pairs(8, seed=step), state_at(step), optimiser)
    kept = copy.deepcopy((objective.state_dict(), optimiser.state_dict()))
    other = finetuning(**options).train()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1.0)
    others = optimiser_of(other, torch.optim.AdamW, 1e-3)
    other.load_state_dict(kept[0])
    others.load_state_dict(kept[1])
    for step in range(2, 5):
        undisturbed = take_step(objective, objective, pairs(8, seed=step), state_at(step), optimiser)
        resumed = take_step(other, other, pairs(8, seed=step), state_at(step), others)
        assert torch.equal(undisturbed["loss"], resumed["loss"])
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in objective.state_dict().items())


def test_losses_are_float32_under_autocast_and_close_to_those_without() -> None:
    objective = moved(experts=3, router_top_k=1)
    exact = objective(pairs(8, seed=2), state_at(2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = objective(pairs(8, seed=2), state_at(2))
    assert float(found["classes"]) != float(exact["classes"])
    for name, value in found.items():
        assert value.dtype == torch.float32
        assert float(value) == pytest.approx(float(exact[name]), rel=0.1)
    found["loss"].backward()
