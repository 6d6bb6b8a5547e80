"""Entries of a leaderboard made by hand: numbers a test chooses, in the frame that openmmlo eval and submit write."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from openmmlo.leaderboard.board import Entry
from openmmlo.leaderboard.marks import Mark, ScoredRun
from openmmlo.leaderboard.metric_paths import numbers
from openmmlo.leaderboard.submission import Place, PredictionsFile, Run, Setting, Submission

SIZES = {"many": 18, "medium": 17, "few": 15}
"""Classes of the miniature's shot groups."""

SETTING = Setting("resnet", "none", "none", "miniature")


def block(
    many: float, medium: float, few: float, *, all_: float | None = None, ece: float | None = None
) -> dict[str, Any]:
    """A scored block on the miniature; "all" follows from the groups unless it is given."""
    groups = {"many": many, "medium": medium, "few": few}
    mean = sum(SIZES[name] * value for name, value in groups.items()) / 50 if all_ is None else all_
    return {
        "departures": [],
        "classification": {
            "test": {
                "rows": 2500,
                "classes_tested": 50,
                "top1_samples": mean,
                "top1_classes": mean,
                "groups": groups,
                "worst_10_percent": few / 2,
                "harmonic_mean": None,
                "false_head_rate": 1 - few,
                "calibration_error": abs(many - few) / 7 if ece is None else ece,
                "per_class": [mean] * 50,
            }
        },
        "ood": {
            f"{group}-ood": {
                "rows": 750,
                "group": group,
                "detectors": {
                    name: {"auroc": 0.5 + mean / 2, "fpr95_id_positive": 1 - mean, "fpr95_ood_positive": 1 - mean / 2}
                    for name in ("energy", "knn")
                },
            }
            for group in ("near", "far")
        },
        "ood_groups": {"all": {"knn": {"auroc": 0.5 + mean / 2, "fpr95_id_positive": 1 - mean}}},
        "open_set": {},
    }


def digest_of_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def made(
    name: str,
    blocks: Sequence[Mapping[str, Any]],
    *,
    mark: str | None = "re-scored",
    predictions: Sequence[str] = (),
    benchmark: str = "miniature",
    setting: Setting = SETTING,
    method: str | None = None,
    warnings: Sequence[str] = (),
    lists: Mapping[str, str] | None = None,
    note: str | None = None,
    identity: Mapping[str, str] | None = None,
) -> Entry:
    """An entry with one block a seed, and the mark that re-scoring would give it.

    Args:
        predictions: SHA-256 a seed; others than the entry's own where two entries are to share them.
    """
    digests = list(predictions) or [digest_of_text(f"{name} {seed}") for seed in range(len(blocks))]
    runs = tuple(
        Run(
            seed,
            PredictionsFile(digest, 1000, 4500, Place("board")),
            _result(benchmark, name, seed, scored, digest, warnings, lists, identity),
        )
        for seed, (scored, digest) in enumerate(zip(blocks, digests, strict=True))
    )
    submission = Submission(
        entry=name, benchmark=benchmark, benchmark_version=1, name=name.title(), authors=("Ada Lovelace",), paper=None,
        code=None, date="2026-11-25", method=method, note=note, setting=setting, runs=runs,
    )  # fmt: skip
    digest = hashlib.sha256(submission.to_bytes()).hexdigest()
    given = None
    if mark is not None:
        scored_runs = tuple(ScoredRun(run.seed, run.predictions.sha256, numbers(run.scored)) for run in runs)
        given = Mark("re-scored", name, benchmark, digest, "0.1.0", "2026-11-25", scored_runs)
    return Entry(submission, digest, given, Path(f"{name}.json"))


def _result(
    benchmark: str,
    name: str,
    seed: int,
    scored: Mapping[str, Any],
    predictions: str,
    warnings: Sequence[str],
    lists: Mapping[str, str] | None,
    identity: Mapping[str, str] | None,
) -> dict[str, Any]:
    digests: dict[str, Any] = {key: digest_of_text(key) for key in ("definition", "label_map", "checkpoint")}
    return {
        "format": 1,
        "openmmlo": "0.1.0",
        "benchmark": {"name": benchmark, "version": 1},
        "model": {"name": name, "identity": dict(identity or {})},
        "seed": seed,
        "classifier": {"kind": "model"},
        "protocol": {},
        "sets": [],
        "digests": {**digests, "predictions": predictions, "lists": dict(lists or {})},
        "scored": scored,
        "measured": {},
        "not_run": [],
        "warnings": list(warnings),
        "departures": [],
        "run": {},
    }


def written(root: Path, entries: Sequence[Entry]) -> Path:
    """A board's folder that holds these entries and their marks."""
    for entry in entries:
        place = root / "submissions" / entry.submission.benchmark / f"{entry.submission.entry}.json"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(entry.submission.to_bytes())
        if entry.mark is not None:
            (root / "marks").mkdir(exist_ok=True)
            (root / "marks" / f"{entry.digest}.json").write_bytes(entry.mark.to_bytes())
    return root
