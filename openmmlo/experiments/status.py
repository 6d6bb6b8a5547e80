"""What is finished of the experiments in a folder, how long it took, and how long the rest will take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openmmlo.experiments.jobs import Job, jobs_of
from openmmlo.experiments.plan import EXPERIMENTS, Experiment, chosen
from openmmlo.experiments.run import data_folder, setting
from openmmlo.experiments.sessions import sessions


@dataclass(frozen=True)
class RunStatus:
    """One run of the plan: the seeds that are finished and those that are not, and the seconds of the finished."""

    run: str
    finished: tuple[int, ...]
    missing: tuple[int, ...]
    seconds: float


@dataclass(frozen=True)
class Status:
    """Where the experiments in a folder stand.

    Attributes:
        runs: in the order they are trained in.
        wall: seconds of all sessions together.
        work: seconds of all finished jobs together, each in a worker of its own.
        left: seconds of one worker that the missing jobs will take; None where none of a kind is finished.
        sessions: as recorded.
        failed: jobs that failed in the last session.
    """

    runs: tuple[RunStatus, ...]
    wall: float
    work: float
    left: float | None
    sessions: tuple[dict[str, Any], ...]
    failed: tuple[str, ...]


def status(
    out: Path,
    seeds: Sequence[int] = (0, 1, 2),
    only: Sequence[str] = (),
    *,
    data: Path | None = None,
    experiments: Sequence[Experiment] = EXPERIMENTS,
    **values: Any,
) -> Status:
    """What ``openmmlo experiments run`` of the same words would skip, and what it would do.

    Args:
        values: benchmark, device and changes, as of :func:`openmmlo.experiments.run.run`.
    """
    out = out.expanduser().absolute()
    runs = chosen(only, experiments)
    folder = data.expanduser().absolute() if data is not None else data_folder(out)
    jobs: list[Job] = jobs_of(runs, seeds, setting(out, folder, **values)) if folder.is_dir() else []
    records = {(job.run.name, job.seed): job.done() for job in jobs}
    found = []
    for run in runs:
        own = {seed: records.get((run.name, seed)) for seed in seeds}
        done = {seed: record for seed, record in own.items() if record is not None}
        seconds = sum(sum(record["seconds"].values()) for record in done.values())
        found.append(RunStatus(run.name, tuple(done), tuple(seed for seed in seeds if seed not in done), seconds))
    past = sessions(out)
    return Status(
        tuple(found), sum(item["seconds"] for item in past), sum(item.seconds for item in found), _left(found),
        tuple(past), tuple(past[-1]["failed"]) if past else (),
    )  # fmt: skip


def _left(runs: Sequence[RunStatus]) -> float | None:
    """By the mean of a run's finished seeds, else by that of finished runs of the same kind."""
    total = 0.0
    for item in runs:
        kind = item.run.partition("/")[0]
        like = [item] if item.finished else [other for other in runs if other.run.partition("/")[0] == kind]
        done = sum(len(other.finished) for other in like)
        if item.missing and not done:
            return None
        total += len(item.missing) * sum(other.seconds for other in like) / max(done, 1)
    return total
