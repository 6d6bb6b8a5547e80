"""A table of rows comes in; what a benchmark's page shows of it, and what its script reads, go out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openmmlo.leaderboard.columns import Column
from openmmlo.leaderboard.methods import METHODS
from openmmlo.leaderboard.ranks import Value
from openmmlo.leaderboard.rows import Row, Table
from openmmlo.leaderboard.site.marks import MEANING
from openmmlo.leaderboard.site.plots import plots_of
from openmmlo.pages.wording import UNDEFINED, counted

HEADLINE = "headline"
"""The columns that are shown without being asked for."""


@dataclass(frozen=True)
class Cell:
    """A number as text, and its deviation where it has one."""

    mean: str = UNDEFINED
    deviation: str = ""


@dataclass(frozen=True)
class Facet:
    """A filter: its key in addresses, its label, and (value, rows) of each choice."""

    key: str
    label: str
    options: list[tuple[str, int]]


def shown(value: float, column: Column) -> float:
    """A value in the unit that is printed: percent of a fraction, or degrees."""
    return 100 * value if column.unit == "percent" else value


def cell(row: Row, column: Column) -> Cell:
    """A value of a row as text; what a paper printed with one digit keeps one."""
    value = row.values.get(column.key)
    if value is None:
        return Cell()
    spread = "" if value.sd is None else f"{shown(value.sd, column):.2f}"
    mean = f"{shown(value.mean, column):.2f}".replace("-", "\u2212")
    return Cell(mean[:-1] if row.mark == "reported" and mean.endswith("0") else mean, spread)


def headline(table: Table) -> list[Column]:
    """The columns that are shown first; all of a table that has none of these."""
    return [column for column in table.columns if column.headline] or list(table.columns)


def first(table: Table) -> str:
    """Key of the column that gives the first order; empty where nothing is measured."""
    found = headline(table)
    return found[0].key if found else ""


def address_of(row: Row) -> str:
    """Where a row's own page is, seen from the folder of benchmarks; a reported row has none."""
    return "" if row.mark == "reported" else f"../entries/{row.benchmark}/{row.entry}.html"


def method_name(row: Row) -> str:
    """How the leaderboard calls a row's method; empty where that is the row's own name, or it names none."""
    known = METHODS.get(row.method or "")
    return "" if known is None or known.name == row.name else known.name


def table_view(table: Table) -> dict[str, Any]:
    """What the template reads."""
    chosen = headline(table)
    order = first(table)
    rows: list[dict[str, Any]] = [
        {
            "row": row,
            "href": address_of(row),
            "rank": _rank(row.values.get(order)),
            "under": row.protocol if row.mark == "reported" else method_name(row),
            "remarks": counted(len(row.remarks), "remark") if row.remarks else "",
            "cells": [cell(row, column) for column in chosen],
        }
        for row in table.rows
    ]
    test = table.benchmark.with_role("test")[0]
    facts = [counted(table.benchmark.classes, "class", "classes")]
    if test.rows:
        facts.append(f"{test.rows:,} test images")
    if table.benchmark.group_sizes:
        facts.append(" / ".join(f"{size:,} {name}" for name, size in table.benchmark.group_sizes.items()))
    facts.append(f"version {table.benchmark.version}")
    return {
        "name": table.benchmark.name,
        "title": table.benchmark.title,
        "facts": " · ".join(facts),
        "rows": rows,
        "columns": chosen,
        "spans": spans(chosen),
        "order": order,
        "sets": [HEADLINE, *(name for name in groups_of(table) if name)] if rows else [],
        "facets": [facet for facet in facets(table.rows) if len(facet.options) > 1],
        "sentence": sentence(table.rows),
        "counts": mark_counts(table.rows),
        "charts": plots_of(table) if rows else [],
        "remarked": [item for item in rows if item["row"].remarks],
        "remarks": table.remarks,
        "sources": sorted({(row.source, row.paper or "") for row in table.rows if row.mark == "reported"}),
        "awaiting": table.awaiting,
    }


def table_data(table: Table, charts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the script reads: rows by place, and of each column what :func:`_packed` says.

    Means, deviations and intervals are whole hundredths of what is printed, so that the page stays small.
    """
    if not table.rows:
        return {}
    return {
        "keys": [row.entry for row in table.rows],
        "names": [row.name for row in table.rows],
        "words": [f"{row.source} {method_name(row)} {row.setting.training_set}" for row in table.rows],
        "methods": [row.method or "" for row in table.rows],
        "dates": [row.date for row in table.rows],
        "seeds": [row.seeds for row in table.rows],
        "told": [int(row.mark == "reported") for row in table.rows],
        "facets": {facet.key: _facet_data(facet, table.rows) for facet in facets(table.rows)},
        "order": first(table),
        "headline": [column.key for column in headline(table)],
        "columns": {
            column.key: {
                "title": column.title,
                "group": column.group,
                "less": int(column.direction == "lower"),
                "unit": "" if column.unit == "percent" else "°",
                "cells": [_packed(row.values.get(column.key), column) for row in table.rows],
            }
            for column in table.columns
        },
        "plots": {chart["id"]: chart["data"] for chart in charts if chart["drawn"]},
    }


def spans(columns: Sequence[Column]) -> list[tuple[str, int]]:
    """Names above the headings, each with how many columns it spans."""
    found: list[tuple[str, int]] = []
    for column in columns:
        if found and found[-1][0] == column.group:
            found[-1] = (column.group, found[-1][1] + 1)
        else:
            found.append((column.group, 1))
    return found


def groups_of(table: Table) -> list[str]:
    """Names of the groups of columns, in order."""
    return list(dict.fromkeys(column.group for column in table.columns))


def mark_counts(rows: Sequence[Row]) -> list[tuple[str, int]]:
    """How many rows have each mark, from the strongest mark on."""
    found = Counter(row.mark for row in rows)
    return [(mark, found[mark]) for mark in MEANING]  # type: ignore[index]


def sentence(rows: Sequence[Row]) -> str:
    """How many rows there are, by mark."""
    parts = ", ".join(f"{count:,} {mark}" for mark, count in mark_counts(rows) if count)
    return f"{counted(len(rows), 'row')}: {parts}" if rows else "no rows"


_FACETS = {
    "mark": "Mark",
    "backbone": "Backbone",
    "pretraining": "Pre-training",
    "scratch": "From scratch",
    "captions": "Reads captions",
}


def facet_value(row: Row, key: str) -> str:
    """What a filter sees of a row."""
    if key == "mark":
        return row.mark
    if key == "scratch":
        return "yes" if row.setting.from_scratch else "no"
    if key == "captions":
        return "no" if row.setting.captions == "none" else "yes"
    return row.setting.backbone if key == "backbone" else row.setting.pretraining


def facets(rows: Sequence[Row]) -> list[Facet]:
    """The filters of a table: every value that occurs, the most frequent first."""
    found = []
    for key, label in _FACETS.items():
        counts = Counter(facet_value(row, key) for row in rows)
        found.append(Facet(key, label, sorted(counts.items(), key=lambda item: (-item[1], item[0]))))
    return found


def _facet_data(facet: Facet, rows: Sequence[Row]) -> dict[str, Any]:
    """The values of a filter, and the place among them of each row's."""
    places = {value: place for place, (value, _) in enumerate(facet.options)}
    return {"values": list(places), "at": [places[facet_value(row, facet.key)] for row in rows]}


def _packed(value: Value | None, column: Column) -> list[int | None] | int:
    """[mean, deviation, half of the interval, best rank, worst rank]; what is missing at the end is left out."""
    if value is None:
        return 0
    packed: list[int | None] = [round(100 * shown(value.mean, column)), None, None]
    if value.sd is not None:
        packed[1] = round(100 * shown(value.sd, column))
    if value.interval is not None:
        packed[2] = round(100 * shown((value.interval[1] - value.interval[0]) / 2, column))
    if value.rank is not None:
        packed.append(value.rank.best)
        if value.rank.worst != value.rank.best:
            packed.append(value.rank.worst)
    return packed


def _rank(value: Value | None) -> str:
    return "" if value is None or value.rank is None else value.rank.text
