"""Entries of a board come in; what cannot be, or is missing, goes out.

Numbers are those of the mark, or those that were sent where there is none yet.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

from openmmlo.evaluate.benchmark import Benchmark, load_benchmark
from openmmlo.evaluate.metrics.accuracy import GROUPS
from openmmlo.leaderboard.limits import printable
from openmmlo.leaderboard.lint.arithmetic import beyond, recombination, recombined
from openmmlo.leaderboard.lint.finding import Finding
from openmmlo.leaderboard.methods import METHODS
from openmmlo.leaderboard.metric_paths import numbers
from openmmlo.leaderboard.rows import same_training_set

if TYPE_CHECKING:
    from openmmlo.leaderboard.board import Entry

SEEDS = 3
CONVENTIONS = ("fpr95_id_positive", "fpr95_ood_positive")

_COUNTS = ("rows", "classes_tested")
_OVERLAP = re.compile(r"[\d,]+ of [\d,]+ images of (\S+) are images of (\S+) too")
"""How openmmlo eval words an overlap that it saw by the hashes of images."""


def lint_submissions(entries: Sequence[Entry]) -> Iterator[Finding]:
    """Findings of every rule, by entry."""
    definition = cache(load_benchmark)
    scored = {id(entry): seeds_of(entry) for entry in entries}
    for entry in entries:
        yield from _of_entry(entry, definition(entry.submission.benchmark), scored[id(entry)])
    yield from _same_predictions(entries)
    yield from _ties(entries, scored)


def seeds_of(entry: Entry) -> dict[int, Mapping[str, float]]:
    """Seed -> metric path -> number: computed anew where the entry has a mark, else as it was sent."""
    if entry.mark is not None:
        return {run.seed: run.scored for run in entry.mark.runs}
    return {run.seed: numbers(run.scored) for run in entry.submission.runs}


def _of_entry(entry: Entry, benchmark: Benchmark, scored: Mapping[int, Mapping[str, float]]) -> Iterator[Finding]:
    submission = entry.submission
    for seed, values in scored.items():
        yield from _recombination(entry, benchmark, f"seed {seed}", values)
        unnamed = [
            path for path in values if (leaf := path.split(".")[-1]).startswith("fpr95") and leaf not in CONVENTIONS
        ]
        if unnamed:
            yield finding(entry, "convention", f"seed {seed}: {unnamed[0]} does not say which class is positive.")
    if len(submission.runs) < SEEDS and submission.setting.training_set != "none":
        count = len(submission.runs)
        yield finding(entry, "seeds", f"{count} seed{'' if count == 1 else 's'}; expected at least {SEEDS}.")
    yield from _training_set(entry, benchmark)
    if submission.method is not None and submission.method not in METHODS:
        yield finding(entry, "method", f"Names method {submission.method!r}, which the leaderboard does not know.")
    yield from _overlap(entry, benchmark)


def _training_set(entry: Entry, benchmark: Benchmark) -> Iterator[Finding]:
    """What the authors say, and what an openmmlo checkpoint's own identity says."""
    (train,) = benchmark.with_role("train")
    named = entry.submission.setting.training_set
    if not same_training_set(named, benchmark):
        yield finding(entry, "training-set", f"Learned from {named}; its column learns from {train.source}.")
        return
    for run in entry.submission.runs:
        own = run.result["model"]["identity"].get("benchmark")
        if isinstance(own, str) and not same_training_set(own, benchmark):
            text = f"seed {run.seed}: it says {named}, and its checkpoint was trained for {printable(own, 100)}."
            yield finding(entry, "training-set", text)


def _recombination(entry: Entry, benchmark: Benchmark, where: str, values: Mapping[str, float]) -> Iterator[Finding]:
    for item in benchmark.with_role("test", "shifted"):
        place = f"classification.{item.name}"
        if values.get(f"{place}.classes_tested", benchmark.classes) != benchmark.classes:
            continue  # a class without a test image leaves its group smaller than the definition says
        groups = {
            group: 100 * values[f"{place}.groups.{group}"] for group in GROUPS if f"{place}.groups.{group}" in values
        }
        whole, stated = recombined(groups, benchmark.group_sizes), values.get(f"{place}.top1_classes")
        if whole is not None and stated is not None and beyond(whole - 100 * stated):
            text = recombination(groups, benchmark.group_sizes, whole, 100 * stated)
            yield finding(entry, "recombination", f"{where}, {item.name}: {text}.", whole - 100 * stated)


def _overlap(entry: Entry, benchmark: Benchmark) -> Iterator[Finding]:
    """What shows that tested images were learned from: overlaps that eval saw, and equal lists.

    Neither speaks of a model that learned from other images than it says: only its checkpoint's training could.
    """
    tested = {item.name for item in benchmark.with_role("test", "shifted", "ood")}
    named = entry.submission.setting.training_set
    for run in entry.submission.runs:
        lists = run.result["digests"].get("lists")
        hashes = lists if isinstance(lists, Mapping) else {}
        for text in run.result["warnings"]:
            seen = _OVERLAP.match(text) if isinstance(text, str) else None
            if seen and seen[1] in tested:
                yield finding(entry, "overlap", f"seed {run.seed}: {printable(text, 300)}.")
        trained = {item.name: hashes.get(item.name) for item in benchmark.with_role("train")}
        for name in sorted(tested):
            own = hashes.get(name)
            if own and (own == named or own in trained.values()):
                yield finding(entry, "overlap", f"seed {run.seed}: the list it learned from is that of {name}.")


def _same_predictions(entries: Sequence[Entry]) -> Iterator[Finding]:
    places: dict[str, list[tuple[Entry, int]]] = defaultdict(list)
    for entry in entries:
        for run in entry.submission.runs:
            places[run.predictions.sha256].append((entry, run.seed))
    for uses in places.values():
        first, seed = uses[0]
        for entry, other in uses[1:]:
            text = f"seed {other}: its predictions are those of {first.submission.label}, seed {seed}."
            yield finding(entry, "same-predictions", text)


def _ties(entries: Sequence[Entry], scored: Mapping[int, Mapping[int, Mapping[str, float]]]) -> Iterator[Finding]:
    """Equal in every measure of the test set, the calibration error included: confidences and classes are the same.

    Scores of detectors that read features alone are left out: classifiers on one frozen network share them.
    """
    alike: dict[tuple[object, ...], list[tuple[Entry, int]]] = defaultdict(list)
    definition = cache(load_benchmark)
    for entry in entries:
        (test,) = definition(entry.submission.benchmark).with_role("test")
        place = f"classification.{test.name}."
        for seed, values in scored[id(entry)].items():
            own = {path: value for path, value in values.items() if path.startswith(place)}
            real = [path for path in own if path.rsplit(".", 1)[-1] not in _COUNTS]
            if f"{place}calibration_error" in own and len(real) > 1:
                alike[(entry.submission.benchmark, *((path, own[path]) for path in sorted(real)))].append((entry, seed))
    for uses in alike.values():
        first, seed = uses[0]
        sent = {run.seed: run.predictions.sha256 for run in first.submission.runs}[seed]
        for entry, other in uses[1:]:
            if {run.seed: run.predictions.sha256 for run in entry.submission.runs}[other] == sent:
                continue  # said already: the very same file
            text = f"seed {other}: every measure of the test set is that of {first.submission.label}, seed {seed}."
            yield finding(entry, "tie", text)


def finding(entry: Entry, rule: str, text: str, residual: float | None = None) -> Finding:
    """A finding about an entry."""
    submission = entry.submission
    return Finding(rule, "submission", submission.benchmark, submission.entry, submission.label, text, residual)
