"""A folder of broken and odd images through a whole build: each ends as one row or one error row."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from openmmlo.building import BuildConfig, build
from openmmlo.records import Status


@pytest.mark.parametrize("prefetch", [0, 2])
def test_each_is_a_row_or_an_error_row_and_the_totals_add_up(
    tmp_path: Path, odd_images: Callable[[Path], dict[str, Status]], prefetch: int
) -> None:
    folder = tmp_path / "photos"
    (folder / "odd").mkdir(parents=True)
    expected = odd_images(folder / "odd")
    assert len(expected) >= 30
    out = tmp_path / "out"
    options = {"val": 0, "test": 0}
    result = build(
        BuildConfig(str(folder), out, options, "stubs:Describing", prefetch=prefetch, allow_missing=True, measure=False)
    )
    assert result.complete
    wanted = Counter(status.value for status in expected.values())
    assert result.rows == {"train": wanted.pop("ok")}
    assert result.errors == dict(wanted)
    assert result.planned == len(expected)
    errors = [json.loads(line) for line in (out / "errors.jsonl").read_text(encoding="utf-8").splitlines()]
    rows = [row for path in out.glob("data/*.parquet") for row in pq.read_table(path).to_pylist()]
    ids = [row["sample_id"] for row in (*rows, *errors)]
    assert len(set(ids)) == len(ids) == len(expected)
    for error in errors:
        assert error["reason"]
        assert str(tmp_path) not in error["reason"]
    for row in rows:
        assert row["width"] > 0
        assert row["height"] > 0
