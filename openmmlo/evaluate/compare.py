"""Results of one benchmark come in; their metrics side by side, and which differences are more than chance, go out.

Every difference is to the first result, with a 95 % interval from test sets resampled alike for all of them
(:mod:`openmmlo.evaluate.metrics.bootstrap`). It speaks of the chance of the test images, not of the seeds; the
deviation over seeds stands beside the mean of a model that has several.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from openmmlo.errors import ConfigError, DataError
from openmmlo.evaluate.metrics.accuracy import GROUPS
from openmmlo.evaluate.metrics.ood import NAMES
from openmmlo.evaluate.predictions import Predictions, digest, read_predictions
from openmmlo.evaluate.resampling import Key, aligned, resampled_metrics
from openmmlo.evaluate.result import RESULT, read_result
from openmmlo.evaluate.score import score

Array = np.ndarray[Any, np.dtype[Any]]
Metrics = dict[Key, Any]

_SUMMARY = (
    "top1_samples", "top1_classes", "harmonic_mean", "worst_10_percent", "false_head_rate", "calibration_error",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Run:
    """One result: predictions of one model and seed, and by which classifier (empty where that is unknown)."""

    folder: str
    predictions: Predictions
    classifier: str


@dataclass(frozen=True, eq=False)
class Contestant:
    """What has a column of its own: a model with its seeds."""

    label: str
    runs: tuple[Run, ...]


def compare(results: Sequence[Path], *, resamples: int = 1000, seed: int = 0) -> dict[str, Any]:
    """Put results side by side; the seeds of one model share a column.

    Args:
        results: folders that ``openmmlo eval`` wrote (predictions.parquet, and result.json where there is one), or
            predictions files.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    A JSON value: ``benchmark``, ``version``, ``resamples``, ``seed``; ``results``: label, model, classifier, seeds,
    folders and metrics (mean, ``std`` with N - 1 over seeds or None for one, values); ``differences`` of the others to
    the first: difference, low, high, excludes_zero (the last three None where nothing is resampled); ``table``: rows of
    text, in percent; ``notes``. Metrics are called ``SET/METRIC`` and ``SET/DETECTOR/METRIC``.

    Raises:
        ConfigError: no result, or fewer than 2 resamples.
        DataError: results that do not compare; what differs is named.
    """
    if not results or resamples < 2:
        raise ConfigError(f"{len(results)} results, {resamples} resamples; expected at least 1 result and 2 resamples.")
    runs = [_load(path) for path in results]
    for run in runs[1:]:
        _refuse_unlike(runs[0], run)
    sets, left_out = _shared_sets(runs)
    contestants = _contestants(
        [Run(run.folder, aligned(run.predictions, sets), run.classifier) for run in runs]
    )  # fmt: skip
    metrics = [_over_seeds([flat(score(run.predictions)) for run in item.runs]) for item in contestants]
    differences: list[Metrics] = []
    if len(contestants) > 1:
        everyone = [run.predictions for item in contestants for run in item.runs]
        drawn = iter(resampled_metrics(everyone, resamples, seed))
        means = [_mean_of([next(drawn) for _ in item.runs]) for item in contestants]
        pairs = zip(metrics[1:], means[1:], strict=True)
        differences = [_differences(metrics[0], means[0], *pair) for pair in pairs]
    first = runs[0].predictions
    return {
        "benchmark": first.benchmark,
        "version": first.version,
        "resamples": resamples,
        "seed": seed,
        "results": [
            {
                "label": item.label,
                "model": item.runs[0].predictions.model,
                "classifier": item.runs[0].classifier or None,
                "seeds": [run.predictions.seed for run in item.runs],
                "folders": [run.folder for run in item.runs],
                "metrics": _named(found),
            }
            for item, found in zip(contestants, metrics, strict=True)
        ],
        "differences": [
            {"label": item.label, "against": contestants[0].label, "metrics": _named(found)}
            for item, found in zip(contestants[1:], differences, strict=True)
        ],
        "table": _table([item.label for item in contestants], metrics, differences),
        "notes": _notes(contestants, left_out, resamples),
    }


def _load(path: Path) -> Run:
    predictions = read_predictions(path)
    classifier = ""
    if (path / RESULT).is_file():
        result = read_result(path)
        if result["digests"]["predictions"] != digest(predictions):
            raise DataError(
                f"{path}: the predictions are not of the run that wrote {RESULT} (their digests differ). "
                "Run openmmlo eval again, or give the predictions file alone."
            )
        classifier = str(result["classifier"]["kind"])
    return Run(str(path), predictions, classifier)


def _refuse_unlike(first: Run, other: Run) -> None:
    """Raises DataError where two results are not of the same images, classes and rules."""
    a, b = first.predictions, other.predictions
    facts: list[tuple[str, Any, Any]] = [
        ("the benchmark", a.benchmark, b.benchmark),
        ("its version", a.version, b.version),
        ("the label map's hash", a.label_map_hash, b.label_map_hash),
        ("the rule of the shot groups", a.shots, b.shots),
        ("the test set", [item.name for item in a.by_role("test")], [item.name for item in b.by_role("test")]),
    ]
    sets = {item.name: item for item in a.sets}
    for item in b.sets:
        if item.name in sets:
            facts.append((f"the role of set {item.name!r}", sets[item.name].role, item.role))
            facts.append((f"the group of set {item.name!r}", sets[item.name].group, item.group))
            facts.append((f"the list hash of set {item.name!r}", a.list_hash(item.name), b.list_hash(item.name)))
    for what, one, two in facts:
        if one != two:
            raise DataError(_unlike(first, other, f"{what} differs ({one}; {two})"))
    if a.train_counts != b.train_counts:
        raise DataError(_unlike(first, other, "the training images per class differ, so shot groups may"))


def _unlike(first: Run, other: Run, what: str) -> str:
    return (
        f"{first.folder} and {other.folder} do not compare: {what}. Differences are paired image by image, so both "
        "must be of the same images, classes and rules. Evaluate both on one version of one benchmark."
    )


def _shared_sets(runs: Sequence[Run]) -> tuple[list[str], list[str]]:
    """Names of the sets that every result has, and of those that only some have."""
    everywhere, seen = [], dict.fromkeys(
        item.name for run in runs for item in run.predictions.by_role("test", "shifted", "ood")
    )  # fmt: skip
    for name in seen:
        if all(any(item.name == name for item in run.predictions.sets) for run in runs):
            everywhere.append(name)
    return everywhere, [name for name in seen if name not in everywhere]


def _contestants(runs: Sequence[Run]) -> list[Contestant]:
    """Runs of one model and classifier with different seeds together, in the order they were given."""
    columns: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        columns.setdefault((run.predictions.model, run.classifier), []).append(run)
    found = []
    for (model, classifier), members in columns.items():
        kinds = {kind for name, kind in columns if name == model}
        label = f"{model} ({classifier})" if len(kinds) > 1 and classifier else model
        seeds = [run.predictions.seed for run in members]
        if len(set(seeds)) == len(seeds):
            found.append(Contestant(label, tuple(members)))
        else:  # the same seed twice: not drawn anew, so something else differs, and no deviation can be told
            found.extend(Contestant(f"{label} ({run.folder})", (run,)) for run in members)
    return sorted(found, key=lambda item: runs.index(item.runs[0]))


def flat(scored: Mapping[str, Any]) -> dict[Key, float]:
    """Every number of a ``scored`` block that is one metric of one set; undefined ones are absent."""
    found: dict[Key, float | None] = {}
    for name, item in scored["classification"].items():
        found |= {(name, metric): item[metric] for metric in _SUMMARY[:2]}
        found |= {(name, group): item["groups"].get(group) for group in GROUPS}
        found |= {(name, metric): item[metric] for metric in _SUMMARY[2:]}
        found |= {(name, prior): value["top1_samples"] for prior, value in item["test_priors"].items()}
    tables = {name: item["detectors"] for name, item in scored["ood"].items()}
    for name, detectors in {**tables, **{f"mean {name}": item for name, item in scored["ood_groups"].items()}}.items():
        found |= {
            (name, detector, metric): values[metric] for detector, values in detectors.items() for metric in NAMES
        }
    found |= {(name, "oltr_f_measure"): item["oltr_f_measure"] for name, item in scored["open_set"].items()}
    return {key: value for key, value in found.items() if value is not None}


def _over_seeds(values: Sequence[Mapping[Key, float]]) -> Metrics:
    found = {}
    for key in values[0]:
        if all(key in other for other in values):
            own = [other[key] for other in values]
            deviation = float(np.std(own, ddof=1)) if len(own) > 1 else None
            found[key] = {"mean": float(np.mean(own)), "std": deviation, "values": own}
    return found


def _mean_of(runs: Sequence[Mapping[Key, Array]]) -> dict[Key, Array]:
    """(R,) mean over seeds of every metric that all of them have."""
    return {key: np.mean([run[key] for run in runs], axis=0) for key in runs[0] if all(key in run for run in runs)}


def _differences(
    first: Metrics, first_drawn: Mapping[Key, Array], other: Metrics, other_drawn: Mapping[Key, Array]
) -> Metrics:
    found: Metrics = {}
    for key in other:
        if key not in first:
            continue
        low = high = excludes = None
        if key in first_drawn and key in other_drawn:
            low, high = map(float, np.percentile(other_drawn[key] - first_drawn[key], [2.5, 97.5]))
            excludes = low > 0 or high < 0
        value = other[key]["mean"] - first[key]["mean"]
        found[key] = {"difference": value, "low": low, "high": high, "excludes_zero": excludes}
    return found


def _named(metrics: Metrics) -> dict[str, Any]:
    return {"/".join(key): value for key, value in metrics.items()}


def _table(labels: Sequence[str], metrics: Sequence[Metrics], differences: Sequence[Metrics]) -> list[list[str]]:
    """Rows of text: classification of every set; AUROC and FPR95 of the mean over OOD sets, or of the only one."""
    rows = [["%", *labels]]
    keys = dict.fromkeys(key for item in metrics for key in item)
    mean = any(key[0] == "mean all" for key in keys)
    for key in keys:
        if len(key) == 3:
            shown = key[2] in NAMES[:1] + NAMES[3:4] and (key[0] == "mean all" or not mean)
        else:
            shown = key[1] in (*_SUMMARY, *GROUPS, "oltr_f_measure")
        if shown:
            pairs = zip(metrics, [{}, *differences] if differences else [{}], strict=True)
            cells = [_cell(item.get(key), other.get(key)) for item, other in pairs]
            rows.append([" ".join(key), *cells])
    return rows


def _cell(value: Mapping[str, Any] | None, difference: Mapping[str, Any] | None) -> str:
    if value is None:
        return "-"
    text = f"{100 * value['mean']:.2f}"
    if value["std"] is not None:
        text += f" ± {100 * value['std']:.2f}"
    if difference is not None:
        text += f" ({100 * difference['difference']:+.2f}"
        if difference["low"] is not None:
            text += f", {100 * difference['low']:+.2f} to {100 * difference['high']:+.2f}"
        text += ")" + ("*" if difference["excludes_zero"] else "")
    return text


def _notes(contestants: Sequence[Contestant], left_out: Sequence[str], resamples: int) -> list[str]:
    notes = []
    if len(contestants) > 1:
        notes.append(
            f"In brackets: difference to {contestants[0].label} with its 95 % interval, paired bootstrap over images, "
            f"{resamples:,} resamples. *: the interval excludes zero."
        )
    several = [item for item in contestants if len(item.runs) > 1]
    if several:
        counts = ", ".join(f"{item.label}: {len(item.runs)}" for item in several)
        notes.append(f"Mean ± standard deviation (N - 1) over seeds; seeds of {counts}.")
    for run in (run for item in contestants for run in item.runs if run.predictions.departures):
        notes.append(f"Not numbers of this benchmark: {run.folder} ({'; '.join(run.predictions.departures)}).")
    if left_out:
        notes.append(f"Not every result has {', '.join(left_out)}: left out.")
    if len({run.predictions.definition for item in contestants for run in item.runs}) > 1:
        notes.append("The benchmark's definitions differ, though not in images, classes or shot groups.")
    return notes
