"""Reading, decoding and preparing images ahead of the captioner, in processes of their own."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, TypeVar

from PIL import Image

from openmmlo.building.captioners import Captioner, reads_images
from openmmlo.building.captioning import captioner_failure
from openmmlo.data.children import become_child
from openmmlo.data.images import decode
from openmmlo.data.reading import known_problem, read_image
from openmmlo.errors import OpenmmloError, SampleFailed
from openmmlo.records import Sample, Status

T = TypeVar("T")

_AHEAD_BYTES = 2**29


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of an image that was decoded before: SHA-256 of its bytes, and its upright size in pixels."""

    sha256: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class HeldImage:
    """A reference to an image whose bytes are at hand, under the locator that it has in its source."""

    locator: str
    data: bytes

    def read(self) -> bytes:
        return self.data


@dataclass(frozen=True, slots=True)
class Wanted:
    """A sample to prepare, and what an earlier build knows of its image."""

    sample: Sample
    facts: Facts | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """What became of one sample before captioning.

    ``status`` ok: ``payload`` is the captioner's input and the image facts are set. Otherwise ``reason`` says why not,
    and ``detail`` what only the local log may hold.
    """

    status: Status
    reason: str = ""
    detail: str = ""
    payload: Any = None
    sha256: str = ""
    width: int = 0
    height: int = 0


def prepare(wanted: Wanted, captioner: Captioner, max_pixels: int) -> Prepared:
    """Read, hash, fully decode and prepare one sample. Never raises for a bad image.

    Where the image's facts are known, a captioner that does not look at images gets a blank one, and any other gets
    the image only if its content is still the same.
    """
    sample, facts = wanted.sample, wanted.facts
    blank = facts is not None and not reads_images(captioner)
    problem = known_problem(sample)
    if problem is not None and not blank:
        return Prepared(problem.status, problem.reason)
    try:
        if facts is not None and blank:
            payload = _payload(captioner, sample, Image.new("RGB", (1, 1)))
        else:
            data = read_image(sample)
            if facts is not None and hashlib.sha256(data).hexdigest() != facts.sha256:
                return Prepared(Status.CHANGED, "the image changed since it was first captioned")
            decoded = decode(data, max_pixels)
            facts = Facts(decoded.sha256, decoded.width, decoded.height)
            payload = _payload(captioner, sample, decoded.image)
    except SampleFailed as failed:
        return Prepared(failed.status, failed.reason, failed.detail)
    except MemoryError:
        return Prepared(Status.TOO_LARGE, "decoding it took more memory than there was")
    return Prepared(Status.OK, "", "", payload, facts.sha256, facts.width, facts.height)


def _payload(captioner: Captioner, sample: Sample, image: Image.Image) -> Any:
    try:
        return captioner.prepare(sample, image)
    except (MemoryError, OpenmmloError, SampleFailed):
        raise
    except Exception as error:
        raise captioner_failure(error) from error


class Prefetch:
    """Prepares batches ahead of their use and gives them back in order.

    Args:
        processes: how many; 0 prepares in this process when a batch is asked for.

    Two batches a process are under way at most, fewer where a captioner's inputs are large, so memory does not grow
    with the number of images. An image that
    brings its process down (decoders are C code) is found by preparing its batch one by one, and fails alone.
    """

    def __init__(self, captioner: Captioner, max_pixels: int, processes: int) -> None:
        self.captioner = captioner
        self.max_pixels = max_pixels
        self.processes = processes
        self._batch_bytes = 1
        self._pool = self._start(processes) if processes else None

    def run(self, batches: Iterator[tuple[T, list[Wanted]]]) -> Iterator[tuple[T, list[Prepared]]]:
        """Yield (key, prepared samples) for each (key, samples), in order."""
        if self._pool is None:
            for key, samples in batches:
                yield key, [prepare(sample, self.captioner, self.max_pixels) for sample in samples]
            return
        waiting: deque[tuple[T, list[Wanted], Future[list[Prepared]]]] = deque()
        for key, samples in batches:
            waiting.append((key, samples, self._submit(samples)))
            while len(waiting) > max(1, min(2 * self.processes, _AHEAD_BYTES // self._batch_bytes)):
                yield self._first(waiting)
        while waiting:
            yield self._first(waiting)

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _first(self, waiting: deque[tuple[T, list[Wanted], Future[list[Prepared]]]]) -> tuple[T, list[Prepared]]:
        key, samples, future = waiting.popleft()
        try:
            prepared = future.result()
            self._batch_bytes = max(self._batch_bytes, sum(_num_bytes(item.payload) for item in prepared))
            return key, prepared
        except BrokenProcessPool:
            self._replace_pool()
            for index, (other, rest, _) in enumerate(waiting):
                waiting[index] = (other, rest, self._submit(rest))
            return key, self._one_by_one(samples)

    def _submit(self, samples: list[Wanted]) -> Future[list[Prepared]]:
        try:
            return self._running().submit(_prepare_batch, samples)
        except BrokenProcessPool:  # broken by a batch that is still waiting; that one is found in its turn
            broken: Future[list[Prepared]] = Future()
            broken.set_exception(BrokenProcessPool("the pool broke before this batch was handed in"))
            return broken

    def _one_by_one(self, samples: list[Wanted]) -> list[Prepared]:
        prepared: list[Prepared] = []
        pool = self._start_surely()
        for sample in samples:
            try:
                prepared += pool.submit(_prepare_batch, [sample]).result()
            except BrokenProcessPool:
                prepared.append(Prepared(Status.UNREADABLE, "the image decoder crashed on it"))
                pool.shutdown(wait=False)
                pool = self._start_surely()
        pool.shutdown()
        return prepared

    def _running(self) -> ProcessPoolExecutor:
        if self._pool is None:
            raise RuntimeError("no prefetch processes")
        return self._pool

    def _replace_pool(self) -> None:
        self._running().shutdown(wait=False, cancel_futures=True)
        self._pool = self._start(self.processes)

    def _start_surely(self) -> ProcessPoolExecutor:
        """One process that is known to run: one that cannot start must not blame an image."""
        pool = self._start(1)
        try:
            pool.submit(_prepare_batch, []).result()
        except BrokenProcessPool as error:
            raise OpenmmloError(
                'Processes that prepare images cannot start. A script needs `if __name__ == "__main__":` around its '
                "build, and cannot be read from standard input; memory may also be short. prefetch=0 does without."
            ) from error
        return pool

    def _start(self, processes: int) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            processes,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start_process,
            initargs=(self.captioner, self.max_pixels),
        )


def _num_bytes(payload: Any) -> int:
    """Size of a captioner's input, as far as it is made of arrays."""
    if isinstance(payload, Mapping):
        return sum(map(_num_bytes, payload.values()))
    if isinstance(payload, (list, tuple)):
        return sum(map(_num_bytes, payload))
    return int(getattr(payload, "nbytes", 0))


_captioner: Captioner | None = None
_max_pixels = 0


def _start_process(captioner: Captioner, max_pixels: int) -> None:
    global _captioner, _max_pixels
    become_child()
    os.environ["OMP_NUM_THREADS"] = "1"
    _captioner, _max_pixels = captioner, max_pixels


def _prepare_batch(samples: list[Wanted]) -> list[Prepared]:
    if _captioner is None:
        raise RuntimeError("the prefetch process was not started by Prefetch")
    return [prepare(sample, _captioner, _max_pixels) for sample in samples]
