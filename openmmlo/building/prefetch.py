"""Reading, decoding and preparing images ahead of the captioner, in processes of their own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any, TypeVar

from openmmlo.building.captioners import Captioner
from openmmlo.building.captioning import captioner_failure
from openmmlo.building.images import decode
from openmmlo.errors import OpenmmloError, SampleFailed
from openmmlo.records import Sample, Status

T = TypeVar("T")

PROBLEMS = {
    Status.MISSING: "no file where the list says it is",
    Status.LINK: "a link that leaves the image root; --follow-links reads it",
    Status.NAME: "the file name is not valid UTF-8; rename the file",
    Status.UNREADABLE: "not a regular file",
}


@dataclass(frozen=True, slots=True)
class Prepared:
    """What became of one sample before captioning.

    ``status`` ok: ``payload`` is the captioner's input and the image facts are set. Otherwise ``reason`` says why not.
    """

    status: Status
    reason: str = ""
    payload: Any = None
    sha256: str = ""
    width: int = 0
    height: int = 0


def prepare(sample: Sample, captioner: Captioner, max_pixels: int) -> Prepared:
    """Read, hash, fully decode and prepare one sample. Never raises for a bad image."""
    if sample.problem is not None:
        return Prepared(sample.problem, PROBLEMS.get(sample.problem, sample.problem.value))
    try:
        decoded = decode(read_image(sample), max_pixels)
    except SampleFailed as failed:
        return Prepared(failed.status, failed.reason)
    try:
        payload = captioner.prepare(sample, decoded.image)
    except SampleFailed as failed:
        return Prepared(failed.status, failed.reason)
    except (MemoryError, OpenmmloError):
        raise
    except Exception as error:
        lost = captioner_failure(error)
        return Prepared(lost.status, lost.reason)
    return Prepared(Status.OK, "", payload, decoded.sha256, decoded.width, decoded.height)


def read_image(sample: Sample) -> bytes:
    """The original bytes of a sample's image; SampleFailed, without a local path, where they cannot be had."""
    try:
        return sample.image.read()
    except FileNotFoundError:
        raise SampleFailed(Status.MISSING, PROBLEMS[Status.MISSING]) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise SampleFailed(Status.UNREADABLE, f"cannot be read: {reason}") from None


class Prefetch:
    """Prepares batches ahead of their use and gives them back in order.

    Args:
        processes: how many; 0 prepares in this process when a batch is asked for.

    Two batches a process are under way at most, so memory does not grow with the number of images. An image that
    brings its process down (decoders are C code) is found by preparing its batch one by one, and fails alone.
    """

    def __init__(self, captioner: Captioner, max_pixels: int, processes: int) -> None:
        self.captioner = captioner
        self.max_pixels = max_pixels
        self.processes = processes
        self._pool = self._start(processes) if processes else None

    def run(self, batches: Iterator[tuple[T, list[Sample]]]) -> Iterator[tuple[T, list[Prepared]]]:
        """Yield (key, prepared samples) for each (key, samples), in order."""
        if self._pool is None:
            for key, samples in batches:
                yield key, [prepare(sample, self.captioner, self.max_pixels) for sample in samples]
            return
        waiting: deque[tuple[T, list[Sample], Future[list[Prepared]]]] = deque()
        for key, samples in batches:
            waiting.append((key, samples, self._submit(samples)))
            if len(waiting) > 2 * self.processes:
                yield self._first(waiting)
        while waiting:
            yield self._first(waiting)

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _first(self, waiting: deque[tuple[T, list[Sample], Future[list[Prepared]]]]) -> tuple[T, list[Prepared]]:
        key, samples, future = waiting.popleft()
        try:
            return key, future.result()
        except BrokenProcessPool:
            self._replace_pool()
            for index, (other, rest, _) in enumerate(waiting):
                waiting[index] = (other, rest, self._submit(rest))
            return key, self._one_by_one(samples)

    def _submit(self, samples: list[Sample]) -> Future[list[Prepared]]:
        try:
            return self._running().submit(_prepare_batch, samples)
        except BrokenProcessPool:  # broken by a batch that is still waiting; that one is found in its turn
            broken: Future[list[Prepared]] = Future()
            broken.set_exception(BrokenProcessPool("the pool broke before this batch was handed in"))
            return broken

    def _one_by_one(self, samples: list[Sample]) -> list[Prepared]:
        prepared: list[Prepared] = []
        pool = self._start(1)
        for sample in samples:
            try:
                prepared += pool.submit(_prepare_batch, [sample]).result()
            except BrokenProcessPool:
                prepared.append(Prepared(Status.UNREADABLE, "the image decoder crashed on it"))
                pool.shutdown(wait=False)
                pool = self._start(1)
        pool.shutdown()
        return prepared

    def _running(self) -> ProcessPoolExecutor:
        if self._pool is None:
            raise RuntimeError("no prefetch processes")
        return self._pool

    def _replace_pool(self) -> None:
        self._running().shutdown(wait=False, cancel_futures=True)
        self._pool = self._start(self.processes)

    def _start(self, processes: int) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            processes,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start_process,
            initargs=(self.captioner, self.max_pixels),
        )


_captioner: Captioner | None = None
_max_pixels = 0


def _start_process(captioner: Captioner, max_pixels: int) -> None:
    global _captioner, _max_pixels
    become_child()
    os.environ["OMP_NUM_THREADS"] = "1"
    _captioner, _max_pixels = captioner, max_pixels


def _prepare_batch(samples: list[Sample]) -> list[Prepared]:
    if _captioner is None:
        raise RuntimeError("the prefetch process was not started by Prefetch")
    return [prepare(sample, _captioner, _max_pixels) for sample in samples]


def become_child() -> None:
    """Leave Ctrl-C to the parent, and end at once when the parent is gone, however it was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
