"""Predictions of several models on the same samples come in; their metrics on resampled test sets go out.

Letters: R resamples, N samples of a set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from openmmlo.evaluate.metrics.accuracy import GROUPS
from openmmlo.evaluate.metrics.bootstrap import (
    Placement,
    place,
    resampled_detection,
    resampled_weights,
    running_mass,
)
from openmmlo.evaluate.predictions import Predictions
from openmmlo.evaluate.score import ood_groups

Array = np.ndarray[Any, np.dtype[Any]]
Key = tuple[str, ...]
"""Name of a metric: (set, metric), or (OOD set or "mean GROUP", detector, metric)."""

DETECTION = ("auroc", "fpr95_id_positive", "fpr95_ood_positive")

_BLOCK = 32
"""Resamples worked on at a time: their weights stay in the processor's cache."""


def aligned(predictions: Predictions, sets: Sequence[str]) -> Predictions:
    """Only these sets, each by ascending sample id, so that rows of several models are of the same samples."""
    rows = []
    for name in sets:
        chosen = np.flatnonzero(predictions.rows(name))
        rows.append(chosen[np.argsort(predictions.sample_ids[chosen], kind="stable")])
    order = np.concatenate(rows)
    kept = {item.name: item for item in predictions.sets}
    return replace(
        predictions,
        sets=tuple(kept[name] for name in sets),
        sample_ids=predictions.sample_ids[order],
        set_names=predictions.set_names[order],
        class_keys=predictions.class_keys[order],
        labels=predictions.labels[order],
        predicted=predictions.predicted[order],
        confidence=predictions.confidence[order],
        scores={name: values[order] for name, values in predictions.scores.items()},
    )


def resampled_metrics(runs: Sequence[Predictions], resamples: int, seed: int) -> list[dict[Key, Array]]:
    """(R,) values of every metric for each run, all on the same resampled sets.

    ID samples are drawn within their classes, OOD samples within their set. The draws of a set depend on its name and
    the seed alone. Metrics: top-1 over samples, classes and shot groups; AUROC and both FPR95.

    Args:
        runs: as :func:`aligned` gives them, on the same sets.
    """
    first = runs[0]
    found: list[dict[Key, list[Array]]] = [{} for _ in runs]
    draws = {item.name: _draws(first, item.name, resamples, seed) for item in first.sets if item.rows}
    names = {role: [item.name for item in first.by_role(role) if item.rows] for role in ("test", "shifted", "ood")}
    (test,) = names["test"]
    shares = {name: _shares(first, name) for name in [test, *names["shifted"]]}
    right = [{name: _right(run, name) for name in shares} for run in runs]
    placed = [_placements(run, test, names["ood"]) for run in runs]
    for _ in range(0, resamples, _BLOCK):
        weights = {name: next(blocks) for name, blocks in draws.items()}
        for into, hits, detectors in zip(found, right, placed, strict=True):
            for name, columns in shares.items():
                values = (np.stack(list(columns.values())) * hits[name]) @ weights[name]
                for metric, value in zip(columns, values, strict=True):
                    into.setdefault((name, metric), []).append(value)
            for detector, (order, places) in detectors.items():
                mass = running_mass(weights[test], order)
                for name, placement in places.items():
                    for metric, value in resampled_detection(placement, mass, weights[name]).items():
                        into.setdefault((name, detector, metric), []).append(value)
    joined = [{key: np.concatenate(parts) for key, parts in item.items()} for item in found]
    for item, run_predictions in zip(joined, runs, strict=True):
        _add_means(item, run_predictions)
    return joined


def _draws(predictions: Predictions, name: str, resamples: int, seed: int) -> Iterator[Array]:
    """Weights of a set's samples, a block of resamples at a time."""
    generator = np.random.default_rng([seed, *name.encode()])
    strata = predictions.labels[predictions.rows(name)]
    for start in range(0, resamples, _BLOCK):
        yield resampled_weights(strata, min(_BLOCK, resamples - start), generator)


def _right(predictions: Predictions, name: str) -> Array:
    rows = predictions.rows(name)
    found: Array = predictions.labels[rows] == predictions.predicted[rows]
    return found


def _shares(predictions: Predictions, name: str) -> Mapping[str, Array]:
    """Metric -> (N,) what a right prediction of each sample adds to it."""
    labels = predictions.labels[predictions.rows(name)]
    counts = np.bincount(labels, minlength=len(predictions.classes))
    tested = counts > 0
    one = 1 / counts[labels]
    found = {"top1_samples": np.full(len(labels), 1 / len(labels)), "top1_classes": one / tested.sum()}
    groups = np.array(predictions.groups, dtype=object)
    for group in GROUPS if len(groups) else ():
        members = groups == group
        if np.any(members & tested):
            found[group] = one * members[labels] / np.sum(members & tested)
    return found


def _placements(
    predictions: Predictions, test: str, outside: Sequence[str]
) -> dict[str, tuple[Array, dict[str, Placement]]]:
    """Detector -> order of the ID samples by ascending score, and OOD set -> where its scores stand among them."""
    inside = predictions.rows(test)
    rows = {name: predictions.rows(name) for name in outside}
    found = {}
    for detector, values in predictions.scores.items() if outside else ():
        scores = values[inside]
        order = np.argsort(scores, kind="stable")
        ascending = scores[order]
        found[detector] = (order, {name: place(ascending, values[chosen]) for name, chosen in rows.items()})
    return found


def _add_means(found: dict[Key, Array], predictions: Predictions) -> None:
    for group, members in ood_groups([(item.name, item.group) for item in predictions.by_role("ood") if item.rows]):
        for detector in predictions.scores:
            for metric in DETECTION:
                values = [found[(name, detector, metric)] for name in members]
                found[(f"mean {group}", detector, metric)] = np.mean(values, axis=0)
