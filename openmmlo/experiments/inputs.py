"""What captions add: one model that reads the image, the caption, or both, masked captions and raw ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from openmmlo.experiments.numbers import Measured, Numbers, over_classes
from openmmlo.experiments.plan import Experiment
from openmmlo.experiments.tables import DASH, percent, shown_difference
from openmmlo.markdown import table, text

Array = np.ndarray[Any, np.dtype[Any]]

MODES = {
    "image alone": ("own", "image_only"),
    "image and masked caption": ("own", "masked"),
    "image and raw caption": ("own", "raw"),
    "image alone, probe": ("image_only",),
    "masked caption alone, probe": ("masked", "caption_only"),
    "image and masked caption, probe": ("masked", "both"),
    "raw caption alone, probe": ("raw", "caption_only"),
    "image and raw caption, probe": ("raw", "both"),
}
"""What is read, and where its accuracy stands in the ``captions`` block of a result."""


def inputs(experiment: Experiment, numbers: Numbers) -> list[str]:
    """Accuracy by what is read, a column a run; differences to the image alone, over classes and seeds."""
    runs = [(row.label, numbers.measured.get(row.run.name)) for row in experiment.rows]
    rows = []
    for mode, path in MODES.items():
        alone = (*path[:-1], "image_only") if path[0] == "own" else ("image_only",)
        cells = []
        for _, measured in runs:
            ours, few = accuracies(measured, path)
            theirs, _ = accuracies(measured, alone)
            gap = None if path == alone else over_classes(ours, theirs)
            cells += [percent([float(np.nanmean(item)) for item in ours.values()]), percent(few), shown_difference(gap)]
        rows.append((mode, *cells))
    if all(cell == DASH for row in rows for cell in row[1:]):
        return []
    heads = [f"{label}: {what}" for label, _ in runs for what in ("all", "few", "against image alone")]
    return [
        table(("read at test time", *map(text, heads)), rows),
        "Without *probe* the model's own class layer answers, with it a linear probe on frozen features; chance is "
        f"{_chance(runs)}. Intervals are over classes and seeds.",
        *_leaks(runs),
    ]


def accuracies(measured: Measured | None, path: Sequence[str]) -> tuple[dict[int, Array], list[float]]:
    """Seed -> (C,) accuracies of classes, and few-shot accuracy a seed; empty where some seed has none."""
    found, few = {}, []
    for item in measured.seeds if measured is not None else ():
        block: Any = (item.results.get("captions") or {}).get("measured", {}).get("captions")
        for name in path:
            block = (block or {}).get(name)
        if block is None:
            return {}, []
        values = block["per_class"]
        found[item.job.seed] = np.array([np.nan if value is None else value for value in values], dtype=float)
        few.append(block["groups"].get("few"))
    return found, [value for value in few if value is not None]


def _chance(runs: Sequence[tuple[str, Measured | None]]) -> str:
    classes = [item.results["captions"]["benchmark"]["classes"] for _, own in runs if own for item in own.seeds]
    return f"{100 / classes[0]:.1f} %" if classes else "unknown"


def _leaks(runs: Sequence[tuple[str, Measured | None]]) -> list[str]:
    """What the audit of the data says of the captions that were read."""
    for _, own in runs:
        for item in own.seeds if own is not None else ():
            audit = item.results["captions"]["measured"].get("audit")
            if audit and audit.get("leak_rate") is not None:
                return [
                    f"The leak audit of these data: {100 * audit['leak_rate']:.1f} % of masked captions tell their "
                    f"class, and {100 * audit['leak_rate_raw']:.1f} % of raw ones."
                ]
    return []
