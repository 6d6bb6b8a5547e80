"""A benchmark comes in; the columns of its table go out: which metrics, how they are called, which way is better."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from openmmlo.evaluate.benchmark import Benchmark
from openmmlo.evaluate.metrics import DIRECTIONS
from openmmlo.evaluate.metrics.accuracy import GROUPS
from openmmlo.evaluate.score import ood_groups
from openmmlo.leaderboard.ranks import Direction
from openmmlo.leaderboard.reported import ReportedRow, direction

HEADLINE_DETECTORS = ("msp", "knn")
"""One that reads the classifier and one that reads features. They are fixed: the best detector of a row would be chosen
by the images it is tested on."""


@dataclass(frozen=True)
class Column:
    """One metric of a table.

    Attributes:
        key: its name in downloads and permalinks: the path of the metric in ``scored``, or ``reported.`` and a paper's
            name for it where no number of ours is the same quantity.
        title, group: what the heading says, and what stands above several headings.
        direction: which way is better.
        unit: values of ``percent`` are fractions, and printed in percent.
        headline: shown without being asked for.
    """

    key: str
    title: str
    group: str
    direction: Direction
    unit: Literal["percent", "degrees"] = "percent"
    headline: bool = False


def columns(benchmark: Benchmark, detectors: Iterable[str] = ()) -> tuple[Column, ...]:
    """Every column that a re-scored row of a benchmark can fill.

    Args:
        detectors: the OOD detectors that occur.
    """
    (test,) = benchmark.with_role("test")
    found = _accuracy(test.name, "Accuracy", test=True)
    for item in benchmark.with_role("shifted"):
        found += _accuracy(item.name, f"Accuracy on {item.name}", test=False)
    outside = [(item.name, item.group) for item in benchmark.with_role("ood")]
    groups = ood_groups(outside)
    places = [(f"ood_groups.{name}", f"mean of {name}", name == "all") for name, _ in groups]
    places += [(f"ood.{name}.detectors", name, len(outside) == 1) for name, _ in outside]
    for place, where, headline in places:
        for detector in sorted(detectors):
            shown = headline and detector in HEADLINE_DETECTORS
            for metric, title in (("auroc", "AUROC"), ("fpr95_id_positive", "FPR95, ID positive")):
                found.append(
                    Column(
                        f"{place}.{detector}.{metric}",
                        f"{title}, {detector}",
                        f"OOD: {where}",
                        DIRECTIONS[metric.replace("_", "-")],
                        headline=shown,
                    )
                )
    return tuple(found)


def _accuracy(name: str, group: str, *, test: bool) -> list[Column]:
    place = f"classification.{name}"
    shots = [
        Column(f"{place}.groups.{shot}", shot.capitalize(), group, DIRECTIONS["groups"], headline=test)
        for shot in GROUPS
    ]
    others = [
        ("top1_classes", "Mean over classes", "top1-classes"),
        ("worst_10_percent", "Worst 10 % of classes", "worst-10-percent"),
        ("harmonic_mean", "Harmonic mean of classes", "harmonic-mean"),
        ("false_head_rate", "False head rate", "false-head-rate"),
        ("calibration_error", "Calibration error", "calibration-error"),
    ]
    return [
        Column(f"{place}.top1_samples", "All", group, DIRECTIONS["top1-samples"], headline=True),
        *shots,
        *(Column(f"{place}.{key}", title, group, DIRECTIONS[metric]) for key, title, metric in others if test),
    ]


def reported_key(metric: str, benchmark: Benchmark) -> str:
    """Key of the column that a reported metric belongs to.

    Accuracies of the test set share a column with ours, which are of the same quantity. Everything else a paper prints
    has a column of its own: its OOD scores are each method's own, not those of a detector that is named.
    """
    (test,) = benchmark.with_role("test")
    head, _, shot = metric.partition(".")
    if head == "top1" and (shot == "all" or shot in GROUPS):
        return f"classification.{test.name}." + ("top1_samples" if shot == "all" else f"groups.{shot}")
    return f"reported.{metric}"


_ANGLES = {
    "intra_class_compactness": "Within classes",
    "inter_class_separability": "Between classes",
    "id_ood_separability": "ID to OOD",
}
_OWN = {"auroc": "AUROC", "fpr95.id_positive": "FPR95, ID positive", "fpr95.ood_positive": "FPR95, OOD positive"}


def reported_column(metric: str, row: ReportedRow) -> Column:
    """The column of a reported metric that shares none with ours."""
    head, _, rest = metric.partition(".")
    if head == "geometry":
        name, _, statistic = rest.partition(".")
        title = f"{_ANGLES.get(name, name)}, {'deviation' if statistic == 'std' else statistic}"
        return Column(f"reported.{metric}", title, "Angles, reported", direction(metric), row.unit)
    return Column(
        f"reported.{metric}",
        _OWN.get(rest, rest),
        f"OOD as reported: {head}",
        direction(metric),
        row.unit,
        headline=True,
    )
