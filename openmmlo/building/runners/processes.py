"""Shards in several worker processes on one machine; worker i takes accelerator i.

Every worker has a pipe of its own to the parent, which hands out shards one at a time: a worker that is killed
leaves no lock behind and disturbs no other.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterable
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from typing import Any

from openmmlo.building.machine import cores
from openmmlo.building.plan import Shard
from openmmlo.building.worker import Report, WorkerSpec, work
from openmmlo.data.children import become_child
from openmmlo.errors import OpenmmloError, WorkerDied


def run(spec: WorkerSpec, shards: Iterable[Shard], workers: int, report: Report) -> None:
    """Build shards in ``workers`` processes.

    Raises:
        WorkerDied: a worker was killed; the others were stopped, and all that is journalled stays.
        OpenmmloError: what a worker raised.
    """
    context = multiprocessing.get_context("spawn")
    remaining = iter(shards)
    running: dict[Connection, Any] = {}
    threads = max(1, cores() // workers)
    try:
        for number in range(workers):
            ours, theirs = context.Pipe()
            process = context.Process(target=_main, args=(replace(spec, worker=number), theirs, threads))
            process.start()
            theirs.close()
            running[ours] = process
        while running:
            for ready in wait(list(running)):
                if isinstance(ready, Connection) and _hear(ready, running, remaining, report):
                    running.pop(ready).join()
                    ready.close()
    finally:
        for pipe, process in running.items():
            process.terminate()
            process.join()
            pipe.close()


def _hear(pipe: Connection, running: dict[Connection, Any], remaining: Any, report: Report) -> bool:
    """Take one message from a worker; True when it was its last."""
    try:
        kind, *content = pipe.recv()
        if kind == "claim":
            pipe.send(next(remaining, None))
    except (EOFError, OSError):  # a worker that is killed may leave half a message, or none to answer to
        process = running[pipe]
        process.join()
        code = process.exitcode or 0
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        hint = " (often: out of memory)" if code == -signal.SIGKILL else ""
        raise WorkerDied(
            f"A worker process {how}{hint}. Every finished batch is kept; run the same command to go on, "
            "with fewer --workers or a smaller --batch-size if it happens again."
        ) from None
    if kind == "advance":
        report.advance(*content)
    elif kind == "say":
        report.say(*content)
    elif kind == "error":
        raise content[0]
    return bool(kind == "done")


class _Parent:
    """The worker's end of the pipe: claims shards and reports."""

    def __init__(self, pipe: Connection) -> None:
        self.pipe = pipe

    def claim(self) -> Shard | None:
        self.pipe.send(("claim",))
        shard: Shard | None = self.pipe.recv()
        return shard

    def advance(self, rows: int, failed: int) -> None:
        self.pipe.send(("advance", rows, failed))

    def say(self, message: str) -> None:
        self.pipe.send(("say", message))


def _main(spec: WorkerSpec, pipe: Connection, threads: int) -> None:
    become_child()
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))  # before torch is loaded; workers share the cores
    parent = _Parent(pipe)
    try:
        work(spec, parent.claim, parent)
    except OpenmmloError as error:
        pipe.send(("error", error))
    except Exception as error:
        import traceback

        detail = RuntimeError(f"worker {spec.worker}: {type(error).__name__}: {error}\n{traceback.format_exc()}")
        pipe.send(("error", detail))
    else:
        pipe.send(("done",))
