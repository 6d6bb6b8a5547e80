"""Predictions come in; the ``scored`` block of a result goes out. NumPy and pyarrow alone: no torch, no features."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from openmmlo.errors import DataError
from openmmlo.evaluate.benchmark import Benchmark
from openmmlo.evaluate.metrics import accuracy, ood
from openmmlo.evaluate.metrics.calibration import calibration_error
from openmmlo.evaluate.metrics.label_shift import prior_accuracies
from openmmlo.evaluate.metrics.open_set import oltr_f_measure
from openmmlo.evaluate.metrics.shot_confusion import false_head_rate, group_confusion, landing
from openmmlo.evaluate.predictions import Predictions, read_predictions
from openmmlo.records import shot_group

Array = np.ndarray[Any, np.dtype[Any]]


def score_file(path: Path, benchmark: Benchmark | None = None) -> dict[str, Any]:
    """Score a predictions file, held to a benchmark's definition where one is given.

    Raises:
        DataError: no such file, or predictions of another benchmark, version, label map or list.
    """
    predictions = read_predictions(path)
    if benchmark is not None:
        check_against(predictions, benchmark)
    return score(predictions)


def check_against(predictions: Predictions, benchmark: Benchmark) -> None:
    """Refuse predictions that are not of this definition.

    Raises:
        DataError: what differs is named, with both values.
    """

    def differ(what: str, found: Any, expected: Any) -> None:
        if expected is not None and found != expected:
            raise DataError(
                f"Predictions of {predictions.benchmark!r} do not fit benchmark {benchmark.name!r}: {what} is {found}; "
                f"expected {expected}. Evaluate the model on this benchmark, version {benchmark.version}."
            )

    if predictions.departures:
        raise DataError(
            f"Predictions of {predictions.benchmark!r} depart from its protocol: {'; '.join(predictions.departures)}. "
            f"Their numbers are none of benchmark {benchmark.name!r}: evaluate again without that, or score without "
            "--benchmark."
        )
    differ("the benchmark", predictions.benchmark, benchmark.name)
    differ("its version", predictions.version, benchmark.version)
    differ("the rule of the shot groups", predictions.shots, benchmark.shots)
    differ("the number of classes", len(predictions.classes), benchmark.classes)
    differ("the label map's hash", predictions.label_map_hash, benchmark.label_map_hash)
    if predictions.train_counts is not None:
        groups = [shot_group(count, "paper") for count in predictions.train_counts]
        sizes = {group: groups.count(group) for group in benchmark.group_sizes}
        differ("the size of the shot groups (paper's rule)", sizes, benchmark.group_sizes or None)
        differ("the number of training images", sum(predictions.train_counts), benchmark.train_rows)
    known = {item.name: item for item in benchmark.sets}
    for item in predictions.sets:
        if item.name not in known:
            differ("one of its sets", item.name, f"one of {', '.join(known)}")
        differ(f"the role of set {item.name!r}", item.role, known[item.name].role)
        differ(f"the group of set {item.name!r}", item.group, known[item.name].group)
        differ(f"the number of rows of set {item.name!r}", item.rows, known[item.name].rows)
        differ(f"the list hash of set {item.name!r}", predictions.list_hash(item.name), known[item.name].list_hash)


def score(predictions: Predictions) -> dict[str, Any]:
    """The ``scored`` block: classification, OOD detection a set and a group of sets, open-set F-measure.

    Raises:
        DataError: no test set.
    """
    tests = predictions.by_role("test")
    if len(tests) != 1 or not tests[0].rows:
        raise DataError(
            f"Predictions on {predictions.benchmark!r}: {sum(item.rows for item in tests)} images in {len(tests)} sets "
            "with role 'test'; expected one such set that is not empty. Evaluate with its test images at hand."
        )
    found: dict[str, Any] = {
        "departures": list(predictions.departures),
        "classification": {
            item.name: classification(predictions, item.name) for item in (*tests, *predictions.by_role("shifted"))
        },
        "ood": {},
        "ood_groups": {},
        "open_set": {},
    }
    test = predictions.rows(tests[0].name)
    outside = predictions.by_role("ood")
    id_sorted = {
        name: ood.sort_scores(values[test], f"detector {name!r}, set {tests[0].name!r}")
        for name, values in predictions.scores.items()
        if outside
    }
    names = np.array(predictions.groups, dtype=object)
    id_groups = names[predictions.labels[test]] if len(names) else np.array([], dtype=object)
    for item in outside:
        rows = predictions.rows(item.name)
        detectors: dict[str, Any] = {}
        for name, values in predictions.scores.items() if item.rows else ():
            ood_sorted = ood.sort_scores(values[rows], f"detector {name!r}, set {item.name!r}")
            detectors[name] = ood.from_sorted(id_sorted[name], ood_sorted) | {
                "by_shot": ood.by_shot(values[test], id_groups, ood_sorted, accuracy.GROUPS, f"detector {name!r}")
            }
        found["ood"][item.name] = {
            "rows": item.rows,
            "group": item.group,
            "landing": landing(predictions.predicted[rows], predictions.groups),
            "detectors": detectors,
        }
        found["open_set"][item.name] = {
            "oltr_f_measure": oltr_f_measure(
                predictions.labels[test], predictions.predicted[test], predictions.confidence[test],
                predictions.confidence[rows],
            )
        }  # fmt: skip
    found["ood_groups"] = _group_means(found["ood"])
    return found


def classification(predictions: Predictions, name: str) -> dict[str, Any]:
    """Everything about the accuracy on one set."""
    rows = predictions.rows(name)
    labels, predicted, confidence = (
        values[rows] for values in (predictions.labels, predictions.predicted, predictions.confidence)
    )
    found = summary(labels, predicted, len(predictions.classes), predictions.groups)
    right = labels == predicted
    found["calibration_error"] = calibration_error(right, confidence)
    found["test_priors"] = {}
    if predictions.train_counts is not None and len(labels):
        ids = predictions.sample_ids[rows].tolist()
        found["test_priors"] = prior_accuracies(ids, labels, right, predictions.train_counts)
    return found


def summary(labels: Array, predicted: Array, classes: int, groups: tuple[str, ...]) -> dict[str, Any]:
    """Accuracy of predicted classes over samples, classes and shot groups.

    Args:
        labels, predicted: (N,) 0 to C - 1.
        groups: (C,) shot group of each class, or empty.
    """
    per_class = accuracy.class_accuracies(labels, predicted, classes)
    return {
        "rows": len(labels),
        "classes_tested": int(np.sum(~np.isnan(per_class))),
        "top1_samples": accuracy.top1_samples(labels, predicted),
        "top1_classes": accuracy.top1_classes(per_class),
        "groups": accuracy.group_accuracies(per_class, groups),
        "harmonic_mean": accuracy.harmonic_mean(per_class),
        "worst_10_percent": accuracy.worst_tenth(per_class),
        "false_head_rate": false_head_rate(labels, predicted, groups),
        "per_class": [None if np.isnan(value) else float(value) for value in per_class],
        "group_confusion": group_confusion(labels, predicted, groups),
    }


def ood_groups(sets: Sequence[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    """(group, its sets) of (set, its group): every named group, then "all" where there is more than one set."""
    groups: dict[str, list[str]] = {}
    for name, group in sets:
        if group:
            groups.setdefault(group, []).append(name)
    if len(sets) > 1:
        groups["all"] = [name for name, _ in sets]
    return list(groups.items())


def _group_means(sets: dict[str, Any]) -> dict[str, Any]:
    """Unweighted means over the sets of each group that are not empty."""
    return {
        group: {
            detector: {
                metric: float(np.mean([sets[name]["detectors"][detector][metric] for name in members]))
                for metric in ood.NAMES
            }
            for detector in sets[members[0]]["detectors"]
        }
        for group, members in ood_groups([(name, item["group"]) for name, item in sets.items() if item["rows"]])
    }
