"""All experiments as one run that can be stopped and gone on with: data, then every job that is not finished."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from openmmlo.building.machine import cores
from openmmlo.errors import ConfigError, TrainingRefused
from openmmlo.experiments.jobs import Job, Setting, jobs_of
from openmmlo.experiments.plan import EXPERIMENTS, Experiment, chosen
from openmmlo.experiments.pool import Pool, Work, work
from openmmlo.experiments.sessions import Session
from openmmlo.progress import Progress, Silent

DATA = "miniature"
"""Name of the data set's folder, and of the building recipe."""


@dataclass(frozen=True)
class Failure:
    """A job that could not be finished, why, and where its log is; None where it was not begun."""

    job: str
    reason: str
    log: Path | None = None


@dataclass(frozen=True)
class Ran:
    """What became of a run of experiments.

    Attributes:
        finished: jobs of this session.
        before: jobs that had been finished earlier.
        failed: jobs that are not finished.
        seconds: of this session.
    """

    finished: int
    before: int
    failed: tuple[Failure, ...] = field(default=())
    seconds: float = 0.0


def run(
    out: Path,
    seeds: Sequence[int] = (0, 1, 2),
    only: Sequence[str] = (),
    jobs: int | None = None,
    progress: Progress | None = None,
    *,
    data: Path | None = None,
    benchmark: str = "miniature",
    device: str = "cpu",
    changes: Mapping[str, Any] | None = None,
    experiments: Sequence[Experiment] = EXPERIMENTS,
    do: Work = work,
) -> Ran:
    """Train and evaluate everything that is not finished, what others start from first.

    Killed at any moment, the same call goes on. One job that fails does not stop the others.

    Args:
        out: folder of everything.
        seeds: every run is trained once with each.
        only: experiments or recipes; what they start from comes along.
        jobs: worker processes; one a core where None.
        data: a built data set; the miniature is built in ``out`` where None.
        benchmark: that is evaluated on.
        device: of training and evaluation.
        changes: keys of every recipe, over what stands there.
        do: does a job, in a worker.

    Raises:
        UnknownName: no such experiment or recipe.
        ConfigError: a recipe that cannot be, or numbers out of range.
        TrainingRefused: another process runs experiments in ``out``.
        OpenmmloError: the data cannot be built.
    """
    progress = progress or Silent()
    runs = chosen(only, experiments)
    workers = cores() if jobs is None else jobs
    if workers < 1:
        raise ConfigError(f"jobs is {workers}; expected at least 1 process.")
    if not seeds or len(set(seeds)) != len(seeds) or min(seeds) < 0:
        raise ConfigError(f"seeds are {list(seeds)}; expected one or more different whole numbers from 0.")
    out = out.expanduser().absolute()
    out.mkdir(parents=True, exist_ok=True)
    with _alone(out), Session(out, workers) as session:
        folder = data.expanduser().absolute() if data is not None else built_miniature(out, workers, progress)
        found = setting(out, folder, benchmark, device, changes)
        everything = jobs_of(runs, seeds, found)
        for job in everything:
            job.recipe()  # a recipe that cannot be is told before any work
        missing = [job for job in everything if job.done() is None]
        before = len(everything) - len(missing)
        progress.start(len(everything), before)
        if missing:
            session.keep(0, [])
        try:
            failed = _carry_out(missing, workers, do, progress, session)
        finally:
            progress.close()
        return Ran(len(missing) - len(failed), before, tuple(failed), session.seconds)


def setting(
    out: Path, data: Path, benchmark: str = "miniature", device: str = "cpu", changes: Mapping[str, Any] | None = None
) -> Setting:
    """What all jobs in a folder share.

    Raises:
        DataError: no built data set is at hand.
    """
    from openmmlo.data.dataset import open_dataset

    return Setting(out, data, open_dataset(data).digest, benchmark, device, dict(changes or {}))


def data_folder(out: Path) -> Path:
    """Where the miniature is built; the folder's name is what commands call it."""
    return out / "data" / DATA


def built_miniature(out: Path, workers: int, progress: Progress) -> Path:
    """The miniature, built and measured where it is not yet."""
    from openmmlo.building import BuildConfig, build
    from openmmlo.config import construct, load_recipe

    folder = data_folder(out)
    folder.parent.mkdir(parents=True, exist_ok=True)
    values = load_recipe("building", DATA) | {"out": folder, "workers": workers}
    build(construct(BuildConfig, values, f"building recipe {DATA}"), _Quieter(progress))
    return folder


def _carry_out(missing: Sequence[Job], workers: int, do: Work, progress: Progress, session: Session) -> list[Failure]:
    """Hand out jobs as what they start from is finished, in their order."""
    if not missing:
        return []
    waiting = list(missing)
    unfinished = {job.name for job in missing}
    failed: dict[str, Failure] = {}
    pool = Pool(min(workers, len(missing)), max(1, cores() // workers), do)
    try:
        while waiting or pool.busy:
            for job in list(waiting):
                start = job.start.name if job.start is not None else None
                if start in failed:
                    waiting.remove(job)
                    failed[job.name] = Failure(job.name, f"it starts from {start}, which is not finished")
                    progress.advance(1, 1)
                elif pool.free and start not in unfinished:
                    waiting.remove(job)
                    pool.give(job)
            for job, reason in pool.ended() if pool.busy else ():
                if reason:
                    failed[job.name] = Failure(job.name, reason, job.log)
                    progress.say(f"{job.name} failed: {reason} ({job.log})")
                else:
                    unfinished.discard(job.name)
                    record = job.done() or {"seconds": {}}
                    progress.say(f"{job.name}: {sum(record['seconds'].values()):,.0f} s")
                progress.advance(1, 1 if reason else 0)
            session.keep(len(missing) - len(unfinished), list(failed))
    finally:
        pool.close()
    return list(failed.values())


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    lock = FileLock(out / "run.lock", thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise TrainingRefused(
            f"Another process runs experiments in {out}. Wait for it, or give another --out."
        ) from None
    try:
        yield
    finally:
        lock.release()


class _Quieter:
    """A Progress of the build that says its words through another one, whose bar counts something else."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def start(self, total: int, done: int) -> None:
        if done < total:
            self._progress.say(f"Building the miniature: {total - done:,} of {total:,} images")

    def advance(self, rows: int, failed: int) -> None:
        return

    def say(self, message: str) -> None:
        self._progress.say(message)

    def close(self) -> None:
        return
