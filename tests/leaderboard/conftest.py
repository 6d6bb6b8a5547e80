"""A small board: one method with two seeds, one with one seed, on the miniature; both can be re-scored."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from miniature_results import ABOUT, predicted_miniature, write_evaluated

from openmmlo.leaderboard.board import Board
from openmmlo.leaderboard.submit import About, submit


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Folders that ``openmmlo eval`` could have written: seeds 0 and 1 of a method, seed 0 of another."""
    root = tmp_path_factory.mktemp("results")
    return [
        write_evaluated(root / "focal-0", predicted_miniature(0)),
        write_evaluated(root / "focal-1", predicted_miniature(1)),
        write_evaluated(root / "other-0", predicted_miniature(0, skill=0.3, model="other")),
    ]


@pytest.fixture(scope="session")
def _submitted(results: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    board = Board(tmp_path_factory.mktemp("board"))
    submit(results[:2], ABOUT, board, date="2026-11-20").write()
    about = About("Other", ("Sofja Kowalewskaja",), pretraining="none", captions="none")
    submit(results[2:], about, board, date="2026-11-21").write()
    return board.root


@pytest.fixture
def board(_submitted: Path, tmp_path: Path) -> Board:
    """The board, a copy of one's own; nothing is marked."""
    return Board(shutil.copytree(_submitted, tmp_path / "board"))


@pytest.fixture
def empty(tmp_path: Path) -> Board:
    """A board without anything."""
    root = tmp_path / "empty"
    root.mkdir()
    return Board(root)
