"""Samples come in; batches of pixels go out, read, decoded and hashed in loader processes ahead of the model."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from PIL import Image
from torch.utils.data import DataLoader

from openmmlo.data.children import become_child
from openmmlo.data.images import DecodedImage, decode
from openmmlo.data.reading import known_problem, read_image
from openmmlo.errors import DataError, OpenmmloError, SampleFailed, WorkerDied
from openmmlo.records import Sample, Status

MOST_WORKERS = 8

_NICE = 5  # a model that computes on the same cores goes first

PixelTransform = Callable[[Image.Image], torch.Tensor]


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """A batch to read: its number, and its samples with their positions in the list.

    The samples travel with the request, so a loader process holds those of a few batches, never the whole list.
    """

    number: int
    samples: tuple[tuple[int, Sample], ...]


@dataclass(frozen=True, eq=False)
class PixelBatch:
    """One batch: the rows that could be read, and why the others could not.

    Attributes:
        number: that of its request.
        rows: positions in the list of samples, B of them.
        pixels: (B, 3, H, W) float32, or None where no image could be read.
        sha256: of the images' bytes, for ``rows``.
        failed: (position, status, reason).
        error: what makes going on pointless; it is raised where the batch is asked for.
    """

    number: int
    rows: list[int]
    pixels: torch.Tensor | None
    sha256: list[str]
    failed: list[tuple[int, str, str]] = field(default_factory=list)
    error: OpenmmloError | None = None

    def pin_memory(self) -> PixelBatch:
        """The same in page-locked memory."""
        return self if self.pixels is None else replace(self, pixels=self.pixels.pin_memory())


def decoded(sample: Sample) -> DecodedImage:
    """A sample's image. Raises SampleFailed where it cannot be read or decoded."""
    problem = known_problem(sample)
    if problem is not None:
        raise problem
    try:
        return decode(read_image(sample))
    except MemoryError:
        raise SampleFailed(Status.TOO_LARGE, "decoding it took more memory than there was") from None


def read_batch(request: BatchRequest, transform: PixelTransform) -> PixelBatch:
    """Read, hash, decode and transform one batch. Never raises for a bad image."""
    rows: list[int] = []
    pixels: list[torch.Tensor] = []
    digests: list[str] = []
    failed: list[tuple[int, str, str]] = []
    for position, sample in request.samples:
        try:
            image = decoded(sample)
        except SampleFailed as failure:
            failed.append((position, failure.status.value, failure.reason))
            continue
        tensor = _transformed(transform, image.image, sample)
        if pixels and tensor.shape != pixels[0].shape:
            raise DataError(
                f"The transform gave image {sample.sample_id!r} the shape {tuple(tensor.shape)} and the one before it "
                f"{tuple(pixels[0].shape)}; expected one shape for all. Resize and crop to a fixed size."
            )
        rows.append(position)
        digests.append(image.sha256)
        pixels.append(tensor)
    return PixelBatch(request.number, rows, torch.stack(pixels) if pixels else None, digests, failed)


def _transformed(transform: PixelTransform, image: Image.Image, sample: Sample) -> torch.Tensor:
    try:
        return transform(image)
    except (MemoryError, OpenmmloError):
        raise
    except Exception as error:
        raise DataError(
            f"The model's transform failed on image {sample.sample_id!r}, {image.width} x {image.height} pixels: "
            f"{type(error).__name__}: {error}. Another transform may take it."
        ) from error


class _Requests:
    """What a loader process runs: the request itself is the index."""

    def __init__(self, transform: PixelTransform) -> None:
        self.transform = transform

    def __getitem__(self, request: BatchRequest) -> PixelBatch:
        try:
            return read_batch(request, self.transform)
        except OpenmmloError as error:  # an exception would come back with a traceback in its message
            return PixelBatch(request.number, [], None, [], error=error)


def pixel_batches(
    requests: Iterable[BatchRequest], transform: PixelTransform, workers: int, pin: bool = False
) -> Iterator[PixelBatch]:
    """Batches in the order of the requests, whatever the number of loader processes.

    Requests are drawn as they are needed, two batches a process ahead, so memory does not grow with their number; the
    first is drawn after the processes are there, so locks that are taken with requests stay out of them.

    Args:
        transform: upright RGB image -> (3, H, W) float32; it travels to the loader processes.
        workers: loader processes; 0 reads in this one.
        pin: page-locked memory, for copies to an accelerator.

    Raises:
        DataError: the transform cannot take an image, or gives another shape.
        WorkerDied: a loader process ended.
    """
    for batch in ahead(_Requests(transform), requests, workers, pin):
        if batch.error is not None:
            raise batch.error
        yield batch


def ahead(reader: Any, requests: Iterable[Any], workers: int, pin: bool = False) -> Iterator[Any]:
    """``reader[request]`` for every request, in their order, read in loader processes ahead of who asks for it.

    The global random states of torch are left alone, so that what is computed does not depend on how it was read.

    Args:
        reader: answers a request; it travels to the loader processes.
        workers: loader processes; 0 reads in this one.
        pin: page-locked memory: ``pin_memory()`` of each answer.

    Raises:
        WorkerDied: a loader process ended.
    """
    loader: DataLoader[Any] = DataLoader(
        reader,
        batch_size=None,
        sampler=requests,
        num_workers=workers,
        prefetch_factor=2 if workers else None,
        worker_init_fn=None if not workers else become_worker if pin else become_nice_worker,
        collate_fn=_as_it_is,
        pin_memory=pin,
        generator=torch.Generator(),
    )
    answers = iter(loader)
    while True:
        try:
            answer = next(answers)
        except StopIteration:
            return
        except RuntimeError as error:
            if not workers or "DataLoader worker" not in str(error):
                raise
            raise WorkerDied(
                "A process that reads images ended before its work was done: memory or shared memory (/dev/shm) may "
                "be short, or an image brought its decoder down. Everything finished so far is kept; go on with fewer "
                f"workers or smaller batches, or with 0 workers. ({str(error).splitlines()[0]})"
            ) from error
        yield answer


def default_workers(batches: int) -> int:
    """Loader processes for so many batches: half of the cores this process may use, at most 8; 0 for a few batches."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST_WORKERS, max(1, cores // 2), batches // 4)


def become_worker(_number: int) -> None:
    """A loader process beside an accelerator."""
    become_child()
    torch.set_num_threads(1)


def become_nice_worker(number: int) -> None:
    """A loader process on the cores that the model computes on."""
    become_worker(number)
    if hasattr(os, "nice"):
        os.nice(_NICE)


def _as_it_is(batch: Any) -> Any:
    return batch
