"""The angles of the paper's Table 4: what pre-training makes of classes, and how far from them the unknown lies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from openmmlo.experiments.numbers import Measured, Numbers, over_classes, spread
from openmmlo.experiments.plan import Experiment
from openmmlo.experiments.tables import DASH, scores, shown_difference
from openmmlo.markdown import table, text

Array = np.ndarray[Any, np.dtype[Any]]

ANGLES = {"intra": "intra-class ↓", "inter": "inter-class ↑", "ood": "ID to OOD ↑"}
"""Angles of the paper's Table 4 between class means of images and of captions, and which way is better."""


def geometry(experiment: Experiment, numbers: Numbers) -> list[str]:
    """Angles of the pre-trained models, then the scores of what was fine-tuned from them."""
    rows, gaps, said = [], [], []
    for row in experiment.rows:
        start = row.run.start or row.run
        found = [angles(numbers.measured.get(start.name), name) for name in ANGLES]
        rows.append((text(row.label), *(_degrees(values) for values in found)))
        reference = experiment.reference(row)
        if reference is None:
            continue
        other = reference.run.start or reference.run
        cells = []
        for name, heading in ANGLES.items():
            ours, theirs = (angles(numbers.measured.get(run.name), name) for run in (start, other))
            gap = over_classes(ours, theirs)
            cells.append(shown_difference(gap, 1))
            if gap is not None:
                better = (gap.value < 0) == heading.endswith("↓")
                verdict = ("better" if better else "worse") if gap.told_apart else "not told apart"
                said.append(f"- {heading[:-2]}, {text(row.label)} against {text(reference.label)}: {verdict}.")
        if set(cells) != {DASH}:
            gaps.append((f"{text(row.label)} − {text(reference.label)}", *cells))
    rows = [cells for cells in rows if set(cells[1:]) != {DASH}]
    if not rows:
        return scores(experiment, numbers)
    blocks = [
        table(("degrees", *ANGLES.values()), rows),
        "Mean over classes, ± deviation over seeds, and in brackets the deviation over classes, as the paper has it.",
    ]
    if gaps:
        blocks += ["Differences to the row above, with 95 % intervals over classes and seeds:",
                   table(("degrees", *ANGLES.values()), gaps), "\n".join(said)]  # fmt: skip
    tuned = scores(experiment, numbers)
    return [*blocks, *(["After fine-tuning, on the benchmark:", *tuned] if tuned else [])]


def angles(measured: Measured | None, name: str) -> dict[int, Array]:
    """Seed -> (C,) degrees, NaN where a class has none; empty where some seed has no such angles."""
    found = {}
    for item in measured.seeds if measured is not None else ():
        block = (item.results.get("captions") or {}).get("measured", {}).get("geometry") or {}
        values = (block.get("classes") or {}).get(name)
        if values is None or block.get("basis") != "captions":
            return {}
        found[item.job.seed] = np.array([np.nan if value is None else value for value in values], dtype=float)
    return found


def _degrees(values: Mapping[int, Array]) -> str:
    if not values:
        return DASH
    mean, deviation = spread([float(np.nanmean(item)) for item in values.values()])
    over = float(np.mean([np.nanstd(item) for item in values.values()]))
    return f"{mean:.1f}{'' if deviation is None else f' ± {deviation:.1f}'} ({over:.1f})"
