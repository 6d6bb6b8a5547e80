"""Submit, pull request, fetch, re-score, publish, site: one entry's way through the Hub, by the commands alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hub import Hub
from miniature_results import edited, miniature_rows

from openmmlo.evaluate.predictions import read_predictions
from openmmlo.leaderboard.board import Board

WHO = ["--name", "Focal loss", "--authors", "Ada Lovelace", "--pretraining", "none", "--captions", "none"]
TABLE = Path(__file__).parents[3] / "leaderboard" / "reported" / "table-1.json"


def command(client: Any, *words: Any, code: int = 0) -> str:
    """Run a command in the client: what it printed."""
    answer = client("openmmlo.cli:main", [str(word) for word in words], patient=False)
    assert answer.get("result") == code, answer
    return str(answer["printed"])


@pytest.fixture
def published(client: Any, hub: Hub, board: Board, put: Any) -> str:
    """A board on the Hub: one entry whose predictions lie on the board, without a mark yet, and a reported table."""
    files = {path: (board.root / path).read_bytes() for path in ("submissions/miniature/other.json",)}
    other = board.read(board.root / "submissions/miniature/other.json").submission
    stored = board.predictions_path(other.runs[0].predictions.sha256)
    files[f"predictions/{stored.name}"] = stored.read_bytes()
    put("lab/board", {**files, "reported/table-1.json": TABLE.read_bytes(), "SUBMITTING.md": b"# How\n"})
    return "lab/board"


@pytest.mark.slow
def test_one_entrys_way(client: Any, hub: Hub, published: str, results: list[Path], tmp_path: Path) -> None:
    submit = ["submit", *results[:2], *WHO, "--hub", "tester/predictions", "--board", published, "--quiet"]
    before = {name: dict(repo.branches) for name, repo in hub.repos.items()}
    shown = command(client, *submit, "--dry-run")
    assert "+ " in shown
    assert "tester/predictions: predictions/" in shown
    assert "Nothing was sent" in shown
    assert {name: dict(repo.branches) for name, repo in hub.repos.items()} == before

    assert "/datasets/lab/board/discussions/1" in command(client, *submit)
    repo = hub.dataset(published)
    entry = "submissions/miniature/focal-loss.json"
    assert entry not in repo.at("main").files
    submission = json.loads(repo.at("refs/pr/1").files[entry].content)
    places = [run["predictions"]["place"] for run in submission["runs"]]
    own = hub.dataset("tester/predictions")
    for place, folder in zip(places, results[:2], strict=True):
        content = own.commits[place["revision"]].files[place["path"]].content
        assert content == (folder / "predictions.parquet").read_bytes()
    commits = len(hub.requests("POST .*/commit/"))
    assert "stays proposed" in command(client, *submit)
    assert (len(hub.requests("POST .*/commit/")), len(repo.discussions)) == (commits, 1)

    folder = tmp_path / "review"
    command(client, "leaderboard", "fetch", published, "--revision", "refs/pr/1", "--to", folder, "--quiet")
    printed = command(client, "leaderboard", "rescore", "--board", folder)
    assert "2 re-scored" in printed
    found = Board(folder)
    (path,) = found.find(["focal-loss"])
    mark = found.read(path).mark
    assert mark is not None
    for run, result in zip(mark.runs, results[:2], strict=True):
        predicted = read_predictions(result / "predictions.parquet")
        _, _, names, _, labels = miniature_rows()
        test = names == "test"
        right = float(np.mean(predicted.predicted[test] == labels[test]))
        assert run.scored["classification.test.top1_samples"] == pytest.approx(right, abs=1e-12)

    repo.merge(repo.discussions[0])
    push = ["leaderboard", "push", "--to", published, "--space", "lab/pages", "--board", folder, "--quiet"]
    command(client, *push)
    assert set(repo.at("main").files) >= {entry, f"marks/{mark.submission}.json", "tables/marks.jsonl", "README.md"}
    pages = hub.repos["spaces", "lab/pages"].at("main").files
    page = pages["entries/miniature/focal-loss.html"].content.decode()
    assert "Focal loss" in page
    assert "re-scored" in page
    assert b"Focal loss" in pages["benchmarks/miniature.html"].content
    commits = len(hub.requests("POST .*/commit/"))
    assert command(client, *push).count("holds the same already") == 2
    assert len(hub.requests("POST .*/commit/")) == commits

    # Whoever opens the published board computes the same, and reads the same page.
    assert "2 ok" in command(client, "leaderboard", "rescore", "--board", published, "--check")
    command(client, "leaderboard", "site", "--board", published, "--out", tmp_path / "site", "--quiet")
    assert (tmp_path / "site" / "entries/miniature/focal-loss.html").read_text() == page
    readme = tmp_path / "README.md"
    command(client, "leaderboard", "card", "focal-loss", "--board", published, "--into", readme)
    assert f"datasets/lab/board/blob/{repo.branches['main']}/{entry}" in readme.read_text()


@pytest.mark.slow
def test_predictions_that_changed_get_no_mark(
    client: Any, hub: Hub, published: str, results: list[Path], tmp_path: Path
) -> None:
    command(client, "submit", *results[:1], *WHO, "--hub", "tester/predictions", "--board", published, "--quiet")
    own = hub.dataset("tester/predictions")
    for digest, content in own.objects.items():
        own.objects[digest] = content[:-8] + bytes(8)
    folder = tmp_path / "review"
    command(client, "leaderboard", "fetch", published, "--revision", "refs/pr/1", "--to", folder, "--quiet")
    printed = command(client, "leaderboard", "rescore", "focal-loss", "--board", folder, code=4)
    assert "Nothing was kept" in " ".join(printed.split())
    assert not Board(folder).marks


def test_what_a_board_would_refuse_uploads_nothing(
    client: Any, hub: Hub, published: str, results: list[Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(results[0], tmp_path / "edited")
    edited(folder / "result.json", lambda value: value["scored"]["classification"]["test"].update(top1_samples=1))
    asked = {"$about": {"name": "Mine", "authors": ["Ada"], "pretraining": "none", "captions": "none"}}
    answer = client("submit_through_hub", [folder], asked, {"$board": published}, "tester/predictions")
    assert answer["kind"] == "Differs"
    assert "classification.test.top1_samples" in answer["error"]
    assert ("datasets", "tester/predictions") not in hub.repos
    assert not hub.dataset(published).discussions


def test_without_a_board_to_take_it_nothing_is_uploaded(
    client: Any, hub: Hub, board: Board, results: list[Path]
) -> None:
    """A folder says nothing of where to propose: that is the published board, which is not there yet."""
    asked = {"$about": {"name": "Mine", "authors": ["Ada"], "pretraining": "none", "captions": "none"}}
    answer = client("submit_through_hub", results[:1], asked, {"$board": str(board.root)}, "tester/predictions")
    assert answer["kind"] == "HubError"
    assert "openmmlo/leaderboard is not on" in answer["error"]
    assert not hub.repos


def test_a_later_day_alone_is_no_change(client: Any, hub: Hub, published: str, results: list[Path]) -> None:
    asked = {"$about": {"name": "Mine", "authors": ["Ada"], "pretraining": "none", "captions": "none"}}
    how = [results[:1], asked, {"$board": published}, "tester/predictions"]
    first = client.result("submit_through_hub", *how, date="2026-11-20")
    again = client.result("submit_through_hub", *how, date="2026-11-25")
    assert (first["proposed"]["opened"], again["proposed"]["changed"]) == (True, False)
    other = {"$about": {**asked["$about"], "note": "Longer training."}}
    changed = client.result("submit_through_hub", results[:1], other, {"$board": published}, "tester/predictions")
    assert (changed["proposed"]["number"], changed["proposed"]["changed"]) == (1, True)
