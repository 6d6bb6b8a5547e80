"""The run: what is finished is skipped, what is killed goes on, and what fails stops nobody else."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from experiment_jobs import SMALL, calls, pretend, small_data, trouble

from openmmlo.errors import ConfigError, TrainingRefused
from openmmlo.experiments.run import Ran, run
from openmmlo.experiments.sessions import sessions
from openmmlo.experiments.status import status
from openmmlo.progress import Silent


class Told(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []
        self.totals: list[tuple[int, int]] = []
        self.ended = self.failed = 0

    def start(self, total: int, done: int) -> None:
        self.totals.append((total, done))

    def advance(self, rows: int, failed: int) -> None:
        self.ended += rows
        self.failed += failed

    def say(self, message: str) -> None:
        self.said.append(message)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_data(tmp_path_factory.mktemp("data") / "pictures")


def small_run(out: Path, data: Path, seeds: tuple[int, ...] = (0,), progress: Any = None, **values: Any) -> Ran:
    return run(out, seeds, jobs=1, data=data, experiments=SMALL, do=pretend, progress=progress, **values)


def test_all_is_done_once_and_then_skipped(tmp_path: Path, data: Path) -> None:
    trouble(tmp_path)
    told = Told()
    ran = small_run(tmp_path, data, (0, 1), told)
    names = ["finetune/tiny-ce", "finetune/tiny-focal", "finetune/tiny-crt"]
    assert calls(tmp_path) == [f"{name} seed {seed}" for seed in (0, 1) for name in names]
    assert (ran.finished, ran.before, ran.failed) == (6, 0, ())
    assert (told.totals, told.ended, told.failed) == ([(6, 0)], 6, 0)
    again = Told()
    ran = small_run(tmp_path, data, (0, 1), again)
    assert (ran.finished, ran.before) == (0, 6)
    assert again.totals == [(6, 6)]
    assert len(calls(tmp_path)) == 6
    small_run(tmp_path, data, (0, 1), changes={"lr": 0.5}, only=["tiny-focal"])  # another recipe has another folder
    assert calls(tmp_path)[6:] == ["finetune/tiny-focal seed 0", "finetune/tiny-focal seed 1"]
    assert small_run(tmp_path, data, (0, 1)).before == 6


def test_what_a_worker_says_is_in_the_job_s_log(tmp_path: Path, data: Path) -> None:
    trouble(tmp_path, tiny_focal_0="breaks")
    small_run(tmp_path, data)
    (ce,) = tmp_path.glob("runs/finetune/tiny-ce/*/log.txt")
    assert ce.read_text(encoding="utf-8") == "working at finetune/tiny-ce seed 0\n"
    (focal,) = tmp_path.glob("runs/finetune/tiny-focal/*/log.txt")
    assert "ZeroDivisionError: a bug" in focal.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("how", "reason"),
    [("fails", "there are no weights"), ("breaks", "ZeroDivisionError: a bug"), ("dies", "killed by SIGKILL")],
)
def test_a_failing_run_stops_only_what_starts_from_it(tmp_path: Path, data: Path, how: str, reason: str) -> None:
    trouble(tmp_path, tiny_ce_0=how)
    told = Told()
    ran = small_run(tmp_path, data, (0, 1), told)
    assert ran.finished == 4
    assert [item.job for item in ran.failed] == ["finetune/tiny-ce seed 0", "finetune/tiny-crt seed 0"]
    assert reason in ran.failed[0].reason
    assert ran.failed[0].log is not None
    assert ran.failed[0].log.is_file()
    assert "starts from finetune/tiny-ce seed 0" in ran.failed[1].reason
    assert (told.ended, told.failed) == (6, 2)
    assert sessions(tmp_path)[-1]["failed"] == [item.job for item in ran.failed]
    trouble(tmp_path)
    before = len(calls(tmp_path))
    assert small_run(tmp_path, data, (0, 1)).failed == ()
    assert calls(tmp_path)[before:] == ["finetune/tiny-ce seed 0", "finetune/tiny-crt seed 0"]


def _run_in_a_process(out: Path, data: Path) -> None:
    small_run(out, data)


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path, data: Path) -> None:
    trouble(tmp_path, tiny_focal_0="waits")
    process = multiprocessing.get_context("fork").Process(target=_run_in_a_process, args=(tmp_path, data))
    process.start()
    until = time.monotonic() + 60
    while "finetune/tiny-focal seed 0" not in calls(tmp_path):
        assert time.monotonic() < until
        time.sleep(0.05)
    with pytest.raises(TrainingRefused, match="Another process runs experiments"):
        small_run(tmp_path, data)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    trouble(tmp_path)
    ran = small_run(tmp_path, data)
    assert (ran.finished, ran.before) == (2, 1)
    assert calls(tmp_path)[2:] == ["finetune/tiny-focal seed 0", "finetune/tiny-crt seed 0"]
    assert len(sessions(tmp_path)) == 2


def test_status_says_what_is_missing_and_how_long_it_takes(tmp_path: Path, data: Path) -> None:
    values: dict[str, Any] = {"data": data, "experiments": SMALL}
    nothing = status(tmp_path, (0, 1), **values)
    assert [item.missing for item in nothing.runs] == [(0, 1)] * 3
    assert nothing.left is None
    trouble(tmp_path, tiny_crt_1="fails")
    small_run(tmp_path, data, (0, 1))
    found = status(tmp_path, (0, 1), **values)
    assert [(item.run, item.finished, item.missing) for item in found.runs] == [
        ("finetune/tiny-ce", (0, 1), ()), ("finetune/tiny-focal", (0, 1), ()), ("finetune/tiny-crt", (0,), (1,)),
    ]  # fmt: skip
    assert found.work == 15
    assert found.left == 3
    (ce,) = tmp_path.glob("runs/finetune/tiny-ce/seed-1-*/done.json")
    ce.unlink()
    (other,) = tmp_path.glob("runs/finetune/tiny-ce/seed-0-*/done.json")
    record = json.loads(other.read_text(encoding="utf-8")) | {"seconds": {"training": 90.0, "evaluation": 10.0}}
    other.write_text(json.dumps(record), encoding="utf-8")
    assert status(tmp_path, (0, 1), **values).left == 103  # by its own other seed, not by what is quicker
    assert found.failed == ("finetune/tiny-crt seed 1",)
    assert found.wall == sum(item["seconds"] for item in sessions(tmp_path)) > 0


def test_what_cannot_be_is_told_before_any_work(tmp_path: Path, data: Path) -> None:
    trouble(tmp_path)
    with pytest.raises(ConfigError, match="takes no 'no_such_key'"):
        small_run(tmp_path, data, changes={"no_such_key": 1})
    with pytest.raises(ConfigError, match="seeds are"):
        small_run(tmp_path, data, (1, 1))
    with pytest.raises(ConfigError, match="jobs is 0"):
        run(tmp_path, (0,), jobs=0, data=data, experiments=SMALL, do=pretend)
    assert calls(tmp_path) == []


def test_the_command_names_failures_and_ends_otherwise(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from openmmlo.cli import main

    trouble(tmp_path, tiny_ce_0="fails")
    monkeypatch.setattr(run, "__kwdefaults__", {**(run.__kwdefaults__ or {}), "do": pretend})
    words = ["experiments", "run", "--out", str(tmp_path), "--data", str(data), "--seed", "0", "--only", "tiny-crt"]
    assert main([*words, "--jobs", "1", "--quiet", "--json"]) == 3
    said = json.loads(capsys.readouterr().out)
    assert [item["job"] for item in said["failed"]] == ["finetune/tiny-ce seed 0", "finetune/tiny-crt seed 0"]
    trouble(tmp_path)
    assert main([*words, "--jobs", "1"]) == 0
    assert "2 runs finished" in capsys.readouterr().out
    assert main([*["experiments", "status"], *words[2:]]) == 0
    assert "2 of 2 runs are finished" in capsys.readouterr().out
