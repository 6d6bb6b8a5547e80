"""What holds for every loss of the table: precision, gradients, batches, options and counts that are refused."""

from __future__ import annotations

import inspect
import math
from typing import Any

import pytest
import torch

from openmmlo.errors import ConfigError, DataError, UnknownName
from openmmlo.losses import LOSSES, Staged, check_loss, loss_options, make_loss

SCALE = 12.0


def late(name: str, counts: torch.Tensor) -> Any:
    """A loss as it is at the end of a run."""
    loss = make_loss(name, counts)
    if isinstance(loss, Staged):
        loss.at(0.99)
    return loss


@pytest.mark.parametrize("name", LOSSES)
def test_it_is_a_scalar_that_falls_as_the_targets_rise(case: Any, name: str) -> None:
    loss = late(name, case.counts)
    found = loss(case.logits, case.targets, SCALE)
    assert found.shape == ()
    assert found.isfinite()
    raised = case.logits.scatter_add(1, case.targets[:, None], torch.full((7, 1), 0.5, dtype=torch.float64))
    assert loss(raised, case.targets, SCALE) < found
    assert not list(loss.parameters())
    assert all(buffer.dtype == torch.float32 for buffer in loss.buffers())


@pytest.mark.parametrize("name", LOSSES)
def test_its_gradient_is_that_of_finite_differences(case: Any, name: str) -> None:
    loss = late(name, case.counts)
    assert torch.autograd.gradcheck(lambda z: loss(z, case.targets, SCALE), case.logits.clone().requires_grad_())


@pytest.mark.parametrize("name", LOSSES)
def test_half_precision_is_computed_in_float32(case: Any, name: str) -> None:
    loss = late(name, case.counts)
    for dtype in (torch.bfloat16, torch.float16):
        half = case.logits.to(dtype)
        found = loss(half, case.targets, SCALE)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, loss(half.float(), case.targets, SCALE), rtol=0, atol=0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss(case.logits.float(), case.targets, SCALE)
    torch.testing.assert_close(found, loss(case.logits, case.targets, SCALE).float(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_large_scores_overflow_neither_loss_nor_gradient(case: Any, name: str) -> None:
    logits = (1e4 * case.logits).float().requires_grad_()
    found = late(name, case.counts)(logits, case.targets, SCALE)
    (gradient,) = torch.autograd.grad(found, logits)
    assert found.isfinite()
    assert gradient.isfinite().all()


@pytest.mark.parametrize("name", LOSSES)
def test_samples_may_come_in_any_order_and_classes_under_any_number(case: Any, name: str) -> None:
    expected = late(name, case.counts)(case.logits, case.targets, SCALE)
    mixed = torch.tensor([3, 0, 6, 1, 5, 2, 4])
    found = late(name, case.counts)(case.logits[mixed], case.targets[mixed], SCALE)
    torch.testing.assert_close(found, expected)
    renamed = torch.tensor([2, 4, 0, 1, 3])  # class c was renamed[c]
    found = late(name, case.counts[renamed])(case.logits[:, renamed], renamed.argsort()[case.targets], SCALE)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", LOSSES)
def test_constants_of_a_sample_drop_out(case: Any, name: str) -> None:
    """Of LADE's bound they do not: it holds the scores themselves in place."""
    loss = late(name, case.counts)
    found = loss(case.logits + 3.0, case.targets, SCALE)
    assert (abs(float(found - loss(case.logits, case.targets, SCALE))) < 1e-6) is (name != "lade")


@pytest.mark.parametrize("name", LOSSES)
def test_its_buffers_follow_the_device(case: Any, name: str) -> None:
    loss = make_loss(name, case.counts).to("meta")
    assert loss(case.logits.to("meta"), case.targets.to("meta"), SCALE).device.type == "meta"


@pytest.mark.parametrize("name", LOSSES)
def test_options_are_keyword_arguments_with_defaults(name: str) -> None:
    options = loss_options(name)
    assert set(options) == set(inspect.signature(LOSSES.load(name)).parameters) - {"class_counts"}
    assert check_loss(name) == options
    for option in (key for key, value in options.items() if isinstance(value, float)):
        with pytest.raises(ConfigError, match=f"loss {name}: {option} is 'much'; expected float"):
            make_loss(name, torch.ones(2), {option: "much"})
        for value in (-0.1, math.nan, math.inf):
            with pytest.raises(ConfigError, match=f"{name}: {option} is {value}; expected"):
                make_loss(name, torch.ones(2), {option: value})


def test_options_given_replace_the_defaults() -> None:
    assert check_loss("lade", {"alpha": 1}) == {"alpha": 1.0, "lam": 0.5}
    assert make_loss("lade", torch.ones(2), {"alpha": 1}).alpha == 1.0


def test_an_unknown_option_or_loss_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"ldam takes no 'max_magin'\. Did you mean 'max_margin'\? Known: max_ma"):
        make_loss("ldam", torch.ones(3), {"max_magin": 0.3})
    with pytest.raises(ConfigError, match=r"loss cross-entropy takes no 'gamma'\. Known: none"):
        check_loss("cross-entropy", {"gamma": 2.0})
    with pytest.raises(UnknownName, match=r"No loss named 'balanced_softmax'\. Did you mean 'balanced-softmax'"):
        make_loss("balanced_softmax", torch.ones(3))


@pytest.mark.parametrize("name", ["class-balanced", "ldam", "logit-adjustment", "balanced-softmax", "lade"])
def test_a_class_without_an_image_is_refused_where_it_has_no_prior(name: str) -> None:
    with pytest.raises(DataError, match=f"{name}: 2 of 4 classes have fewer than 1 training images .class 1 has 0"):
        make_loss(name, torch.tensor([9, 0, 3, 0]))


@pytest.mark.parametrize("name", LOSSES)
def test_counts_that_are_none_are_refused(name: str) -> None:
    for counts in (torch.tensor([3.0, -1.0]), torch.tensor([3.0, math.nan]), torch.tensor([math.inf, 1.0])):
        with pytest.raises(DataError, match="1 of 2 classes have fewer than"):
            make_loss(name, counts)
    for counts in (torch.ones(2, 2), torch.ones(0)):
        with pytest.raises(DataError, match=r"class counts of shape .* expected \(C,\)"):
            make_loss(name, counts)


def test_a_loss_of_ones_own_needs_no_line_in_the_table() -> None:
    own = make_loss("openmmlo.losses.focal:Focal", torch.ones(3), {"gamma": 3.0})
    assert own.gamma == 3.0
