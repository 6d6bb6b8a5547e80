"""A change of a board: entries are welcome and scored again; marks, entries of others and strays are not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from miniature_results import ABOUT, edited, files_of

from openmmlo.errors import SubmissionRefused
from openmmlo.leaderboard.board import Board
from openmmlo.leaderboard.rescore import rescore
from openmmlo.leaderboard.review import listing, review
from openmmlo.leaderboard.submit import About, submit

FOCAL = "submissions/miniature/focal-loss.json"


@pytest.fixture
def before(board: Board) -> Board:
    rescore(board)
    return Board(board.root)


@pytest.fixture
def after(before: Board, tmp_path: Path) -> Board:
    return Board(shutil.copytree(before.root, tmp_path / "after"))


def reviewed(before: Board, after: Board) -> dict[str, tuple[str, str]]:
    kept = files_of(after.root)
    found = {item.entry: (item.outcome, item.reason) for item in review(before, Board(after.root))}
    assert files_of(after.root) == kept
    return found


def test_nothing_changed(before: Board, after: Board) -> None:
    assert reviewed(before, after) == {}


def test_a_new_entry_is_scored(before: Board, after: Board, results: list[Path]) -> None:
    submit(results[:1], About("New", ("B",), pretraining="none", captions="none"), after).write()
    assert {name: item[0] for name, item in reviewed(before, after).items()} == {"miniature/new": "right"}


def test_a_new_entry_with_edited_metrics(before: Board, after: Board, results: list[Path]) -> None:
    submit(results[:1], About("New", ("B",), pretraining="none", captions="none"), after).write()
    edited(
        after.submission_path("miniature", "new"),
        lambda value: value["runs"][0]["result"]["scored"]["classification"]["test"].update(top1_samples=0.99),
    )
    outcome, reason = reviewed(before, after)["miniature/new"]
    assert outcome == "differs"
    assert "0.99 is stated" in reason


def test_an_update_by_its_authors(before: Board, after: Board) -> None:
    edited(after.root / FOCAL, lambda value: value.update(note="Shorter.", authors=[*ABOUT.authors, "C"]))
    assert reviewed(before, after) == {
        "miniature/focal-loss": (
            "right",
            "It changes an entry that is there: see that its authors are who asks for it.",
        )
    }


def test_an_update_by_others(before: Board, after: Board) -> None:
    edited(after.root / FOCAL, lambda value: value.update(authors=["Eve", "Ada Lovelace"]))
    assert reviewed(before, after) == {
        "miniature/focal-loss": (
            "refused", "The entry is there already, and of others: Emmy Noether. Choose a name of your own.",
        )
    }  # fmt: skip


def add_mark(board: Board) -> str:
    (board.root / "marks/new.json").write_text("{}")
    return "marks/new.json"


def change_mark(board: Board) -> str:
    path = sorted((board.root / "marks").iterdir())[0]
    edited(path, lambda value: value["runs"][0]["scored"].update({"classification.test.groups.few": 0.99}))
    return f"marks/{path.name}"


def remove_mark(board: Board) -> str:
    path = sorted((board.root / "marks").iterdir())[0]
    path.unlink()
    return f"marks/{path.name}"


def link_marks(board: Board) -> str:
    shutil.move(board.root / "marks", board.root.parent / "elsewhere")
    (board.root / "marks").symlink_to(board.root.parent / "elsewhere", target_is_directory=True)
    return "marks"


def hide_in_marks(board: Board) -> str:
    (board.root / "marks/.hidden").mkdir()
    (board.root / "marks/.hidden/x").write_text("")
    return "marks/.hidden/x"


@pytest.mark.parametrize("change", [add_mark, change_mark, remove_mark, link_marks, hide_in_marks])
def test_no_change_may_touch_marks(before: Board, after: Board, change: Callable[[Board], str]) -> None:
    name = change(after)
    found = reviewed(before, after)
    assert found[name][0] == "refused"
    assert "Marks are written by openmmlo leaderboard rescore and reproduce" in found[name][1]


def test_strays_and_removals(before: Board, after: Board) -> None:
    (after.root / "setup.py").write_text("raise SystemExit")
    (after.root / "scripts").mkdir()
    (after.root / "scripts/run.sh").write_text("")
    (after.root / FOCAL).unlink()
    predictions = sorted((after.root / "predictions").iterdir())[0]
    predictions.unlink()
    found = reviewed(before, after)
    assert set(found) == {"setup.py", "scripts/run.sh", FOCAL, f"predictions/{predictions.name}"}
    assert all(outcome == "refused" for outcome, _ in found.values())
    assert "nothing else" in found["setup.py"][1]
    assert "Ask the maintainers" in found[FOCAL][1]


def test_predictions_that_nobody_names(before: Board, after: Board) -> None:
    shutil.copy(sorted((after.root / "predictions").iterdir())[0], after.predictions_path("a" * 64))
    assert reviewed(before, after) == {
        f"predictions/{'a' * 64}.parquet": ("refused", "No submission names these predictions.")
    }


def test_predictions_of_an_entry_that_stays_are_not_exchanged(before: Board, after: Board) -> None:
    path = sorted((after.root / "predictions").iterdir())[0]
    path.write_bytes(b"other")
    found = reviewed(before, after)
    assert [outcome for outcome, _ in found.values()] == ["refused"]


def test_links_and_hostile_entries(before: Board, after: Board) -> None:
    secret = after.root.parent / "secret.json"
    secret.write_text("{}")
    (after.root / "submissions/miniature/secret.json").symlink_to(secret)
    assert listing(after.root)["submissions/miniature/secret.json"] == f"link to {secret}"
    with pytest.raises(SubmissionRefused, match="is a link"):
        review(before, after)
    (after.root / "submissions/miniature/secret.json").unlink()
    (after.root / "submissions/miniature/deep.json").write_bytes(b"[" * 10_000)
    outcome, reason = reviewed(before, after)["miniature/deep"]
    assert outcome == "refused"
    assert "deeper than 60 levels" in reason


def test_no_change_may_touch_what_papers_report(before: Board, after: Board) -> None:
    """A number would bear the mark "reported" that nobody held to a paper."""
    table = Path(__file__).parents[2] / "leaderboard" / "reported" / "table-1.json"
    (after.root / "reported").mkdir()
    shutil.copy(table, after.root / "reported/table-1.json")
    ((name, (outcome, reason)),) = reviewed(before, after).items()
    assert (name, outcome) == ("reported/table-1.json", "refused")
    assert "for maintainers to look up" in reason


def test_a_board_that_is_a_link(before: Board, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(before.root, target_is_directory=True)
    with pytest.raises(SubmissionRefused, match="The board is a link"):
        review(before, Board(tmp_path / "link"))
