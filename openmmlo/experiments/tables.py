"""Numbers come in; rows of Markdown cells and sentences that follow from them go out. Nothing is written by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from openmmlo.evaluate.metrics.accuracy import GROUPS
from openmmlo.evaluate.predictions import Predictions
from openmmlo.evaluate.resampling import Key
from openmmlo.experiments.numbers import Difference, Measured, Numbers, spread
from openmmlo.experiments.plan import EXPECTED, Experiment, Row
from openmmlo.markdown import table, text

Array = np.ndarray[Any, np.dtype[Any]]

DASH = "–"
STAR = "\\*"
SHOWN = ("msp", "knn")
"""Detectors of the large tables: one that reads the class layer, one that reads features."""


DETECTOR = {"msp": "MSP", "energy": "energy", "mahalanobis": "Mahalanobis", "knn": "k-NN"}
"""How tables call a detector."""


@dataclass(frozen=True)
class Column:
    """A metric as a table shows it; ``higher`` is which way is better."""

    heading: str
    key: Key
    higher: bool = True


def columns(predictions: Predictions, detectors: Sequence[str] = SHOWN) -> list[Column]:
    """Accuracy on the test set and its shot groups, on sets in other domains, calibration; then AUROC by detector."""
    test = predictions.by_role("test")[0].name
    found = [Column("all", (test, "top1_classes")), *(Column(group, (test, group)) for group in GROUPS)]
    found += [Column(item.name, (item.name, "top1_classes")) for item in predictions.by_role("shifted")]
    found.append(Column("ECE", (test, "calibration_error"), higher=False))
    outside = [item.name for item in predictions.by_role("ood") if item.rows]
    of = "mean all" if len(outside) > 1 else (outside or [""])[0]
    return found + [Column(f"OOD {DETECTOR[name]}", (of, name, "auroc")) for name in detectors if outside]


def headline(predictions: Predictions) -> dict[str, Column]:
    """The columns that differences are given for: all, few, and AUROC by the two detectors."""
    return {item.heading: item for item in columns(predictions) if item.heading in {"all", "few"} or item.key[2:]}


def any_predictions(numbers: Numbers) -> Predictions | None:
    """Of whichever run is scored; all of them are of the same sets."""
    found = (item.predictions for own in numbers.measured.values() for item in own.seeds)
    return next((item for item in found if item is not None), None)


def score_table(rows: Sequence[Row], numbers: Numbers, shown: Sequence[Column]) -> str:
    """Mean ± deviation over seeds; the best of a column in bold where it is told apart from every other."""
    rows = [row for row in rows if row.run.name in numbers.measured]
    cells = {row.label: [_cell(numbers.measured[row.run.name], column) for column in shown] for row in rows}
    for place, column in enumerate(shown):
        best = separated_best(rows, numbers, column)
        if best is not None:
            cells[best.label][place] = f"**{cells[best.label][place]}**"
    return table(("%", *(item.heading for item in shown)), [(text(row.label), *cells[row.label]) for row in rows])


def sweep_table(rows: Sequence[Row], numbers: Numbers) -> str | None:
    """AUROC by k-NN over the number of the neighbour, the mean over the OOD sets; None where nothing has a sweep."""
    sweeps: dict[str, list[Mapping[str, Mapping[str, Any]]]] = {}
    for row in rows:
        seeds = numbers.measured[row.run.name].seeds if row.run.name in numbers.measured else ()
        found = [item.results["images"].get("measured", {}).get("k_sweep", {}).get("knn") for item in seeds]
        if found and all(found):
            sweeps[row.label] = found
    everything = [sweep for found in sweeps.values() for sweep in found]
    if not everything:
        return None
    shown = [k for k in everything[0] if all(k in sweep for sweep in everything)]

    def cell(label: str, k: str) -> str:
        return percent([float(np.mean([item["auroc"] for item in sweep[k].values()])) for sweep in sweeps[label]])

    return table(("%", *(f"k = {k}" for k in shown)),
                 [(text(label), *(cell(label, k) for k in shown)) for label in sweeps])  # fmt: skip


def cautions(numbers: Numbers) -> list[str]:
    """What the evaluations say of their detectors, each once."""
    found: dict[str, None] = {}
    for own in numbers.measured.values():
        for item in own.seeds:
            said = item.results.get("images", {}).get("protocol", {}).get("cautions", {})
            found |= dict.fromkeys(f"{DETECTOR.get(name, name)}: {one}" for name, all_ in said.items() for one in all_)
    return list(found)


def separated_best(rows: Sequence[Row], numbers: Numbers, column: Column) -> Row | None:
    """The best row of a column, where the interval of its lead over each other row is above zero."""
    means = {}
    for row in rows:
        measured = numbers.measured.get(row.run.name)
        if measured is not None and measured.values(column.key):
            means[row] = float(np.mean(measured.values(column.key)))
    ranked = sorted(means, key=means.__getitem__, reverse=column.higher)
    if len(ranked) < 2:
        return None
    leads = [numbers.difference(ranked[0].run, row.run, column.key) for row in ranked[1:]]
    ahead = [lead is not None and (lead.low > 0 if column.higher else lead.high < 0) for lead in leads]
    return ranked[0] if all(ahead) else None


def difference_table(experiment: Experiment, numbers: Numbers, shown: Sequence[Column]) -> str:
    """Each row less its reference, which is named where it is another one each time; a star where zero is excluded."""
    found = []
    for row in experiment.rows:
        reference = experiment.reference(row)
        if reference is not None and {row.run.name, reference.run.name} <= numbers.measured.keys():
            gaps = [numbers.difference(row.run, reference.run, column.key) for column in shown]
            whose = f"{row.label} − {reference.label}" if experiment.against == "above" else row.label
            found.append((text(whose), *map(shown_difference, gaps)))
    return table(("points", *(item.heading for item in shown)), found)


def shown_difference(found: Difference | None, factor: float = 100) -> str:
    """``+3.2 (+1.1 to +5.2)*``, in percentage points unless another factor is given."""
    if found is None:
        return DASH
    value, low, high = (factor * number for number in (found.value, found.low, found.high))
    return f"{value:+.1f} ({low:+.1f} to {high:+.1f})" + (STAR if found.told_apart else "")


def conclusions(experiment: Experiment, numbers: Numbers, shown: Sequence[Column]) -> list[str]:
    """For every column: which rows lie above their reference, which below, and which are not told apart from it."""
    found = []
    for column in shown:
        found_as: dict[str, list[str]] = {"higher": [], "lower": [], "not told apart": [], "the same": []}
        for row in experiment.rows:
            reference = experiment.reference(row)
            gap = None if reference is None else numbers.difference(row.run, reference.run, column.key)
            if gap is not None:
                found_as[_verdict(gap)].append(text(row.label))
        parts = [f"{verdict}: {', '.join(labels)}" for verdict, labels in found_as.items() if labels]
        if parts:
            found.append(f"- *{column.heading}* — {'; '.join(parts)}.")
    return found


def _verdict(gap: Difference) -> str:
    if gap.none:
        return "the same"
    return "not told apart" if not gap.told_apart else "higher" if gap.value > 0 else "lower"


def expectations(experiment: Experiment, numbers: Numbers, few: Column | None) -> list[str]:
    """Whether the methods that should beat the reference on few-shot accuracy do so by more than the interval."""
    found = []
    for row in experiment.rows:
        reference = experiment.reference(row)
        if few is not None and reference is not None and row.label in EXPECTED:
            gap = numbers.difference(row.run, reference.run, few.key)
            answer = "not run yet" if gap is None else "yes" if gap.low > 0 else "no"
            found.append(f"- {text(row.label)}: **{answer}**, {shown_difference(gap)}")
    return found


def scores(experiment: Experiment, numbers: Numbers) -> list[str]:
    """What is better where, by how much, and what follows; blocks of Markdown, none where nothing is finished."""
    predictions = any_predictions(numbers)
    finished = [row for row in experiment.rows if row.run.name in numbers.measured]
    if predictions is None or not finished:
        return []
    shown, differing = columns(predictions), headline(predictions)
    blocks = [score_table(finished, numbers, shown)]
    absent = [text(row.label) for row in experiment.rows if row not in finished]
    blocks += [f"Not run yet: {', '.join(absent)}."] if absent else []
    blocks += _incomplete(finished, numbers)
    blocks += _uneven(finished, numbers, shown[0])
    if any(numbers.difference(row.run, other.run, next(iter(differing.values())).key) for row in finished
           if (other := experiment.reference(row)) is not None):  # fmt: skip
        blocks += [_reference_line(experiment), difference_table(experiment, numbers, list(differing.values()))]
    expected = expectations(experiment, numbers, differing.get("few"))
    if expected:
        blocks += ["Do the methods that should help the few-shot classes do so, by more than the interval?",
                   "\n".join(expected)]  # fmt: skip
    said = conclusions(experiment, numbers, list(differing.values()))
    return [*blocks, *(["\n".join(said)] if said else [])]


def _incomplete(rows: Sequence[Row], numbers: Numbers) -> list[str]:
    """Which rows lack seeds that another row has: their means are not of the same seeds."""
    seeds = {row.label: {item.job.seed for item in numbers.measured[row.run.name].seeds} for row in rows}
    everyone = {seed for own in seeds.values() for seed in own}
    short = [f"{text(label)} ({', '.join(map(str, sorted(own)))})" for label, own in seeds.items() if own != everyone]
    if not short:
        return []
    return [
        f"Not yet run with each of the seeds {', '.join(map(str, sorted(everyone)))}, but only with those in brackets: "
        f"{', '.join(short)}. Differences are of the seeds that both rows have; with one seed their intervals are over "
        "test images alone."
    ]


FAR = 0.1
"""Between seeds of one row: a mean over them then tells little of any."""


def _uneven(rows: Sequence[Row], numbers: Numbers, column: Column) -> list[str]:
    """Which rows have a seed that failed, or did far better than another."""
    found = []
    for row in rows:
        values = numbers.measured[row.run.name].values(column.key)
        if values and max(values) - min(values) > FAR:
            seeds = [item.job.seed for item in numbers.measured[row.run.name].seeds]
            each = ", ".join(f"{100 * value:.1f} with {seed}" for value, seed in zip(values, seeds, strict=True))
            found.append(f"{text(row.label)} ({each})")
    if not found:
        return []
    return [f"Seeds lie over {100 * FAR:.0f} points apart in *{column.heading}*, so that means say little: "
            f"{'; '.join(found)}."]  # fmt: skip


def _reference_line(experiment: Experiment) -> str:
    whom = "the row above" if experiment.against == "above" else text(experiment.against)
    return (
        f"Differences to {whom}, in percentage points, with 95 % intervals over test images and seeds (\\*: without 0):"
    )


def _cell(measured: Measured, column: Column) -> str:
    return percent(measured.values(column.key))


def percent(values: Sequence[float]) -> str:
    """Mean ± deviation in percent; a dash for no value."""
    if not values:
        return DASH
    mean, deviation = spread(values)
    return f"{100 * mean:.1f}" if deviation is None else f"{100 * mean:.1f} ± {100 * deviation:.1f}"
