"""Numbers come in; pictures as SVG go out, which are read on a light page and on a dark one."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from openmmlo.evaluate.metrics.accuracy import GROUPS
from openmmlo.experiments.numbers import Numbers, spread
from openmmlo.experiments.plan import BASELINES, TABLE_6, Experiment, Row
from openmmlo.experiments.tables import any_predictions, columns

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GREY = "#808080"
COLOURS = {"many": "#3b82c4", "medium": "#c98a1b", "few": "#d0504d", "all": "#3b9d6d"}
"""Of middling lightness: each stands out from white and from black."""

_SETTINGS: Mapping[str, Any] = {
    "svg.fonttype": "none", "svg.hashsalt": "openmmlo", "font.family": "sans-serif", "font.size": 9,
    "text.color": GREY, "axes.labelcolor": GREY, "axes.edgecolor": GREY, "xtick.color": GREY, "ytick.color": GREY,
}  # fmt: skip


def pictures(numbers: Numbers) -> dict[str, str]:
    """File name -> SVG text; a picture of which nothing is finished is left out."""
    import matplotlib

    found = {}
    with matplotlib.rc_context(dict(_SETTINGS)):
        for name, draw in _PICTURES.items():
            figure = draw(numbers)
            if figure is not None:
                figure.patch.set_alpha(0)
                text = io.StringIO()
                figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
                found[name] = "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"
    return found


def groups(numbers: Numbers) -> Figure | None:
    """Many, medium and few of every baseline, a line each, the best on few at the top."""
    keys = _keys(numbers)
    rows = _with_values(BASELINES, numbers, [keys[name] for name in GROUPS] if keys else [])
    if not rows:
        return None
    rows.sort(key=lambda item: float(np.mean(item[1][-1])))
    figure, axis = _figure(7.2, 1.1 + 0.26 * len(rows))
    for place, (_, values) in enumerate(rows):
        means = [100 * float(np.mean(item)) for item in values]
        axis.plot([min(means), max(means)], [place, place], color=GREY, linewidth=0.8, alpha=0.5, zorder=1)
    for number, name in enumerate(GROUPS):
        _points(axis, [item[1][number] for item in rows], np.arange(len(rows)), COLOURS[name], name)
    axis.set_yticks(range(len(rows)), [row.label for row, _ in rows])
    axis.set_xlim(left=max(axis.get_xlim()[0], -2))  # a deviation may reach below 0, no accuracy does
    axis.set_xlabel("accuracy in %, mean and deviation over seeds")
    axis.legend(frameon=False, ncols=3, loc="lower right", bbox_to_anchor=(1, 1), borderpad=0, labelcolor=GREY)
    return figure


def trade_off(numbers: Numbers) -> Figure | None:
    """Accuracy of every baseline against its AUROC, with deviations over seeds; each is named where there is room."""
    keys = _keys(numbers)
    if not keys or "OOD k-NN" not in keys:
        return None
    rows = _with_values(BASELINES, numbers, [keys["all"], keys["OOD k-NN"]])
    if not rows:
        return None
    figure, axis = _figure(7.2, 5.2)
    means, spans = (
        100 * np.array([[_spread(item)[place] for item in values] for _, values in rows]) for place in range(2)
    )
    axis.scatter(*means.T, s=22, color=COLOURS["many"], zorder=3)
    axis.margins(0.12)
    axis.autoscale_view()
    axis.autoscale(False)  # a method that fails with one seed deviates far beyond the others
    axis.errorbar(*means.T, xerr=spans[:, 0], yerr=spans[:, 1], fmt="none", ecolor=GREY, elinewidth=0.8, alpha=0.35)
    axis.set_xlabel("accuracy on all classes in %, mean and deviation over seeds")
    axis.set_ylabel("AUROC by k-NN in %")
    name_points(figure, axis, means, [row.label for row, _ in rows])
    return figure


def kappa(numbers: Numbers) -> Figure | None:
    """Accuracy over the concentration; the trainable one stands by itself."""
    keys = _keys(numbers)
    rows = _with_values(TABLE_6, numbers, [keys["all"], keys["few"]] if keys else [])
    if not rows:
        return None
    figure, axis = _figure(5.4, 3.2)
    labels = [row.label.removeprefix("κ = ").removeprefix("κ ") for row, _ in rows]
    fixed = [place for place, label in enumerate(labels) if label.isdigit()]
    for number, name in enumerate(("all", "few")):
        means = [100 * float(np.mean(values[number])) for _, values in rows]
        axis.plot(fixed, [means[place] for place in fixed], color=COLOURS[name], linewidth=1.4, alpha=0.6)
        _points(axis, [item[1][number] for item in rows], np.arange(len(rows)), COLOURS[name], name, upright=True)
    axis.set_xticks(range(len(rows)), labels)
    axis.set_xlabel("κ in pre-training and class layer (trainable: in pre-training, 16 in the class layer)")
    axis.set_ylabel("accuracy in %, mean and deviation")
    axis.legend(frameon=False, labelcolor=GREY)
    return figure


def _keys(numbers: Numbers) -> dict[str, Any]:
    predictions = any_predictions(numbers)
    return {} if predictions is None else {item.heading: item.key for item in columns(predictions)}


def _with_values(experiment: Experiment, numbers: Numbers, keys: Sequence[Any]) -> list[tuple[Row, list[list[float]]]]:
    found = []
    for row in experiment.rows:
        measured = numbers.measured.get(row.run.name)
        values = [measured.values(key) for key in keys] if measured is not None else []
        if values and all(values):
            found.append((row, values))
    return found


def _figure(width: float, height: float) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axis = figure.subplots()
    axis.patch.set_alpha(0)
    axis.grid(color=GREY, alpha=0.2, linewidth=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    return figure, axis


def name_points(figure: Figure, axis: Any, points: Any, labels: Sequence[str]) -> None:
    """Write each point's label at the nearest place that is free of points and labels, with a line where it is far."""
    figure.draw_without_rendering()
    transform, scale = axis.transData.transform, figure.dpi / 72
    dots = transform(points)
    taken = [(x - 5 * scale, y - 5 * scale, x + 5 * scale, y + 5 * scale) for x, y in dots]
    frame = axis.get_window_extent()
    for (x, y), point, label in sorted(zip(dots, points, labels, strict=True), key=lambda item: -item[0][1]):
        text = axis.annotate(label, point, xytext=(0, 0), textcoords="offset points", fontsize=8, va="center")
        box = text.get_window_extent()
        width, height = box.width + 3 * scale, box.height
        for distance, angle in ((far, turn) for far in range(8, 160, 4) for turn in _TURNS):
            across, up = np.cos(angle), np.sin(angle)
            left = x + distance * scale * across - (width if across < -0.01 else width / 2 if across < 0.01 else 0)
            middle = y + distance * scale * up
            place = (left, middle - height / 2, left + width, middle + height / 2)
            inside = frame.x0 < place[0] and place[2] < frame.x1 and frame.y0 < place[1] and place[3] < frame.y1
            if inside and not any(_meet(place, other) for other in taken):
                break
        taken.append(place)
        text.set_position(((left - x) / scale, (middle - y) / scale))
        if distance > 12:
            end = np.clip(x, left, left + width) - x, np.clip(y, place[1], place[3]) - y
            axis.annotate(
                "", point, xytext=(end[0] / scale, end[1] / scale), textcoords="offset points",
                arrowprops={"arrowstyle": "-", "color": GREY, "linewidth": 0.6, "shrinkA": 1, "shrinkB": 3},
            )  # fmt: skip


_TURNS = tuple(np.radians((45, -45, 135, -135, 90, -90, 0, 180)))
"""Directions in which there may be room for a label, the most readable first."""


def _meet(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two boxes (left, bottom, right, top) share a point."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and deviation; no deviation of one value."""
    mean, deviation = spread(values)
    return mean, deviation or 0.0


def _points(
    axis: Any, values: Sequence[Sequence[float]], places: Any, colour: str, label: str, upright: bool = False
) -> None:
    """Means with deviations over seeds, where there are several."""
    centres, spans = 100 * np.array([_spread(item) for item in values]).T
    x, y, bars = (places, centres, {"yerr": spans}) if upright else (centres, places, {"xerr": spans})
    axis.errorbar(x, y, **bars, fmt="o", markersize=4.5, color=colour, ecolor=colour, elinewidth=1, label=label)


_PICTURES: Mapping[str, Callable[[Numbers], Figure | None]] = {
    "experiments-groups.svg": groups,
    "experiments-ood.svg": trade_off,
    "experiments-kappa.svg": kappa,
}
