"""A board comes in; rows that cannot be, with the residual, and what else a reader must know of them, go out.

Rules are in :data:`RULES`. What is found in a submission makes a check of the board fail; a paper's numbers stay as
they were printed, and findings about them are shown beside them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from openmmlo.errors import SubmissionRefused
from openmmlo.leaderboard.lint.finding import RULES, Finding, Origin
from openmmlo.leaderboard.lint.reported import lint_reported
from openmmlo.leaderboard.lint.submissions import lint_submissions, seeds_of
from openmmlo.leaderboard.reported import read_tables

if TYPE_CHECKING:
    from openmmlo.leaderboard.board import Board, Entry

__all__ = ["RULES", "Finding", "Origin", "lint", "lint_reported", "lint_submissions"]


def lint(board: Board) -> list[Finding]:
    """Everything that is found on a board: submissions first, then the board's files, then reported tables.

    Raises:
        SubmissionRefused: a mark or a reported table that cannot be read; a submission that cannot is a finding.
    """
    entries, found = [], []
    for path in board.paths():
        try:
            entry = board.read(path)
            seeds_of(entry)
            entries.append(entry)
        except SubmissionRefused as error:
            label = f"{path.parent.name}/{path.stem}"
            found.append(Finding("refused", "submission", path.parent.name, path.stem, label, str(error)))
    found += lint_submissions(entries)
    found += _unchecked(entries)
    found += _orphans(board, entries)
    return found + list(lint_reported(read_tables(board.reported())))


def _unchecked(entries: list[Entry]) -> Iterator[Finding]:
    if entries:
        yield Finding(
            "overlap",
            "board",
            "",
            "",
            "The board",
            f"What {len(entries):,} entries really learned from cannot be checked: a result holds the lists of the "
            "benchmark and the overlaps that eval saw, not the images a checkpoint was trained on.",
            note=True,
        )


def _orphans(board: Board, entries: list[Entry]) -> Iterator[Finding]:
    """Marks and predictions that no submission on the board names."""
    known = {entry.digest for entry in entries}
    named = {run.predictions.sha256 for entry in entries for run in entry.submission.runs}
    for digest, mark in board.marks.items():
        if digest not in known:
            text = f"Mark {digest[:12]} is of {mark.benchmark}/{mark.entry} as it no longer stands on the board."
            yield Finding("orphan", "board", mark.benchmark, mark.entry, f"{mark.benchmark}/{mark.entry}", text)
    for path in board.stored_predictions():
        if path.stem not in named:
            yield Finding(
                "orphan", "board", "", "", f"predictions/{path.stem[:12]}", "No submission names these predictions."
            )
