"""A board before and after somebody's change comes in; what speaks against the change goes out.

This is what a pull request is looked at by: with the code and the definitions of the branch that it wants to change,
never with its own. Both folders are data; nothing is written.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from openmmlo.errors import SubmissionRefused
from openmmlo.leaderboard.board import MARKS, PREDICTIONS, REPORTED, SUBMISSIONS, Board
from openmmlo.leaderboard.limits import printable
from openmmlo.leaderboard.rescore import Verdict, verdict_of

_FOLDERS = (SUBMISSIONS, PREDICTIONS, MARKS, REPORTED)
_FILES = ("SUBMITTING.md",)

Listing = dict[str, str]
"""Path in a board -> SHA-256 of the file, or where a link leads."""


def review(before: Board, after: Board, said: Callable[[Verdict], None] | None = None) -> list[Verdict]:
    """Look a change of a board over, and score every entry again that it touches.

    Marks may not change, papers' rows and entries of others neither, nothing may go, and no file may come that no
    submission names.

    Args:
        said: called with each verdict at once.

    Raises:
        SubmissionRefused: the changed board cannot be listed.
    """
    if after.root.is_symlink():
        raise SubmissionRefused("The board is a link; expected a folder.")
    old, new = listing(before.root), listing(after.root)
    touched = sorted(path for path in old.keys() | new.keys() if old.get(path) != new.get(path))
    verdicts: list[Verdict] = []

    def say(verdict: Verdict) -> None:
        verdicts.append(verdict)
        if said is not None:
            said(verdict)

    for name in touched:
        reason = _refusal(name, name in new)
        if reason:
            say(Verdict(printable(name), "refused", reason))
    if verdicts:  # a listing that holds what it may not is not read further
        return verdicts
    named: set[str] = set()
    for path in after.paths():
        changed = path.relative_to(after.root).as_posix() in touched
        try:
            entry = after.read(path)
        except SubmissionRefused as error:
            if changed:
                say(Verdict(f"{path.parent.name}/{path.stem}", "refused", printable(str(error))))
            continue
        own = {f"{PREDICTIONS}/{run.predictions.sha256}.parquet" for run in entry.submission.runs}
        named |= own
        if changed or not own.isdisjoint(touched):
            say(_of_others(before, after, path) or _scored(before, after, path))
    for name in touched:
        if name.startswith(f"{PREDICTIONS}/") and name not in named:
            say(Verdict(name, "refused", "No submission names these predictions."))
    return verdicts


def listing(root: Path) -> Listing:
    """Every file and link below a folder; links are not followed."""
    found: Listing = {}
    for folder, folders, files in os.walk(root, followlinks=False):
        for name in (*files, *folders):
            path = Path(folder) / name
            if path.is_symlink():
                found[path.relative_to(root).as_posix()] = f"link to {path.readlink()}"
            elif path.is_file():
                with path.open("rb") as file:
                    found[path.relative_to(root).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def _refusal(path: str, there: bool) -> str:
    """Why a change of this path is refused whatever it holds; empty where it is not."""
    folder, _, rest = path.partition("/")
    if folder == MARKS:
        return (
            "Marks are written by openmmlo leaderboard rescore and reproduce, which maintainers run; take this file "
            "out of the change."
        )
    if folder == REPORTED:
        return (
            "That a paper prints a number is for maintainers to look up; take this file out of the change, and open an "
            "issue that names paper and table."
        )
    if (rest and folder not in _FOLDERS) or (not rest and path not in _FILES):
        return f"A board holds {', '.join(f'{name}/' for name in _FOLDERS)} and {', '.join(_FILES)}; nothing else."
    if any(part.startswith(".") for part in path.split("/")) and path.rpartition("/")[2] != ".gitkeep":
        return "A board holds no hidden files."
    if not there and folder in (SUBMISSIONS, PREDICTIONS):
        return "It would be removed, and others may rely on it. Ask the maintainers to remove it."
    return ""


def _scored(before: Board, after: Board, path: Path) -> Verdict:
    """What scoring says; of an entry that is there, with what no name proves."""
    found = verdict_of(after, path)
    if not found.ok or not (before.root / path.relative_to(after.root)).is_file():
        return found
    return replace(found, reason="It changes an entry that is there: see that its authors are who asks for it.")


def _of_others(before: Board, after: Board, path: Path) -> Verdict | None:
    """A refusal where an entry that was there loses one of its authors."""
    earlier = before.root / path.relative_to(after.root)
    if not earlier.is_file():
        return None
    lost = set(before.read(earlier).submission.authors) - set(after.read(path).submission.authors)
    if not lost:
        return None
    reason = f"The entry is there already, and of others: {', '.join(sorted(lost))}. Choose a name of your own."
    return Verdict(f"{path.parent.name}/{path.stem}", "refused", printable(reason))
