"""A block of a bank's rows as a head sees them: what several detectors need of it is computed once."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np

from openmmlo.evaluate.detectors.softmax import Peak, peak
from openmmlo.evaluate.detectors.stopwatch import Stopwatch
from openmmlo.evaluate.features.bank import FeatureBank
from openmmlo.evaluate.head import Head

Array = np.ndarray[Any, np.dtype[Any]]

BLOCK_VALUES = 1 << 22
"""Numbers of one float64 array of a block, 32 MiB: a detector holds a few such arrays at a time."""


class Rows:
    """Rows ``start`` to ``stop`` of a bank. Letters: n rows of the block, D features, C classes."""

    def __init__(self, bank: FeatureBank, head: Head, start: int, stop: int, watch: Stopwatch) -> None:
        self.bank = bank
        self.head = head
        self.span = slice(start, stop)
        self.watch = watch

    def __len__(self) -> int:
        return int(self.span.stop - self.span.start)

    @cached_property
    def inputs(self) -> Array:
        """(n, D) float32: what the head's linear layer reads, h in the formulas."""
        with self.watch.of("features"):
            return self.head.inputs(self.bank.features[self.span])

    @cached_property
    def logits(self) -> Array:
        """(n, C) float32."""
        if not self.head.is_linear:
            return self.head.logits(self.bank, self.span)
        inputs = self.inputs
        with self.watch.of("logits"):
            return self.head.apply(inputs)

    @cached_property
    def peak(self) -> Peak:
        """The softmax of the logits at temperature 1."""
        logits = self.logits
        with self.watch.of("softmax"):
            return peak(logits)

    @cached_property
    def perturbed(self) -> Rows | None:
        """The same rows of the perturbed bank."""
        if self.bank.perturbed is None:
            return None
        return Rows(self.bank.perturbed, self.head, self.span.start, self.span.stop, self.watch)


def block_rows(width: int, values: int = BLOCK_VALUES) -> int:
    """Rows of a block whose arrays are ``width`` wide."""
    return max(1, values // max(1, width))


def blocks(bank: FeatureBank, head: Head, watch: Stopwatch, values: int = BLOCK_VALUES) -> Iterator[Rows]:
    """A bank in blocks, in order."""
    step = block_rows(max(bank.features.shape[1], head.classes), values)
    for start in range(0, len(bank), step):
        yield Rows(bank, head, start, min(start + step, len(bank)), watch)
