"""Small models, pairs and training steps for the objectives, on one process or on several."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from openmmlo.losses import make_feature_loss
from openmmlo.models.thp.architectures import config_for
from openmmlo.models.thp.configuration import ThpConfig
from openmmlo.models.thp.model import ThpModel
from openmmlo.train.batch import Batch, sample_keys
from openmmlo.train.objectives.finetune import Finetuning
from openmmlo.train.objectives.pretrain import Pretraining
from openmmlo.train.objectives.two_views import TwoViews
from openmmlo.train.state import StepState

CLS, SEP, FIRST_WORD, WORDS = 2, 3, 7, 60
STEPS_AN_EPOCH = 3


def small_model(seed: int = 0, width: int = 32, side: int = 16, **overrides: Any) -> ThpModel:
    """A T-hp model without dropout, ``side`` pixels wide, random by the seed."""
    options = {"img_size": side, "patch_size": 8, "embed_dim": width, "depth": 2, "num_heads": 2}
    values: dict[str, Any] = {
        "image_size": side,
        "image_encoder": "vit_tiny_patch16_224",
        "image_options": options,
        "vocab_size": WORDS,
        "text_width": width,
        "text_layers": 2,
        "text_heads": 2,
        "text_intermediate": 2 * width,
        "text_length": 16,
        "projection": 16,
        "dropout": 0.0,
    }
    torch.manual_seed(seed)
    return ThpModel(config_for("thp-mini", **values | overrides))


def pairs(count: int, seed: int = 0, side: int = 16, classes: int = 4) -> Batch:
    """Images of noise, each with a caption of 2 to 6 random words of its own."""
    random = torch.Generator().manual_seed(seed)
    tokens = torch.zeros(count, 8, dtype=torch.int64)
    mask = torch.zeros_like(tokens)
    for row in range(count):
        words = 2 + int(torch.randint(5, (), generator=random))
        tokens[row, 0] = CLS
        tokens[row, 1 : words + 1] = torch.randint(FIRST_WORD, WORDS, (words,), generator=random)
        tokens[row, words + 1] = SEP
        mask[row, : words + 2] = 1
    ids = tuple(f"pair {seed} {row}" for row in range(count))
    pixels = torch.randn(count, 3, side, side, generator=random)
    labels = torch.randint(classes, (count,), generator=random)
    return Batch(pixels, tokens, mask, labels, ids, sample_keys(ids))


def share(batch: Batch, rank: int, world: int) -> Batch:
    """What a process has of a global batch."""
    rows = len(batch) // world
    own = slice(rank * rows, (rank + 1) * rows)
    tensors = (batch.pixels, batch.tokens, batch.mask, batch.labels)
    return Batch(*(tensor[own] for tensor in tensors), batch.sample_ids[own], batch.keys[own])


def state_at(step: int, rank: int = 0, world: int = 1, seed: int = 5) -> StepState:
    epoch, within = divmod(step, STEPS_AN_EPOCH)
    return StepState(seed, step, epoch, within / STEPS_AN_EPOCH, 100, rank, world)


def optimiser_of(objective: Any, kind: Callable[..., torch.optim.Optimizer], lr: float) -> torch.optim.Optimizer:
    """Over the objective's groups, with their factors."""
    groups = [{"params": group["params"], "lr": lr * group["lr_factor"]} for group in objective.parameter_groups()]
    return kind(groups, lr=lr)


def take_step(objective: Any, called: nn.Module, batch: Batch, state: StepState, optimiser: Any) -> dict[str, Tensor]:
    """One step as the loop takes it; its losses."""
    objective.before_step(state)
    losses = called(batch, state)
    optimiser.zero_grad()
    losses["loss"].backward()
    optimiser.step()
    objective.after_step(state)
    return {name: value.detach().clone() for name, value in losses.items()}


def pretraining(**options: Any) -> Pretraining:
    model = small_model(similarity=options.pop("similarity", "thp"))
    return Pretraining(model, **{"queue_size": 24, "alpha_epochs": 1.0, "momentum": 0.9} | options)


def finetuning(**options: Any) -> Finetuning:
    own = {name: options.pop(name) for name in list(options) if name in ThpConfig.__annotations__}
    model = small_model(classes=4, **own)
    return Finetuning(model, **{"momentum": 0.9} | options)


class Doubled(TwoViews):
    """Makes the second view of each row itself: the first, half as bright."""

    def forward(self, batch: Batch, state: StepState) -> dict[str, Tensor]:
        return super().forward(doubled(batch), state)


def doubled(batch: Batch) -> Batch:
    twice = (torch.cat([part, part]) for part in (batch.tokens, batch.mask, batch.labels))
    keys = torch.cat([batch.keys, batch.keys])
    return Batch(torch.cat([batch.pixels, batch.pixels / 2]), *twice, batch.sample_ids * 2, keys)


def two_views(loss: str = "supcon", **options: Any) -> Doubled:
    model = small_model(classes=4, head="cosine", reads="image")
    return Doubled(model, make_feature_loss(loss, 4, 8, options), width=8)


OBJECTIVES: dict[str, Callable[..., Any]] = {
    "pretrain": pretraining,
    "finetune": finetuning,
    "two-views": two_views,
}


Run = tuple[str, dict[str, Any]]
"""An objective by name, and its options."""


def run(rank: int, world: int, folder: Path, runs: list[Run], steps: int, rows: int) -> None:
    """Steps of global batches of ``rows`` pairs; each run's losses, gradients and last state go to ``RANK.pt``."""
    torch.set_num_threads(1)
    if world > 1:
        dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=world)
    torch.save([steps_of(rank, world, *wanted, steps, rows) for wanted in runs], folder / f"{rank}.pt")
    if world > 1:
        dist.destroy_process_group()


def steps_of(rank: int, world: int, name: str, options: dict[str, Any], steps: int, rows: int) -> dict[str, Any]:
    objective = OBJECTIVES[name](**options).train()
    optimiser = optimiser_of(objective, torch.optim.SGD, 0.05)
    called: nn.Module = objective
    if world > 1:
        called = DistributedDataParallel(objective, broadcast_buffers=False, find_unused_parameters=objective.sparse)
    history = []
    for step in range(steps):
        batch = share(pairs(rows, seed=step), rank, world)
        losses = take_step(objective, called, batch, state_at(step, rank, world), optimiser)
        gradients = {key: value.grad.clone() for key, value in objective.named_parameters() if value.grad is not None}
        history.append({"losses": losses, "gradients": gradients})
    return {"history": history, "state": objective.state_dict()}


def run_processes(world: int, folder: Path, runs: list[Run], steps: int, rows: int) -> list[Any]:
    """What each of ``world`` processes wrote, a list over runs; one process is this one."""
    arguments = (world, folder, runs, steps, rows)
    if world == 1:
        run(0, *arguments)
    else:
        multiprocessing.spawn(run, args=arguments, nprocs=world)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(world)]
