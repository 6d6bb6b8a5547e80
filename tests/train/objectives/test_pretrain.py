"""Pre-training: each loss against its definition, what is trained, queue and momentum, and going on exactly."""

from __future__ import annotations

import copy
import itertools
import math
from typing import Any

import pytest
import torch
from objective_runs import optimiser_of, pairs, pretraining, small_model, state_at, take_step
from torch import Tensor
from torch.nn import functional

from openmmlo.models.thp.model import ThpModel
from openmmlo.train.objective import Objective
from openmmlo.train.objectives.matching import draw_negatives
from openmmlo.train.objectives.pretrain import Pretraining


@torch.enable_grad()
def moved(**options: Any) -> Pretraining:
    """After two steps of 8 pairs at a high rate: the teacher lags behind the model, the queue is half filled."""
    objective = pretraining(**options).train()
    optimiser = optimiser_of(objective, torch.optim.SGD, 0.2)
    for step in range(2):
        take_step(objective, objective, pairs(8, seed=step), state_at(step), optimiser)
    return objective


def similarity(kind: str, x: Tensor, y: Tensor, temperature: Tensor) -> Tensor:
    cosine = (x * y).sum()
    return (2 / (1 + 16 * (1 - cosine)) if kind == "thp" else cosine) / temperature


@pytest.mark.parametrize("kind", ["thp", "cosine"])
@torch.no_grad()
def test_contrast_is_blips_with_the_models_similarity(kind: str) -> None:
    objective = moved(similarity=kind, alpha=0.4, alpha_epochs=1.0)
    assert objective.momentum is not None
    assert objective.queue is not None
    model, teacher, batch = objective.model, objective.momentum.teacher, pairs(8, seed=2)
    features = {}
    for name, network in (("student", model), ("teacher", teacher)):
        images = network.embed_images(network.image_tokens(batch.pixels))
        features[name] = (images, network.embed_texts(batch.tokens, batch.mask))
    keys = [
        torch.cat([features["teacher"][at], objective.queue[kind_of].T.clone()])
        for at, kind_of in enumerate(("image", "text"))
    ]
    alpha = 0.4 * 2 / 3  # two of three steps of the one epoch of the ramp
    losses = []
    for at in (0, 1):
        for row in range(8):
            query, taught = features["student"][at][row], features["teacher"][at][row]
            scores = torch.stack([similarity(kind, query, key, model.temperature) for key in keys[1 - at]])
            teaching = torch.stack([similarity(kind, taught, key, model.temperature) for key in keys[1 - at]])
            targets = alpha * torch.exp(teaching) / torch.exp(teaching).sum()
            targets[row] += 1 - alpha
            losses.append(-(targets * torch.log(torch.exp(scores) / torch.exp(scores).sum())).sum())
    assert len(keys[0]) == 8 + 24
    found = objective(batch, state_at(2))
    assert float(found["itc"]) == pytest.approx(float(sum(losses)) / 16, rel=1e-4)
    unlearnt = math.log(8 + 24)
    assert abs(float(found["itc"]) - unlearnt) > 1e-3


@torch.no_grad()
def test_matching_asks_of_each_pair_and_of_its_two_hard_negatives() -> None:
    objective = moved()
    model, batch, state = objective.model, pairs(8, seed=2), state_at(2)
    assert objective.momentum is not None
    teacher = objective.momentum.teacher
    image_tokens = model.image_tokens(batch.pixels)
    to_texts = model.similarities(model.embed_images(image_tokens), teacher.embed_texts(batch.tokens, batch.mask))
    to_images = model.similarities(
        model.embed_texts(batch.tokens, batch.mask), teacher.embed_images(teacher.image_tokens(batch.pixels))
    )
    other_texts = draw_negatives("negative text", to_texts, batch.keys, batch.keys, state)
    other_images = draw_negatives("negative image", to_images, batch.keys, batch.keys, state)
    total = 0.0
    for row in range(8):
        questions = [(row, row, 1), (row, int(other_texts[row]), 0), (int(other_images[row]), row, 0)]
        for image, text, belongs in questions:
            fused = model.fuse(image_tokens[[image]], batch.tokens[[text]], batch.mask[[text]])
            total -= float(model.match(fused).log_softmax(1)[0, belongs])
    found = objective(batch, state)
    assert float(found["itm"]) == pytest.approx(total / 24, rel=1e-4)


@torch.no_grad()
def test_captioning_is_torchs_cross_entropy_of_the_words_that_follow() -> None:
    objective = moved()
    model, batch = objective.model, pairs(8, seed=2)
    logits = model.decode(model.image_tokens(batch.pixels), batch.tokens, batch.mask)
    targets = batch.tokens.masked_fill(batch.mask == 0, -100)[:, 1:]
    expected = functional.cross_entropy(
        logits[:, :-1].reshape(-1, logits.shape[-1]), targets.reshape(-1), ignore_index=-100, label_smoothing=0.1
    )
    found = objective(batch, state_at(2))
    assert float(found["lm"]) == pytest.approx(float(expected), rel=1e-5)
    assert float(found["loss"]) == pytest.approx(sum(float(found[name]) for name in ("itc", "itm", "lm")), rel=1e-6)


@torch.no_grad()
def test_padding_and_the_image_have_the_part_in_captioning_that_they_should() -> None:
    objective = moved(itc=False, itm=False)
    batch = pairs(8, seed=2)
    found = objective(batch, state_at(2))["lm"]
    wider = copy.copy(batch.__dict__)
    wider["tokens"] = torch.cat([batch.tokens, torch.full((8, 3), 9)], dim=1)
    wider["mask"] = torch.cat([batch.mask, torch.zeros(8, 3, dtype=torch.int64)], dim=1)
    torch.testing.assert_close(objective(type(batch)(**wider), state_at(2))["lm"], found, rtol=1e-5, atol=1e-6)
    turned = type(batch)(**(batch.__dict__ | {"pixels": batch.pixels.roll(1, 0)}))
    assert float(objective(turned, state_at(2))["lm"]) != pytest.approx(float(found), rel=1e-6)


SWITCHES = [
    switches
    for switches in itertools.product([True, False], repeat=3)
    if any(switches) and not (switches[1] and not switches[0])
]


@pytest.mark.parametrize(("itc", "itm", "lm"), SWITCHES)
def test_exactly_what_the_losses_read_is_trained(itc: bool, itm: bool, lm: bool) -> None:
    objective = pretraining(itc=itc, itm=itm, lm=lm).train()
    assert isinstance(objective, Objective)
    found = objective(pairs(8), state_at(1))
    assert set(found) == {"loss"} | {name for name, on in (("itc", itc), ("itm", itm), ("lm", lm)) if on}
    found["loss"].backward()
    grouped = {id(parameter) for group in objective.parameter_groups() for parameter in group["params"]}
    named = dict(objective.named_parameters())
    assert len(grouped) == sum(len(group["params"]) for group in objective.parameter_groups())
    for name, parameter in named.items():
        assert (id(parameter) in grouped) == parameter.requires_grad == (parameter.grad is not None), name
    trained = {name.removeprefix("model.") for name, parameter in named.items() if parameter.requires_grad}
    assert ("temperature" in trained) == itc
    assert ("match_head.weight" in trained) == itm
    assert ("language_head.bias" in trained) == lm
    assert any("crossattention" in name for name in trained) == (itm or lm)
    assert any(".attention." in name for name in trained) == itc


def test_all_parts_off_and_matching_alone_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one loss"):
        pretraining(itc=False, itm=False, lm=False)
    with pytest.raises(ValueError, match="similarities of itc"):
        pretraining(itc=False)


def test_a_class_head_has_no_part_in_pretraining() -> None:
    objective = Pretraining(small_model(classes=3), queue_size=0)
    assert not any(name.startswith("model.head") for name, p in objective.named_parameters() if p.requires_grad)


def test_no_decay_of_biases_norms_and_temperature() -> None:
    objective = pretraining(queue_size=0)
    names = {id(parameter): name for name, parameter in objective.model.named_parameters()}
    free = {
        names[id(p)] for group in objective.parameter_groups() if group["weight_decay"] == 0 for p in group["params"]
    }
    decaying = {
        names[id(p)] for group in objective.parameter_groups() if group["weight_decay"] is None for p in group["params"]
    }
    assert {"temperature", "match_head.bias", "text.encoder.layer.0.output.LayerNorm.weight"} <= free
    assert {"match_head.weight", "text.embeddings.word_embeddings.weight"} <= decaying
    assert not any(name.endswith("bias") or "norm" in name.lower() for name in decaying)


@torch.no_grad()
def test_the_queue_takes_the_teachers_features_in_the_order_of_the_batch_after_the_step() -> None:
    objective = pretraining(queue_size=24).train()
    assert objective.momentum is not None
    assert objective.queue is not None
    teacher = objective.momentum.teacher
    before = {name: objective.queue[name].clone() for name in ("image", "text")}
    expected: dict[str, list[Tensor]] = {"image": [], "text": []}
    for step in range(2):
        batch = pairs(8, seed=step)
        objective.before_step(state_at(step))
        expected["image"].append(teacher.embed_images(teacher.image_tokens(batch.pixels)))
        expected["text"].append(teacher.embed_texts(batch.tokens, batch.mask))
        objective(batch, state_at(step))
        assert torch.equal(objective.queue["image"][:, step * 8 :], before["image"][:, step * 8 :])
        objective.after_step(state_at(step))
    for name in ("image", "text"):
        torch.testing.assert_close(objective.queue[name][:, :16].T, torch.cat(expected[name]))
        assert torch.equal(objective.queue[name][:, 16:], before[name][:, 16:])


def test_accumulated_batches_enter_the_queue_together() -> None:
    objective = pretraining(queue_size=24).train()
    assert objective.queue is not None
    objective.before_step(state_at(0))
    for part in range(2):
        objective(pairs(4, seed=part), state_at(0))["loss"].backward()
    objective.after_step(state_at(0))
    assert int(objective.queue.pointer) == 8


def test_the_teacher_moves_before_the_step_and_has_no_gradient() -> None:
    objective = moved(momentum=0.9)
    assert objective.momentum is not None
    name = "image_projection.weight"
    old = objective.momentum.teacher.get_parameter(name).clone()
    now = objective.model.get_parameter(name).detach()
    assert not torch.allclose(old, now)
    objective.before_step(state_at(2))
    torch.testing.assert_close(objective.momentum.teacher.get_parameter(name), 0.9 * old + 0.1 * now)
    objective(pairs(8, seed=2), state_at(2))["loss"].backward()
    assert all(p.grad is None and not p.requires_grad for p in objective.momentum.parameters())


def test_the_temperature_is_brought_back_into_its_bounds() -> None:
    objective = pretraining()
    with torch.no_grad():
        objective.model.temperature.fill_(3.0)
    objective.after_step(state_at(0))
    assert float(objective.model.temperature) == pytest.approx(0.5)


def test_a_run_goes_on_bit_for_bit_from_its_state() -> None:
    objective = pretraining().train()
    optimiser = optimiser_of(objective, torch.optim.AdamW, 1e-2)
    for step in range(2):
        take_step(objective, objective, pairs(8, seed=step), state_at(step), optimiser)
    kept = copy.deepcopy((objective.state_dict(), optimiser.state_dict()))
    other = Pretraining(small_model(seed=9), queue_size=24, alpha_epochs=1.0, momentum=0.9, seed=4).train()
    others = optimiser_of(other, torch.optim.AdamW, 1e-2)
    other.load_state_dict(kept[0])
    others.load_state_dict(kept[1])
    for step in range(2, 5):
        undisturbed = take_step(objective, objective, pairs(8, seed=step), state_at(step), optimiser)
        resumed = take_step(other, other, pairs(8, seed=step), state_at(step), others)
        assert all(torch.equal(undisturbed[name], resumed[name]) for name in ("loss", "itc", "itm", "lm"))
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in objective.state_dict().items())


def test_too_small_a_batch_and_a_queue_that_does_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match=r"batch of 1 pair .* at least 2"):
        pretraining(queue_size=0)(pairs(1), state_at(0))
    objective = pretraining(queue_size=24)
    with pytest.raises(ValueError, match=r"24 .*multiple of the global batch of 5.*20 or 25"):
        take_step(objective, objective, pairs(5), state_at(0), optimiser_of(objective, torch.optim.SGD, 0.1))
    assert math.isfinite(float(pretraining(itc=False, itm=False)(pairs(1), state_at(0))["loss"]))


def test_losses_are_float32_under_autocast_and_close_to_those_without() -> None:
    objective = moved()
    exact = objective(pairs(8, seed=2), state_at(2))
    objective.before_step(state_at(2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = objective(pairs(8, seed=2), state_at(2))
    assert float(found["lm"]) != float(exact["lm"])
    for name, value in found.items():
        assert value.dtype == torch.float32
        assert float(value) == pytest.approx(float(exact[name]), rel=0.1)
    found["loss"].backward()
    gradients = [p.grad for p in objective.parameters() if p.grad is not None]
    assert gradients
    assert all(bool(torch.isfinite(gradient).all()) for gradient in gradients)


@torch.no_grad()
def test_validation_counts_nearest_partners_and_nats_a_word() -> None:
    objective = moved().eval()
    kept = copy.deepcopy(objective.state_dict())
    model, batch = objective.model, pairs(6, seed=7)
    images = model.embed_images(model.image_tokens(batch.pixels))
    texts = model.embed_texts(batch.tokens, batch.mask)
    right = [0, 0]
    for row in range(6):
        right[0] += int(max(range(6), key=lambda at: float(images[row] @ texts[at])) == row)
        right[1] += int(max(range(6), key=lambda at: float(texts[row] @ images[at])) == row)
    found = objective.validate(batch, state_at(2))
    assert found["image_to_text"] == (right[0], 6)
    assert found["text_to_image"] == (right[1], 6)
    logits = model.decode(model.image_tokens(batch.pixels), batch.tokens, batch.mask).log_softmax(-1)
    nats = -sum(
        float(logits[row, place, batch.tokens[row, place + 1]])
        for row in range(6)
        for place in range(7)
        if batch.mask[row, place + 1]
    )
    assert found["lm"][1] == int(batch.mask[:, 1:].sum())
    assert found["lm"][0] == pytest.approx(nats, rel=1e-4)
    assert all(torch.equal(value, objective.state_dict()[name]) for name, value in kept.items())


def test_similarity_is_the_models_switch() -> None:
    losses = {
        kind: float(pretraining(similarity=kind, itm=False, lm=False)(pairs(8), state_at(0))["itc"])
        for kind in ("thp", "cosine")
    }
    assert losses["thp"] != pytest.approx(losses["cosine"], rel=1e-3)
    assert isinstance(pretraining().model, ThpModel)
