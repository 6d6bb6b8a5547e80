"""Momentum copies by their formula, and queues against a plain list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from openmmlo.models.thp import MomentumPair, Queue, ThpModel

MakeModel = Callable[..., ThpModel]
MakePairs = Callable[..., Any]


def shifted(model: ThpModel) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter))


def test_it_starts_equal_and_moves_by_the_formula(tiny_model: MakeModel, pairs: MakePairs) -> None:
    model = tiny_model(classes=3)
    pair = MomentumPair(model, 0.9, classes=True)
    pixels, tokens, mask = pairs(model)
    teacher = pair.teacher
    with torch.no_grad():
        assert torch.equal(
            teacher.embed_images(teacher.image_tokens(pixels)), model.embed_images(model.image_tokens(pixels))
        )
        assert torch.equal(teacher.embed_texts(tokens, mask), model.embed_texts(tokens, mask))
        assert torch.equal(teacher.classify(pixels, tokens, mask)[1], model.classify(pixels, tokens, mask)[1])
    first = {name: item.clone() for name, item in teacher.named_parameters()}
    shifted(model)
    second = {name: item.detach().clone() for name, item in model.named_parameters()}
    pair.update(model)
    shifted(model)
    third = {name: item.detach().clone() for name, item in model.named_parameters()}
    pair.update(model, momentum=0.5)
    for name, found in teacher.named_parameters():
        expected = 0.5 * (0.9 * first[name] + 0.1 * second[name]) + 0.5 * third[name]
        torch.testing.assert_close(found, expected, msg=name)
        assert not found.requires_grad
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, third[name])
        assert parameter.requires_grad


@pytest.mark.parametrize("classes", [False, True])
def test_it_holds_what_it_is_used_for(tiny_model: MakeModel, classes: bool) -> None:
    model = tiny_model(classes=3)
    pair = MomentumPair(model, classes=classes)
    held = {name.removeprefix("teacher.") for name in pair.state_dict()}
    left_out = {
        name
        for name in model.state_dict()
        if ".causal_attention." in name
        or name.startswith(("language_head.", "match_head."))
        or (not classes and (".crossattention." in name or name.startswith("head.")))
    }
    assert held == set(model.state_dict()) - left_out
    assert len(left_out) > 10
    assert not {"model", "student"} & set(dict(pair.named_children()))


def test_the_teacher_drops_nothing_out(tiny_model: MakeModel, pairs: MakePairs) -> None:
    model = tiny_model(dropout=0.5)
    pair = MomentumPair(model).train()
    assert pair.training
    assert not pair.teacher.training
    _, tokens, mask = pairs(model)
    assert torch.equal(pair.teacher.embed_texts(tokens, mask), pair.teacher.embed_texts(tokens, mask))


def test_statistics_of_batches_are_copied(tiny_model: MakeModel) -> None:
    model = tiny_model(image_encoder="test_resnet", image_options={}, image_size=64)
    pair = MomentumPair(model, 0.9)
    model.train()
    model.image_tokens(torch.randn(4, 3, 64, 64))
    own, theirs = dict(pair.teacher.named_buffers()), dict(model.named_buffers())
    means = [name for name in own if name.endswith("running_mean")]
    assert any(not torch.equal(own[name], theirs[name]) for name in means)
    pair.update(model)
    for name, buffer in own.items():
        assert torch.equal(buffer, theirs[name])


def test_its_state_can_be_restored(tiny_model: MakeModel) -> None:
    model = tiny_model()
    pair = MomentumPair(model)
    shifted(model)
    pair.update(model)
    other = MomentumPair(tiny_model(seed=5))
    other.load_state_dict(pair.state_dict())
    for found, expected in zip(other.state_dict().values(), pair.state_dict().values(), strict=True):
        assert torch.equal(found, expected)


def test_momentum_is_a_share(tiny_model: MakeModel) -> None:
    with pytest.raises(ValueError, match=r"momentum is 1\.5"):
        MomentumPair(tiny_model(), 1.5)


def test_the_oldest_features_leave_first() -> None:
    queue = Queue(4, 6, seed=3)
    expected = [column.clone() for column in queue["image"].T]
    for step in range(5):
        rows = torch.randn(2, 4, generator=torch.Generator().manual_seed(step))
        queue.push(image=rows, text=-rows)
        for place, row in zip(range(2 * step, 2 * step + 2), rows, strict=True):
            expected[place % 6] = row
        assert int(queue.pointer) == 2 * (step + 1) % 6
        assert torch.equal(queue["image"].T, torch.stack(expected))
        if step >= 2:
            assert torch.equal(queue["text"], -queue["image"])


def test_a_queue_begins_with_random_unit_vectors_of_its_seed() -> None:
    queue = Queue(8, 50, seed=3)
    torch.testing.assert_close(queue["text"].norm(dim=0), torch.ones(50))
    assert torch.equal(queue["image"], Queue(8, 50, seed=3)["image"])
    assert not torch.equal(queue["image"], Queue(8, 50, seed=4)["image"])
    assert not torch.equal(queue["image"], queue["text"])


def test_a_queue_is_saved_with_its_pointer() -> None:
    queue = Queue(4, 6)
    queue.push(image=torch.ones(2, 4), text=torch.ones(2, 4))
    other = Queue(4, 6, seed=9)
    other.load_state_dict(queue.state_dict())
    for one in (queue, other):
        one.push(image=torch.zeros(3, 4), text=torch.zeros(3, 4))
    assert torch.equal(other["image"], queue["image"])
    assert int(other.pointer) == 5


def test_pushed_features_carry_no_gradient() -> None:
    queue = Queue(4, 6)
    rows = torch.randn(2, 4, requires_grad=True)
    queue.push(image=rows.half(), text=rows)
    assert not queue["text"].requires_grad
    assert queue["image"].dtype == torch.float32


@pytest.mark.parametrize(
    ("batch", "message"),
    [(4, "no multiple of the global batch of 4. Set queue_size to 4 or 8"), (7, "queue_size to 7")],
)
def test_a_batch_that_does_not_divide_the_queue(batch: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Queue(4, 6).push(image=torch.zeros(batch, 4), text=torch.zeros(batch, 4))


def test_what_a_queue_cannot_take() -> None:
    queue = Queue(4, 6)
    with pytest.raises(ValueError, match=r"takes image, text of one batch; came image \(2\)"):
        queue.push(image=torch.zeros(2, 4))
    with pytest.raises(ValueError, match=r"came image \(2\), text \(3\)"):
        queue.push(image=torch.zeros(2, 4), text=torch.zeros(3, 4))
    with pytest.raises(ValueError, match="A queue of 0 features"):
        Queue(4, 0)
