"""A board comes in; a folder of pages goes out that any browser opens, from a server or from the folder itself."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from jinja2 import Environment

from openmmlo import __version__
from openmmlo.errors import DataError
from openmmlo.leaderboard.board import Board, Entry
from openmmlo.leaderboard.lint import Finding, lint_reported
from openmmlo.leaderboard.methods import FAMILIES, METHODS
from openmmlo.leaderboard.reported import read_tables
from openmmlo.leaderboard.rows import Row, Table, tables_of
from openmmlo.leaderboard.site import downloads
from openmmlo.leaderboard.site.entry import entry_view, strips_of
from openmmlo.leaderboard.site.marks import MEANING
from openmmlo.leaderboard.site.plots import frame
from openmmlo.leaderboard.site.table import cell, first, headline, mark_counts, table_data, table_view
from openmmlo.pages.page import environment, render
from openmmlo.progress import Progress, Silent

CONTENTS = "site.json"
"""Names every file of a site, so that the next one takes away what it no longer has."""

_PARTS = Path(__file__).parent / "page"
_OURS = re.compile(r"(index|methods)\.html|benchmarks/[a-z0-9.-]+\.html|entries/[a-z0-9.-]+/[a-z0-9.-]+\.html"
                   r"|data/[a-z0-9.-]+\.(csv|json|bib)")  # fmt: skip
_NEWEST = 12


@dataclass(frozen=True)
class Site:
    """What was written: where, how many pages and rows, and how many entries wait for a mark."""

    folder: Path
    pages: int
    rows: int
    awaiting: int


def write_site(board: Board, out: Path, progress: Progress | None = None) -> Site:
    """Write every page and download of a board. Equal boards give equal bytes.

    Args:
        out: a folder that is empty, missing, or an earlier site, of which nothing stays that the board has no more.

    Raises:
        DataError: ``out`` holds other files.
        OpenmmloError: the board holds what cannot be read.
    """
    before = _earlier(out)
    shown = progress or Silent()
    entries = board.entries()
    printed = read_tables(board.reported())
    tables = with_findings(tables_of(entries, printed), lint_reported(printed))
    by_label = {entry.submission.label: entry for entry in entries}
    written: list[str] = []
    # Overview, methods, three downloads of all; of each benchmark its page and three downloads; a page an entry.
    shown.start(5 + 4 * len(tables) + sum(entry.mark is not None for entry in entries), 0)
    try:
        for name, data in _files(tables, by_label):
            path = out / PurePosixPath(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            # Whole, but not synced one by one: a site that a power cut tears is written again in seconds.
            if not path.is_file() or path.read_bytes() != data:
                path.write_bytes(data)
            written.append(name)
            shown.advance(1, 0)
    finally:
        shown.close()
    contents = {"openmmlo": __version__, "files": sorted(written)}
    (out / CONTENTS).write_text(json.dumps(contents, indent=1) + "\n", encoding="utf-8")
    for name in before - set(written):
        (out / PurePosixPath(name)).unlink(missing_ok=True)
    return Site(
        out,
        sum(name.endswith(".html") for name in written),
        sum(len(table.rows) for table in tables),
        sum(len(table.awaiting) for table in tables),
    )


def with_findings(tables: Iterable[Table], findings: Iterable[Finding]) -> list[Table]:
    """The tables, with what the linter says of their reported rows beside the remarks on them that do not say it."""
    found: dict[tuple[str, str], list[Finding]] = defaultdict(list)
    for item in findings:
        found[item.benchmark, item.entry].append(item)

    def remarked(row: Row, table: Table) -> Row:
        own = found.get((row.benchmark, row.entry), []) if row.mark == "reported" else []
        said = [f"Linter: {item.text}" for item in own if not _is_said(item, row, table)]
        return replace(row, remarks=(*row.remarks, *said)) if said else row

    return [replace(table, rows=tuple(remarked(row, table) for row in table.rows)) for table in tables]


def _is_said(item: Finding, row: Row, table: Table) -> bool:
    """Whether a remark on the row gives the residual, or names the training set that it has and the one it should."""
    if item.residual is not None:
        return any(f"({item.residual:+.2f})" in text for text in row.remarks)
    (train,) = table.benchmark.with_role("train")
    both = _words(f"{row.setting.training_set} {train.source}")
    return item.rule == "training-set" and any(both <= _words(text) for text in row.remarks)


def _words(text: str) -> set[str]:
    """Words as data sets are called: CIFAR-100 is cifar100."""
    return set(re.findall(r"\w+", text.lower().replace("-", "")))


def _files(tables: Sequence[Table], entries: Mapping[str, Entry]) -> Iterator[tuple[str, bytes]]:
    names = [table.benchmark.name for table in tables]
    yield "index.html", _page("index.html", "", "index.html", names, _index_view(tables))
    yield "methods.html", _page("methods.html", "", "methods.html", names, {"families": _families(tables)})
    parts: list[str] = []
    for table in tables:
        name = table.benchmark.name
        view = table_view(table)
        data = table_data(table, view["charts"]) | {"frame": frame()}
        yield (
            f"benchmarks/{name}.html",
            _page("benchmark.html", "../", name, names, {"table": view}, ("points.js", "table.js"), data),
        )
        rows = {row.entry: row for row in table.rows if row.mark != "reported"}
        strips, columns = strips_of(table), headline(table)
        for key, row in rows.items():
            found = entry_view(entries[f"{name}/{key}"], row, strips, columns)
            yield f"entries/{name}/{key}.html", _page("entry.html", "../../", name, names, found)
        yield f"data/{name}.csv", downloads.csv_of([table])
        parts.append(downloads.json_part(table))
        yield f"data/{name}.json", downloads.json_joined(parts[-1:])
        yield f"data/{name}.bib", downloads.bibtex_of([(row, _authors(row, entries)) for row in table.rows])
    yield "data/leaderboard.csv", downloads.csv_of(tables)
    yield "data/leaderboard.json", downloads.json_joined(parts)
    yield "data/methods.bib", downloads.bibtex_of_methods()


def _authors(row: Row, entries: Mapping[str, Entry]) -> tuple[str, ...]:
    return () if row.mark == "reported" else entries[f"{row.benchmark}/{row.entry}"].submission.authors


def _page(
    template: str, root: str, here: str, benchmarks: Sequence[str], views: Mapping[str, Any],
    scripts: Sequence[str] = (), data: Any = None,
) -> bytes:  # fmt: skip
    frame_of = {"root": root, "here": here, "benchmarks": benchmarks, "marks": MEANING}
    return render(_templates(), _PARTS, template, "site.css", scripts, data or {}, {**frame_of, **views})


@cache
def _templates() -> Environment:
    return environment(_PARTS)


def _index_view(tables: Sequence[Table]) -> dict[str, Any]:
    every = [row for table in tables for row in table.rows]
    own = sorted((row for row in every if row.mark != "reported"), key=lambda row: (row.date, row.name), reverse=True)
    return {
        "tables": [
            {"name": table.benchmark.name, "title": table.benchmark.title, "counts": mark_counts(table.rows),
             "best": _best(table)}
            for table in tables
        ],
        "counts": mark_counts(every),
        "awaiting": sum(len(table.awaiting) for table in tables),
        "newest": [
            {"date": row.date, "name": row.name, "benchmark": row.benchmark, "mark": row.mark,
             "href": f"entries/{row.benchmark}/{row.entry}.html"}
            for row in own[:_NEWEST]
        ],
    }  # fmt: skip


def _best(table: Table) -> dict[str, Any] | None:
    """The first ranked row scored here, else the first reported one, by the column that gives the order.

    A row that is not ranked learned from another training set: it is the best of nothing.
    """
    key = first(table)
    rows = sorted(
        (row for row in table.rows if key in row.values), key=lambda row: (row.protocol is None, row.mark == "reported")
    )
    if not rows:
        return None
    row = rows[0]
    column = next(item for item in table.columns if item.key == key)
    entry = "" if row.mark == "reported" else f"entries/{row.benchmark}/{row.entry}.html"
    return {
        "name": row.name,
        "mark": row.mark,
        "number": cell(row, column).mean,
        "metric": f"{column.group}, {column.title.lower()}",
        "href": entry or f"benchmarks/{row.benchmark}.html#row-{row.entry}",
    }


def _families(tables: Sequence[Table]) -> list[dict[str, Any]]:
    """Families of methods, each method with the benchmarks that have rows of it."""
    counts = Counter((row.method, row.benchmark) for table in tables for row in table.rows)
    return [
        {
            "key": key,
            "title": title,
            "methods": [
                {
                    "method": item,
                    "rows": [
                        (table.benchmark.name, counts[item.key, table.benchmark.name])
                        for table in tables
                        if counts[item.key, table.benchmark.name]
                    ],
                }
                for item in METHODS.values()
                if item.family == key
            ],
        }
        for key, title in FAMILIES.items()
    ]


def _earlier(out: Path) -> set[str]:
    """The files of the site that lies there; none where nothing does. Raises DataError for anything else."""
    if not out.exists():
        return set()
    try:
        found = json.loads((out / CONTENTS).read_bytes())["files"]
        return {str(name) for name in found if _OURS.fullmatch(str(name)) and ".." not in str(name)}
    except (OSError, ValueError, KeyError, TypeError) as error:
        if out.is_dir() and not any(out.iterdir()):
            return set()
        raise DataError(f"{out} is no empty folder and no site. Name a folder for the site alone.") from error
