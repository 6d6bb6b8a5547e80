"""Tables as text: the same numbers, ranks and marks, in the width there is."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from made_entries import SETTING, block, made, written

from openmmlo.cli import main
from openmmlo.leaderboard.reported import read_tables
from openmmlo.leaderboard.rows import Table, tables_of
from openmmlo.leaderboard.show import shown

REPORTED = Path(__file__).parents[2] / "leaderboard" / "reported"


def miniature() -> Table:
    entries = [
        made("ce", [block(0.8, 0.6, 0.10 + step / 100) for step in range(3)]),
        made("crt", [block(0.7, 0.6, 0.50 + step / 100) for step in range(3)]),
        made("more", [block(0.9, 0.9, 0.9)] * 3, setting=replace(SETTING, training_set="imagenet")),
    ]
    (found,) = tables_of(entries, [])
    return found


def imagenet() -> Table:
    values = {path.stem: json.loads(path.read_text()) for path in REPORTED.glob("*.json")}
    (found,) = [item for item in tables_of([], read_tables(values)) if item.benchmark.name == "imagenet-lt"]
    return found


@pytest.mark.parametrize("width", [80, 100, 200])
def test_no_line_is_longer_than_the_terminal_is_wide(width: int) -> None:
    for table in (miniature(), imagenet()):
        assert max(map(len, shown(table, width).lines)) <= width


def test_mean_deviation_rank_mark_and_seeds_stand_in_one_line() -> None:
    """cRT: few 50, 51, 52; all (18 x 70 + 17 x 60 + 15 x few) / 50 = 60.6, 60.9, 61.2."""
    lines = shown(miniature(), 200).lines
    (line,) = [line for line in lines if " Crt " in line]
    cells = line.split()
    assert cells[:4] == ["1", "Crt", "re-scored", "3"]
    assert " ".join(cells[4:6]) == "60.90 ±0.30"
    assert "51.00 ±1.00" in line


def test_rows_that_are_not_ranked_stand_apart() -> None:
    lines = list(shown(miniature(), 200).lines)
    assert lines[1] == "miniature, version 1:"
    assert lines.index("not ranked:") == 4
    assert lines[5].split()[0] == "-"


def test_blocks_of_a_paper_keep_their_ranks_and_decimals() -> None:
    lines = list(shown(imagenet(), 80).lines)
    start = lines.index("Table 1, training from scratch:")
    assert lines[start + 1].split()[:1] == ["1"]
    assert lines[start + 1].split()[-4:] == ["69.4", "77.2", "68.6", "51.3"]
    assert sum(line.endswith(":") for line in lines) == 5


def test_columns_without_room_are_named() -> None:
    narrow, wide = shown(miniature(), 80), shown(miniature(), 200)
    assert wide.left_out == ()
    assert narrow.left_out
    assert all(name in wide.lines[0] and name not in narrow.lines[0] for name in narrow.left_out)


def test_a_long_name_is_cut_and_a_table_without_rows_has_no_lines() -> None:
    entry = made("long", [block(0.8, 0.6, 0.3)] * 3)
    long = replace(entry, submission=replace(entry.submission, name="A very long name " * 6))
    (found,) = tables_of([long], [])
    assert "…" in "".join(shown(found, 80).lines)
    assert max(map(len, shown(found, 80).lines)) <= 80
    (empty,) = tables_of([made("late", [block(0.8, 0.6, 0.3)], mark=None)], [])
    assert shown(empty, 80).lines == ()


def test_the_command_prints_the_table_and_the_same_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entries = [
        made("ce", [block(0.8, 0.6, 0.10 + step / 100) for step in range(3)]),
        made("late", [block(0.7, 0.6, 0.50 + step / 100) for step in range(3)], mark=None),
    ]
    root = written(tmp_path, entries)
    assert main(["leaderboard", "show", "--board", str(root), "--benchmark", "miniature"]) == 0
    said = capsys.readouterr().out
    assert "1  Ce" in said
    assert "re-scored" in said
    assert "Not re-scored yet: late." in said
    assert main(["leaderboard", "show", "--board", str(root), "--json"]) == 0
    (value,) = json.loads(capsys.readouterr().out)
    (row,) = value["rows"]
    few = row["metrics"]["classification.test.groups.few"]
    assert few["seeds"] == pytest.approx([0.10, 0.11, 0.12])
    assert few["rank"] == [1, 1]
    assert row["mark"] == "re-scored"
    assert value["awaiting"] == ["late"]


def test_a_benchmark_that_is_not_known_is_refused_and_one_without_entries_is_empty(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["leaderboard", "show", "--board", str(tmp_path), "--benchmark", "minature"]) == 2
    assert "'miniature'" in capsys.readouterr().err
    assert main(["leaderboard", "show", "--board", str(tmp_path), "--benchmark", "miniature"]) == 0
    assert capsys.readouterr().out.strip() == "No entry."


@pytest.mark.parametrize("command", ["show", "lint"])
def test_the_commands_load_no_torch(command: str, tmp_path: Path) -> None:
    root = written(tmp_path, [made("ce", [block(0.8, 0.6, 0.10 + step / 100) for step in range(3)])])
    code = (
        "import sys\nfrom openmmlo.cli import main\n"
        f"assert main(['leaderboard', {command!r}, '--board', {str(root)!r}]) == 0\n"
        "assert 'openmmlo.leaderboard.board' in sys.modules\n"
        "assert not {'torch', 'transformers', 'timm', 'datasets', 'faiss'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
