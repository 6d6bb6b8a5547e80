"""Predictions come in; histograms and ROC curves of every detector and OOD set go out, binned and thinned.

Letters: n ID scores, m OOD scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from openmmlo.evaluate.metrics.accuracy import GROUPS
from openmmlo.evaluate.metrics.ood import sort_scores
from openmmlo.evaluate.predictions import Predictions
from openmmlo.evaluate.report.curves import roc, thinned
from openmmlo.evaluate.report.detectors import METRICS
from openmmlo.pages.charts import LinearScale, line, outline
from openmmlo.pages.wording import hundredths, part

BINS = 64

Array = np.ndarray[Any, np.dtype[Any]]

_UNIT = LinearScale(0, 1)


def score_pictures(predictions: Predictions | None, result: Mapping[str, Any]) -> dict[str, Any] | None:
    """Detector -> ticks of its scores, and set -> histogram, curve and numbers; None without predictions or OOD."""
    sets: Mapping[str, Any] = part(result, "scored", "ood") or {}
    if predictions is None:
        return None
    tests = predictions.by_role("test")
    present = [name for name in sets if predictions.rows(name).any()]
    if not tests or not present or not predictions.rows(tests[0].name).any():
        return None
    test = predictions.rows(tests[0].name)
    return {
        detector: _pictures(
            sort_scores(values[test], detector),
            {name: sort_scores(values[predictions.rows(name)], detector) for name in present},
            {name: part(sets[name], "detectors", detector) for name in present},
        )
        for detector, values in predictions.scores.items()
    }


def _pictures(inside: Array, outside: Mapping[str, Array], numbers: Mapping[str, Any]) -> dict[str, Any]:
    scale = _axis([inside, *outside.values()])
    found = {}
    for name, scores in outside.items():
        shares = [_shares(side, scale) for side in (inside, scores)]
        height = LinearScale(0, float(max(side.max() for side in shares)) * 1.04)
        curve, marks = _curve(inside, scores)
        found[name] = {
            "id": outline(shares[0].tolist(), height),
            "ood": outline(shares[1].tolist(), height),
            # The smallest threshold that accepts 95 % of ID scores: the one of FPR95, ID positive.
            "at": round(100 * min(1.0, max(0.0, scale.at(float(inside[-(-95 * len(inside) // 100) - 1])))), 3),
            "curve": line(curve.tolist(), _UNIT, _UNIT),
            "marks": [[round(100 * a, 3), round(100 * b, 3)] for a, b in marks],
            "rows": [len(inside), len(scores)],
            "numbers": [[key, *(_cells(numbers[name], key))] for key in METRICS],
        }
    return {"ticks": [[tick.at, tick.label] for tick in scale.ticks(9)], "sets": found}


def _axis(sides: list[Array]) -> LinearScale:
    """From the least to the largest score, but for the outermost half percent of each side."""
    low = min(float(side[int(0.005 * (len(side) - 1))]) for side in sides)
    high = max(float(side[-1 - int(0.005 * (len(side) - 1))]) for side in sides)
    room = max((high - low) * 0.01, abs(high) * 1e-9, 1e-12)
    return LinearScale(low - room, high + room)


def _shares(scores: Array, scale: LinearScale) -> Array:
    """(BINS,) share of the scores in each column; the outermost hold what lies beyond."""
    places = np.clip((scores - scale.low) / (scale.high - scale.low) * BINS, 0, BINS - 1).astype(np.int64)
    return np.bincount(places, minlength=BINS) / len(scores)


def _curve(inside: Array, outside: Array) -> tuple[Array, list[tuple[float, ...]]]:
    """The thinned curve, and the points at which the two FPR95 are read: (OOD accepted, ID accepted)."""
    n, m = len(inside), len(outside)
    accepting = inside[-(-95 * n // 100) - 1]
    catching = outside[m - -(-95 * m // 100)]
    marks = [
        tuple(float(np.searchsorted(side, accepting, "right") / len(side)) for side in (outside, inside)),
        tuple(float(np.searchsorted(side, catching, "left") / len(side)) for side in (outside, inside)),
    ]
    return thinned(roc(inside, outside), marks), marks


def _cells(numbers: Any, key: str) -> list[str]:
    """A metric over all ID images, then over those of each shot group, in percent."""
    return [hundredths(part(numbers, key)), *(hundredths(part(numbers, "by_shot", group, key)) for group in GROUPS)]
