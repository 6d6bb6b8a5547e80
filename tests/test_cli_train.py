"""The training commands at a terminal: their help, completion, progress and what they print."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from openmmlo.cli import INTERNAL_ERROR, main
from openmmlo.cli_train import _command, finetune_recipes, pretrain_recipes
from openmmlo.records import Finding
from openmmlo.terminal_train import TrainingBar, show_dry_run, show_outcome
from openmmlo.train.dry_run import DryRun
from openmmlo.train.outcome import Outcome


@pytest.mark.parametrize("command", ["pretrain", "finetune"])
def test_help_has_headings_and_every_option_once(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    said = capsys.readouterr().out
    for heading in ("Arguments:", "What is trained, on what:", "What goes out:", "How it runs:"):
        assert said.count(heading) == 1
    for name in ("data", "out", "set", "seed", "device", "dry-run", "cache", "json", "quiet"):
        assert said.count(f"\n  --{name}") == 1
    assert ("--weights" in said) == (command == "finetune")


def test_recipes_are_completed_and_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert "imagenet-lt-released" in pretrain_recipes()
    assert "imagenet-lt-only-finetuning" in finetune_recipes()
    done = subprocess.run(
        [sys.executable, "-m", "openmmlo"], capture_output=True, text=True, check=False,
        env={**os.environ, "_OPENMMLO_COMPLETE": "complete_bash", "COMP_WORDS": "openmmlo finetune imagenet-lt-o",
             "COMP_CWORD": "2"},
    )  # fmt: skip
    assert done.stdout.split() == ["imagenet-lt-only-finetuning"]
    assert main(["list", "pretraining"]) == 0
    said = capsys.readouterr().out
    assert "thp-mini" in said
    assert "T-hp pre-training on ImageNet-LT with ViT-B/16" in said


def test_the_bar_says_samples_loss_memory_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    stream = io.StringIO()
    bar = TrainingBar(stream, seconds=30)
    bar.start(6400, 3200)
    now[0] += 20
    bar.advance(1280, 0)
    bar.note({"loss": 1.25, "memory_mb": 2345.0, "step": 70})
    now[0] += 20
    bar.advance(1280, 0)
    bar.close()
    assert stream.getvalue().splitlines() == [
        "5,760 of 6,400 samples, 64.0 samples/s, 10 s left, loss 1.25, 2.3 GB"
    ] * 2  # fmt: skip


def test_the_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True)
    bar = TrainingBar(stream)
    bar.start(100, 0)
    bar.note({"loss": 0.5})
    bar.advance(50, 0)
    bar.say("a word")
    bar.close()
    said = stream.getvalue()
    assert "loss 0.5" in said
    assert "samples" in said
    assert "failed" not in said
    assert "a word" in said


def test_a_dry_run_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    findings = (Finding("warning", "2 classes have no image", "Look."), Finding("error", "no split"))
    found = DryRun(
        "pretrain", "Table 1", {"loss": "itc + lm", "sampler": "instance"}, {"training": 1200, "validation": 60}, 400,
        2.5, 160, 64, 2,
        {"image_encoder": (1_000_000, 0), "head": (2_000, 2_000)}, {"weights": 4_000_000, "total": 5_000_000},
        "counted", findings,
    )  # fmt: skip
    show_dry_run(found)
    said = capsys.readouterr().out
    assert "Aims at: Table 1" in said
    assert "Method:  loss itc + lm, sampler instance\n" in said
    assert "1,200 for training, 60 for validation" in said
    assert "400 steps of 64 samples, in 2 accumulated batches: 2.50 epochs of 160 steps" in said
    assert "together       1,002,000    2,000" in said
    assert said.splitlines()[-1] == "This would be refused. Nothing was trained."
    show_dry_run(DryRun("pretrain", "none"))
    assert capsys.readouterr().out == "Aims at: none\nNothing was trained.\n"


def test_a_pipe_that_breaks_while_training_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(recipe: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("openmmlo.train.run.read_training_data", broken)
    assert main(["pretrain", "thp-mini", "--device", "cpu", "--quiet", "--out", str(tmp_path)]) == INTERNAL_ERROR


def test_a_recorded_command_names_no_folder_of_ones_own() -> None:
    sets = ["tokenizer=/home/someone/words", "lr=0.1", "data=../elsewhere/photos", "clip_norm="]
    flags = {"data": Path("/home/someone/photos"), "weights": "trained/pretrain/thp-mini", "seed": 5}
    assert _command("finetune", "/home/someone/own.yaml", sets, flags) == (
        "openmmlo finetune own.yaml --data photos --weights trained/pretrain/thp-mini --seed 5 --set tokenizer=words "
        "--set lr=0.1 --set data=photos --set clip_norm="
    )


def test_an_outcome_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    log = {"steps": 1000, "seconds": 725.0, "loss": 1.23456, "validation_top1": 0.5, "lr": 0.1, "waiting": 0.013}
    show_outcome(Outcome(Path("here"), {"log": log}), "my photos")
    said = capsys.readouterr().out
    assert "Trained 1,000 steps in 12 min: loss 1.235, validation top1 0.5\n" in said
    assert "1.3 % of a step was waiting for data." in said
    assert "  openmmlo eval --model here --benchmark 'my photos'\n" in said
    show_outcome(Outcome(Path("here"), {"log": log}, finished_before=True), "miniature")
    assert "here is finished already; nothing was done." in capsys.readouterr().out
