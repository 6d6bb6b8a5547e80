"""Several processes, and processes that are killed, leave the bytes of one that ran through."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from counted_encoders import files_of, pictures, run_extraction, start_extraction, tally_of

from openmmlo.errors import WorkerDied
from openmmlo.evaluate.features import chunks
from openmmlo.evaluate.features.extract import extract

ROWS = 1300  # three chunks
BATCH = 64


def finish(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def wait_for_another_chunk(cache: Path) -> None:
    before, deadline = len(list(cache.rglob("*.npz"))), time.monotonic() + 60
    while len(list(cache.rglob("*.npz"))) == before and time.monotonic() < deadline:
        time.sleep(0.002)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    pictures(folder, ROWS)
    return folder


@pytest.fixture
def undisturbed(images: Path, tmp_path: Path) -> dict[str, bytes]:
    values = {"folder": str(images), "cache": str(tmp_path / "alone"), "count": ROWS, "seconds": 0.0}
    run_extraction({**values, "batch_size": BATCH, "workers": 0})
    return files_of(tmp_path / "alone")


@pytest.mark.slow
def test_two_processes_under_accelerate_make_the_bank_of_one(
    images: Path, tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    cache = tmp_path / "shared"
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]  # GPU or not
    options = ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    command = [*launcher, *options]
    results = finish(start_extraction(images, cache, ROWS, seconds=0.05, launcher=command, batch_size=BATCH, workers=1))
    assert sorted(result["place"] for result in results) == [[0, 2], [1, 2]]
    assert [result["rows"] for result in results] == [ROWS, ROWS]
    computed = sorted(result["computed"] for result in results)
    assert sum(computed) == tally_of(cache).tallied() == ROWS
    assert computed[0] >= ROWS - 2 * 512  # each took at least the chunk that the other could not
    assert files_of(cache) == undisturbed


@pytest.mark.slow
def test_the_work_of_a_killed_process_is_taken_over(
    images: Path, tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    cache = tmp_path / "shared"
    first = start_extraction(images, cache, ROWS, seconds=30.0, batch_size=BATCH, workers=1)
    deadline = time.monotonic() + 120
    while not list(cache.rglob("*.lock")) and time.monotonic() < deadline:
        time.sleep(0.05)
    second = start_extraction(images, cache, ROWS, batch_size=BATCH, workers=0)
    while len(list(cache.rglob("*.npz"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert second.poll() is None  # the first chunk is the other's, as long as that one lives
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert [result["computed"] for result in finish(second)] == [ROWS]
    assert files_of(cache) == undisturbed


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_kills_at_any_moment_change_no_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    monkeypatch.setattr(chunks, "ROWS", 8)
    torch.set_num_threads(1)
    images, count, kills = tmp_path / "images", 700, 25
    pictures(images, count)
    values = {"folder": str(images), "count": count, "seconds": 0.0, "batch_size": 4}
    run_extraction({**values, "cache": str(tmp_path / "alone"), "workers": 0})
    whole, cache = files_of(tmp_path / "alone"), tmp_path / "cache"
    chance, fork = random.Random(workers), multiprocessing.get_context("fork")
    for _ in range(kills):
        slow = {**values, "cache": str(cache), "workers": workers, "seconds": 0.004}
        process = fork.Process(target=run_extraction, args=(slow,))
        process.start()
        if chance.random() < 0.3:  # while it starts
            time.sleep(chance.uniform(0, 0.1))
        else:
            wait_for_another_chunk(cache)
            time.sleep(chance.uniform(0, 0.02))
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        if list(cache.rglob("meta.json")):
            break
    finished = len(list(cache.rglob("*.npz")))
    assert 0 < finished < count // 8, "give it more work or less time"
    before = tally_of(cache).tallied()
    run_extraction({**values, "cache": str(cache), "workers": 0})
    assert tally_of(cache).tallied() - before == count - 8 * finished
    assert files_of(cache) == whole


def test_a_loader_process_that_dies_is_told_and_the_rest_is_kept(tmp_path: Path) -> None:
    samples = pictures(tmp_path / "images", 40)
    tiny = tally_of(tmp_path / "cache")
    parent = os.getpid()

    class Deadly(type(tiny.transform)):  # type: ignore[misc]
        def __call__(self, image: Any) -> torch.Tensor:
            if os.getpid() != parent:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().__call__(image)

    with pytest.raises(WorkerDied, match="with 0 workers"):
        extract(tiny, "noise", samples, cache=tmp_path / "cache", transform=Deadly(), batch_size=8, workers=1)
    bank = extract(tiny, "noise", samples, cache=tmp_path / "cache", transform=Deadly(), batch_size=8, workers=0)
    assert len(bank) == 40
