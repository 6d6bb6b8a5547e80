"""What must be equal: detectors at the settings where one becomes another."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from detector_banks import CLASSES, WIDTH, bank, inside, linear, outside, training, with_step, zero_shot
from hypothesis import given, settings
from hypothesis import strategies as st

from openmmlo.evaluate.detectors import Detector
from openmmlo.evaluate.detectors.ash import AshB, AshS, prune
from openmmlo.evaluate.detectors.energy import Energy
from openmmlo.evaluate.detectors.gradnorm import GradNorm
from openmmlo.evaluate.detectors.knn import KNN, ThpKNN
from openmmlo.evaluate.detectors.max_logit import MaxLogit
from openmmlo.evaluate.detectors.mcm import MCM
from openmmlo.evaluate.detectors.msp import MSP
from openmmlo.evaluate.detectors.odin import ODIN, perturbed_pixels
from openmmlo.evaluate.detectors.react import ReAct
from openmmlo.evaluate.detectors.run import detect
from openmmlo.evaluate.detectors.softmax import peak
from openmmlo.evaluate.detectors.vim import ViM
from openmmlo.evaluate.features.bank import FeatureBank
from openmmlo.evaluate.head import Head
from openmmlo.evaluate.metrics.ood import ood_metrics
from openmmlo.models.encoder import Encoding

Array = np.ndarray[Any, np.dtype[Any]]


def scores(detector: Detector, head: Head, given_bank: FeatureBank, train: FeatureBank | None = None) -> Array:
    found = detect([detector], head, train, [given_bank])
    assert found.not_run == {}
    return found.scores[detector.name][given_bank.name]


def test_odin_without_a_step_at_temperature_one_is_msp() -> None:
    assert np.array_equal(scores(ODIN(1, 0), linear(), inside()), scores(MSP(), linear(), inside()))


def test_odin_reads_the_perturbed_rows() -> None:
    moved = with_step(inside())
    assert moved.perturbed is not None
    assert np.array_equal(scores(ODIN(), linear(), moved), scores(ODIN(eta=0), linear(), moved.perturbed))


@pytest.mark.parametrize(
    "detector",
    [ReAct(threshold=float("inf")), ReAct(percentile=100), AshB(0), ViM(alpha=0)],
    ids=lambda item: item.name,
)
def test_what_changes_nothing_is_energy(detector: Detector) -> None:
    given_bank = training()  # no activation is above its own percentile 100
    if isinstance(detector, AshB):  # B keeps the sum and levels the values, so it changes nothing where they are level
        level = np.repeat(np.random.default_rng(0).uniform(1, 2, (9, 1)), WIDTH, axis=1).astype(np.float32)
        given_bank = bank("level", level)
    found = scores(detector, linear(), given_bank, training())
    np.testing.assert_allclose(found, scores(Energy(), linear(), given_bank), rtol=1e-6)


def test_ash_p_that_prunes_nothing_is_the_identity() -> None:
    assert np.array_equal(prune(inside().features, 0), inside().features)


def test_ash_s_that_prunes_nothing_multiplies_by_e() -> None:
    grown = dataclasses.replace(inside(), features=inside().features * np.float32(np.e))
    np.testing.assert_allclose(scores(AshS(0), linear(), inside()), scores(Energy(), linear(), grown), rtol=1e-6)


def test_gradnorm_is_the_norm_that_autograd_finds_image_by_image() -> None:
    head = linear()
    found = scores(GradNorm(), head, inside())
    for row, score in zip(inside().features, found, strict=True):
        layer = torch.nn.Linear(WIDTH, CLASSES)
        with torch.no_grad():
            layer.weight.copy_(torch.tensor(head.weight))
            layer.bias.copy_(torch.tensor(head.bias))
        layer = layer.double()
        (-torch.log_softmax(layer(torch.tensor(row).double()), dim=0).sum()).backward()  # type: ignore[no-untyped-call]
        assert layer.weight.grad is not None
        assert -float(layer.weight.grad.abs().sum()) == pytest.approx(score, rel=1e-5)


def test_mcm_at_temperature_one_hundredth_is_the_softmax_of_clips_logits() -> None:
    found = scores(MCM(0.01), zero_shot(scale=100), inside())
    np.testing.assert_allclose(found, scores(MSP(), zero_shot(scale=100), inside()), rtol=1e-9)
    clip = torch.tensor(zero_shot(scale=100).logits(inside())).double().softmax(dim=1)
    np.testing.assert_allclose(found, 1 - clip.max(dim=1).values.numpy(), rtol=1e-9, atol=1e-14)


def test_mcm_does_not_know_the_scale() -> None:
    found = [scores(MCM(), zero_shot(scale=scale), inside()) for scale in (1.0, 17.3, 100.0)]
    np.testing.assert_allclose(found[1], found[0], rtol=1e-6)
    np.testing.assert_allclose(found[2], found[0], rtol=1e-6)


@pytest.mark.parametrize("kappa", [0.01, 1.0, 16.0, 64.0, 1e4])
@pytest.mark.parametrize("k", [1, 5, 40])
def test_thp_similarity_ranks_like_euclidean_distance(k: int, kappa: float) -> None:
    found = detect([KNN(k), ThpKNN(k, kappa)], linear(), training(), [inside(), outside()])
    euclidean, thp = found.scores["knn"], found.scores["thp-knn"]
    for name in ("test", "far"):
        assert np.array_equal(
            np.unique(euclidean[name], return_inverse=True)[1], np.unique(thp[name], return_inverse=True)[1]
        )
    assert ood_metrics(euclidean["test"], euclidean["far"]) == ood_metrics(thp["test"], thp["far"])


def test_energy_at_low_temperature_is_the_largest_logit() -> None:
    cold = scores(Energy(1e-4), linear(), inside())
    np.testing.assert_allclose(cold, scores(MaxLogit(), linear(), inside()), rtol=1e-6)


def test_confident_samples_keep_their_order_where_the_probability_rounds_to_one() -> None:
    doubt = peak(np.array([[60.0, 0.0, 0.0], [50.0, 0.0, 0.0], [900.0, 0.0, 0.0], [40.0, 0.0, -1e9]])).doubt
    np.testing.assert_allclose(doubt[[0, 1, 3]], [2 * np.exp(-60.0), 2 * np.exp(-50.0), np.exp(-40.0)], rtol=1e-12)
    assert doubt[2] == 0


@given(st.lists(st.floats(-500, 500), min_size=1, max_size=9), st.floats(0.01, 100))
def test_peak_is_the_softmax(row: list[float], temperature: float) -> None:
    found = peak(np.array([row]), temperature)
    expected = torch.tensor([row], dtype=torch.float64) / temperature
    np.testing.assert_allclose(found.probabilities, expected.softmax(dim=1).numpy(), rtol=1e-9, atol=1e-300)
    np.testing.assert_allclose(found.log_sum, expected.logsumexp(dim=1).numpy(), rtol=1e-12, atol=1e-15)
    assert found.predicted[0] == int(np.argmax(np.array(row) / temperature))


def encoder(pixels: torch.Tensor) -> Encoding:
    """Features that are quadratic in the pixels."""
    flat = pixels.flatten(1)
    return Encoding((flat * flat.roll(1, 1))[:, :WIDTH] + flat[:, :WIDTH])


@pytest.mark.parametrize("head", [linear(), zero_shot()], ids=["linear", "zero-shot"])
def test_step_raises_the_probability_of_the_predicted_class_of_each_image(head: Head) -> None:
    pixels = torch.randn((6, 3, 4, 4), generator=torch.Generator().manual_seed(0))
    deviation = (0.25, 0.5, 1.0)
    moved = perturbed_pixels(pixels, encoder, head, deviation, temperature=1000, eta=1e-3)
    assert not moved.requires_grad
    steps = ((moved - pixels) * torch.tensor(deviation).view(1, 3, 1, 1)).abs()
    reached = steps[steps > 0]
    assert torch.allclose(reached, torch.full_like(reached, 1e-3), rtol=1e-3)
    before = head.logits(bank("before", encoder(pixels).features.numpy()))
    after = head.logits(bank("after", encoder(moved).features.numpy()))
    at = np.arange(6), before.argmax(axis=1)
    chances = [peak(z).probabilities[at] for z in (before, after)]
    assert (chances[1] > chances[0]).all()
    alone = torch.cat([perturbed_pixels(row[None], encoder, head, deviation, eta=1e-3) for row in pixels])
    assert torch.allclose(alone, moved)


def test_step_follows_the_sign_of_a_numerical_gradient() -> None:
    head = linear()
    pixels = torch.randn((1, 3, 4, 4), generator=torch.Generator().manual_seed(1))
    moved = perturbed_pixels(pixels, encoder, head, (1.0, 1.0, 1.0), temperature=1.0, eta=1.0)
    chosen = int(head.logits(bank("x", encoder(pixels).features.numpy())).argmax())

    def loss(values: torch.Tensor) -> float:
        z = encoder(values.double()).features @ torch.tensor(head.weight).double().T + torch.tensor(head.bias).double()
        return -float(torch.log_softmax(z, dim=1)[0, chosen])

    for place in range(0, pixels.numel(), 5):
        step = torch.zeros(pixels.numel(), dtype=torch.float64)
        step[place] = 1e-6
        slope = loss(pixels.double() + step.view_as(pixels)) - loss(pixels.double() - step.view_as(pixels))
        assert float((moved - pixels).flatten()[place]) == pytest.approx(-np.sign(slope), abs=1e-6)


@settings(max_examples=20)
@given(st.integers(0, 100))
def test_no_step_gives_the_pixels(seed: int) -> None:
    pixels = torch.randn((2, 3, 4, 4), generator=torch.Generator().manual_seed(seed))
    assert torch.equal(perturbed_pixels(pixels, encoder, linear(), (0.2, 0.2, 0.2), eta=0), pixels)


def test_step_is_made_under_inference_mode_too_and_through_a_models_own_logits() -> None:
    head = Head("model", 3, columns=np.array([4, 0, 2]))

    def own(pixels: torch.Tensor) -> Encoding:
        return Encoding(pixels.flatten(1), pixels.flatten(1)[:, :5].pow(2))

    pixels = torch.randn((2, 3, 4, 4), generator=torch.Generator().manual_seed(0))
    outside_mode = perturbed_pixels(pixels, own, head, (1.0, 1.0, 1.0), eta=0.1)
    with torch.inference_mode():
        assert torch.equal(perturbed_pixels(pixels, own, head, (1.0, 1.0, 1.0), eta=0.1), outside_mode)
    touched = (outside_mode != pixels).flatten(1).any(dim=0)
    assert touched.nonzero().flatten().tolist() == [0, 2, 4]  # the head's columns, and no other logit
