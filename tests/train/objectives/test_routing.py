"""The T-router on pictures of the miniature: one expert a sample, and every expert has samples."""

from __future__ import annotations

import io

import pytest
import torch
from objective_runs import optimiser_of, state_at, take_step
from PIL import Image

from openmmlo.models.thp.checkpoint import load_model
from openmmlo.models.thp.encoder import transform_of
from openmmlo.models.thp.opening import SHIPPED
from openmmlo.models.thp.router import first_choices
from openmmlo.sources import open_source
from openmmlo.train.batch import Batch, sample_keys
from openmmlo.train.objectives.finetune import Finetuning

EXPERTS, ROWS, STEPS = 4, 32, 70


@pytest.mark.slow
def test_top_1_routing_uses_every_expert() -> None:
    """The head alone is trained, on what the shipped model sees; at first nearly all samples go to one expert."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = load_model(
        SHIPPED / "thp-mini-pretrained", new_head=True, classes=50, experts=EXPERTS, router_top_k=1, reads="image",
        head_scale_start=8.0,
    )  # fmt: skip
    samples = list(open_source("miniature", {"largest": 6, "ratio": 3}).samples("train"))
    assert len({sample.label for sample in samples}) == 50
    transform = transform_of(model.config)
    pixels = torch.stack([transform(Image.open(io.BytesIO(sample.image.read()))) for sample in samples])
    labels, ids = torch.tensor([sample.label for sample in samples]), [sample.sample_id for sample in samples]

    @torch.no_grad()
    def shares() -> torch.Tensor:
        fused = model.fuse(model.image_tokens(pixels), *model.empty_captions(len(samples)))
        return first_choices(model.route(fused).probabilities)

    before = shares()
    objective = Finetuning(
        model, train_image_encoder=False, train_text_encoder=False, distill=False, scale_lr_factor=1.0
    ).train()
    optimiser = optimiser_of(objective, torch.optim.AdamW, 5e-3)
    for step in range(STEPS):
        rows = torch.randperm(len(samples))[:ROWS]
        own = tuple(ids[row] for row in rows.tolist())
        nothing = torch.zeros((ROWS, 0), dtype=torch.int64)
        batch = Batch(pixels[rows], nothing, nothing, labels[rows], own, sample_keys(own))
        take_step(objective, objective, batch, state_at(step), optimiser)
    after = shares()
    assert float(after.min()) > 0.4 / EXPERTS, after
    assert float(before.max()) > 2 / EXPERTS
