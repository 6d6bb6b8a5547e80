"""The tables of a published board say what its files say, and datasets reads them by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest
import yaml
from hub_card_rules import problems

from openmmlo.leaderboard.board import Board
from openmmlo.leaderboard.hub.tables import board_texts
from openmmlo.leaderboard.rescore import rescore

REPORTED = Path(__file__).parents[3] / "leaderboard" / "reported"
FEW = "classification.test.groups.few"


@pytest.fixture
def scored(board: Board) -> Board:
    """Two entries with marks, and the paper's tables."""
    shutil.copytree(REPORTED, board.root / "reported")
    assert all(verdict.ok for verdict in rescore(board))
    return Board(board.root)


def lines(texts: dict[str, bytes], name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in texts[f"tables/{name}.jsonl"].splitlines()]


def test_what_tables_say_is_what_marks_and_papers_say(scored: Board) -> None:
    texts = board_texts(scored, "lab/board", "lab/pages")
    assert texts == board_texts(Board(scored.root), "lab/board", "lab/pages")
    rows = {(row["benchmark"], row["entry"]): row for row in lines(texts, "rows")}
    assert rows["miniature", "focal-loss"]["mark"] == "re-scored"
    assert (rows["miniature", "focal-loss"]["pretraining"], rows["miniature", "focal-loss"]["seeds"]) == ("none", 2)
    of_papers = json.loads((REPORTED / "table-1.json").read_bytes())["rows"]
    assert {row["mark"] for row in rows.values()} == {"reported", "re-scored"}
    (entry,) = [item for item in scored.entries() if item.submission.entry == "focal-loss"]
    assert entry.mark is not None
    few = [run.scored[FEW] for run in entry.mark.runs]
    (metric,) = [item for item in lines(texts, "metrics") if item["entry"] == "focal-loss" and item["metric"] == FEW]
    assert metric["values"] == few
    assert metric["mean"] == pytest.approx(mean(few), abs=1e-12)
    assert metric["sd"] == pytest.approx(stdev(few), abs=1e-12)
    assert metric["low"] < metric["mean"] < metric["high"]
    marks = {item["submission"]: item for item in lines(texts, "marks")}
    assert marks[entry.digest]["seeds"] == [0, 1]
    assert len(marks) == 2
    printed = [item for item in lines(texts, "reported") if item["table"] == 1]
    assert [item["value"] for item in printed] == [value for row in of_papers for value in row["metrics"].values()]


def test_the_card_is_within_the_hubs_rules(scored: Board) -> None:
    texts = board_texts(scored, "lab/board", "lab/pages")
    card = texts["README.md"].decode()
    assert problems(card, "dataset") == ([], [])
    front = yaml.safe_load(card.split("---\n")[1])
    files = {config["config_name"]: config["data_files"][0]["path"] for config in front["configs"]}
    assert set(files.values()) == texts.keys() - {"README.md"}
    assert "| miniature | 0 | 2 | 0 | 0 |" in card


def test_a_board_without_marks_has_no_table_of_them(board: Board) -> None:
    texts = board_texts(board, "lab/board")
    assert set(texts) == {"README.md"}
    assert "| miniature | 0 | 0 | 0 | 2 |" in texts["README.md"].decode()
    assert problems(texts["README.md"].decode(), "dataset") == ([], [])


@pytest.mark.slow
def test_datasets_loads_them_by_name(scored: Board, client: Any) -> None:
    client.result("push", {"$board": str(scored.root)}, "lab/board", None)
    for name in ("rows", "metrics", "marks", "reported"):
        answer = client("datasets:load_dataset", "lab/board", name, split="board", patient=False)
        count = len(lines(board_texts(scored, "lab/board"), name))
        assert f"num_rows: {count}" in answer["result"], answer
