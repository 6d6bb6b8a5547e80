"""Files of a board's ``reported/`` come in; rows as a paper prints them, with what must be known beside them, go out.

A reported number is nobody's claim but the paper's: it has no predictions, mostly no seeds, and is never re-scored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from openmmlo.errors import SubmissionRefused
from openmmlo.leaderboard.limits import line, record, slug, told, whole
from openmmlo.leaderboard.submission import Setting, read_setting

FORMAT = 1

Unit = Literal["percent", "degrees"]
CONVENTIONS = ("id_positive", "ood_positive")
"""Which class is positive in a row's FPR95."""


@dataclass(frozen=True)
class Source:
    """Where a table was printed."""

    paper: str
    arxiv: str
    venue: str

    @property
    def url(self) -> str:
        return f"https://arxiv.org/abs/{self.arxiv}"


@dataclass(frozen=True)
class ReportedRow:
    """A method on a benchmark as a table has it.

    Attributes:
        name: how pages call it.
        method, variant, backbone: in the table's own words.
        protocol: the block of the table; only rows of one table and one protocol are ranked against each other.
        setting: what is known of the training, in the words submissions use.
        metrics: name -> value as printed, in ``unit``: percent, not fractions.
        convention: which class is positive in FPR95; None where it has none, or does not say.
        remarks: what a reader must know beside the numbers.
        method_key: key in METHODS.
    """

    table: int
    name: str
    method: str
    variant: str
    backbone: str
    benchmark: str
    protocol: str
    setting: Setting
    metrics: Mapping[str, float]
    unit: Unit
    convention: str | None
    remarks: tuple[str, ...]
    method_key: str | None

    @property
    def entry(self) -> str:
        """Name for addresses and files: unique within a benchmark."""
        text = f"table-{self.table} {self.method} {self.variant}".replace("+", " plus").lower()
        return re.sub(r"[^a-z0-9]+", "-", text).strip("-")[:80].rstrip("-")


@dataclass(frozen=True)
class ReportedTable:
    """A table of a paper; ``remarks`` concern all of it."""

    table: int
    caption: str
    source: Source
    remarks: tuple[str, ...]
    rows: tuple[ReportedRow, ...]


def direction(metric: str) -> Literal["higher", "lower"]:
    """Which way a reported metric is better: FPR95, angles within a class and deviations are better small."""
    small = "fpr95" in metric or "intra_class_compactness" in metric or metric.endswith(".std")
    return "lower" if small else "higher"


def read_tables(values: Mapping[str, Any]) -> tuple[ReportedTable, ...]:
    """The tables of a board, by number.

    Args:
        values: name of a file -> its JSON value, as ``Board.reported`` gives them.

    Raises:
        SubmissionRefused: a file that is no reported table, or one table in two files; what is wrong is named.
    """
    tables = [read_table(value, f"Reported table {name}") for name, value in values.items()]
    numbers = [item.table for item in tables]
    twice = next((number for number in numbers if numbers.count(number) > 1), None)
    if twice is not None:
        raise SubmissionRefused(f"Two files of reported/ hold table {twice}. Keep one.")
    return tuple(sorted(tables, key=lambda item: item.table))


def read_table(value: Any, where: str) -> ReportedTable:
    """Read one table from its JSON value.

    Raises:
        SubmissionRefused: a key missing or unknown, a value of another kind, or one row twice.
    """
    record(value, where, ("format", "table", "caption", "source", "remarks", "rows"))
    if value["format"] != FORMAT:
        raise SubmissionRefused(f"{where} has format {told(value['format'])}; expected {FORMAT}. Update openmmlo.")
    if not isinstance(value["rows"], list):
        raise SubmissionRefused(f"{where}: rows is {told(value['rows'])}; expected a list.")
    table = whole(value["table"], f"{where}: table", 1, 1_000)
    source = record(value["source"], f"{where}: source", ("paper", "arxiv", "venue"))
    rows = tuple(_row(item, table, f"{where}, row {number}") for number, item in enumerate(value["rows"], 1))
    seen: set[tuple[str, str]] = set()
    for row in rows:
        if (row.benchmark, row.entry) in seen:
            raise SubmissionRefused(f"{where}: two rows are {row.method!r}, {row.variant!r} on {row.benchmark}.")
        seen.add((row.benchmark, row.entry))
    return ReportedTable(
        table,
        line(value["caption"], f"{where}: caption", 300),
        Source(*(line(source[key], f"{where}: {key}", 300) for key in ("paper", "arxiv", "venue"))),
        _remarks(value["remarks"], f"{where}: remarks"),
        rows,
    )


_ROW = (
    "name", "method", "variant", "backbone", "benchmark", "protocol", "setting", "metrics", "unit", "convention",
    "remarks", "method_key",
)  # fmt: skip


def _row(value: Any, table: int, where: str) -> ReportedRow:
    record(value, where, _ROW)
    if value["unit"] not in ("percent", "degrees"):
        raise SubmissionRefused(f"{where}: unit is {told(value['unit'])}; expected percent or degrees.")
    if value["convention"] not in (None, *CONVENTIONS):
        known = " or ".join(CONVENTIONS)
        raise SubmissionRefused(f"{where}: convention is {told(value['convention'])}; expected null, {known}.")
    metrics = value["metrics"]
    if not isinstance(metrics, dict) or not metrics:
        raise SubmissionRefused(f"{where}: metrics is {told(metrics)}; expected name: number.")
    for name, number in metrics.items():
        line(name, f"{where}: a metric", 100)
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise SubmissionRefused(f"{where}: {name} is {told(number)}; expected a number.")
    key, backbone = value["method_key"], value["backbone"]
    return ReportedRow(
        table=table,
        name=line(value["name"], f"{where}: name", 60),
        method=line(value["method"], f"{where}: method", 120),
        variant=line(value["variant"], f"{where}: variant", 120),
        backbone=backbone if backbone == "" else line(backbone, f"{where}: backbone", 120),
        benchmark=slug(value["benchmark"], f"{where}: benchmark"),
        protocol=line(value["protocol"], f"{where}: protocol", 120),
        setting=read_setting(value["setting"], f"{where}: setting"),
        metrics={name: float(number) for name, number in metrics.items()},
        unit=cast(Unit, value["unit"]),
        convention=value["convention"],
        remarks=_remarks(value["remarks"], f"{where}: remarks"),
        method_key=None if key is None else slug(key, f"{where}: method_key"),
    )


def _remarks(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise SubmissionRefused(f"{where} is {told(value)}; expected a list of texts.")
    return tuple(line(item, where, 1_000) for item in value)
