"""Tables of a board come in; lines of text for a terminal of some width go out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from openmmlo.leaderboard.columns import Column
from openmmlo.leaderboard.ranks import Value
from openmmlo.leaderboard.rows import Row, Table

DASH = "-"
NAME = 28
"""Characters of a name at least, before columns of numbers are left out for it."""


@dataclass(frozen=True)
class Shown:
    """A table as text.

    Attributes:
        lines: the heading first; the rows of each protocol under its name.
        left_out: columns for which there was no room.
    """

    lines: tuple[str, ...]
    left_out: tuple[str, ...]


def shown(table: Table, width: int = 80) -> Shown:
    """The headline columns of a table, as many as fit; rows of one protocol together, since only they are ranked.

    Args:
        width: characters of a line.
    """
    wanted = [column for column in table.columns if column.headline] or list(table.columns)
    if not table.rows or not wanted:
        return Shown((), ())
    cells = {column.key: [printed(row.values.get(column.key), column) for row in table.rows] for column in wanted}
    lead = wanted[0]
    fixed = [
        ["rank", *(_rank(row.values.get(lead.key)) for row in table.rows)],
        ["mark", *(row.mark for row in table.rows)],
        ["seeds", *(DASH if row.seeds is None else str(row.seeds) for row in table.rows)],
    ]
    names = ["name", *(row.name for row in table.rows)]
    room = width - sum(2 + max(map(len, items)) for items in fixed) - 2
    kept = _fitting(wanted, cells, room - min(NAME, max(map(len, names))))
    numbers = [[heading(column), *cells[column.key]] for column in kept]
    most = room - sum(2 + max(map(len, items)) for items in numbers)
    names = [_cut(name, max(most, 8)) for name in names]
    columns = [fixed[0], names, *fixed[1:], *numbers]
    lines = list(_laid_out(columns, left={1, 2}))
    order = sorted(range(len(table.rows)), key=lambda place: _block(table.rows[place]))
    body = [lines[0]]
    for protocol, places in groupby(order, key=lambda place: table.rows[place].protocol):
        body.append(f"{protocol or 'not ranked'}:")
        body += [lines[1 + place] for place in places]
    return Shown(tuple(body), tuple(heading(column) for column in wanted if column not in kept))


def heading(column: Column) -> str:
    """The title, with what tells it from a title of another group."""
    where = column.group.removeprefix("OOD: ").removeprefix("OOD as reported: ").removeprefix("Accuracy on ")
    return column.title if where in {"Accuracy", "Angles, reported"} else f"{where} {column.title}"


def printed(value: Value | None, column: Column) -> str:
    """Mean and deviation in the unit that is printed; a dash for none."""
    if value is None:
        return DASH
    scale = 100 if column.unit == "percent" else 1
    mean = f"{scale * value.mean:.{value.decimals}f}"
    return mean if value.sd is None else f"{mean} ±{scale * value.sd:.{value.decimals}f}"


def _fitting(wanted: Sequence[Column], cells: dict[str, list[str]], room: int) -> list[Column]:
    """The first columns that fit, at least one."""
    kept: list[Column] = []
    for column in wanted:
        room -= 2 + max(map(len, [heading(column), *cells[column.key]]))
        if kept and room < 0:
            break
        kept.append(column)
    return kept


def _rank(value: Value | None) -> str:
    return DASH if value is None or value.rank is None else value.rank.text


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _block(row: Row) -> tuple[bool, bool, str]:
    """Ours first, then what is not ranked, then reported blocks by name; rows keep their order within each."""
    return row.mark == "reported", row.protocol is None, row.protocol or ""


def _laid_out(columns: Sequence[Sequence[str]], left: set[int]) -> Iterator[str]:
    """Columns side by side, those of ``left`` to the left, the others to the right."""
    widths = [max(map(len, items)) for items in columns]
    for cells in zip(*columns, strict=True):
        padded = (
            f"{cell:<{size}}" if place in left else f"{cell:>{size}}"
            for place, (cell, size) in enumerate(zip(cells, widths, strict=True))
        )
        yield "  ".join(padded).rstrip()
