"""The site of a board: whole, the same each time, true to the marks, safe with any text, small, loading nothing."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urldefrag

import pytest
from drawn_boards import board_of, mark_of, submission, submissions, table
from made_entries import block, made
from read_pages import Page

from openmmlo.errors import DataError
from openmmlo.leaderboard import limits
from openmmlo.leaderboard.board import Board
from openmmlo.leaderboard.lint import lint_reported
from openmmlo.leaderboard.reported import read_tables
from openmmlo.leaderboard.rows import tables_of
from openmmlo.leaderboard.site import write_site
from openmmlo.leaderboard.site.downloads import csv_of, safe_cell
from openmmlo.leaderboard.site.write import with_findings

HOSTILE = (
    "</script><img src=x onerror=alert(1)>",
    "<!-- <script>window.harmed = 1",
    '"><svg onload=alert(1)>',
    "{{7*7}} {% raw %}",
    "ع" * 40,
    "x" * 120,
    "'\"`&amp;&lt; $x_1^2$ \\",
    "]]>",
    "__proto__",
)
WAITING = ("focal", "class-balanced")


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Board:
    return board_of(tmp_path_factory.mktemp("board"), submissions(12), WAITING)


@pytest.fixture(scope="module")
def site(board: Board, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_site(board, tmp_path_factory.mktemp("site")).folder


def pages(site: Path) -> dict[str, Page]:
    return {str(path.relative_to(site)): Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}


def files(site: Path) -> dict[str, bytes]:
    return {str(path.relative_to(site)): path.read_bytes() for path in site.rglob("*") if path.is_file()}


def rows_of(page: Page) -> list[tuple[str, list[str]]]:
    """(entry, classes of its marks) of every row of the table of rows."""
    found: list[tuple[str, list[str]]] = []
    within = False
    for tag, attributes in page.elements:
        if tag in ("table", "section"):
            within = attributes.get("id") == "board"
        if within and tag == "tr" and attributes.get("id"):
            found.append(((attributes["id"] or "").removeprefix("row-"), []))
        classes = (attributes.get("class") or "").split()
        if within and found and tag == "span" and "mark" in classes:
            found[-1][1].append(classes[-1])
    return found


def test_it_is_the_same_each_time_and_what_is_gone_goes(board: Board, site: Path, tmp_path: Path) -> None:
    out = tmp_path / "site"
    assert write_site(board, out).rows == 10 + 4
    assert files(out) == files(site)
    assert str(board.root).encode() not in b"".join(files(out).values())
    few = board_of(tmp_path / "few", submissions(2), (), reported=False)
    found = write_site(few, out)
    assert (found.pages, found.rows, found.awaiting) == (5, 2, 0)
    assert {name for name in files(out) if name.endswith(".html")} == {
        "index.html", "methods.html", "benchmarks/miniature.html", "entries/miniature/ce.html",
        "entries/miniature/ce-class-aware.html",
    }  # fmt: skip


def test_a_folder_of_other_things_is_left_alone(board: Board, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("all of it", encoding="utf-8")
    with pytest.raises(DataError, match="no empty folder and no site"):
        write_site(board, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    (tmp_path / "site.json").write_text(
        json.dumps({"files": ["thesis.tex", "../x", "data/../../x.csv"]}), encoding="utf-8"
    )
    write_site(board, tmp_path)
    assert (tmp_path / "thesis.tex").is_file()


def test_every_link_leads_somewhere_and_nothing_is_loaded(site: Path) -> None:
    known = pages(site)
    assert len(known) == 2 + 2 + 10
    ids = {name: {attributes.get("id") for _, attributes in page.elements} for name, page in known.items()}
    followed = 0
    for name, page in known.items():
        for tag, attributes in page.elements:
            assert not [key for key in attributes if key.startswith("on") or key in ("style", "srcset")], (name, tag)
            assert "src" not in attributes, (name, tag)
            address = attributes.get("href") or ""
            if tag == "link":
                assert address.startswith("data:")
            elif tag == "a" and not re.match(r"https?://", address):
                place, fragment = urldefrag(address)
                path = (site / name).parent / place if place else site / name
                target = str(path.resolve().relative_to(site.resolve()))
                assert (site / target).is_file(), (name, address)
                if fragment and "=" not in fragment:
                    assert fragment in ids[target], (name, address)
                followed += 1
    assert followed > 100


def test_the_policy_names_the_one_style_and_script(site: Path) -> None:
    for name, page in pages(site).items():
        (policy,) = (
            item["content"] for _, item in page.elements if item.get("http-equiv") == "Content-Security-Policy"
        )
        rules = dict(rule.strip().split(" ", 1) for rule in (policy or "").split(";"))
        _, script = page.raw["script"]
        (style,) = page.raw["style"]
        for rule, text in (("script-src", script), ("style-src", style)):
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert rules[rule] == f"'sha256-{digest}'", name
        assert rules["default-src"] == "'none'"
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", script)
        used = [item["id"] for _, item in page.elements if item.get("id")]
        assert len(used) == len(set(used)), name


def test_rows_are_the_marks_and_each_shows_its_own(board: Board, site: Path) -> None:
    page = pages(site)["benchmarks/miniature.html"]
    entries = board.entries()
    expected = {entry.submission.entry: entry.mark.mark for entry in entries if entry.mark}
    rows = rows_of(page)
    assert len(rows) == len(expected) + 2
    assert len(set(expected.values())) == 2
    for key, marks in rows:
        assert marks == [expected.get(key, "reported")]
    assert sorted(key for key, marks in rows if marks == ["reported"]) == [
        "table-1-crt-from-scratch",
        "table-1-lade-from-scratch",
    ]
    assert page.data["keys"] == [key for key, _ in rows]
    assert page.data["told"].count(1) == 2


def test_what_waits_is_listed_by_name_alone(board: Board, site: Path) -> None:
    page = pages(site)["benchmarks/miniature.html"]
    assert "class-balanced focal" in page.text("awaiting")
    everything = b"".join(files(site).values()).decode()
    for entry in board.entries():
        if entry.submission.entry in WAITING:
            assert entry.mark is None
            assert not (site / "entries" / "miniature" / f"{entry.submission.entry}.html").exists()
            assert entry.digest not in everything
            for run in entry.submission.runs:
                assert repr(run.scored["classification"]["test"]["top1_samples"]) not in everything


def test_numbers_are_those_of_the_mark(tmp_path: Path) -> None:
    honest = submission()
    board = board_of(tmp_path / "board", [honest], reported=False)
    (path,) = (board.root / "marks").iterdir()
    mark = mark_of(honest, path.stem, False)
    few = "classification.test.groups.few"
    scored = [0.25, 0.50, 0.60]
    runs = tuple(
        replace(run, scored={**run.scored, few: value}) for run, value in zip(mark.runs, scored, strict=True)
    )  # fmt: skip
    path.write_bytes(replace(mark, runs=runs).to_bytes())
    site = write_site(Board(board.root), tmp_path / "site").folder
    mean, deviation = 100 * statistics.mean(scored), 100 * statistics.stdev(scored)
    found = pages(site)
    cells = found["benchmarks/miniature.html"].data["columns"][few]["cells"]
    half = 4.302652729911275 * deviation / 3**0.5  # 97.5 % of Student's t with two degrees of freedom
    assert cells == [[round(100 * mean), round(100 * deviation), round(100 * half), 1]]
    text = (site / "entries/miniature/focal.html").read_text(encoding="utf-8")
    numbers = f"{mean:.2f}", f"{deviation:.2f}", "25.00", "50.00", "60.00"
    row = "".join(f"<td>{number}</td>" for number in numbers)
    assert f'<th scope="row">groups · few</th>{row}' in text
    assert f'{mean:.2f} <span class="sd">± {deviation:.2f}</span>' in (site / "benchmarks/miniature.html").read_text(
        "utf-8"
    )


def test_an_entry_says_where_it_is_from(board: Board, site: Path) -> None:
    entry = next(entry for entry in board.entries() if entry.mark and entry.mark.mark == "reproduced")
    name = f"entries/miniature/{entry.submission.entry}.html"
    text = (site / name).read_text(encoding="utf-8")
    assert entry.digest in text
    for run in entry.submission.runs:
        assert run.predictions.sha256 in text
        assert run.result["digests"]["checkpoint"] in text
        assert f"openmmlo eval --model {run.result['model']['name']} --benchmark miniature --seed {run.seed}" in text
        assert f"reproduce {entry.submission.label} --seed {run.seed} --weights CHECKPOINT" in text
    assert f"openmmlo leaderboard rescore miniature/{entry.submission.entry}" in text
    assert "was run again on 2026-11-20 (cpu): 99.80 % of the predicted classes agree" in text
    assert "@misc{miniature." in text
    assert entry.mark is not None
    for path in entry.mark.runs[0].scored:
        words = [item.replace("_", " ") for item in path.split(".")[2:] if item != "detectors"]
        assert f'<th scope="row">{" · ".join(words)}</th>' in text, path


def test_reported_rows_stand_apart_with_their_remarks(site: Path) -> None:
    text = (site / "benchmarks/imagenet-lt.html").read_text(encoding="utf-8")
    assert text.count('<tr class="reported"') == 2
    page = Page(text)
    assert "cRT matches the published ResNeXt-50 figure." in page.text("remarks")
    assert "No row says how many runs it is of." in page.text("remarks")
    assert "Linter: " in page.text("remarks")  # 61.6, 46.6 and 29.6 do not recombine to 49.6
    assert "seeds" not in page.data["columns"]
    assert 'href="#remark-table-1-crt-from-scratch" aria-label="2 remarks on cRT"' in text


def test_what_the_linter_finds_stands_beside_a_row_once(tmp_path: Path) -> None:
    """Of the real tables, whose remarks give the arithmetic already; without them the linter's words stand there."""
    paper = Path(__file__).parents[3] / "leaderboard" / "reported"
    tables = read_tables({path.stem: json.loads(path.read_bytes()) for path in paper.iterdir()})
    bare = [replace(table, rows=tuple(replace(row, remarks=()) for row in table.rows)) for table in tables]
    rows = {
        (row.benchmark, row.entry): row.remarks
        for table in with_findings(tables_of([], tables), lint_reported(tables))
        for row in table.rows
    }
    told = {
        (row.benchmark, row.entry): row.remarks
        for table in with_findings(tables_of([], bare), lint_reported(bare))
        for row in table.rows
    }
    assert not [text for remarks in rows.values() for text in remarks if text.startswith("Linter: ")]
    found = [(key, text) for key, remarks in told.items() for text in remarks]
    assert sum("shot groups give" in text for _, text in found) == 9
    assert sum("Learned from" in text for _, text in found) == 12
    for key, text in found:
        assert rows[key], (key, text)


def test_downloads_say_which_version_a_row_was_scored_on() -> None:
    drawn = made("ce", [block(0.8, 0.6, 0.3)] * 3)
    other = replace(drawn, submission=replace(drawn.submission, benchmark_version=7))
    paper = read_tables({"table-1": table()})
    found = tables_of([other], paper)
    lines = csv.DictReader(io.StringIO(csv_of(found).decode()))
    assert {(line["mark"], line["version"]) for line in lines} == {("re-scored", "7"), ("reported", "")}


@pytest.mark.parametrize("kind", ["csv", "json", "bib"])
def test_downloads_hold_every_row_with_its_mark(board: Board, site: Path, kind: str) -> None:
    data = (site / "data" / f"miniature.{kind}").read_text(encoding="utf-8")
    marked = {entry.submission.entry: entry.mark.mark for entry in board.entries() if entry.mark}
    if kind == "csv":
        lines = list(csv.DictReader(io.StringIO(data)))
        assert {line["entry"]: line["mark"] for line in lines if line["mark"] != "reported"} == marked
        assert len(lines) == len(marked) + 2
    elif kind == "json":
        (found,) = json.loads(data)
        assert {row["entry"]: row["mark"] for row in found["rows"] if row["mark"] != "reported"} == marked
        assert found["awaiting"] == sorted(WAITING)
        row = next(row for row in found["rows"] if row["entry"] == "ce")
        value = row["metrics"]["classification.test.top1_samples"]
        assert value["mean"] == pytest.approx(statistics.mean(value["seeds"]), abs=1e-15)
        assert value["sd"] == pytest.approx(statistics.stdev(value["seeds"]), abs=1e-15)
    else:
        assert all(f"@misc{{miniature.{entry}," in data for entry in marked)
        assert all(f"note = {{{mark}; submission" in data for mark in marked.values())
        assert data.count("{") == data.count("}")


def test_no_cell_is_a_formula(tmp_path: Path) -> None:
    names = ["=HYPERLINK(1)", "+1+1", "-2", "@SUM(A1)", " =1", "\u200b=1", "\uff1d1", "KNN+", "a=b"]
    assert [safe_cell(name) for name in names] == [*(f"'{name}" for name in names[:7]), "KNN+", "a=b"]
    assert safe_cell("a\n=1\t+2\r@3") == "a =1 +2 @3"
    # A file of commas that is opened where semicolons part cells.
    assert safe_cell('a;=1+1; @b;"=2";c;-3;d') == "a;'=1+1;' @b;'\"=2\";c;'-3;d"
    # Neither a submission nor a reported table may hold such text; a download does not rely on that.
    (found,) = tables_of(board_of(tmp_path / "board", submissions(2), reported=False).entries(), ())
    rows = [
        replace(row, name=name, source=name, remarks=(name,)) for row, name in zip(found.rows, names[:2], strict=True)
    ]
    lines = list(csv.reader(io.StringIO(csv_of([replace(found, rows=tuple(rows))]).decode())))
    assert len(lines) == 3
    cells = [cell for line in lines for cell in line if not re.fullmatch(r"-?[\d.e-]+", cell)]
    assert sum(cell in {"'=HYPERLINK(1)", "'+1+1"} for cell in cells) == 6
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t"))]


def test_hostile_text_stays_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_MARKUP", re.compile("(?!)"))  # HTML is refused before; pages do not rely on that
    drawn = submissions(len(HOSTILE))
    hostile = [
        replace(item, name=text, authors=(text[:100],), note=text, setting=replace(item.setting, backbone=text))
        for item, text in zip(drawn, HOSTILE, strict=True)
    ]
    for item, text in zip(hostile, HOSTILE, strict=True):
        for run in item.runs:
            run.result["warnings"].append(text)  # type: ignore[attr-defined]
            run.result["model"]["name"] = text
    site = write_site(board_of(tmp_path / "board", hostile), tmp_path / "site").folder
    for name, page in pages(site).items():
        assert len(page.raw["script"]) == 2, name
        assert not [tag for tag, attributes in page.elements if tag == "img" or "onload" in attributes], name
    page = pages(site)["benchmarks/miniature.html"]
    assert set(page.data["names"]) == {*HOSTILE, "cRT", "LADE"}
    for item in hostile:
        own = Page((site / "entries" / "miniature" / f"{item.entry}.html").read_text(encoding="utf-8"))
        assert " ".join(item.name.split()) in own.text("top")
    bibtex = (site / "data/miniature.bib").read_text(encoding="utf-8")
    assert len(re.findall(r"(?<!\\)\{", bibtex)) == len(re.findall(r"(?<!\\)\}", bibtex))
    assert "\\$x\\_1\\^{}2\\$" in bibtex


def test_entries_called_as_a_part_of_the_page(tmp_path: Path) -> None:
    """The script finds "all" and "none" by their ids, and would write into the row of an entry of that name."""
    parts = ("all", "none", "more", "count", "q", "board", "outside", "remarks", "remark-all", "row-all", "f-mark")
    drawn = [replace(item, entry=part) for item, part in zip(submissions(len(parts)), parts, strict=True)]
    site = write_site(board_of(tmp_path / "board", drawn), tmp_path / "site").folder
    page = pages(site)["benchmarks/miniature.html"]
    used = [item["id"] for _, item in page.elements if item.get("id")]
    assert set(used) > set(parts[:8])
    assert len(used) == len(set(used))
    assert {key for key, _ in rows_of(page)} > {*parts}


def test_the_best_of_a_benchmark_is_one_that_is_ranked(tmp_path: Path) -> None:
    more = submission(entry="more", name="More images", date="2026-11-20", skill=4.0)
    more = replace(more, note="Trained longer.", setting=replace(more.setting, training_set="imagenet"))
    site = write_site(board_of(tmp_path / "board", [more, submission()], reported=False), tmp_path / "site").folder
    found = pages(site)
    assert [key for key, _ in rows_of(found["benchmarks/miniature.html"])] == ["more", "focal"]
    assert "Focal loss" in found["index.html"].text("benchmarks")
    assert "More images" not in found["index.html"].text("benchmarks")
    (line,) = re.findall(r'class="c-best" d="M ([^"]+)"', (site / "benchmarks/miniature.html").read_text("utf-8"))
    assert len({place.split()[-1] for place in line.split(" L ")}) == 1  # it goes on level at the ranked row's
    own = (site / "entries/miniature/more.html").read_text(encoding="utf-8")
    assert own.count("Trained longer.") == 1  # a note is no remark beside itself


def test_a_board_without_a_row_has_a_site(tmp_path: Path) -> None:
    board = tmp_path / "board"
    board.mkdir()
    found = write_site(Board(board), tmp_path / "site")
    assert (found.pages, found.rows, found.awaiting) == (2, 0, 0)
    assert "This board has no rows yet." in pages(found.folder)["index.html"].text("benchmarks")
    waiting = write_site(
        board_of(tmp_path / "waits", [submission()], ["focal"], reported=False), tmp_path / "waits-site"
    )
    page = pages(waiting.folder)["benchmarks/miniature.html"]
    assert waiting.awaiting == 1
    assert "No row has a mark yet." in "".join(page.texts.values())
    assert "focal" in page.text("awaiting")


def test_progress_is_told(board: Board, tmp_path: Path) -> None:
    class Told:
        def __init__(self) -> None:
            self.said: list[Any] = []

        def start(self, total: int, done: int) -> None:
            self.said.append(total)

        def advance(self, rows: int, failed: int) -> None:
            self.said.append(rows)

        def say(self, message: str) -> None:
            raise AssertionError(message)

        def close(self) -> None:
            self.said.append("closed")

    told = Told()
    write_site(board, tmp_path / "site", told)
    assert told.said[0] == sum(told.said[1:-1])
    assert told.said[-1] == "closed"
