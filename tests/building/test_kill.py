"""A build killed a hundred times gives the bytes of one that never was."""

from __future__ import annotations

import json
import random
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from builds import contents, kill, start_build

KILLS = 100
WORK: dict[str, Any] = {
    "source_options": {"images_per_split": 1500},
    "captioner_options": {"seconds": 0.02},
    "batch_size": 4,
    "shard_size": 400,
}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    finish(start_build(out=out, **{**WORK, "captioner_options": {}}))
    return contents(out)


def finish(process: subprocess.Popen[str]) -> str:
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return output.strip()


def wait_for_work(out: Path, process: subprocess.Popen[str], seconds: float) -> None:
    """Wait until this process has got as far as building, then a little more: kills in start-up teach little."""
    before = journal_bytes(out)
    deadline = time.monotonic() + 60
    while process.poll() is None and journal_bytes(out) == before and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(seconds)


def journal_bytes(out: Path) -> int:
    state = out / ".openmmlo"
    return sum(path.stat().st_size for path in state.glob("journals/*")) + sum(1 for _ in out.glob("data/*"))


def journalled_frames(out: Path) -> int:
    from openmmlo.building.journal import Journal

    return sum(len(Journal(path).read()) for path in (out / ".openmmlo" / "journals").glob("*.journal"))


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "prefetch"), [(1, 1), (2, 0)])
def test_a_hundred_kills_change_no_byte(
    tmp_path: Path, undisturbed: dict[str, bytes], workers: int, prefetch: int
) -> None:
    chance = random.Random(workers)
    out = tmp_path / "out"
    kills = 0
    while kills < KILLS:
        process = start_build(out=out, workers=workers, prefetch=prefetch, **WORK)
        if chance.random() < 0.85:
            wait_for_work(out, process, chance.uniform(0, 0.15))
        else:
            time.sleep(chance.uniform(0, 1.0))
        assert kill(process), f"the build was done after {kills} kills; give it more work"
        kills += 1
    assert finish(start_build(out=out, workers=workers, **{**WORK, "captioner_options": {}})) == "True"
    assert contents(out) == undisturbed


@pytest.mark.slow
def test_a_hundred_kills_of_two_slices_on_one_folder_change_no_byte(
    tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    chance = random.Random(3)
    out = tmp_path / "out"
    kills = 0
    while kills < KILLS:
        slices = [start_build(out=out, shard=f"{number}/2", prefetch=0, **WORK) for number in (1, 2)]
        wait_for_work(out, slices[0], chance.uniform(0, 0.3))
        chance.shuffle(slices)
        for process in slices:
            assert kill(process), f"a slice was done after {kills} kills; give it more work"
            kills += 1
            time.sleep(chance.uniform(0, 0.1))
    first, second = (
        start_build(out=out, shard=f"{number}/2", **{**WORK, "captioner_options": {}}) for number in (1, 2)
    )
    assert "True" in {finish(first), finish(second)}
    assert contents(out) == undisturbed


@pytest.mark.slow
def test_kills_while_finishing_and_assembling_change_no_byte(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    """Without captioning to wait for, kills fall into shard writing and assembly."""
    chance = random.Random(4)
    out = tmp_path / "out"
    work = {**WORK, "captioner_options": {}}
    for _ in range(25):
        process = start_build(out=out, **work)
        wait_for_work(out, process, chance.uniform(0, 0.5))
        kill(process)
    finish(start_build(out=out, **work))
    for _ in range(15):  # everything is built: these fall into checks, planning and assembly
        process = start_build(out=out, **work)
        time.sleep(chance.uniform(0.5, 1.5))
        kill(process)
    finish(start_build(out=out, **work))
    assert contents(out) == undisturbed


@pytest.mark.slow
def test_a_kill_costs_at_most_one_batch(tmp_path: Path) -> None:
    """Captions made (the captioner counts them in a file) less captions kept is at most one batch."""
    out = tmp_path / "out"
    log = tmp_path / "captioned"
    options = {"seconds": 0.02, "log": str(log)}
    process = start_build(out=out, captioner="stubs:Counting", **{**WORK, "captioner_options": options})
    wait_for_work(out, process, 0.5)
    assert kill(process)
    kept = journalled_frames(out) * 4
    made = len(log.read_text(encoding="utf-8").splitlines())
    assert 0 < kept <= made <= kept + 4
    assert json.loads((out / ".openmmlo" / "plan.json").read_bytes())["shard_rows"] == 400
