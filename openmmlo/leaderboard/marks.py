"""Marks: where a number comes from. No submitter sets one: they are written by re-scoring and by reproducing.

A mark is given to the bytes of one submission file. Whoever changes a letter of it has no mark any more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from openmmlo.errors import SubmissionRefused
from openmmlo.leaderboard.limits import day, line, read_json, record, sha256, slug, told, whole

FORMAT = 1
MarkName = Literal["re-scored", "reproduced"]
REPORTED = "reported"
"""What rows of papers bear: no predictions, no mark."""

METRICS = 100_000
TOLERANCE = 1e-9
"""Absolute, between two ways to the same number: one machine gives the same bits, another may differ in the last."""


@dataclass(frozen=True, eq=False)
class ScoredRun:
    """The numbers of one seed, computed anew from its predictions; these are what tables show.

    Attributes:
        predictions: SHA-256 of the predictions file.
        scored: metric path -> value (:func:`openmmlo.leaderboard.metric_paths.numbers`).
        unpinned: sets whose list the benchmark does not pin by hash: that these are its images is not shown.
    """

    seed: int
    predictions: str
    scored: Mapping[str, float]
    unpinned: tuple[str, ...] = ()

    def other_metrics(self, other: ScoredRun) -> list[str]:
        """Metrics that only one of them has, or that differ by more than the last bits."""
        return [
            metric
            for metric in sorted(self.scored.keys() | other.scored.keys())
            if metric not in self.scored
            or metric not in other.scored
            or not abs(self.scored[metric] - other.scored[metric]) <= TOLERANCE
        ]

    def to_json(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "predictions": self.predictions,
            "unpinned": list(self.unpinned),
            "scored": dict(self.scored),
        }


@dataclass(frozen=True)
class Reproduction:
    """A seed whose checkpoint a maintainer ran again.

    Attributes:
        checkpoint: digest of the model's identity, as the result has it.
        agreement: share of the samples with the same predicted class.
        difference: largest absolute difference of a metric, and which.
        openmmlo, device, date: with what, on what and when it was run.
    """

    seed: int
    checkpoint: str
    agreement: float
    difference: float
    metric: str
    openmmlo: str
    device: str
    date: str

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))


@dataclass(frozen=True, eq=False)
class Mark:
    """What is known of one submission.

    Attributes:
        submission: SHA-256 of its file's bytes.
        openmmlo, date: which version re-scored it, and when.
        reproductions: of the seeds that were run again; empty unless ``mark`` is "reproduced".
    """

    mark: MarkName
    entry: str
    benchmark: str
    submission: str
    openmmlo: str
    date: str
    runs: tuple[ScoredRun, ...]
    reproductions: tuple[Reproduction, ...] = ()

    def same_numbers(self, other: Mark) -> bool:
        """Whether both say the same of the same submission, by whichever version and on whichever day."""
        if (self.entry, self.benchmark, self.submission) != (other.entry, other.benchmark, other.submission):
            return False
        facts = [[(run.seed, run.predictions, run.unpinned) for run in mark.runs] for mark in (self, other)]
        return facts[0] == facts[1] and not any(
            one.other_metrics(two) for one, two in zip(self.runs, other.runs, strict=True)
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "mark": self.mark,
            "entry": self.entry,
            "benchmark": self.benchmark,
            "submission": self.submission,
            "openmmlo": self.openmmlo,
            "date": self.date,
            "runs": [run.to_json() for run in self.runs],
            "reproductions": [item.to_json() for item in self.reproductions],
        }

    def to_bytes(self) -> bytes:
        return (json.dumps(self.to_json(), indent=1, ensure_ascii=True, allow_nan=False) + "\n").encode()


def read_mark(data: bytes, what: str = "The mark") -> Mark:
    """Read a mark. Raises SubmissionRefused for anything that is none."""
    value = record(
        read_json(data, what), what,
        ("format", "mark", "entry", "benchmark", "submission", "openmmlo", "date", "runs", "reproductions"),
    )  # fmt: skip
    if value["format"] != FORMAT or value["mark"] not in ("re-scored", "reproduced"):
        raise SubmissionRefused(
            f"{what} has format {told(value['format'])} and mark {told(value['mark'])}; expected format {FORMAT} and "
            "'re-scored' or 'reproduced'."
        )
    if not isinstance(value["runs"], list) or not isinstance(value["reproductions"], list):
        raise SubmissionRefused(f"{what}: runs and reproductions are {told(value['runs'])}; expected lists.")
    reproductions = tuple(_reproduction(item, f"{what}: a reproduction") for item in value["reproductions"])
    if bool(reproductions) != (value["mark"] == "reproduced"):
        raise SubmissionRefused(f"{what} is {value['mark']!r} with {len(reproductions)} reproductions.")
    return Mark(
        mark=value["mark"],
        entry=slug(value["entry"], f"{what}: entry"),
        benchmark=slug(value["benchmark"], f"{what}: benchmark"),
        submission=sha256(value["submission"], f"{what}: submission"),
        openmmlo=line(value["openmmlo"], f"{what}: openmmlo", 40),
        date=day(value["date"], f"{what}: date"),
        runs=tuple(_scored_run(item, f"{what}: a run") for item in value["runs"]),
        reproductions=reproductions,
    )


def _scored_run(value: Any, where: str) -> ScoredRun:
    record(value, where, ("seed", "predictions", "unpinned", "scored"))
    scored, unpinned = value["scored"], value["unpinned"]
    if not isinstance(scored, dict) or not 0 < len(scored) <= METRICS:
        raise SubmissionRefused(f"{where}: scored is {told(scored)}; expected 1 to {METRICS:,} metrics.")
    for path, number in scored.items():
        _number(number, f"{where}: {told(path)}")
    if not isinstance(unpinned, list):
        raise SubmissionRefused(f"{where}: unpinned is {told(unpinned)}; expected a list of sets.")
    return ScoredRun(
        seed=whole(value["seed"], f"{where}: seed", 0, 2**31 - 1),
        predictions=sha256(value["predictions"], f"{where}: predictions"),
        scored=scored,
        unpinned=tuple(line(item, f"{where}: an unpinned set", 100) for item in unpinned),
    )


def _reproduction(value: Any, where: str) -> Reproduction:
    keys = ("seed", "checkpoint", "agreement", "difference", "metric", "openmmlo", "device", "date")
    record(value, where, keys)
    return Reproduction(
        seed=whole(value["seed"], f"{where}: seed", 0, 2**31 - 1),
        checkpoint=sha256(value["checkpoint"], f"{where}: checkpoint"),
        agreement=_number(value["agreement"], f"{where}: agreement"),
        difference=_number(value["difference"], f"{where}: difference"),
        metric=line(value["metric"], f"{where}: metric", 300),
        openmmlo=line(value["openmmlo"], f"{where}: openmmlo", 40),
        device=line(value["device"], f"{where}: device", 100),
        date=day(value["date"], f"{where}: date"),
    )


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise SubmissionRefused(f"{where} is {told(value)}; expected a number.")
    return value
