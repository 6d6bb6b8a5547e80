"""Runs that are killed with SIGKILL, at chosen moments and at any, end as if nothing had happened."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from training import final_state, killed_run, processes, run_loop, same, unclocked

from openmmlo.train.logs import LOG, read_log

pytestmark = pytest.mark.slow

SETTINGS: dict[str, Any] = {
    "steps": 14,
    "dropout": 0.3,
    "queue": 16,
    "validate_every": 3,
    "log_every": 3,
    "save_every": 2,
}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed")
    run_loop(out, **SETTINGS)
    return out


def start(out: Path, moment: str) -> Any:
    process = processes().Process(target=killed_run, args=(out, moment, dict(SETTINGS)))
    process.start()
    return process


def test_killed_at_every_kind_of_moment(undisturbed: Path, tmp_path: Path) -> None:
    moments = ["step:0", "step:3", "aside:4", "log:6", "renamed:8", "step:8", "log:12", "aside:14", "renamed:14"]
    for moment in moments:
        process = start(tmp_path, moment)
        process.join(timeout=120)
        assert process.exitcode == -signal.SIGKILL, moment
    assert final_state(tmp_path)["step"] == 14
    process = start(tmp_path, "slow:0")
    process.join(timeout=120)
    assert process.exitcode == 0
    assert same(final_state(tmp_path), final_state(undisturbed))
    assert unclocked(read_log(tmp_path / LOG)) == unclocked(read_log(undisturbed / LOG))


def test_killed_from_outside_at_any_moment(undisturbed: Path, tmp_path: Path) -> None:
    chance = random.Random(0)
    kills = 0
    for _ in range(4):
        process = start(tmp_path, "slow:20")  # 280 ms at least, and killed within 150
        while process.is_alive() and not (tmp_path / LOG).is_file():
            time.sleep(0.01)
        time.sleep(chance.uniform(0.0, 0.15))
        if process.is_alive():
            process.kill()
        process.join(timeout=120)
        kills += process.exitcode == -signal.SIGKILL
    process = start(tmp_path, "slow:0")
    process.join(timeout=120)
    assert process.exitcode == 0
    assert kills
    assert same(final_state(tmp_path), final_state(undisturbed))
    assert unclocked(read_log(tmp_path / LOG)) == unclocked(read_log(undisturbed / LOG))
