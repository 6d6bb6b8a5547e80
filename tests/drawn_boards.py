"""Boards drawn from a seed: entries with marks whose numbers hang together, some that wait, what a paper reports."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from openmmlo.evaluate.benchmark import load_benchmark
from openmmlo.leaderboard.board import Board
from openmmlo.leaderboard.marks import Mark, Reproduction, ScoredRun
from openmmlo.leaderboard.methods import METHODS
from openmmlo.leaderboard.metric_paths import numbers
from openmmlo.leaderboard.submission import Place, PredictionsFile, Run, Setting, Submission

DETECTORS = ("energy", "knn", "mahalanobis", "msp")
BACKBONES = ("ResNet-18, 32 px", "thp-tiny", "ViT-B/16", "ResNeXt-50")
PEOPLE = ("Ada Lovelace", "José Ångström", "Doe, Jane", "李明")


def board_of(
    folder: Path, submissions: Iterable[Submission], waiting: Sequence[str] = (), reported: bool = True
) -> Board:
    """A board that holds these, each with a mark but those whose entry waits."""
    for place, submission in enumerate(submissions):
        data = submission.to_bytes()
        path = folder / "submissions" / submission.benchmark / f"{submission.entry}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        if submission.entry not in waiting:
            digest = hashlib.sha256(data).hexdigest()
            marks = folder / "marks"
            marks.mkdir(exist_ok=True)
            (marks / f"{digest}.json").write_bytes(mark_of(submission, digest, place % 4 == 0).to_bytes())
    folder.mkdir(exist_ok=True)
    if reported:
        (folder / "reported").mkdir(exist_ok=True)
        (folder / "reported" / "table-1.json").write_text(json.dumps(table()), encoding="utf-8")
    return Board(folder)


def mark_of(submission: Submission, digest: str, reproduced: bool) -> Mark:
    """The mark of a submission, as re-scoring would give it."""
    runs = tuple(ScoredRun(run.seed, run.predictions.sha256, numbers(run.scored)) for run in submission.runs)
    again = (
        Reproduction(
            runs[0].seed, "c" * 64, 0.998, 0.0004, "classification.test.groups.few", "0.5.0", "cpu", "2026-11-20"
        ),
    )
    return Mark(
        "reproduced" if reproduced else "re-scored", submission.entry, submission.benchmark, digest, "0.5.0",
        "2026-11-24", runs, again if reproduced else (),
    )  # fmt: skip


def submissions(count: int, seed: int = 0, seeds: int = 3, benchmark: str = "miniature") -> list[Submission]:
    """Entries of falling skill, one method after the other; every fifth has a single seed."""
    random = np.random.default_rng(seed)
    keys = list(METHODS)
    return [
        submission(
            benchmark,
            entry=f"{keys[place % len(keys)]}{f'-{place // len(keys) + 1}' if place >= len(keys) else ''}",
            name=f"{METHODS[keys[place % len(keys)]].name}{f' {place // len(keys) + 1}' if place >= len(keys) else ''}",
            method=keys[place % len(keys)],
            date=f"2026-{1 + place % 11:02d}-{1 + place * 7 % 28:02d}",
            authors=tuple(PEOPLE[: 1 + place % 3]),
            captions=("none", "masked", "none", "raw")[place % 4],
            backbone=BACKBONES[place % len(BACKBONES)],
            skill=float(random.normal(0, 1)),
            seeds=1 if place % 5 == 4 else seeds,
            random=random,
        )
        for place in range(count)
    ]


def submission(
    benchmark: str = "miniature",
    entry: str = "focal",
    name: str = "Focal loss",
    method: str | None = "focal",
    date: str = "2026-11-01",
    authors: tuple[str, ...] = PEOPLE[:1],
    captions: Any = "none",
    backbone: str = BACKBONES[0],
    skill: float = 0.0,
    seeds: int = 3,
    random: np.random.Generator | None = None,
    **others: Any,
) -> Submission:
    """One entry."""
    random = random or np.random.default_rng(0)
    tilt, sense = random.normal(0, 1, 2)
    runs = tuple(
        _run(benchmark, entry, number, skill + random.normal(0, 0.12), tilt, sense, random) for number in range(seeds)
    )
    found = Submission(
        entry=entry, benchmark=benchmark, benchmark_version=1, name=name, authors=authors,
        paper="https://arxiv.org/abs/1708.02002", code=None, date=date, method=method, note=None,
        setting=Setting(backbone, "none" if captions == "none" else "captions of the same images", captions, benchmark),
        runs=runs,
    )  # fmt: skip
    return replace(found, **others)


def _run(
    benchmark: str, entry: str, seed: int, skill: float, tilt: float, sense: float, random: np.random.Generator
) -> Run:
    digest = hashlib.sha256(f"{entry}{seed}".encode()).hexdigest()
    place = Place("board") if benchmark == "miniature" else Place("hub", "owner/name", "a" * 40, f"{entry}.parquet")
    result = {
        "format": 1, "openmmlo": "0.5.0",
        "benchmark": {"name": benchmark, "version": 1, "title": "", "shots": "paper", "classes": 50, "papers": []},
        "model": {"name": f"runs/{entry}/{seed}", "identity": {"library": "openmmlo", "recipe": "d" * 64}},
        "seed": seed, "classifier": {"kind": "model", "choices": {}, "not_available": {}},
        "protocol": {"precision": {"computed": "float32"}}, "sets": [],
        "digests": {"definition": "d" * 64, "label_map": "e" * 64, "checkpoint": digest[::-1], "recipe": "f" * 64,
                    "predictions": digest},
        "scored": _scored(benchmark, skill, tilt, sense, random), "measured": {}, "not_run": [],
        "warnings": [], "departures": [], "run": {"device": "cpu", "versions": {"openmmlo": "0.5.0", "torch": "2.15"}},
    }  # fmt: skip
    return Run(seed, PredictionsFile(digest, 40_000, 4_500, place), result)


def _scored(name: str, skill: float, tilt: float, sense: float, random: np.random.Generator) -> dict[str, Any]:
    """A block whose "all" is what its groups recombine to."""
    benchmark = load_benchmark(name)

    def rate(middle: float) -> float:
        return float(1 / (1 + np.exp(-(middle + random.normal(0, 0.03)))))

    def accuracy(less: float) -> dict[str, Any]:
        groups = {
            "many": rate(1.1 + 0.25 * skill - 0.22 * tilt - less),
            "medium": rate(0.3 + 0.3 * skill + 0.1 * tilt - less),
            "few": rate(-0.9 + 0.35 * skill + 0.45 * tilt - less),
        }
        sizes = benchmark.group_sizes
        whole = sum(sizes[group] * value for group, value in groups.items()) / sum(sizes.values())
        return {
            "rows": 2500, "classes_tested": benchmark.classes, "top1_samples": whole, "top1_classes": whole,
            "groups": groups, "harmonic_mean": 0.8 * whole, "worst_10_percent": 0.2 * groups["few"],
            "false_head_rate": rate(-0.5 - tilt), "calibration_error": rate(-2.5),
            "per_class": [round(whole, 3)] * benchmark.classes,
            "group_confusion": {a: {b: rate(0) for b in groups} for a in groups},
            "test_priors": {"uniform": {"rows": 2500, "top1_samples": whole}},
        }  # fmt: skip

    def detection(middle: float) -> dict[str, float]:
        auroc = rate(middle)
        return {
            "auroc": auroc, "aupr_in": rate(middle), "aupr_out": rate(middle), "fpr95_id_positive": 1 - auroc**2,
            "fpr95_ood_positive": 1 - auroc,
        }  # fmt: skip

    outside = benchmark.with_role("ood")
    found = {
        item.name: {
            "rows": 750, "group": item.group, "landing": {"many": 0.6, "medium": 0.3, "few": 0.1},
            "detectors": {
                detector: detection(0.5 + 0.6 * (item.group == "far") + 0.15 * skill + 0.3 * sense + 0.2 * place)
                | {"by_shot": {group: detection(0.5 + 0.1 * skill) for group in ("many", "medium", "few")}}
                for place, detector in enumerate(DETECTORS)
            },
        }
        for item in outside
    }  # fmt: skip
    groups = {}
    for group in [*dict.fromkeys(item.group for item in outside), *(["all"] if len(outside) > 1 else [])]:
        members = [item.name for item in outside if group in (item.group, "all")]
        groups[group] = {
            detector: {
                metric: float(np.mean([found[item]["detectors"][detector][metric] for item in members]))
                for metric in ("auroc", "aupr_in", "aupr_out", "fpr95_id_positive", "fpr95_ood_positive")
            }
            for detector in DETECTORS
        }
    return {
        "departures": [],
        "classification": {"test": accuracy(0.0)}
        | {item.name: accuracy(1.2) for item in benchmark.with_role("shifted")},
        "ood": found, "ood_groups": groups, "open_set": {item: {"oltr_f_measure": rate(0.3)} for item in found},
    }  # fmt: skip


def table(rows: Sequence[tuple[str, str | None, float]] = (("cRT", "crt", 49.6), ("LADE", "lade", 52.3))) -> Any:
    """A table of a paper, on imagenet-lt and on the miniature."""
    return {
        "format": 1, "table": 1, "caption": "Top-1 accuracy.", "remarks": ["No row says how many runs it is of."],
        "source": {"paper": "Yang, Lu and Yu, A paper", "arxiv": "2405.13459", "venue": "ICLR 2025"},
        "rows": [
            {
                "name": name, "method": name, "variant": "from scratch", "backbone": "ResNet", "benchmark": benchmark,
                "protocol": "ResNet block", "unit": "percent", "convention": None, "method_key": key,
                "remarks": [f"{name} matches the published ResNeXt-50 figure."],
                "setting": {"backbone": "ResNet block", "pretraining": "none", "from_scratch": True, "captions": "none",
                            "training_set": benchmark, "auxiliary_data": None},
                "metrics": {
                    "top1.all": value, "top1.many": value + 12, "top1.medium": value - 3, "top1.few": value - 20,
                },
            }
            for benchmark in ("imagenet-lt", "miniature")
            for name, key, value in rows
        ],
    }  # fmt: skip
