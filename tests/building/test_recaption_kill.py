"""A recaption killed at any moment gives the bytes of a fresh build; until it is whole the old data set stays."""

from __future__ import annotations

import random
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from builds import contents, kill, start_build

from openmmlo.data import open_dataset

WORK: dict[str, Any] = {"source_options": {"images_per_split": 400}, "batch_size": 4, "shard_size": 100}
CHANGES: dict[str, dict[str, Any]] = {
    "mask": {"mask_level": "head"},
    "blind": {"captioner": "stubs:Numbering", "captioner_options": {"seconds": 0.01}},
    "looking": {"captioner": "stubs:Counting", "captioner_options": {"seconds": 0.01, "log": "/dev/null"}},
}


def finish(process: subprocess.Popen[str]) -> str:
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return output.strip()


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """A data set to change, with and without images."""
    made = {}
    for with_images in (True, False):
        made[with_images] = tmp_path_factory.mktemp("begun") / "out"
        finish(start_build(out=made[with_images], with_images=with_images, **WORK))
    return made


def progress(out: Path) -> int:
    """Something that grows as a recaption goes on."""
    state = out / ".openmmlo"
    files = [*state.glob("recaptions/*/*/*"), *state.glob("promoting/*/*")]
    return sum(path.stat().st_size for path in files if path.exists())


@pytest.mark.slow
@pytest.mark.parametrize("with_images", [True, False])
@pytest.mark.parametrize("change", CHANGES)
def test_kills_change_no_byte(tmp_path: Path, begun: dict[bool, Path], change: str, with_images: bool) -> None:
    chance = random.Random(f"{change} {with_images}")
    out = Path(shutil.copytree(begun[with_images], tmp_path / "out"))
    before = contents(out)
    values = {**WORK, **CHANGES[change], "with_images": with_images}
    fresh = tmp_path / "fresh"
    finish(start_build(out=fresh, **values))
    expected = contents(fresh)
    assert expected != before
    kills = 0
    for attempt in range(24):
        # Every other time the word is left out, once it has been said.
        process = start_build(out=out, recaption=attempt % 2 == 0 or not list(out.glob(".openmmlo/rec*/*/plan.json")),
                              workers=1 + attempt % 2, prefetch=0, **values)  # fmt: skip
        done = progress(out)
        deadline = time.monotonic() + 60
        while process.poll() is None and progress(out) == done and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(chance.choice((0, 0, 0.01, 0.05, 0.3)))
        if not kill(process):  # it was done first: once more from the beginning
            assert contents(out) == expected
            shutil.rmtree(out)
            shutil.copytree(begun[with_images], out)
            continue
        kills += 1
        if (out / "manifest.json").is_file():
            assert contents(out) in (before, expected), "a data set is either the old one or the new one"
            assert sum(len(batch) for batch in open_dataset(out).batches("train", ["caption"])) == 400
        if kills == 12:
            break
    assert kills >= 4, "the recaption was done too soon; give it more work"
    assert finish(start_build(out=out, recaption=True, **values)) == "True"
    assert contents(out) == expected


@pytest.mark.slow
def test_kills_of_two_slices_change_no_byte(tmp_path: Path, begun: dict[bool, Path]) -> None:
    chance = random.Random(7)
    out = Path(shutil.copytree(begun[True], tmp_path / "out"))
    values = {**WORK, **CHANGES["blind"]}
    finish(start_build(out=tmp_path / "fresh", **values))
    for _ in range(12):
        slices = [start_build(out=out, shard=f"{number}/2", recaption=True, prefetch=0, **values) for number in (1, 2)]
        done = progress(out)
        deadline = time.monotonic() + 60
        while slices[0].poll() is None and progress(out) == done and time.monotonic() < deadline:
            time.sleep(0.002)
        chance.shuffle(slices)
        for process in slices:
            time.sleep(chance.uniform(0, 0.1))
            kill(process)
    pair = [start_build(out=out, shard=f"{number}/2", recaption=True, **values) for number in (1, 2)]
    for process in pair:
        finish(process)
    assert finish(start_build(out=out, **values)) == "True"
    assert contents(out) == contents(tmp_path / "fresh")
