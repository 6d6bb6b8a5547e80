"""Tiny InstructBLIPs, saved and loaded as users do, caption a folder of real JPEGs through the whole build."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from stubs import jpeg

from openmmlo.building import BuildConfig, build
from openmmlo.building.captioners import PAPER_PROMPT


@pytest.mark.slow
@pytest.mark.parametrize("flavour", ["flan-t5", "vicuna"])
def test_a_folder_of_jpegs_is_captioned_alike_in_batches_and_one_by_one(
    tmp_path: Path, tiny_instructblip: Callable[[str], Path], flavour: str
) -> None:
    folder = tmp_path / "photos"
    for index in range(10):
        path = folder / ("cat", "dog")[index % 2] / f"{index}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(index, 120 + 13 * index, 90))
    checkpoint = tiny_instructblip(flavour)
    one = BuildConfig(
        str(folder),
        tmp_path / "one",
        {"val": 0, "test": 0},
        "instructblip",
        {"model": str(checkpoint), "preset": "greedy", "max_new_tokens": 8},
        batch_size=1,
        prefetch=1,
    )
    assert build(one).rows == {"train": 10}
    assert build(replace(one, out=tmp_path / "four", batch_size=4)).rows == {"train": 10}

    def captions(out: Path) -> dict[str, str]:
        rows = [row for path in out.glob("data/*.parquet") for row in pq.read_table(path).to_pylist()]
        return {row["sample_id"]: row["caption"] for row in rows}

    assert captions(tmp_path / "four") == captions(tmp_path / "one")
    assert len(set(captions(tmp_path / "one").values())) > 1
    text = (tmp_path / "one" / "manifest.json").read_text(encoding="utf-8")
    captioner = json.loads(text)["captioner"]
    assert captioner["prompt"] == PAPER_PROMPT
    assert str(checkpoint.parent) not in text
