"""What the Hub's viewer shows of a board: flat tables in JSON lines.

The tables are made of the board's files and of nothing else; equal boards give equal bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from openmmlo.leaderboard.board import Board
from openmmlo.leaderboard.columns import Column
from openmmlo.leaderboard.hub.board_card import board_card
from openmmlo.leaderboard.ranks import Value
from openmmlo.leaderboard.reported import ReportedTable, read_tables
from openmmlo.leaderboard.rows import Row, tables_of


def board_texts(board: Board, repo: str, space: str | None = None) -> dict[str, bytes]:
    """Path -> content of what is made of a board: ``README.md``, and ``tables/NAME.jsonl`` of those that have a row.

    Args:
        repo: ``owner/name`` under which it is published.
        space: of its pages.
    """
    reported = read_tables(board.reported())
    found = tables_of(board.entries(), reported)
    rows = {
        "rows": [_row(row) for item in found for row in item.rows],
        "metrics": [line for item in found for row in item.rows for line in _metrics(row, item.columns)],
        "marks": [_mark(board, digest) for digest in sorted(board.marks)],
        "reported": [line for item in reported for line in _printed(item)],
    }
    files = {f"tables/{name}.jsonl": _lines(lines) for name, lines in rows.items() if lines}
    card = board_card(found, [name for name, lines in rows.items() if lines], repo, space)
    return {"README.md": card.encode(), **files}


def _lines(values: Iterable[Mapping[str, Any]]) -> bytes:
    return "".join(f"{json.dumps(value, ensure_ascii=True, allow_nan=False)}\n" for value in values).encode()


def _row(row: Row) -> dict[str, Any]:
    return {
        "benchmark": row.benchmark,
        "entry": row.entry,
        "name": row.name,
        "mark": row.mark,
        "protocol": row.protocol,
        "method": row.method,
        **row.setting.to_json(),
        "seeds": row.seeds,
        "source": row.source,
        "paper": row.paper,
        "code": row.code,
        "date": row.date or None,
        "submission": row.digest or None,
        "remarks": list(row.remarks),
    }


def _metrics(row: Row, columns: Sequence[Column]) -> list[dict[str, Any]]:
    return [_metric(row, column, row.values[column.key]) for column in columns if column.key in row.values]


def _metric(row: Row, column: Column, value: Value) -> dict[str, Any]:
    low, high = value.interval or (None, None)
    return {
        "benchmark": row.benchmark,
        "entry": row.entry,
        "mark": row.mark,
        "metric": column.key,
        "title": f"{column.group}: {column.title}",
        "better": column.direction,
        "unit": "fraction" if column.unit == "percent" else column.unit,
        "headline": column.headline,
        "mean": value.mean,
        "sd": value.sd,
        "low": low,
        "high": high,
        "rank_best": value.rank.best if value.rank else None,
        "rank_worst": value.rank.worst if value.rank else None,
        "values": list(value.values),
    }


def _mark(board: Board, digest: str) -> dict[str, Any]:
    mark = board.marks[digest]
    return {
        "submission": mark.submission,
        "mark": mark.mark,
        "benchmark": mark.benchmark,
        "entry": mark.entry,
        "openmmlo": mark.openmmlo,
        "date": mark.date,
        "seeds": [run.seed for run in mark.runs],
        "predictions": [run.predictions for run in mark.runs],
        "reproduced_seeds": [item.seed for item in mark.reproductions],
    }


def _printed(item: ReportedTable) -> Iterable[dict[str, Any]]:
    for row in item.rows:
        for metric, value in row.metrics.items():
            yield {
                "paper": item.source.paper,
                "url": item.source.url,
                "table": item.table,
                "benchmark": row.benchmark,
                "method": row.method,
                "variant": row.variant,
                "backbone": row.backbone,
                "protocol": row.protocol,
                "metric": metric,
                "value": value,
                "unit": row.unit,
                "convention": row.convention,
                "remarks": list(row.remarks),
            }
