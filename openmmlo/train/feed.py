"""Pairs in, batches on the device out: step by step from any step on, read ahead in loader processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image

from openmmlo.data.batches import ahead
from openmmlo.data.images import decode
from openmmlo.errors import DataError, OpenmmloError, SampleFailed
from openmmlo.train.augmentation import View
from openmmlo.train.batch import Batch
from openmmlo.train.order import Order, part
from openmmlo.train.packed import PackedImages
from openmmlo.train.pairs import Integers, Pairs, TokenTable

KEPT = 200_000_000
"""Bytes of decoded pixels that a process that reads keeps at most, about: the miniature's are 68 MB."""


class Feed(Protocol):
    """What the loop takes batches from.

    ``order`` says which samples form a step; the loop asks for the batches of one process.
    """

    @property
    def order(self) -> Order: ...

    def training(self, first: int, steps: int, rank: int, world: int, device: torch.device) -> Iterator[Batch]:
        """The batches of steps ``first`` to ``steps`` - 1, ``order.accumulation`` of them a step."""
        ...

    def validation(self, rank: int, world: int, device: torch.device) -> Iterator[Batch]:
        """This process's validation batches; none where nothing is held out."""
        ...


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """Images to read: their rows in the pack, the keys of their samples, and the turn whose view of them is wanted."""

    rows: Integers
    keys: Integers
    turn: int


@dataclass(frozen=True, eq=False, slots=True)
class ReadImages:
    """(B, 3, H, W) uint8, or the error that makes going on pointless."""

    pixels: torch.Tensor | None
    error: OpenmmloError | None = None

    def pin_memory(self) -> ReadImages:
        """The same in page-locked memory."""
        return self if self.pixels is None else ReadImages(self.pixels.pin_memory(), self.error)


@dataclass(frozen=True)
class ImageReader:
    """What a loader process runs: unpack, decode, view.

    With several views an image, the first views of all images come first, then the second ones. Of a split whose
    pixels fit into ``KEPT`` bytes each image is decoded once, and kept.
    """

    images: PackedImages
    view: View
    views: int = 1
    _kept: dict[int, Image.Image] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __getitem__(self, request: ImageRequest) -> ReadImages:
        seen: list[list[Any]] = [[] for _ in range(self.views)]
        try:
            for row, key in zip(request.rows, request.keys, strict=True):
                image = self._decoded(int(row))
                for number, views in enumerate(seen):
                    views.append(self.view(image, request.turn, int(key), number))
        except OpenmmloError as error:  # an exception would come back with a traceback in its message
            return ReadImages(None, error)
        return ReadImages(torch.from_numpy(np.stack(list(chain.from_iterable(seen)))))

    def _decoded(self, row: int) -> Image.Image:
        if row in self._kept:
            return self._kept[row]
        try:
            image = decode(self.images.read(row)).image
        except SampleFailed as failure:
            raise DataError(
                f"The image of row {row:,} in pack {self.images.folder} cannot be decoded: {failure.reason}. It "
                "could when the data set was built: run openmmlo verify on it, and delete the pack."
            ) from failure
        if 3 * image.width * image.height * self.images.rows <= KEPT:
            self._kept[row] = image
        return image


@dataclass(frozen=True, eq=False)
class PairFeed:
    """A feed of pairs.

    Attributes:
        order: of the training pairs.
        pairs, tokens, images: to train on.
        view: of the training images.
        mean, std: of the channels, for pixels in [0, 1].
        workers: loader processes.
        held_out: (pairs, tokens, images) to validate on, unaugmented; None for none.
        views: of each training image in a batch. A batch of B samples then has B rows for each view, the first views
            first; all else of a sample is repeated.
    """

    order: Order
    pairs: Pairs
    tokens: TokenTable
    images: PackedImages
    view: View
    mean: Sequence[float]
    std: Sequence[float]
    workers: int
    held_out: tuple[Pairs, TokenTable, PackedImages] | None = None
    views: int = 1

    def training(self, first: int, steps: int, rank: int, world: int, device: torch.device) -> Iterator[Batch]:
        order = self.order

        def places() -> Iterator[tuple[int, Integers, int]]:
            """(turn, positions of this process, tokens of the longest caption that any process has)

            A view is drawn by the epoch, in which a sample comes once; where classes are drawn evenly one of a small
            class comes many times, so there by the step.
            """
            for step in range(first, steps):
                whole = order.global_batch(step)
                size = len(whole) // order.accumulation
                for index in range(order.accumulation):
                    longest = self.tokens.length(whole[index * size : (index + 1) * size])
                    turn = order.place(step)[0] if order.labels is None else step
                    yield turn, part(whole, order.accumulation, index, rank, world), longest

        reader = ImageReader(self.images, self.view, self.views)
        requests = (ImageRequest(self.pairs.rows[at], self.pairs.keys[at], turn) for turn, at, _ in places())
        read = ahead(reader, requests, self.workers, device.type == "cuda")
        normalise = Normalise(self.mean, self.std, device)
        for (_, at, length), images in zip(places(), read, strict=True):
            rows = np.tile(at, self.views)
            yield _batch(self.pairs, self.tokens, rows, length, normalise(images), device)

    def validation(self, rank: int, world: int, device: torch.device) -> Iterator[Batch]:
        """Whole batches go round the processes, so that a batch's make-up does not depend on their number.

        The last batch is smaller where the samples do not fill it; one sample alone joins the batch before it.
        """
        if self.held_out is not None:
            yield from self._once(*self.held_out, rank, world, device)

    def unaugmented(self, device: torch.device) -> Iterator[Batch]:
        """All training pairs once, in their order, as validation would read them, in one process."""
        yield from self._once(self.pairs, self.tokens, self.images, 0, 1, device)

    def _once(
        self, pairs: Pairs, tokens: TokenTable, images: PackedImages, rank: int, world: int, device: torch.device
    ) -> Iterator[Batch]:
        size = self.order.batch_size // self.order.accumulation
        cuts = [start for start in range(0, len(pairs), size) if start == 0 or len(pairs) - start > 1]
        mine = list(zip(cuts, [*cuts[1:], len(pairs)], strict=True))[rank::world]
        places = [np.arange(start, stop) for start, stop in mine]
        if not places:
            return
        view = View(self.view.size, "none", self.view.interpolation)
        requests = [ImageRequest(pairs.rows[at], pairs.keys[at], 0) for at in places]
        read = ahead(ImageReader(images, view), requests, self.workers, device.type == "cuda")
        normalise = Normalise(self.mean, self.std, device)
        for at, found in zip(places, read, strict=True):
            yield _batch(pairs, tokens, at, tokens.length(at), normalise(found), device)


class Normalise:
    """(B, 3, H, W) uint8 from the loader to float32 on the device, as an evaluation's transform does it."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], device: torch.device) -> None:
        self.device = device
        self.mean = torch.tensor(mean, dtype=torch.float32, device=device).view(1, 3, 1, 1)
        self.std = torch.tensor(std, dtype=torch.float32, device=device).view(1, 3, 1, 1)

    def __call__(self, images: ReadImages) -> torch.Tensor:
        if images.error is not None or images.pixels is None:
            raise images.error or DataError("A loader process gave no pixels.")
        pixels = images.pixels.to(self.device, non_blocking=True)
        return pixels.to(torch.float32).div_(255).sub_(self.mean).div_(self.std)


def _batch(
    pairs: Pairs, tokens: TokenTable, at: Integers, length: int, pixels: torch.Tensor, device: torch.device
) -> Batch:
    words, mask = tokens.padded(at, length)
    labels, keys = torch.from_numpy(pairs.labels[at]), torch.from_numpy(pairs.keys[at])
    ids = tuple(pairs.sample_ids[position] for position in at)
    return Batch(pixels, words, mask, labels, ids, keys).to(device)
