"""Jobs in long-lived worker processes: what is imported once serves every run after it.

Every worker has a pipe of its own to the parent, as in :mod:`openmmlo.building.runners.processes`; but here a job that
fails, or takes its worker down with it, leaves the others at work.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from typing import Any, cast

from openmmlo.data.children import become_child
from openmmlo.errors import OpenmmloError
from openmmlo.experiments.jobs import Job

Work = Callable[[Job], None]

_TICK = 5.0  # seconds between words to the caller where nothing ends


def work(job: Job) -> None:
    """Train and evaluate a job; torch and all that needs it are loaded here, in the worker."""
    from openmmlo.experiments.work import work as do

    do(job)


class Pool:
    """Workers that take one job at a time.

    Args:
        workers: processes.
        threads: that each of them computes with.
        work: does a job; it travels to the workers.
    """

    def __init__(self, workers: int, threads: int, work: Work) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._threads, self._work = threads, work
        self._workers: dict[Connection, Any] = {}
        self._busy: dict[Connection, Job] = {}
        for _ in range(workers):
            self._start()

    @property
    def free(self) -> int:
        """Workers without a job."""
        return len(self._workers) - len(self._busy)

    @property
    def busy(self) -> bool:
        return bool(self._busy)

    def give(self, job: Job) -> None:
        """Hand a job to a free worker."""
        pipe = next(pipe for pipe in self._workers if pipe not in self._busy)
        pipe.send(job)
        self._busy[pipe] = job

    def ended(self) -> list[tuple[Job, str]]:
        """Wait a few seconds at most; jobs that have ended since, each with why it failed, or an empty text."""
        found = []
        for pipe in cast("list[Connection]", wait(list(self._busy), timeout=_TICK)):
            job = self._busy.pop(pipe)
            try:
                found.append((job, str(pipe.recv())))
            except (EOFError, OSError):  # a worker that is killed may leave half a message
                found.append((job, self._bury(pipe)))
        return found

    def close(self) -> None:
        """End all workers; what they were at goes on with the next start."""
        for pipe, process in self._workers.items():
            process.terminate()
            process.join()
            pipe.close()
        self._workers.clear()
        self._busy.clear()

    def _start(self) -> None:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_main, args=(theirs, self._threads, self._work))
        process.start()
        theirs.close()
        self._workers[ours] = process

    def _bury(self, pipe: Connection) -> str:
        """How a worker ended; another takes its place."""
        process = self._workers.pop(pipe)
        process.join()
        pipe.close()
        self._start()
        code = process.exitcode or 0
        if code >= 0:
            return f"its process ended with exit code {code}"
        hint = " (often: out of memory)" if code == -signal.SIGKILL else ""
        return f"its process was killed by {signal.Signals(-code).name}{hint}"


def _main(pipe: Connection, threads: int, work: Work) -> None:
    become_child()
    os.environ["OMP_NUM_THREADS"] = str(threads)  # before torch is loaded; workers share the cores
    while True:
        try:
            job: Job = pipe.recv()
        except (EOFError, OSError):
            return
        with _logged(job):
            reason = _done(job, work)
        pipe.send(reason)


def _done(job: Job, work: Work) -> str:
    try:
        work(job)
    except OpenmmloError as error:
        traceback.print_exc()
        return str(error) or type(error).__name__
    except Exception as error:
        traceback.print_exc()
        return f"{type(error).__name__}: {error}"
    return ""


@contextmanager
def _logged(job: Job) -> Iterator[None]:
    """All that this process says goes to the job's log, behind what earlier starts said."""
    job.folder.mkdir(parents=True, exist_ok=True)
    kept = [os.dup(number) for number in (1, 2)]
    with job.log.open("ab") as log:
        for number in (1, 2):
            os.dup2(log.fileno(), number)
    try:
        yield
    finally:
        sys.stdout.flush()
        for number, before in zip((1, 2), kept, strict=True):
            os.dup2(before, number)
            os.close(before)
