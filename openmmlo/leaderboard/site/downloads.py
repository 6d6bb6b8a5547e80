"""Rows come in; CSV, JSON and BibTeX that other programs read go out. No cell of them is a spreadsheet's formula."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from openmmlo.leaderboard.methods import METHODS
from openmmlo.leaderboard.rows import Row, Table

_FORMULA = re.compile(r"(^|;)([\s\"\ufeff\u200b-\u200f\u2060-\u2064]*[=+\-@\t\r\uff0b\uff0d\uff1d\uff20\u2212])")
"""At the start of a cell, or behind a semicolon: where numbers have decimal commas, spreadsheets part cells there."""

_SPECIAL = {"\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "%": r"\%", "#": r"\#",
            "_": r"\_", "^": r"\^{}", "~": r"\~{}"}  # fmt: skip

_TEXTS = (
    "benchmark", "version", "entry", "name", "mark", "protocol", "method", "authors_or_source", "date", "seeds",
    "backbone", "pretraining", "from_scratch", "captions", "training_set", "auxiliary_data", "paper", "code",
    "submission_sha256", "remarks",
)  # fmt: skip


def safe_cell(text: str) -> str:
    """Text that no spreadsheet takes for a formula: what would be one begins with an apostrophe."""
    flat = " ".join(text.split("\n")).replace("\r", " ").replace("\t", " ")
    return _FORMULA.sub(r"\1'\2", flat)


def csv_of(tables: Sequence[Table]) -> bytes:
    """A line a row: who and what, its mark, then mean and deviation of every metric, as fractions or degrees."""
    columns = list(dict.fromkeys(column.key for table in tables for column in table.columns))
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow([*_TEXTS, *(safe_cell(name) for key in columns for name in (key, f"{key}.sd"))])
    for table in tables:
        for row in table.rows:
            line: list[str] = [safe_cell("" if value is None else str(value)) for value in _texts(row).values()]
            for key in columns:
                value = row.values.get(key)
                line += ["", ""] if value is None else [repr(value.mean), "" if value.sd is None else repr(value.sd)]
            writer.writerow(line)
    return buffer.getvalue().encode()


def json_of(tables: Sequence[Table]) -> bytes:
    """The tables whole: every row with its mark, and of each metric mean, deviation, interval, rank, value a seed."""
    return json_joined([json_part(table) for table in tables])


def json_joined(parts: Iterable[str]) -> bytes:
    """The list of tables whose parts these are."""
    return f"[{','.join(parts)}]\n".encode("ascii")


def json_part(table: Table) -> str:
    """One table of :func:`json_of`."""
    value = {
        "benchmark": table.benchmark.name,
        "version": table.benchmark.version,
        "columns": [
            {"key": item.key, "title": item.title, "group": item.group, "better": item.direction, "unit": item.unit}
            for item in table.columns
        ],
        "rows": [_json_row(row) for row in table.rows],
        "awaiting": list(table.awaiting),
        "remarks": list(table.remarks),
    }
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def _json_row(row: Row) -> dict[str, Any]:
    return _texts(row) | {
        "remarks": list(row.remarks),
        "metrics": {
            key: {
                "mean": value.mean,
                "sd": value.sd,
                "interval": value.interval,
                "rank": None if value.rank is None else [value.rank.best, value.rank.worst],
                "seeds": list(value.values),
            }
            for key, value in row.values.items()
        },
    }


def _texts(row: Row) -> dict[str, Any]:
    setting = row.setting
    return dict(
        zip(
            _TEXTS,
            (row.benchmark, row.version, row.entry, row.name, row.mark, row.protocol, row.method,
             row.source, row.date or None, row.seeds, setting.backbone, setting.pretraining, setting.from_scratch,
             setting.captions, setting.training_set, setting.auxiliary_data, row.paper, row.code, row.digest or None,
             " | ".join(row.remarks)),
            strict=True,
        )
    )  # fmt: skip


def bibtex_of_row(row: Row, authors: Sequence[str]) -> str:
    """An entry for a row scored here."""
    fields = {
        "title": f"{{{_plain(row.name)} on {_plain(row.benchmark)}}}",
        "author": " and ".join(f"{{{_plain(name)}}}" for name in authors),
        "year": row.date[:4],
        "howpublished": "openmmlo leaderboard",
        "note": f"{row.mark}; submission SHA-256 {row.digest}",
    } | ({"url": row.paper.replace("{", "%7B").replace("}", "%7D")} if row.paper else {})
    lines = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
    return f"@misc{{{row.benchmark}.{row.entry},\n{lines}\n}}\n"


def bibtex_of(rows: Iterable[tuple[Row, Sequence[str]]]) -> bytes:
    """Every row scored here, with its authors, and the papers of all methods that rows name, once each."""
    found = list(rows)
    keys = sorted({row.method for row, _ in found if row.method in METHODS})
    parts = [bibtex_of_row(row, authors) for row, authors in found if row.mark != "reported"]
    return "\n".join([*parts, *(METHODS[key].bibtex for key in keys if key)]).encode()


def bibtex_of_methods() -> bytes:
    """The paper of every method."""
    return "\n".join(item.bibtex for item in METHODS.values()).encode()


def _plain(text: str) -> str:
    """Text in a field of BibTeX: braces stay in pairs, nothing is a command."""
    return "".join(_SPECIAL.get(letter, letter) for letter in text)
