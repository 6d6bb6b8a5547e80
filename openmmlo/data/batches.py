"""Samples come in; batches of pixels go out, read, decoded and hashed in loader processes ahead of the model."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from openmmlo.data.images import decode
from openmmlo.errors import SampleFailed
from openmmlo.records import Sample, Status

MOST_WORKERS = 8


@dataclass(frozen=True, eq=False)
class PixelBatch:
    """One batch: the rows that could be read, and why the others could not.

    Attributes:
        number: the batch's place in the list of batches.
        rows: positions in the list of samples.
        pixels: (B, 3, H, W) float32, or None where no image could be read.
        sha256: of the images' bytes, for ``rows``.
        failed: (position, status, reason).
    """

    number: int
    rows: list[int]
    pixels: torch.Tensor | None
    sha256: list[str]
    failed: list[tuple[int, str, str]]


class _Batches(Dataset[PixelBatch]):
    def __init__(
        self, samples: Sequence[Sample], batches: Sequence[tuple[int, range]], transform: Callable[[Any], torch.Tensor]
    ) -> None:
        self.samples = samples
        self.batches = batches
        self.transform = transform

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, place: int) -> PixelBatch:
        number, positions = self.batches[place]
        rows, pixels, digests = [], [], []
        failed: list[tuple[int, str, str]] = []
        for position in positions:
            try:
                image, digest = read_image(self.samples[position])
            except SampleFailed as error:
                failed.append((position, str(error.status), error.reason))
                continue
            rows.append(position)
            digests.append(digest)
            pixels.append(self.transform(image))
        return PixelBatch(number, rows, torch.stack(pixels) if pixels else None, digests, failed)


def read_image(sample: Sample) -> tuple[Image.Image, str]:
    """Upright RGB pixels of a sample, and the SHA-256 of its bytes. Raises SampleFailed where there are none."""
    if sample.problem is not None:
        raise SampleFailed(sample.problem, "the image is not there, or may not be read")
    try:
        data = sample.image.read()
    except FileNotFoundError as error:
        raise SampleFailed(Status.MISSING, "the image is not there") from error
    except OSError as error:
        raise SampleFailed(Status.UNREADABLE, error.strerror or type(error).__name__) from error
    return decode(data).image, hashlib.sha256(data).hexdigest()


def pixel_batches(
    samples: Sequence[Sample],
    batches: Sequence[tuple[int, range]],
    transform: Callable[[Any], torch.Tensor],
    workers: int | None = None,
    pin: bool = False,
) -> Iterator[PixelBatch]:
    """Batches in the order given, whatever the number of loader processes.

    Args:
        batches: (number, positions in ``samples``) of each batch.
        transform: upright RGB image -> (3, H, W) float32; it travels to the loader processes.
        workers: loader processes; 0 reads here; by default half of the cores, at most 8.
        pin: page-locked memory, for copies to an accelerator.
    """
    if workers is None:
        workers = default_workers()
    workers = min(workers, len(batches))
    dataset = _Batches(samples, batches, transform)
    loader: DataLoader[PixelBatch] = DataLoader(
        dataset,
        batch_size=None,
        num_workers=workers,
        prefetch_factor=2 if workers else None,
        worker_init_fn=_one_thread if workers else None,
    )
    for batch in loader:
        if pin and batch.pixels is not None:
            batch = PixelBatch(batch.number, batch.rows, batch.pixels.pin_memory(), batch.sha256, batch.failed)
        yield batch


def default_workers() -> int:
    """Half of the cores that this process may use, at least 1 and at most 8: the model computes on the others."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(MOST_WORKERS, cores // 2))


def _one_thread(_worker: int) -> None:
    torch.set_num_threads(1)
