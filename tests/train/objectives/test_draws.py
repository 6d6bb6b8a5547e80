"""Draws that follow a sample: SplitMix64's finaliser, evenly spread, and decided by their keys alone."""

from __future__ import annotations

import random

import pytest
import torch
from scipy import stats

from openmmlo.train.batch import sample_keys
from openmmlo.train.objectives import draws
from openmmlo.train.objectives.draws import uniforms

KEYS = sample_keys([f"image-{number}" for number in range(400)])


def finalised(word: int) -> int:
    """SplitMix64's finaliser in whole numbers of any length."""
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) % 2**64
    return word ^ (word >> 31)


def test_mixing_is_splitmix64s_finaliser() -> None:
    numbers = random.Random(1)
    words = [0, 1, 2**64 - 1, 2**63, *(numbers.getrandbits(64) for _ in range(500))]
    signed = torch.tensor([word - 2**64 if word >= 2**63 else word for word in words])
    assert [word % 2**64 for word in draws._mix(signed).tolist()] == [finalised(word) for word in words]


def test_draws_are_uniform_within_0_and_1() -> None:
    pairs = uniforms("pairs", 0, 7, KEYS[:, None], KEYS[None, :])
    assert pairs.shape == (400, 400)
    assert pairs.dtype == torch.float32
    assert 0 < float(pairs.min()) < 1e-4
    assert 1 - 1e-4 < float(pairs.max()) < 1
    assert stats.kstest(pairs.flatten().double().numpy(), "uniform").pvalue > 1e-3
    assert stats.kstest(uniforms("pairs", 0, 7, torch.arange(5000)).double().numpy(), "uniform").pvalue > 1e-3


def test_the_largest_draw_is_below_1() -> None:
    words = torch.tensor([-1, 0])  # all bits set, none set
    low, high = (draws._shifted(words, 64 - 23).flip(0) + 0.5) * 2.0**-23
    assert 0 < float(low) < float(high) < 1


def test_a_draw_follows_its_samples_wherever_they_stand() -> None:
    order = torch.randperm(400, generator=torch.Generator().manual_seed(2))
    pairs = uniforms("a", 5, 9, KEYS[:, None], KEYS[None, :])
    shuffled = uniforms("a", 5, 9, KEYS[order][:, None], KEYS[order][None, :])
    assert torch.equal(shuffled, pairs[order][:, order])
    torch.manual_seed(99)
    assert torch.equal(uniforms("a", 5, 9, KEYS[100:200]), uniforms("a", 5, 9, KEYS)[100:200])


@pytest.mark.parametrize("other", [("b", 5, 9), ("a", 6, 9), ("a", 5, 10)])
def test_purpose_seed_and_step_each_give_other_draws(other: tuple[str, int, int]) -> None:
    mine, others = uniforms("a", 5, 9, KEYS), uniforms(*other, KEYS)
    assert abs(float(torch.corrcoef(torch.stack([mine, others]))[0, 1])) < 0.2
    assert int((mine == others).sum()) < 3


def test_a_pair_and_its_reverse_draw_apart() -> None:
    pairs = uniforms("a", 5, 9, KEYS[:, None], KEYS[None, :])
    upper = torch.triu_indices(400, 400, 1)
    forth, back = pairs[upper[0], upper[1]], pairs.T[upper[0], upper[1]]
    assert abs(float(torch.corrcoef(torch.stack([forth, back]))[0, 1])) < 0.02
