"""The only training loop: an objective and a feed of batches come in, trained weights and their log go out.

Pre-training and fine-tuning are objectives handed to it. It runs on accelerate: one process or many, in float32, bf16
or fp16. A run that is killed at any moment and started again goes on from its last checkpoint as if nothing had been.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object

from openmmlo.errors import TrainingRefused, TrainingStopped
from openmmlo.train.batch import Batch
from openmmlo.train.batch_norm import synchronise_batch_norm
from openmmlo.train.checkpoint import load_checkpoint, random_states, restore_random_states, save_checkpoint
from openmmlo.train.feed import Feed
from openmmlo.train.logs import (
    LOG,
    NO_TENSORBOARD,
    VALIDATION,
    CsvLog,
    Row,
    TrainingProgress,
    Window,
    rounded,
    tensorboard,
)
from openmmlo.train.objective import Objective
from openmmlo.train.optimiser import build_optimiser, gradient_norm, set_learning_rate, trained_parameters
from openmmlo.train.processes import memory_mb, seed_everything, shared
from openmmlo.train.recipe import Precision, Recipe
from openmmlo.train.schedule import check_schedule, learning_rate
from openmmlo.train.state import StepState
from openmmlo.writing import write_aside

NON_FINITE = "non-finite.json"


@dataclass(frozen=True)
class LoopSettings:
    """What the loop needs of a recipe; see :class:`~openmmlo.train.recipe.Recipe`."""

    steps: int
    lr: float
    min_lr: float = 0.0
    warmup_steps: int = 0
    beta1: float = 0.9
    beta2: float = 0.98
    weight_decay: float = 0.05
    clip_norm: float | None = None
    precision: Precision = "fp32"
    seed: int = 0
    log_every: int = 50
    validate_every: int = 0
    save_every: int = 1000

    def __post_init__(self) -> None:
        check_schedule(self.steps, self.warmup_steps)

    @classmethod
    def of(cls, recipe: Recipe, steps_an_epoch: int) -> LoopSettings:
        """Those of a recipe; ``epochs`` become steps."""
        steps = recipe.steps if recipe.steps is not None else (recipe.epochs or 0) * steps_an_epoch
        return cls(
            steps, recipe.lr, recipe.min_lr, recipe.warmup_steps, recipe.beta1, recipe.beta2, recipe.weight_decay,
            recipe.clip_norm, recipe.precision, recipe.seed, recipe.log_every, recipe.validate_every,
            recipe.save_every,
        )  # fmt: skip


@dataclass(frozen=True)
class Trained:
    """How a run went.

    Attributes:
        steps: of the run.
        last: the last value of every column of the log.
        seconds: of all its parts together, validation and checkpoints included.
        waiting: share of the steps' time that the loop waited for batches.
        skipped: steps whose gradient overflowed in fp16, which change no weight.
        resumed: the step it went on from; 0 where it ran through.
    """

    steps: int
    last: Row
    seconds: float
    waiting: float
    skipped: int = 0
    resumed: int = 0


@dataclass
class _Counts:
    """What a run has added up; all of it is in a checkpoint."""

    window: Window = field(default_factory=Window)
    seconds: float = 0.0  # of earlier parts of the run
    stepping: float = 0.0  # seconds within steps
    waited: float = 0.0  # of these, for batches
    skipped: int = 0
    window_stepping: float = 0.0
    window_waited: float = 0.0

    def state(self) -> dict[str, Any]:
        values = {name: value for name, value in vars(self).items() if name != "window"}
        return values | {"window": self.window.state()}

    @classmethod
    def restored(cls, state: dict[str, Any], device: torch.device) -> _Counts:
        return cls(**state | {"window": Window.restored(state["window"], device)})


@dataclass(frozen=True, eq=False)
class _Watched:
    """What must be finite of one step: looked at once the device has computed it."""

    state: StepState
    losses: torch.Tensor
    norm: torch.Tensor
    sample_ids: list[tuple[str, ...]]
    lr: float


def train(
    objective: Objective,
    feed: Feed,
    settings: LoopSettings,
    folder: Path,
    accelerator: Accelerator,
    progress: TrainingProgress,
    state_folder: Path | None = None,
) -> Trained:
    """Train to the end of the run, from its last checkpoint where there is one.

    Args:
        folder: ``log.csv`` and TensorBoard's files go there.
        state_folder: the checkpoint goes there; ``folder`` where None. All processes must see it.

    Raises:
        ConfigError: nothing is trained; a batch that does not part over the processes.
        TrainingStopped: a loss or a gradient that is no number; what it was computed from stands in a file.
        TrainingRefused: a damaged checkpoint, or one that some process does not see.
    """
    return _Run(objective, feed, settings, folder, accelerator, progress, state_folder or folder).train()


Measure = Callable[[Batch], Mapping[str, tuple[Any, Any]]]
"""What :meth:`Objective.validate` gives of a batch."""


def validated(measure: Measure, feed: Feed, accelerator: Accelerator, rank: int, world: int) -> dict[str, float]:
    """Measures over what is held out, over ``world`` processes, as columns of the log; none without it."""
    totals: dict[str, torch.Tensor] = {}
    with torch.no_grad(), accelerator.autocast():
        for batch in feed.validation(rank, world, accelerator.device):
            for name, found in measure(batch).items():
                pair = torch.stack([torch.as_tensor(part, dtype=torch.float64) for part in found])
                totals[name] = totals[name] + pair if name in totals else pair
    if world > 1:
        shares = gather_object([totals])
        totals = {
            name: torch.stack([share[name] for share in shares if name in share]).sum(0)
            for name in sorted({name for share in shares for name in share})
        }
    counted = {f"{VALIDATION}{name}": pair[:, pair[1] > 0] for name, pair in totals.items()}
    return {name: float((pair[0] / pair[1]).mean()) for name, pair in counted.items() if pair.numel()}


class _Run:
    """One call of :func:`train`."""

    def __init__(
        self, objective: Objective, feed: Feed, settings: LoopSettings, folder: Path, accelerator: Accelerator,
        progress: TrainingProgress, state_folder: Path,
    ) -> None:  # fmt: skip
        self.objective = objective
        self.feed, self.settings, self.accelerator, self.progress = feed, settings, accelerator, progress
        self.folder, self.state_folder = folder, state_folder
        self.device = accelerator.device
        self.rank, self.world = accelerator.process_index, accelerator.num_processes
        self.order = feed.order
        self.order.check_processes(self.world)
        self.counts = _Counts()
        self.last: Row = {}
        self.began = time.monotonic()
        # A step's losses are looked at when the next one is under way, so that an accelerator never stands still.
        self.lag = self.device.type == "cuda"
        self.pending: _Watched | None = None

    def train(self) -> Trained:
        settings, progress = self.settings, self.progress
        self.objective.to(self.device)
        if not synchronise_batch_norm(self.objective, self.world, self.device):
            progress.say("Some BatchNorm layers are of a kind that is not synchronised here: each sees its own rows.")
        optimiser = build_optimiser(self.objective, settings.lr, settings.beta1, settings.beta2, settings.weight_decay)
        self.parameters = trained_parameters(optimiser)
        first = self._resume(optimiser)
        self.model = shared(self.objective, self.accelerator)
        self.optimiser = self.accelerator.prepare_optimizer(optimiser, device_placement=False)
        log = CsvLog(self.folder / LOG, first) if self.accelerator.is_main_process else None
        board = tensorboard(self.folder / "tensorboard", first) if log is not None else None
        if log is not None and board is None:
            progress.say(NO_TENSORBOARD)
        self.log, self.board = log, board
        if log is not None and log.rows:
            self.last = {name: value for row in log.rows for name, value in row.items()}
        size = self.order.batch_size
        progress.start(settings.steps * size, first * size)
        try:
            self._steps(first)
        finally:
            progress.close()
            if board is not None:
                board.close()
        counts = self.counts
        waiting = counts.waited / counts.stepping if counts.stepping else 0.0
        return Trained(settings.steps, self.last, self._seconds(), waiting, counts.skipped, first)

    def _steps(self, first: int) -> None:
        settings = self.settings
        self.objective.train()
        batches = self.feed.training(first, settings.steps, self.rank, self.world, self.device)
        for step in range(first, settings.steps):
            self._step(step, batches)
            done = step + 1
            ends = done == settings.steps
            if done % settings.log_every == 0 or ends:
                self._write_row(done)
            if ends or (settings.validate_every and done % settings.validate_every == 0):
                self._validate(done)
            if settings.save_every and (ends or done % settings.save_every == 0):
                self._save(done)
            self.progress.advance(self.order.batch_size, 0)

    def _step(self, step: int, batches: Iterator[Batch]) -> None:
        began = time.perf_counter()
        settings, order, accelerator = self.settings, self.order, self.accelerator
        state = self._state(step)
        lr = learning_rate(step, settings.steps, settings.lr, settings.min_lr, settings.warmup_steps)
        set_learning_rate(self.optimiser, lr)
        self.objective.before_step(state)
        waited = 0.0
        losses: list[torch.Tensor] = []
        ids: list[tuple[str, ...]] = []
        for index in range(order.accumulation):
            asked = time.perf_counter()
            batch = next(batches)
            waited += time.perf_counter() - asked
            together = index == order.accumulation - 1  # processes add up their gradients once a step
            with nullcontext() if together else accelerator.no_sync(self.model):
                values = self.model(batch, state)
                accelerator.backward(values["loss"] / order.accumulation)
            self.counts.window.add(values)
            losses.append(values["loss"].detach())
            ids.append(batch.sample_ids)
        accelerator.unscale_gradients(self.optimiser)
        norm = gradient_norm(self.parameters, settings.clip_norm)
        watched = _Watched(state, torch.stack(losses).float(), norm.detach().float(), ids, lr)
        if not self.lag:
            self._look_at(watched)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        if accelerator.optimizer_step_was_skipped:
            self.counts.skipped += 1
        self.objective.after_step(state)
        if self.lag:
            self._look_at_pending()
            self.pending = watched
        self.last_norm = watched.norm
        spent = time.perf_counter() - began
        counts = self.counts
        counts.stepping, counts.waited = counts.stepping + spent, counts.waited + waited
        counts.window_stepping, counts.window_waited = counts.window_stepping + spent, counts.window_waited + waited

    def _state(self, step: int) -> StepState:
        epoch, within = self.order.place(step)
        share = within / self.order.steps_an_epoch
        return StepState(self.settings.seed, step, epoch, share, self.settings.steps, self.rank, self.world)

    def _look_at_pending(self) -> None:
        if self.pending is not None:
            self._look_at(self.pending)
            self.pending = None

    def _look_at(self, watched: _Watched) -> None:
        """Stop every process where a loss, or in bf16 and float32 a gradient, of any is no number."""
        good = torch.isfinite(watched.losses).all()
        if self.settings.precision != "fp16":  # there an overflow is expected, and its step is skipped
            good = good & torch.isfinite(watched.norm)
        if self.world > 1:
            counted = self.accelerator.reduce(good.to(torch.float32), "sum")
            good = counted == self.world
        if not bool(good):
            self._stop(watched)

    def _stop(self, watched: _Watched) -> None:
        state = watched.state
        batches = [
            {"process": self.rank, "batch": index, "loss": str(float(loss)), "sample_ids": list(ids)}
            for index, (loss, ids) in enumerate(zip(watched.losses, watched.sample_ids, strict=True))
        ]
        everything = gather_object(batches) if self.world > 1 else batches
        bad = [item for item in everything if item["loss"] in {"nan", "inf", "-inf"}]
        what = f"the loss is {bad[0]['loss']}" if bad else f"the norm of the gradient is {float(watched.norm)}"
        path = self.folder / NON_FINITE
        if self.accelerator.is_main_process:
            content = {
                "reason": what, "step": state.step + 1, "epoch": state.epoch, "lr": watched.lr,
                "gradient_norm": str(float(watched.norm)), "precision": self.settings.precision,
                "batches": bad or everything,
            }  # fmt: skip
            write_aside(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
        raise TrainingStopped(
            f"Step {state.step + 1} of {state.steps}: {what}, at a learning rate of {watched.lr:.3g}. The ids of the "
            f"samples it was computed from are in {path}; the last checkpoint is kept. Usual causes: too high a "
            "learning rate (--set lr=...), no clipping (--set clip_norm=1), fp16 (--set precision=bf16), or a sample "
            "among these that is broken."
        )

    def _write_row(self, done: int) -> None:
        """One line of the log: means since the line before it, over all processes."""
        self._look_at_pending()
        counts, settings = self.counts, self.settings
        means = counts.window.means()
        if self.world > 1:
            means = self.accelerator.reduce(means, "mean")
        values = dict(zip(counts.window.sums, means.tolist(), strict=True))
        steps = counts.window.count // self.order.accumulation
        step = done - 1
        epoch, within = self.order.place(step)
        row: Row = {
            "step": done,
            "epoch": epoch + (within + 1) / self.order.steps_an_epoch,
            "lr": learning_rate(step, settings.steps, settings.lr, settings.min_lr, settings.warmup_steps),
            **values,
            "gradient_norm": float(self.last_norm),
            "samples_per_second": steps * self.order.batch_size / max(counts.window_stepping, 1e-9),
            "waiting": counts.window_waited / max(counts.window_stepping, 1e-9),
            "memory_mb": memory_mb(self.device),
            "seconds": self._seconds(),
        }
        counts.window = Window()
        counts.window_stepping = counts.window_waited = 0.0
        self._add(row)

    def _validate(self, done: int) -> None:
        """Measures over what is held out, over all processes; without it, nothing."""
        state = replace(self._state(done - 1), step=done)
        self.objective.eval()
        measured = validated(
            lambda batch: self.objective.validate(batch, state), self.feed, self.accelerator, self.rank, self.world
        )
        self.objective.train()
        if measured:
            self._add({"step": done, **measured})

    def _add(self, row: Row) -> None:
        row = {name: rounded(value) for name, value in row.items()}
        self.last |= row
        if self.log is None:
            return
        self.log.add(row)
        if self.board is not None:
            for name, value in row.items():
                if name != "step":
                    self.board.add_scalar(name, value, int(row["step"]))
        self.progress.note(row)

    def _seconds(self) -> float:
        return self.counts.seconds + time.monotonic() - self.began

    def _save(self, done: int) -> None:
        self._look_at_pending()
        states = [random_states(self.device)]
        everywhere = gather_object(states) if self.world > 1 else states
        if self.accelerator.is_main_process:
            scaler = self.accelerator.scaler
            content = {
                "step": done,
                "objective": self.objective.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "scaler": None if scaler is None else scaler.state_dict(),
                "counts": self.counts.state() | {"seconds": self._seconds()},
                "random": everywhere,
            }
            save_checkpoint(self.state_folder, content)
        self.accelerator.wait_for_everyone()

    def _resume(self, optimiser: torch.optim.Optimizer) -> int:
        """Take up the last checkpoint; the step to go on with."""
        found = load_checkpoint(self.state_folder)
        if self.world > 1:
            steps = gather_object([-1 if found is None else int(found["step"])])
            if len(set(steps)) > 1:
                raise TrainingRefused(
                    f"Not every process sees the same checkpoint in {self.state_folder}. --out must be a folder that "
                    "all machines share."
                )
        if found is None:
            seed_everything(self.settings.seed, self.rank)
            return 0
        self.objective.load_state_dict(found["objective"])
        optimiser.load_state_dict(found["optimiser"])
        if found["scaler"] is not None and self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(found["scaler"])
        self.counts = _Counts.restored(found["counts"], self.device)
        step = int(found["step"])
        if len(found["random"]) == self.world:
            restore_random_states(found["random"][self.rank], self.device)
        else:
            seed_everything(self.settings.seed, self.rank, step)
            self.progress.say(
                f"The checkpoint is of {len(found['random'])} processes and this run has {self.world}: the samples of "
                "each step stay the same, what is drawn at random (dropout) does not."
            )
        if step < self.settings.steps:
            self.progress.say(f"Going on from step {step:,} of {self.settings.steps:,}.")
        return step
