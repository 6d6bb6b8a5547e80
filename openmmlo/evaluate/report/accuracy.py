"""Classification scores and predictions come in; accuracy against class size, and where errors go, drawn, go out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from openmmlo.evaluate.metrics.accuracy import GROUPS
from openmmlo.evaluate.metrics.calibration import reliability
from openmmlo.evaluate.predictions import Predictions
from openmmlo.evaluate.report.classes import Classes
from openmmlo.evaluate.report.curves import smoothed
from openmmlo.evaluate.report.head import main_set
from openmmlo.pages.charts import HEIGHT, LinearScale, Tick, around, columns, dots, line
from openmmlo.pages.wording import part

WORST = 12
"""Classes that the list of the worst shows at first."""

_UNIT = LinearScale(0, 1)


def accuracy_view(
    result: Mapping[str, Any], predictions: Predictions | None, classes: Classes | None
) -> dict[str, Any] | None:
    """All about the accuracy on the test set, and one row for every set that is classified; None without any."""
    name, main = main_set(result)
    if main is None:
        return None
    return {
        "set": name,
        "main": main,
        "sets": [{"name": key, **(item or {})} for key, item in part(result, "scored", "classification").items()],
        "scatter": _scatter(main, classes),
        "worst": _worst(main, classes),
        "confusion": _confusion(main),
        "calibration": _calibration(name, predictions),
        "priors": _priors(main),
    }


def _scatter(main: Mapping[str, Any], classes: Classes | None) -> dict[str, Any] | None:
    """A dot a class at its training images and accuracy; a class without a test image has none."""
    if classes is None or not classes.counts:
        return None
    values = classes.ordered(part(main, "per_class"))
    tested = [
        (count, value, group)
        for count, value, group in zip(classes.counts, values, classes.groups, strict=False)
        if value is not None and count > 0
    ]
    if not tested:
        return None
    x = classes.scale()
    counts, accuracies = (np.array([item[place] for item in tested], dtype=np.float64) for place in (0, 1))
    curve = smoothed(np.log10(counts), accuracies, 0.06)
    limits = [limit for limit in (100, 20) if x.high < limit < x.low]
    ticks = x.ticks() + [Tick(_percent(x.at(20)), "20") for limit in limits if limit == 20]
    if len(ticks) < 2:  # classes of much the same size: their least and most
        ticks = [Tick(_percent(x.at(count)), f"{count:,}") for count in sorted({int(min(counts)), int(max(counts))})]
    return {
        "groups": [
            {"group": group, "dots": dots([item[:2] for item in tested if item[2] == group], x, _UNIT)}
            for group in GROUPS
            if any(item[2] == group for item in tested)
        ],
        "line": line([(10**at, value) for at, value in curve], x, _UNIT),
        "x_ticks": ticks,
        "y_ticks": _UNIT.ticks(percent=True),
        "limits": [{"at": _percent(x.at(limit)), "label": str(limit)} for limit in limits],
        "labels": _group_labels(classes, x),
        "low": x.low,
        "high": x.high,
        "classes": len(tested),
        "dense": len(tested) > 1500,
    }  # fmt: skip


def _group_labels(classes: Classes, x: Any) -> list[dict[str, Any]]:
    """Names of the groups in the middle of what they cover on the axis."""
    found = []
    for group in GROUPS:
        counts = [count for count, own in zip(classes.counts, classes.groups, strict=True) if own == group and count]
        if counts:
            middle = (x.at(max(counts)) + x.at(min(counts))) / 2
            found.append({"group": group, "at": _percent(min(0.95, max(0.05, middle))), "count": len(counts)})
    return found


def _worst(main: Mapping[str, Any], classes: Classes | None) -> list[dict[str, Any]]:
    """The classes with the least accuracy, the larger of two equal ones first: that it fails needs more explaining."""
    if classes is None:
        return []
    values = classes.ordered(part(main, "per_class"))
    ranked = sorted((value, rank) for rank, value in enumerate(values) if value is not None)
    return [
        {
            "name": classes.names[rank],
            "value": value,
            "count": classes.counts[rank] if classes.counts else None,
            "group": classes.groups[rank] if classes.groups else "",
        }
        for value, rank in ranked[:WORST]
    ]


def _confusion(main: Mapping[str, Any]) -> dict[str, Any] | None:
    table = part(main, "group_confusion") or {}
    columns_ = [group for group in GROUPS if any(part(row, group) is not None for row in table.values())]
    if not columns_:
        return None
    return {
        "columns": columns_,
        "rows": [
            {"group": group, "cells": [{"value": part(table[group], other), "level": level(part(table[group], other))}
                                       for other in columns_]}
            for group in GROUPS
            if group in table
        ],
    }  # fmt: skip


def level(value: Any) -> int:
    """Shade of a share in a heat table, 0 to 10."""
    return math.ceil(10 * min(1.0, max(0.0, value))) if isinstance(value, int | float) else 0


def _calibration(name: str, predictions: Predictions | None) -> dict[str, Any] | None:
    """Accuracy against confidence over 15 bins, with how many images each bin holds."""
    if predictions is None:
        return None
    rows = predictions.rows(name)
    if not rows.any():
        return None
    right = predictions.labels[rows] == predictions.predicted[rows]
    bins = reliability(right, predictions.confidence[rows])
    held = [count for count, _, _ in bins]
    counts = LinearScale(0, 4.5 * max(held))  # the lower part of the plot: how many, not how right
    return {
        "accuracy": columns([accuracy for _, _, accuracy in bins], _UNIT, 0.16),
        "counts": columns([count or None for count in held], counts, 0.6),
        "marks": dots(
            [(mean, accuracy) for _, mean, accuracy in bins if mean is not None and accuracy is not None],
            _UNIT, _UNIT,
        ),
        "diagonal": f"M0 {HEIGHT}L10000 0",
        "ticks": _UNIT.ticks(percent=True),
        "rows": [
            {"from": place / len(bins), "to": (place + 1) / len(bins), "count": count,
             "confidence": mean, "accuracy": accuracy}
            for place, (count, mean, accuracy) in enumerate(bins)
        ],
        "mean": float(predictions.confidence[rows].mean()),
    }  # fmt: skip


def _priors(main: Mapping[str, Any]) -> dict[str, Any] | None:
    """Accuracy under every test prior, from as long-tailed as training to reversed."""
    found = [
        (name, part(item, "top1_samples"), part(item, "rows"))
        for name, item in (part(main, "test_priors") or {}).items()
    ]
    known = [value for _, value, _ in found if value is not None]
    if len(known) < 2:
        return None
    x, y = LinearScale(-0.4, len(found) - 0.6), around(known, 0.02)
    points = [(float(place), value) for place, (_, value, _) in enumerate(found) if value is not None]
    return {
        "line": line(points, x, y),
        "dots": dots(points, x, y),
        "x_ticks": [
            Tick(_percent(x.at(place)), "1" if name == "uniform" else name.rpartition("-")[2])
            for place, (name, _, _) in enumerate(found)
        ],
        "middle": next((_percent(x.at(place)) for place, (name, _, _) in enumerate(found) if name == "uniform"), None),
        "y_ticks": y.ticks(percent=True),
        "rows": [{"name": name.replace("-", " "), "value": value, "count": rows} for name, value, rows in found],
    }


def _percent(share: float) -> float:
    return round(100 * share, 3)
