"""A tiny objective, batches from memory and runs in processes of their own, for tests of training."""

from __future__ import annotations

import copy
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from openmmlo.train import checkpoint
from openmmlo.train.batch import Batch, sample_keys
from openmmlo.train.logs import SilentTraining
from openmmlo.train.loop import LoopSettings, Trained, train
from openmmlo.train.order import Order, part
from openmmlo.train.processes import seed_everything, start_processes
from openmmlo.train.state import StepState

SIZE, CLASSES, WIDTH = 4, 3, 8


class TinyModel(nn.Module):
    """Pixels of a 4 x 4 image and the sum of its tokens -> logits of three classes."""

    def __init__(self, normed: bool = False) -> None:
        super().__init__()
        self.config = SimpleNamespace(
            image_size=SIZE, image_mean=(0.5,) * 3, image_std=(0.5,) * 3, interpolation="bicubic", vocab_size=50
        )
        # Before a norm a bias has no gradient but rounding, which Adam would blow up to steps of full size.
        self.body = nn.Linear(3 * SIZE * SIZE, WIDTH, bias=not normed)
        self.norm = nn.BatchNorm1d(WIDTH) if normed else nn.Identity()
        self.words = nn.Embedding(50, WIDTH)
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, batch: Batch) -> torch.Tensor:
        words = (self.words(batch.tokens) * batch.mask.unsqueeze(-1)).sum(1)
        return torch.tanh(self.norm(self.body(batch.pixels.flatten(1))) + words)


class TinyObjective(nn.Module):
    """Cross-entropy with everything that a resume must bring back: dropout, a momentum copy, a queue."""

    sparse = False

    def __init__(self, dropout: float = 0.0, queue: int = 0, broken_step: int = -1, normed: bool = False) -> None:
        super().__init__()
        self.model = TinyModel(normed)
        self.teacher = copy.deepcopy(self.model).requires_grad_(False)
        self.dropout = nn.Dropout(dropout)
        self.queue: torch.Tensor | None
        self.register_buffer("queue", torch.zeros(queue, WIDTH) if queue else None)
        self.broken_step = broken_step
        self.batches: list[tuple[int, tuple[str, ...]]] = []

    def forward(self, batch: Batch, state: StepState) -> dict[str, torch.Tensor]:
        self.batches.append((state.step, batch.sample_ids))
        features = self.dropout(self.model(batch))
        loss = nn.functional.cross_entropy(self.model.head(features), batch.labels)
        with torch.no_grad():
            keys = self.teacher(batch)
        pull = (features - keys).square().mean()
        if self.queue is not None:
            pull = pull + (features @ self.queue.clone().T).square().mean()
            self.queue.copy_(torch.cat([keys, self.queue])[: len(self.queue)])
        if state.step == self.broken_step:
            loss = loss * float("nan")
        return {"loss": loss + 0.1 * pull, "classes": loss.detach(), "pull": pull.detach()}

    def parameter_groups(self) -> list[dict[str, Any]]:
        return [
            {"params": [*self.model.body.parameters(), *self.model.norm.parameters(), *self.model.words.parameters()]},
            {"params": list(self.model.head.parameters()), "lr_factor": 2.0, "weight_decay": 0.0},
        ]

    def before_step(self, state: StepState) -> None:
        with torch.no_grad():
            for mine, theirs in zip(self.teacher.parameters(), self.model.parameters(), strict=True):
                mine.lerp_(theirs, 0.1)

    def after_step(self, state: StepState) -> None:
        with torch.no_grad():
            self.model.head.bias.clamp_(-1, 1)

    def validate(self, batch: Batch, state: StepState) -> Mapping[str, tuple[Any, Any]]:
        right = self.model.head(self.model(batch)).argmax(1) == batch.labels
        found = batch.labels[right].bincount(minlength=CLASSES + 1), batch.labels.bincount(minlength=CLASSES + 1)
        return {"accuracy": (float(right.sum()), len(batch)), "accuracy_classes": found}


class MemoryFeed:
    """Made-up pairs; the same for the same number of samples."""

    def __init__(self, order: Order, validate: int = 0) -> None:
        self.order = order
        generator = torch.Generator().manual_seed(7)
        self.pixels = torch.randn(order.samples, 3, SIZE, SIZE, generator=generator)
        self.tokens = torch.randint(50, (order.samples, 5), generator=generator)
        self.labels = torch.randint(CLASSES, (order.samples,), generator=generator)
        self.validate = validate

    def batch(self, at: Any) -> Batch:
        at = torch.as_tensor(at)
        ids = tuple(f"sample-{int(position)}" for position in at)
        tokens = self.tokens[at]
        return Batch(self.pixels[at], tokens, torch.ones_like(tokens), self.labels[at], ids, sample_keys(ids))

    def training(self, first: int, steps: int, rank: int, world: int, device: torch.device) -> Iterator[Batch]:
        for step in range(first, steps):
            for index in range(self.order.accumulation):
                whole = self.order.global_batch(step)
                yield self.batch(part(whole, self.order.accumulation, index, rank, world))

    def validation(self, rank: int, world: int, device: torch.device) -> Iterator[Batch]:
        for start in range(rank * 4, self.validate, 4 * world):
            yield self.batch(range(start, min(start + 4, self.validate)))


def run_loop(
    out: Path,
    *,
    samples: int = 20,
    batch_size: int = 8,
    accumulation: int = 1,
    validate: int = 6,
    objective: TinyObjective | None = None,
    dropout: float = 0.0,
    queue: int = 0,
    normed: bool = False,
    seed: int = 3,
    progress: Any = None,
    **settings: Any,
) -> tuple[TinyObjective, Trained]:
    """Train the tiny objective on the CPU; ``settings`` are of LoopSettings."""
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    chosen = LoopSettings(**{"steps": 9, "lr": 0.05, "log_every": 2, "save_every": 2, "seed": seed} | settings)
    accelerator = start_processes("cpu", chosen.precision)
    seed_everything(seed)
    objective = objective or TinyObjective(dropout, queue, normed=normed)
    feed = MemoryFeed(Order(samples, batch_size, accumulation, seed), validate)
    return objective, train(objective, feed, chosen, out, accelerator, progress or SilentTraining())


def weights_of(objective: nn.Module) -> dict[str, torch.Tensor]:
    """Everything in its state_dict, copied."""
    return {name: value.clone() for name, value in objective.state_dict().items()}


def final_state(out: Path) -> dict[str, Any]:
    """The last checkpoint without what only a clock decides."""
    content = checkpoint.load_checkpoint(out)
    assert content is not None
    counts = {name: content["counts"][name] for name in ("window", "skipped")}
    return {**content, "counts": counts}


def same(left: Any, right: Any) -> bool:
    """Whether two nested values are equal, tensors bit for bit."""
    if isinstance(left, torch.Tensor):
        return isinstance(right, torch.Tensor) and left.dtype == right.dtype and torch.equal(left, right)
    if isinstance(left, Mapping):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


CLOCKED = ("samples_per_second", "waiting", "memory_mb", "seconds")


def unclocked(rows: list[dict[str, float]]) -> list[dict[str, float]]:
    """Rows of a log without what only a clock or the machine decides."""
    return [{name: value for name, value in row.items() if name not in CLOCKED} for row in rows]


def processes() -> Any:
    """Where processes come from that start with torch loaded already, and what its optimisers load when first used."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch._dynamo", "openmmlo.train.loop", "openmmlo.models.thp.model"])
    return context


def die() -> None:
    """What a machine that loses power does to a process."""
    os.kill(os.getpid(), signal.SIGKILL)


def killed_run(out: Path, moment: str, settings: dict[str, Any]) -> None:
    """Run the loop in this process until it is killed at a moment: ``step:N``, ``aside:N``, ``renamed:N``, ``log:N``.

    N is the step within which it dies, or after which a checkpoint or a line of the log is being written. ``slow:N``
    takes N milliseconds a step and does not die by itself.
    """
    kind, _, number = moment.partition(":")
    at = int(number)
    seed_everything(settings.get("seed", 3))
    objective = TinyObjective(settings.pop("dropout", 0.0), settings.pop("queue", 0))
    after = objective.after_step

    def after_step(state: StepState) -> None:
        if kind == "step" and state.step == at:
            die()
        if kind == "slow":
            time.sleep(at / 1000)
        after(state)

    objective.after_step = after_step  # type: ignore[method-assign]
    if kind in {"aside", "renamed"}:
        import openmmlo.train.loop as loop

        def saving(folder: Path, content: Mapping[str, Any]) -> None:
            if content["step"] != at:
                checkpoint.save_checkpoint(folder, content)
            elif kind == "renamed":
                checkpoint.save_checkpoint(folder, content)
                die()
            else:
                (folder / f".{checkpoint.NAME}.tmp").write_bytes(b"half of a checkpoint")
                die()

        loop.save_checkpoint = saving
    if kind == "log":
        from openmmlo.train.logs import CsvLog

        add = CsvLog.add

        def writing(log: CsvLog, row: Any) -> None:
            add(log, row)
            if row["step"] == at:
                with log.path.open("a", encoding="utf-8") as file:
                    file.write("12,0.5,0.0")
                die()

        CsvLog.add = writing  # type: ignore[method-assign]
    run_loop(out, objective=objective, **settings)


def joins(rank: int, world: int, port: int) -> None:
    """Make this process one of several, as torchrun does."""
    torch.set_num_threads(1)
    os.environ |= {
        "RANK": str(rank), "WORLD_SIZE": str(world), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(world),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1",
    }  # fmt: skip


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def one_of(rank: int, world: int, port: int, out: Path, settings: dict[str, Any]) -> None:
    """One of several processes that train together on the CPU; each leaves its batches and weights in a file.

    All end within step ``stop``, where that is among the settings.
    """
    joins(rank, world, port)
    stop = settings.pop("stop", None)
    seed_everything(settings.get("seed", 3))
    objective = TinyObjective(settings.pop("dropout", 0.0), normed=settings.pop("normed", False))
    after = objective.after_step

    def after_step(state: StepState) -> None:
        if state.step == stop:
            os._exit(7)
        after(state)

    objective.after_step = after_step  # type: ignore[method-assign]
    objective, trained = run_loop(out, objective=objective, **settings)
    found = {"weights": weights_of(objective), "batches": objective.batches, "last": trained.last}
    torch.save(found, out / f"rank{rank}.pt")
