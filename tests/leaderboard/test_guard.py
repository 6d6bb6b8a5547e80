"""What makes a parquet reader die kills another process, and ends in a refusal."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from miniature_results import predicted_miniature

from openmmlo.errors import SubmissionRefused
from openmmlo.evaluate.predictions import digest, write_predictions
from openmmlo.leaderboard import guard
from openmmlo.leaderboard.guard import Guard, read_bounded

ROWS = 4_500


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "predictions.parquet"
    write_predictions(predicted_miniature(), path)
    return path


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Iterator[Guard]:
    """A process of this test's own."""
    made = Guard()
    monkeypatch.setattr(guard, "_GUARD", made)
    yield made
    made.close()


def test_what_eval_writes_is_read(whole: Path) -> None:
    assert digest(read_bounded(whole, ROWS, "Predictions")) == digest(predicted_miniature())


def test_reasons_come_from_there(whole: Path, tmp_path: Path) -> None:
    with pytest.raises(SubmissionRefused, match="Mine are refused: 4,500 rows; the benchmark has 10 at most"):
        read_bounded(whole, 10, "Mine")
    table = pq.ParquetFile(whole).read()
    pq.write_table(table.slice(1).replace_schema_metadata(table.schema.metadata), tmp_path / "x.parquet")
    with pytest.raises(SubmissionRefused, match="set 'test' has 2,499 rows"):
        read_bounded(tmp_path / "x.parquet", ROWS, "Mine")


def test_one_process_serves_all_files(whole: Path, own: Guard) -> None:
    for _ in range(3):
        read_bounded(whole, ROWS, "Predictions")
    assert own._process is not None
    first = own._process.pid
    read_bounded(whole, ROWS, "Predictions")
    assert own._process.pid == first


def test_nothing_is_imported_from_where_it_is_started(
    whole: Path, own: Guard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A maintainer may stand in the folder of somebody's pull request."""
    for name in ("json", "resource", "numpy", "pyarrow"):
        (tmp_path / f"{name}.py").write_text(f"import pathlib; pathlib.Path({str(tmp_path / 'ran')!r}).touch()")
    monkeypatch.chdir(tmp_path)
    read_bounded(whole, ROWS, "Predictions")
    assert not (tmp_path / "ran").exists()


def test_a_file_of_which_the_process_dies(whole: Path, own: Guard, tmp_path: Path) -> None:
    read_bounded(whole, ROWS, "Predictions")
    assert own._process is not None
    os.kill(own._process.pid, 9)
    own._process.wait()
    read_bounded(whole, ROWS, "Predictions")  # another one was started
    dying = tmp_path / "fifo"
    os.mkfifo(dying)  # a file that never comes: the reader waits for it for ever
    began = time.monotonic()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(guard, "SECONDS", 0.5)
        with pytest.raises(SubmissionRefused, match="the parquet reader dies of this file"):
            read_bounded(dying, ROWS, "Predictions")
    assert time.monotonic() - began < 20
    read_bounded(whole, ROWS, "Predictions")


def test_a_footer_of_which_arrow_dies(whole: Path, own: Guard, tmp_path: Path) -> None:
    """One bit of the schema: a column may not be empty, while its statistics count empty values.

    Of that pyarrow 26 ends the whole process; one that no longer does may say why not, or read it.
    """
    data = whole.read_bytes()
    assert data.count(b"\x25\x02\x18\x05label") == 1
    path = tmp_path / "dying.parquet"
    path.write_bytes(data.replace(b"\x25\x02\x18\x05label", b"\x25\x00\x18\x05label"))
    with pytest.raises(SubmissionRefused):
        read_bounded(path, ROWS, "Predictions")
    assert digest(read_bounded(whole, ROWS, "Predictions")) == digest(predicted_miniature())


def test_more_memory_than_it_may(whole: Path, own: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_START", guard._START.replace("serve()", "import openmmlo.leaderboard.guard as g; "
                        "g.read_here = lambda *words: bytearray(8 * 2**30); g.serve()"))  # fmt: skip
    with pytest.raises(SubmissionRefused, match="needs more memory or time than it may"):
        read_bounded(whole, ROWS, "Predictions")


@pytest.mark.parametrize("part", range(4))
def test_damaged_files_end_in_a_refusal_or_in_numbers(whole: Path, tmp_path: Path, part: int) -> None:
    """Bytes drawn anew, most of them in the footer and in the heads of pages: never another error, never a crash."""
    data, path = whole.read_bytes(), tmp_path / "damaged.parquet"
    footer = int.from_bytes(data[-8:-4], "little") + 8
    random = np.random.default_rng(part)
    outcomes = set()
    for _ in range(40):
        damaged = bytearray(data)
        for _ in range(random.integers(1, 4)):
            place = (
                random.integers(len(data) - footer, len(data)) if random.random() < 0.7 else random.integers(len(data))
            )
            damaged[place] = random.integers(256)
        path.write_bytes(damaged)
        try:
            read_bounded(path, ROWS, "Predictions")
            outcomes.add("read")
        except SubmissionRefused:
            outcomes.add("refused")
    assert "refused" in outcomes
