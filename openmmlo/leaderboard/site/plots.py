"""A table of rows comes in; three charts that people look at go out: shot groups, OOD detection, the best over time.

Where a chart's points are follows from a row's values and the limits of its axes; the page's script places them by the
same two, so that they follow the filters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from markupsafe import Markup

from openmmlo.evaluate.metrics.accuracy import GROUPS
from openmmlo.leaderboard.columns import Column
from openmmlo.leaderboard.methods import METHODS
from openmmlo.leaderboard.rows import Row, Table
from openmmlo.leaderboard.site.charts import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Chart,
    Place,
    best_so_far,
    day_of,
    dots,
    over_time,
    rates,
    written,
)  # fmt: skip

DAY = "day"
"""In place of a column's key: the day of a row."""


def plots_of(table: Table) -> list[dict[str, Any]]:
    """Each chart with what stands around it; those that no row has a point in say so."""
    (test,) = table.benchmark.with_role("test")
    keys = {column.key for column in table.columns}
    top1 = f"classification.{test.name}.top1_samples"
    shots = [f"classification.{test.name}.groups.{group}" for group in GROUPS]
    found = []
    if keys.issuperset(shots):
        found.append(_trade_off(table.rows, *shots))
    outside = [column for column in table.columns if column.group.startswith("OOD:") and column.key.endswith(".auroc")]
    if top1 in keys and outside:
        found.append(_against_ood(table.rows, top1, outside))
    if top1 in keys:
        found.append(_history(table.rows, top1))
    return [item for item in found if item["drawn"]]


def days_of(rows: Iterable[Row]) -> list[float | None]:
    """When a number was given: the day of a submission; for a reported row the year of its method, where known."""
    return [day_of(row.date or str(getattr(METHODS.get(row.method or ""), "year", ""))) for row in rows]


def _trade_off(rows: Sequence[Row], many: str, medium: str, few: str) -> dict[str, Any]:
    chart = rates(
        _values(rows, many), [*_values(rows, medium), *_values(rows, few)], "accuracy on many-shot classes, %",
        "medium and few, %",
    )  # fmt: skip
    series = [(many, medium, "medium"), (many, few, "few")]
    return {
        "id": "trade-off",
        "title": "Many against medium and few",
        "text": "Two points a row, one over the other. Up and to the right is better for everyone.",
        "label": "Accuracy on medium-shot and few-shot classes against many-shot classes",
        "legend": [("medium", "medium"), ("few", "few"), *_hollow(rows)],
        **_drawn(chart, rows, series, _front(rows, many, few)),
    }


def _against_ood(rows: Sequence[Row], top1: str, columns: Sequence[Column]) -> dict[str, Any]:
    shown = next((column for column in columns if column.headline), columns[0])
    chart = rates(
        _values(rows, top1), (value for column in columns for value in _values(rows, column.key)),
        "top-1 accuracy, %", "AUROC, %",
    )  # fmt: skip
    return {
        "id": "outside",
        "title": "Accuracy against OOD detection",
        "text": "The same model on both: images it knows, and images of no known class.",
        "label": "AUROC of out-of-distribution detection against top-1 accuracy",
        "legend": [("scored", "scored here")],
        "choices": [(column.key, f"{column.group.removeprefix('OOD: ')} · {column.title}") for column in columns],
        "chosen": shown.key,
        **_drawn(chart, rows, [(top1, shown.key, "scored")], _front(rows, top1, shown.key)),
    }


def _history(rows: Sequence[Row], top1: str) -> dict[str, Any]:
    days = days_of(rows)
    # Where rows were scored here the axis is theirs; what papers reported before is there as its best.
    own = [day for row, day in zip(rows, days, strict=True) if day is not None and row.mark != "reported"]
    points: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    ranked: dict[bool, list[tuple[float, float]]] = {True: [], False: []}  # others learned from other training sets
    for row, day in zip(rows, days, strict=True):
        if day is not None and top1 in row.values:
            point = (max(day, min(own, default=day)), row.values[top1].mean)
            points[row.mark == "reported"].append(point)
            if row.protocol is not None:
                ranked[row.mark == "reported"].append(point)
    days = [day if day is None or not own or day >= min(own) else None for day in days]
    steps = [step for step in (best_so_far(ranked[True], "told"), best_so_far(ranked[False])) if step]
    every = [*points[True], *points[False]]
    chart = over_time((day for day, _ in every), (value for _, value in every), "top-1 accuracy, %", steps)
    legend = [("best", "best scored here")] if ranked[False] else []
    if ranked[True]:
        legend += [("told", "best reported, by year of the method")]
    return {
        "id": "history",
        "title": "The best over time",
        "text": "Top-1 accuracy by day of submission." if points[False] else "Top-1 accuracy as papers report it.",
        "label": "Top-1 accuracy over time",
        "legend": legend,
        **_drawn(chart, rows, [(DAY, top1, "scored")], (), days),
    }


def _drawn(
    chart: Chart,
    rows: Sequence[Row],
    series: Sequence[tuple[str, str, str]],
    named: Iterable[int],
    days: Sequence[float | None] = (),
) -> dict[str, Any]:
    """The chart with its points: a path a look, hollow where a row is reported."""

    def place(at: int, x: str, y: str) -> Place | None:
        values = rows[at].values
        across = days[at] if x == DAY else values[x].mean if x in values else None
        return chart.at(across, values[y].mean if y in values else None)

    paths: dict[str, str] = {"others": ""}
    count = 0
    for told in (True, False):
        for x, y, kind in series:
            places = [place(at, x, y) for at, row in enumerate(rows) if (row.mark == "reported") == told]
            count += sum(item is not None for item in places)
            paths[f"told {kind}" if told else kind] = dots(places)
            if told:
                paths[f"told {kind} hole"] = paths[f"told {kind}"]
    x, y, _ = series[-1]
    names = [(rows[at].name, found) for at in named if (found := place(at, x, y))]
    data: dict[str, Any] = {"x": chart.x, "y": chart.y, "series": series}
    if days:
        data["days"] = days
    return {
        "drawn": {"svg": chart.svg, "dots": list(paths.items()), "names": written(names)} if count else None,
        "data": data,
    }


def frame() -> dict[str, float]:
    """Units of every chart, which the script needs to place points."""
    return {"width": WIDTH, "height": HEIGHT, "left": LEFT, "right": RIGHT, "top": TOP, "bottom": BOTTOM}


def _values(rows: Iterable[Row], key: str) -> Iterator[float]:
    return (row.values[key].mean for row in rows if key in row.values)


def _front(rows: Sequence[Row], x: str, y: str, most: int = 4) -> list[int]:
    """Rows scored here that no other one beats in both, from the best in ``y`` on."""
    both = [
        (row.values[y].mean, row.values[x].mean, at)
        for at, row in enumerate(rows)
        if row.mark != "reported" and x in row.values and y in row.values
    ]
    found = []
    reach = float("-inf")
    for _, across, at in sorted(both, reverse=True):
        if across > reach:
            reach = across
            found.append(at)
    return found[:most]


def _hollow(rows: Iterable[Row]) -> list[tuple[str, str]]:
    return [("hollow", "reported")] if any(row.mark == "reported" for row in rows) else []


def strip_path(values: Iterable[float], low: float, high: float) -> Markup:
    """Strokes across a strip of 1,000 units at values, one a place."""
    span = high - low or 1.0
    places = sorted({round(1000 * (value - low) / span) for value in values})
    return Markup("".join(f"M{place} 1v8" for place in places))
