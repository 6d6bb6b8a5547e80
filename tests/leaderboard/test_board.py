"""A board lists its files and nothing else; no link and no name leads out of it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from miniature_results import edited

from openmmlo.errors import ConfigError, SubmissionRefused, UnknownName
from openmmlo.leaderboard.board import Board, open_board
from openmmlo.leaderboard.rescore import rescore


def test_entries_by_benchmark_and_name(board: Board) -> None:
    assert [entry.submission.entry for entry in board.entries()] == ["focal-loss", "other"]
    assert board.entries("imagenet-lt") == []
    assert all(entry.mark is None for entry in board.entries())
    rescore(board)
    assert [entry.mark.mark for entry in Board(board.root).entries() if entry.mark] == ["re-scored", "re-scored"]


def test_an_empty_folder_is_an_empty_board(empty: Board) -> None:
    assert (empty.entries(), empty.marks, empty.reported(), empty.stored_predictions()) == ([], {}, {}, [])
    with pytest.raises(ConfigError, match="is no folder"):
        Board(empty.root / "missing")


def test_find(board: Board) -> None:
    own = board.submission_path("miniature", "other")
    assert board.find(["other"]) == board.find(["miniature/other"]) == board.find(["other", "miniature/other"]) == [own]
    assert len(board.find([])) == 2
    with pytest.raises(UnknownName, match="Did you mean 'miniature/other'"):
        board.find(["miniature/othr"])


def test_an_entry_that_several_benchmarks_have(board: Board) -> None:
    (board.root / "submissions/places-lt").mkdir()
    shutil.copy(board.submission_path("miniature", "other"), board.root / "submissions/places-lt/other.json")
    with pytest.raises(ConfigError, match="Name one: miniature/other, places-lt/other"):
        board.find(["other"])
    with pytest.raises(SubmissionRefused, match="places-lt/other says that it is miniature/other"):
        board.entries()


@pytest.mark.parametrize(
    ("path", "match"),
    [
        ("submissions/stray.json", "expected nothing but BENCHMARK/ENTRY.json"),
        ("submissions/miniature/Upper.json", "expected 1 to 80 of a-z"),
        ("submissions/miniature/a..b.json", "expected 1 to 80 of a-z"),
        ("submissions/miniature/a\x1b[2J.json", "expected 1 to 80 of a-z"),
        ("submissions/miniature/run.py", "expected nothing but"),
        ("submissions/miniature/deep/x.json", "expected nothing but"),
        ("submissions/..json/x.json", "expected 1 to 80 of a-z"),
    ],
)
def test_files_of_other_names(board: Board, path: str, match: str) -> None:
    (board.root / path).parent.mkdir(exist_ok=True)
    (board.root / path).write_text("{}")
    with pytest.raises(SubmissionRefused, match=match) as refused:
        board.paths()
    assert str(refused.value).isprintable()


def test_marks_and_predictions_are_named_by_digests(board: Board) -> None:
    (board.root / "marks").mkdir()
    (board.root / "marks/focal-loss.json").write_text("{}")
    with pytest.raises(SubmissionRefused, match="lacks 'format'"):
        _ = board.marks
    (board.root / "predictions/focal.parquet").write_bytes(b"")
    with pytest.raises(SubmissionRefused, match=r"expected SHA256\.parquet"):
        board.stored_predictions()


def test_a_mark_under_another_digest(board: Board) -> None:
    rescore(board)
    one, two = sorted((board.root / "marks").iterdir())
    shutil.copy(one, two)
    with pytest.raises(SubmissionRefused, match="expected its own name"):
        Board(board.root).entries()


def test_the_mark_of_another_entry(board: Board) -> None:
    rescore(board)
    digests = {entry.submission.entry: entry.digest for entry in board.entries()}
    stolen = board.mark_path(digests["other"])
    shutil.copy(board.mark_path(digests["focal-loss"]), stolen)
    edited(stolen, lambda value: value.update(submission=digests["other"]))
    with pytest.raises(SubmissionRefused, match="The mark of miniature/other is of miniature/focal-loss"):
        Board(board.root).entries()


def test_a_letter_more_and_the_mark_is_gone(board: Board) -> None:
    rescore(board)
    path = board.submission_path("miniature", "other")
    edited(path, lambda value: value.update(name="Other, but better"))
    again = Board(board.root)
    assert [entry.mark is None for entry in again.entries()] == [False, True]


@pytest.mark.parametrize("kind", ["file", "folder", "root"])
def test_links_are_refused(board: Board, tmp_path: Path, kind: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    if kind == "file":
        secret = outside / "secret.json"
        secret.write_text("{}")
        (board.root / "submissions/miniature/secret.json").symlink_to(secret)
    elif kind == "folder":
        (board.root / "submissions/places-lt").symlink_to(outside, target_is_directory=True)
    else:
        shutil.move(board.root / "submissions", outside)
        (board.root / "submissions").symlink_to(outside / "submissions", target_is_directory=True)
    with pytest.raises(SubmissionRefused, match="is a link"):
        board.paths()


def test_predictions_that_are_a_link(board: Board, tmp_path: Path) -> None:
    file = board.entries()[0].submission.runs[0].predictions
    place = board.predictions_path(file.sha256)
    assert board.predictions(file) == place
    shutil.move(place, tmp_path / "elsewhere")
    with pytest.raises(SubmissionRefused, match="are not on the board"):
        board.predictions(file)
    place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SubmissionRefused, match="is a link"):
        board.predictions(file)


def test_predictions_of_another_size_or_digest(board: Board) -> None:
    file = board.entries()[0].submission.runs[0].predictions
    place = board.predictions_path(file.sha256)
    data = place.read_bytes()
    place.write_bytes(data + b"x")
    with pytest.raises(SubmissionRefused, match=f"have {len(data) + 1:,} bytes"):
        board.predictions(file)
    place.write_bytes(data[:-1] + b"x")
    with pytest.raises(SubmissionRefused, match="not these"):
        board.predictions(file)
    os.truncate(place, 9_000_000)
    with pytest.raises(SubmissionRefused, match="have 9,000,000 bytes"):
        board.predictions(file)


def test_reported_tables_are_read_within_limits(board: Board) -> None:
    (board.root / "reported").mkdir()
    (board.root / "reported/table-1.json").write_text('{"format": 1}')
    assert board.reported() == {"table-1": {"format": 1}}
    (board.root / "reported/table-2.json").write_text("[" * 10_000 + "]" * 10_000)
    with pytest.raises(SubmissionRefused, match="deeper than 60 levels"):
        board.reported()


def test_which_board_is_opened(board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    shutil.copytree(board.root, tmp_path / "here/leaderboard")
    monkeypatch.chdir(tmp_path / "here")
    assert open_board().root == Path("leaderboard")
    assert open_board(str(board.root)).root == board.root
    assert open_board(board.root).writable
    for name in ("missing", "/missing", "../missing/x", "a/b/c", "http://x/y"):
        with pytest.raises(ConfigError, match="is no folder"):
            open_board(name)
