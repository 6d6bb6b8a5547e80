"""A few pairs are learnt by heart: who belongs to whom, every word of a caption, every class.

Images are noise and captions random words, so nothing can be right but by memory of each pair.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from objective_runs import optimiser_of, pairs, small_model, state_at, take_step

from openmmlo.train.batch import Batch
from openmmlo.train.objectives.finetune import Finetuning
from openmmlo.train.objectives.pretrain import Pretraining

PAIRS = 64


def learn(objective: Any, batch: Batch, lr: float, steps: int) -> dict[str, float]:
    """Steps on one batch at a falling rate; the last losses."""
    objective.train()
    optimiser = optimiser_of(objective, torch.optim.AdamW, lr)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, total_iters=steps)
    for step in range(steps):
        losses = take_step(objective, objective, batch, state_at(step), optimiser)
        schedule.step()
    objective.eval()
    return {name: float(value) for name, value in losses.items()}


@pytest.mark.slow
def test_pretraining_finds_every_partner_and_writes_every_caption() -> None:
    batch = pairs(PAIRS, side=32)
    assert len({tuple(row) for row in batch.tokens.tolist()}) == PAIRS
    # No queue: it would hold older keys of the same pairs, as negatives.
    objective = Pretraining(small_model(width=48, side=32, projection=32), queue_size=0, momentum=0.9)
    learn(objective, batch, 3e-3, 140)
    found = objective.validate(batch, state_at(0))
    assert found["image_to_text"] == (PAIRS, PAIRS)
    assert found["text_to_image"] == (PAIRS, PAIRS)
    written = objective.model.generate_captions(batch.pixels)
    for row in range(PAIRS):
        caption = batch.tokens[row, 1:][batch.mask[row, 1:].bool()]
        assert torch.equal(written[row, : len(caption)], caption)


@pytest.mark.slow
def test_matching_learns_to_tell_hard_pairs() -> None:
    model = small_model(width=48, side=32, projection=32)
    objective = Pretraining(model, queue_size=0, momentum=0.9, lm=False)
    losses = learn(objective, pairs(16, side=32), 3e-3, 160)
    assert losses["itm"] < 0.3  # answering by the share of true pairs, a third, gives 0.637


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"experts": 3, "router_top_k": 1}], ids=str)
def test_finetuning_learns_every_class_with_captions_and_without(options: dict[str, Any]) -> None:
    batch = pairs(PAIRS, side=32, classes=8)
    model = small_model(width=48, side=32, classes=8, head_scale_start=10.0, **options)
    objective = Finetuning(model, train_image_encoder=True, caption_dropout=0.5, momentum=0.9, scale_lr_factor=10.0)
    centres = model.head.centres.detach().clone()
    learn(objective, batch, 3e-3, 90)
    found = objective.validate(batch, state_at(0))
    assert found["top1"] == found["top1_image_only"] == (PAIRS, PAIRS)
    assert bool((centres != model.head.centres).any(dim=1).all())
