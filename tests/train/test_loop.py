"""The loop on a tiny objective: accumulation, resume, stops, logs, and the order of its hooks."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from training import MemoryFeed, TinyObjective, final_state, run_loop, same, unclocked, weights_of

from openmmlo.errors import ConfigError, TrainingStopped
from openmmlo.train import loop
from openmmlo.train.logs import LOG, SilentTraining, read_log
from openmmlo.train.loop import NON_FINITE, LoopSettings
from openmmlo.train.order import Order
from openmmlo.train.recipe import PretrainRecipe
from openmmlo.train.state import StepState

NOISY = {"dropout": 0.3, "queue": 16}


def test_one_step_is_what_adamw_does_by_hand(tmp_path: Path) -> None:
    """The same step written out: forward, backward, Adam's first step, decoupled decay."""
    objective, _ = run_loop(tmp_path, steps=1, samples=8, lr=0.05)
    torch.manual_seed(0)
    from openmmlo.train.processes import seed_everything

    seed_everything(3)
    mine = TinyObjective()
    before = {name: value.clone() for name, value in mine.model.named_parameters()}
    feed = MemoryFeed(Order(8, 8, 1, 3))
    state = StepState(3, 0, 0, 0.0, 1)
    mine.before_step(state)
    mine(feed.batch(feed.order.global_batch(0)), state)["loss"].backward()
    for name, parameter in mine.model.named_parameters():
        head = name.startswith("head")
        lr, decay = (0.1, 0.0) if head else (0.05, 0.05)
        gradient = parameter.grad
        assert gradient is not None
        expected = before[name] * (1 - lr * decay) - lr * gradient / (gradient.abs() + 1e-8)
        if name == "head.bias":
            expected = expected.clamp(-1, 1)
        torch.testing.assert_close(
            dict(objective.model.named_parameters())[name].detach(), expected, rtol=1e-5, atol=1e-6
        )


@pytest.mark.parametrize("accumulation", [2, 4])
def test_accumulation_equals_the_large_batch(tmp_path: Path, accumulation: int) -> None:
    whole, trained = run_loop(tmp_path / "whole", clip_norm=0.5)
    parted, also = run_loop(tmp_path / "parted", accumulation=accumulation, clip_norm=0.5)
    for name, value in weights_of(whole).items():
        torch.testing.assert_close(weights_of(parted)[name], value, rtol=1e-5, atol=1e-6)
    assert trained.last["loss"] == pytest.approx(also.last["loss"], rel=1e-5)
    assert trained.last["gradient_norm"] == pytest.approx(also.last["gradient_norm"], rel=1e-4)
    assert [ids for _, ids in whole.batches] == [
        sum((ids for step, ids in parted.batches if step == wanted), ()) for wanted in range(9)
    ]


@pytest.mark.parametrize("stop", [1, 4, 5, 8])
def test_a_run_that_was_stopped_goes_on_bit_for_bit(tmp_path: Path, stop: int) -> None:
    """Stopped within step ``stop`` after its weights had changed; checkpoints are written every two steps."""
    undisturbed, trained = run_loop(tmp_path / "whole", validate_every=3, **NOISY)

    class Stopping(TinyObjective):
        def after_step(self, state: StepState) -> None:
            super().after_step(state)
            if state.step == stop:
                raise KeyboardInterrupt

    from openmmlo.train.processes import seed_everything

    seed_everything(3)
    with pytest.raises(KeyboardInterrupt):
        run_loop(tmp_path / "stopped", validate_every=3, objective=Stopping(0.3, 16))
    resumed, again = run_loop(tmp_path / "stopped", validate_every=3, **NOISY)
    assert again.resumed == stop // 2 * 2
    assert same(weights_of(resumed), weights_of(undisturbed))
    assert same(final_state(tmp_path / "stopped"), final_state(tmp_path / "whole"))
    assert unclocked(read_log(tmp_path / "stopped" / LOG)) == unclocked(read_log(tmp_path / "whole" / LOG))
    assert unclocked([again.last]) == unclocked([trained.last])
    assert undisturbed.batches[again.resumed :] == resumed.batches


def test_a_finished_run_trains_no_further_step(tmp_path: Path) -> None:
    first, trained = run_loop(tmp_path, **NOISY)
    again, also = run_loop(tmp_path, **NOISY)
    assert also.resumed == 9
    assert again.batches == []
    assert same(weights_of(first), weights_of(again))
    assert unclocked([also.last]) == unclocked([trained.last])


def test_a_run_may_keep_no_checkpoint(tmp_path: Path) -> None:
    kept, _ = run_loop(tmp_path / "kept", **NOISY)
    none, trained = run_loop(tmp_path / "none", save_every=0, **NOISY)
    assert not list((tmp_path / "none").glob("*.pt"))
    assert trained.resumed == 0
    assert same(weights_of(none), weights_of(kept))


def test_a_loss_that_is_no_number_stops_and_names_its_samples(tmp_path: Path) -> None:
    from openmmlo.train.processes import seed_everything

    seed_everything(3)
    objective = TinyObjective(broken_step=5)
    with pytest.raises(
        TrainingStopped, match=r"Step 6 of 9: the loss is nan, at a learning rate of .*non-finite\.json"
    ):
        run_loop(tmp_path, objective=objective)
    found = json.loads((tmp_path / NON_FINITE).read_text())
    assert (found["step"], found["reason"], found["epoch"]) == (6, "the loss is nan", 2)
    assert found["batches"] == [{"process": 0, "batch": 0, "loss": "nan", "sample_ids": list(objective.batches[-1][1])}]
    assert all(torch.isfinite(value).all() for value in weights_of(objective).values())  # the step was not taken
    assert final_state(tmp_path)["step"] == 4
    resumed, _ = run_loop(tmp_path)
    whole, _ = run_loop(tmp_path / "whole")
    assert same(weights_of(resumed), weights_of(whole))


def test_a_gradient_that_is_no_number_stops_too(tmp_path: Path) -> None:
    class Rooted(TinyObjective):
        def forward(self, batch: Any, state: StepState) -> dict[str, torch.Tensor]:
            values = super().forward(batch, state)
            root = (self.model.head.bias * 0).sum().sqrt()  # zero, with an infinite slope
            return values | {"loss": values["loss"] + root}

    with pytest.raises(TrainingStopped, match="the norm of the gradient is nan"):
        run_loop(tmp_path, objective=Rooted())
    assert len(json.loads((tmp_path / NON_FINITE).read_text())["batches"][0]["sample_ids"]) == 8


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses are looked at one step late, as on an accelerator."""
    begin = loop._Run.__init__

    def beginning(run: Any, *arguments: Any) -> None:
        begin(run, *arguments)
        run.lag = True

    monkeypatch.setattr(loop._Run, "__init__", beginning)


def test_looking_late_changes_nothing(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    soon, _ = run_loop(tmp_path / "soon", **NOISY)
    request.getfixturevalue("late")
    lately, _ = run_loop(tmp_path / "late", **NOISY)
    assert same(weights_of(soon), weights_of(lately))
    assert same(final_state(tmp_path / "soon"), final_state(tmp_path / "late"))


@pytest.mark.usefixtures("late")
@pytest.mark.parametrize(("broken", "kept"), [(4, 4), (5, 4), (8, 8)])
def test_looking_late_saves_no_broken_weights(tmp_path: Path, broken: int, kept: int) -> None:
    objective = TinyObjective(broken_step=broken)
    with pytest.raises(TrainingStopped, match=f"Step {broken + 1} of 9: the loss is nan"):
        run_loop(tmp_path, objective=objective)
    found = json.loads((tmp_path / NON_FINITE).read_text())
    ids = dict(objective.batches)[broken]
    assert [item["sample_ids"] for item in found["batches"]] == [list(ids)]
    assert final_state(tmp_path)["step"] == kept
    assert all(torch.isfinite(value).all() for value in final_state(tmp_path)["objective"].values())


def test_hooks_and_states_come_in_order(tmp_path: Path) -> None:
    seen: list[Any] = []

    class Watching(TinyObjective):
        def before_step(self, state: StepState) -> None:
            seen.append(("before", state))

        def forward(self, batch: Any, state: StepState) -> dict[str, torch.Tensor]:
            seen.append(("batch", state))
            assert self.training
            return super().forward(batch, state)

        def after_step(self, state: StepState) -> None:
            seen.append(("after", state))

        def validate(self, batch: Any, state: StepState) -> Any:
            seen.append(("validate", state))
            assert not self.training
            assert not torch.is_grad_enabled()
            return super().validate(batch, state)

    run_loop(tmp_path, objective=Watching(), accumulation=2, steps=3, validate=5, validate_every=2)
    assert [what for what, _ in seen] == [
        "before", "batch", "batch", "after",
        "before", "batch", "batch", "after", "validate", "validate",
        "before", "batch", "batch", "after", "validate", "validate",
    ]  # fmt: skip
    states = [state for what, state in seen if what == "before"]
    assert [(state.step, state.epoch, state.epoch_progress) for state in states] == [
        (0, 0, 0.0),
        (1, 0, 0.5),
        (2, 1, 0.0),
    ]
    assert [state.epochs_done for state in states] == [0.0, 0.5, 1.0]
    assert {(state.steps, state.seed, state.rank, state.world) for state in states} == {(3, 3, 0, 1)}


def test_the_log_says_means_rates_and_validation(tmp_path: Path) -> None:
    objective, trained = run_loop(tmp_path, steps=5, log_every=2, validate=6, validate_every=4, lr=0.05, warmup_steps=1)
    rows = read_log(tmp_path / LOG)
    assert [row["step"] for row in rows] == [2, 4, 5]
    assert [row["epoch"] for row in rows] == [1.0, 2.0, 2.5]
    assert rows[0]["lr"] == pytest.approx(0.05)
    assert all(row["loss"] == pytest.approx(row["classes"] + 0.1 * row["pull"], rel=1e-4) for row in rows)
    assert ["validation_accuracy" in row for row in rows] == [False, True, True]
    feed = MemoryFeed(Order(20, 8, 1, 3))
    objective.eval()
    found = objective.validate(feed.batch(range(6)), StepState(3, 5, 2, 0.5, 5))
    assert rows[-1]["validation_accuracy"] == pytest.approx(found["accuracy"][0] / 6)
    shares = [int(right) / int(count) for right, count in zip(*found["accuracy_classes"], strict=True) if count]
    assert rows[-1]["validation_accuracy_classes"] == pytest.approx(sum(shares) / len(shares))
    assert 1 < len(shares) <= 3
    assert all(0 <= row["waiting"] < 1 and row["samples_per_second"] > 0 and row["memory_mb"] > 50 for row in rows)
    assert trained.last == pytest.approx(
        rows[-1] | {name: trained.last[name] for name in trained.last if name not in rows[-1]}
    )
    assert 0 <= trained.waiting < 1


def test_waiting_for_batches_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    batch = MemoryFeed.batch

    def slow(feed: MemoryFeed, at: Any) -> Any:
        time.sleep(0.02)
        return batch(feed, at)

    monkeypatch.setattr(MemoryFeed, "batch", slow)
    _, trained = run_loop(tmp_path, steps=4, validate=0)
    assert trained.waiting > 0.5


def test_bf16_computes_in_bf16_and_keeps_float32_weights(tmp_path: Path) -> None:
    kinds = set()

    class Watching(TinyObjective):
        def forward(self, batch: Any, state: StepState) -> dict[str, torch.Tensor]:
            kinds.add(self.model.head(torch.zeros(1, 8)).dtype)
            return super().forward(batch, state)

    objective, trained = run_loop(tmp_path, objective=Watching(), precision="bf16", steps=3)
    assert kinds == {torch.bfloat16}
    assert {value.dtype for value in weights_of(objective).values()} == {torch.float32}
    assert trained.last["loss"] > 0


def test_what_cannot_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="warmup_steps is 9 of 9 steps"):
        run_loop(tmp_path, warmup_steps=9)
    with pytest.raises(ConfigError, match="fp16', which"):
        run_loop(tmp_path, precision="fp16")


def test_epochs_become_steps() -> None:
    recipe = PretrainRecipe(steps=None, epochs=3, warmup_steps=5)
    assert LoopSettings.of(recipe, 7).steps == 21
    assert LoopSettings.of(PretrainRecipe(), 7).steps == 400_000


def test_progress_counts_samples_and_hears_numbers(tmp_path: Path) -> None:
    class Hearing(SilentTraining):
        def __init__(self) -> None:
            self.heard: list[Any] = []

        def start(self, total: int, done: int) -> None:
            self.heard.append((total, done))

        def advance(self, rows: int, failed: int) -> None:
            self.heard.append(rows)

        def note(self, values: Any) -> None:
            self.heard.append(sorted(values)[:1])

        def say(self, message: str) -> None:
            self.heard.append(message)

    hearing = Hearing()
    run_loop(tmp_path, steps=4, progress=hearing, validate=0)
    assert (32, 0) in hearing.heard
    assert [item for item in hearing.heard if isinstance(item, int)] == [8] * 4
    assert len([item for item in hearing.heard if isinstance(item, list)]) == 2
    run_loop(tmp_path, steps=4, progress=hearing, validate=0)
    assert (32, 32) in hearing.heard


def test_tensorboard_gets_every_number_where_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Any] = []

    class Writer:
        def __init__(self, folder: str, purge_step: int | None) -> None:
            written.append((Path(folder).name, purge_step))

        def add_scalar(self, name: str, value: float, step: int) -> None:
            written.append((name, value, step))

        def close(self) -> None:
            written.append("closed")

    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    _, trained = run_loop(tmp_path, steps=2)
    assert written[0] == ("tensorboard", None)
    assert written[-1] == "closed"
    assert ("loss", trained.last["loss"], 2) in written
    assert ("validation_accuracy", trained.last["validation_accuracy"], 2) in written
    run_loop(tmp_path, steps=4)
    assert ("tensorboard", 2) in written
