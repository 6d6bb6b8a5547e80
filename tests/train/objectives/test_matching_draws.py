"""Hard negatives: drawn by the weights they are said to have, never the row itself, alike for any split of a batch."""

from __future__ import annotations

import pytest
import torch

from openmmlo.train.batch import sample_keys
from openmmlo.train.objectives.matching import draw_negatives
from openmmlo.train.state import StepState


def state(step: int = 0, rank: int = 0, world: int = 1, seed: int = 0) -> StepState:
    return StepState(seed=seed, step=step, epoch=0, epoch_progress=0.0, steps=10, rank=rank, world=world)


def keys(count: int) -> torch.Tensor:
    return sample_keys([f"pair {number}" for number in range(count)])


def test_frequencies_are_the_softmax_with_its_floor_and_without_the_row_itself() -> None:
    logits = torch.tensor([[6.0, 1.0, 0.0, -20.0], [0.0, 9.0, 0.3, 0.6], [-9.0, -9.0, 3.0, -9.0], [0.0, 0.0, 0.0, 5.0]])
    rounds = 2000
    counts = torch.zeros(4, 4)
    for step in range(rounds):
        drawn = draw_negatives("negative text", logits, keys(4), keys(4), state(step))
        counts[torch.arange(4), drawn] += 1
    weights = logits.softmax(1) + 1e-4
    weights.fill_diagonal_(0)
    expected = rounds * weights / weights.sum(1, keepdim=True)
    assert torch.count_nonzero(counts.diagonal()) == 0
    off = expected > 5
    assert int(off.sum()) >= 10
    chi_squares = ((counts - expected) ** 2 / expected.clamp_min(1e-9))[off]
    assert float(chi_squares.sum()) < 35  # 99.9 % of a chi-square of 12 lies below 33


def test_the_row_itself_is_never_drawn_however_sure_it_is() -> None:
    logits = torch.full((64, 64), -1e4).fill_diagonal_(1e4)
    own = torch.arange(64)
    for step in range(50):
        assert not bool((draw_negatives("negative image", logits, keys(64), keys(64), state(step)) == own).any())


@pytest.mark.parametrize("world", [2, 4])
def test_processes_draw_what_one_process_draws(world: int) -> None:
    logits = torch.randn(32, 32, generator=torch.Generator().manual_seed(0)) * 4
    whole = draw_negatives("negative text", logits, keys(32), keys(32), state(step=5))
    share = 32 // world
    parts = [
        draw_negatives(
            "negative text",
            logits[rank * share : (rank + 1) * share],
            keys(32)[rank * share : (rank + 1) * share],
            keys(32),
            state(step=5, rank=rank, world=world),
        )
        for rank in range(world)
    ]
    assert torch.equal(torch.cat(parts), whole)
    assert len(whole.unique()) > 8


def test_another_order_of_the_batch_draws_the_same_pairs() -> None:
    logits = torch.randn(20, 20, generator=torch.Generator().manual_seed(1)) * 3
    order = torch.randperm(20, generator=torch.Generator().manual_seed(2))
    straight = draw_negatives("negative text", logits, keys(20), keys(20), state(step=3))
    shuffled = draw_negatives("negative text", logits[order][:, order], keys(20)[order], keys(20)[order], state(step=3))
    assert torch.equal(order[shuffled], straight[order])


def test_images_and_texts_steps_and_seeds_draw_apart() -> None:
    logits = torch.zeros(200, 200)
    draws = [
        draw_negatives("negative text", logits, keys(200), keys(200), state(step=3)),
        draw_negatives("negative image", logits, keys(200), keys(200), state(step=3)),
        draw_negatives("negative text", logits, keys(200), keys(200), state(step=4)),
        draw_negatives("negative text", logits, keys(200), keys(200), state(step=3, seed=1)),
    ]
    for first in range(4):
        for second in range(first):
            assert int((draws[first] == draws[second]).sum()) < 10
