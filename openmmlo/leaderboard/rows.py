"""A board comes in; the tables that the site and the terminal show go out, a benchmark each.

Every row has a mark: ``reported`` rows are a paper's, ``re-scored`` and ``reproduced`` ones show what was computed
again from predictions, never what was submitted. An entry without a mark is no row; it is named as awaiting.

Ranks (:mod:`openmmlo.leaderboard.ranks`) are given among rows of one protocol. Re-scored and reproduced rows on one
version of a benchmark are one; the rows of one block of one paper's table are another. A reported number and one of
ours never share a rank, and a row that learned from another training set than the benchmark's has none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from openmmlo.evaluate.benchmark import Benchmark, load_benchmark
from openmmlo.evaluate.score import ood_groups
from openmmlo.leaderboard.columns import Column, columns, reported_column, reported_key
from openmmlo.leaderboard.ranks import Value, over_seeds, ranks
from openmmlo.leaderboard.reported import ReportedRow, ReportedTable, read_tables
from openmmlo.leaderboard.submission import Setting
from openmmlo.leaderboard.training_counts import DIGESTS

if TYPE_CHECKING:
    from openmmlo.leaderboard.board import Board, Entry
    from openmmlo.leaderboard.marks import Mark

MarkWord = Literal["reported", "re-scored", "reproduced"]


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        entry: its name in addresses, unique within the benchmark.
        mark: where the numbers come from.
        protocol: rows with the same one are ranked against each other; None: it is ranked against nothing.
        method: key of METHODS, where it has one.
        values: column key -> value; what was not measured is absent.
        seeds: number of runs; None where a paper does not say.
        source: who says so: the authors of a submission, or table and paper.
        remarks: what must be known beside the numbers.
        date: of the submission, empty for a reported row.
        digest: of the submission's file, empty for a reported row.
        version: of the benchmark that it was scored on; None for a reported row, since a paper follows none.
    """

    benchmark: str
    entry: str
    name: str
    mark: MarkWord
    protocol: str | None
    method: str | None
    setting: Setting
    values: Mapping[str, Value]
    seeds: int | None
    source: str
    remarks: tuple[str, ...] = ()
    paper: str | None = None
    code: str | None = None
    date: str = ""
    digest: str = ""
    version: int | None = None


@dataclass(frozen=True)
class Table:
    """What is shown of a benchmark.

    Attributes:
        columns: those that some row fills, in order.
        rows: the best first, by the first column; rows without a value in it last.
        awaiting: entries that nobody has re-scored yet.
        remarks: of the papers' tables that rows are from.
    """

    benchmark: Benchmark
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    awaiting: tuple[str, ...]
    remarks: tuple[str, ...]


def tables(board: Board) -> list[Table]:
    """The table of every benchmark on a board that has a row or an entry, by name."""
    return tables_of(board.entries(), read_tables(board.reported()))


def tables_of(entries: Iterable[Entry], reported: Sequence[ReportedTable]) -> list[Table]:
    """As :func:`tables`, from what a board holds."""
    by_benchmark: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_benchmark[entry.submission.benchmark].append(entry)
    printed: dict[str, list[tuple[ReportedTable, ReportedRow]]] = defaultdict(list)
    for item in reported:
        for row in item.rows:
            printed[row.benchmark].append((item, row))
    return [
        _table(load_benchmark(name), by_benchmark[name], printed[name]) for name in sorted({*by_benchmark, *printed})
    ]


def _table(
    benchmark: Benchmark, entries: Sequence[Entry], printed: Sequence[tuple[ReportedTable, ReportedRow]]
) -> Table:
    marked = [(entry, entry.mark) for entry in entries if entry.mark is not None]
    known = {item.key: item for item in columns(benchmark, _detectors(mark for _, mark in marked))}
    for _, row in printed:
        for metric in row.metrics:
            key = reported_key(metric, benchmark)
            if key not in known:
                known[key] = reported_column(metric, row)
    ours = tuple(known.values())
    rows = [_marked(entry, mark, benchmark, ours) for entry, mark in marked]
    rows += [_reported(item, row, benchmark) for item, row in printed]
    filled = tuple(column for key, column in known.items() if any(key in row.values for row in rows))
    return Table(
        benchmark,
        filled,
        tuple(_sorted(_ranked(rows, filled), filled)),
        tuple(sorted(entry.submission.entry for entry in entries if entry.mark is None)),
        tuple(dict.fromkeys(text for item, _ in printed for text in item.remarks)),
    )


def _detectors(marks: Iterable[Mark]) -> set[str]:
    """Names of the detectors in the marks' paths: ``ood.SET.detectors.NAME.METRIC``."""
    paths = {path for mark in marks for run in mark.runs for path in run.scored}
    found = set()
    for path in paths:
        place, inside, rest = path.partition(".detectors.")
        if inside and place.startswith("ood."):
            found.add(rest.split(".")[0])
    return found


def _marked(entry: Entry, mark: Mark, benchmark: Benchmark, known: Iterable[Column]) -> Row:
    """The row of a re-scored or reproduced entry: a metric that a seed lacks has no value."""
    submission = entry.submission
    values = {}
    partial = _partial_means(mark, benchmark)
    for column in known:
        if any(column.key.startswith(f"ood_groups.{group}.") for group in partial):
            continue
        over = [run.scored[column.key] for run in mark.runs if column.key in run.scored]
        if over and len(over) == len(mark.runs):
            values[column.key] = over_seeds(over)
    protocol: str | None = f"{benchmark.name}, version {submission.benchmark_version}"
    remarks = [] if submission.note is None else [said_by_authors(submission.note)]
    if len(mark.runs) < 2:
        remarks.append("One seed: its numbers have no interval, and chance may have moved them.")
    if not same_training_set(submission.setting.training_set, benchmark):
        remarks.append(
            f"Learned from {submission.setting.training_set}, not this benchmark's training set: not ranked."
        )
        protocol = None
    lacking = list(dict.fromkeys(name for names in partial.values() for name in names))
    if lacking:
        remarks.append(f"Not evaluated on {', '.join(lacking)}: it has no mean over the sets that this is one of.")
    again = [item.seed for item in mark.reproductions]
    if again and len(again) < len(mark.runs):
        which = f"seed{'' if len(again) == 1 else 's'} {', '.join(map(str, again))}"
        remarks.append(f"Reproduced: {which} of {len(mark.runs)} seeds; the others are re-scored.")
    unpinned = sorted({name for run in mark.runs for name in run.unpinned})
    if unpinned:
        remarks.append(f"The lists of {', '.join(unpinned)} are not pinned: no hash shows that these were its images.")
    if benchmark.name not in DIGESTS and any(".groups." in column.key and column.key in values for column in known):
        remarks.append("Which classes are few-shot is as its predictions say: the training list is not pinned.")
    return Row(
        benchmark=benchmark.name,
        entry=submission.entry,
        name=submission.name,
        mark=mark.mark,
        protocol=protocol,
        method=submission.method,
        setting=submission.setting,
        values=values,
        seeds=len(mark.runs),
        source=", ".join(submission.authors),
        remarks=tuple(remarks),
        paper=submission.paper,
        code=submission.code,
        date=submission.date,
        digest=entry.digest,
        version=submission.benchmark_version,
    )


def said_by_authors(note: str | None) -> str:
    """The remark that a submission's note is."""
    return f"The authors: {note}"


def _partial_means(mark: Mark, benchmark: Benchmark) -> dict[str, list[str]]:
    """Group of OOD sets -> those of its sets that a seed was not evaluated on, where there are such.

    Scoring gives the mean over the sets that are there: without the hardest one it would be better, in one column.
    """
    outside = [(item.name, item.group) for item in benchmark.with_role("ood")]
    found = {
        group: [name for name in names if not all(run.scored.get(f"ood.{name}.rows") for run in mark.runs)]
        for group, names in ood_groups(outside)
    }
    return {group: names for group, names in found.items() if names}


def _reported(table: ReportedTable, row: ReportedRow, benchmark: Benchmark) -> Row:
    scale = 100 if row.unit == "percent" else 1
    values = {
        reported_key(metric, benchmark): Value(value / scale, (value / scale,), decimals=len(f"{value}".split(".")[-1]))
        for metric, value in row.metrics.items()
    }
    return Row(
        benchmark=benchmark.name,
        entry=row.entry,
        name=row.name,
        mark="reported",
        protocol=f"Table {table.table}, {row.protocol}",
        method=row.method_key,
        setting=row.setting,
        values=values,
        seeds=None,
        source=f"Table {table.table} of {table.source.paper}, {table.source.venue}",
        remarks=row.remarks,
        paper=table.source.url,
    )


def same_training_set(named: str, benchmark: Benchmark) -> bool:
    """Whether the training set that a row names is the benchmark's, by its name, its source's or its list's hash.

    A row that learns from no image ("none") has no other one.
    """
    own = {"none", benchmark.name}
    for item in benchmark.with_role("train"):
        own |= {item.source, f"{item.source} {item.split}", f"{benchmark.name} {item.split}"}
        own |= {item.list_hash} if item.list_hash else set()
    return named in own


def _ranked(rows: Sequence[Row], shown: Sequence[Column]) -> list[Row]:
    """The rows with ranks within their protocols."""
    values = [dict(row.values) for row in rows]
    groups: dict[str, list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        if row.protocol is not None:
            groups[row.protocol].append(number)
    for members in groups.values():
        for column in shown:
            among = [number for number in members if column.key in values[number]]
            found = ranks([values[number][column.key] for number in among], column.direction)
            for number, rank in zip(among, found, strict=True):
                values[number][column.key] = replace(values[number][column.key], rank=rank)
    return [replace(row, values=own) for row, own in zip(rows, values, strict=True)]


def _sorted(rows: Iterable[Row], shown: Sequence[Column]) -> list[Row]:
    """Best first by the first column, then those without a value in it, by the columns that follow."""
    signs = [(column.key, -1.0 if column.direction == "higher" else 1.0) for column in shown]

    def place(row: Row) -> list[float | str]:
        found = [(sign, row.values.get(key)) for key, sign in signs]
        return [*(sign * value.mean if value else float("inf") for sign, value in found), row.name, row.entry]

    return sorted(rows, key=place)
