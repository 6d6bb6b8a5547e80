"""The training bank through a head, and what several detectors learn from it, each computed once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any

import numpy as np

from openmmlo.errors import DataError
from openmmlo.evaluate.detectors.neighbourhood import Neighbourhood
from openmmlo.evaluate.detectors.rows import BLOCK_VALUES, Rows, blocks
from openmmlo.evaluate.detectors.stopwatch import Stopwatch
from openmmlo.evaluate.features.bank import FeatureBank
from openmmlo.evaluate.head import Head

Array = np.ndarray[Any, np.dtype[Any]]


class Training:
    """A bank of in-distribution training images. It is read in blocks, never copied whole to float64.

    Args:
        bank: N rows with labels 0 to C - 1.
        head: of the model.
        depths: every k for which neighbours will be asked.
        watch: who is charged for what.
        block_values: numbers of one array of a block.
        approximate: search neighbours in an index, not exactly.

    Raises:
        DataError: no row, or a label outside 0 to C - 1.
    """

    def __init__(
        self,
        bank: FeatureBank,
        head: Head,
        depths: Iterable[int] = (),
        watch: Stopwatch | None = None,
        block_values: int = BLOCK_VALUES,
        approximate: bool = False,
    ) -> None:
        if not len(bank):
            raise DataError(f"Training bank {bank.name!r} holds no row. Detectors learn from in-distribution images.")
        labels: Array = np.asarray(bank.labels)
        strange = int(np.count_nonzero((labels < 0) | (labels >= head.classes)))
        if strange:
            raise DataError(
                f"Training bank {bank.name!r}: {strange:,} of {len(bank):,} rows have a label outside 0 to "
                f"{head.classes - 1}. Detectors learn from in-distribution images alone; give a bank of the "
                "benchmark's training list."
            )
        self.bank = bank
        self.head = head
        self.labels = labels
        self.watch = watch or Stopwatch()
        self.block_values = block_values
        self.neighbourhood = Neighbourhood(bank, depths, self.watch, approximate=approximate)

    def __len__(self) -> int:
        return len(self.bank)

    def blocks(self) -> Iterator[Rows]:
        return blocks(self.bank, self.head, self.watch, self.block_values)

    @cached_property
    def class_counts(self) -> Array:
        """(C,) rows of each class."""
        return np.bincount(self.labels, minlength=self.head.classes)

    @cached_property
    def peaks(self) -> tuple[Array, Array]:
        """(N,) predicted class and (N,) float64 largest logit."""
        predicted: Array = np.empty(len(self), dtype=np.int64)
        largest: Array = np.empty(len(self))
        for rows in self.blocks():
            logits = rows.logits
            with self.watch.of("logits"):
                predicted[rows.span] = logits.argmax(axis=1)
                largest[rows.span] = logits.max(axis=1)
        return predicted, largest

    @cached_property
    def class_means(self) -> Array:
        """(C, D) float64 mean input of each class; NaN for a class without a row."""
        return self.means_of(np.ones(len(self), dtype=bool))

    def means_of(self, chosen: Array) -> Array:
        """(C, D) float64 mean input of each class over the rows where ``chosen`` (N,) is true; NaN over none."""
        sums: Array = np.zeros((self.head.classes, self.bank.features.shape[1]))
        for rows in self.blocks():
            kept = np.flatnonzero(chosen[rows.span])
            if not len(kept):
                continue
            inputs = rows.inputs
            with self.watch.of("class means"):
                labels = self.labels[rows.span][kept]
                order = np.argsort(labels, kind="stable")
                present, starts = np.unique(labels[order], return_index=True)
                sums[present] += np.add.reduceat(inputs[kept[order]], starts, axis=0, dtype=np.float64)
        counts = np.bincount(self.labels[chosen], minlength=self.head.classes)[:, None]
        means: Array = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
        return means

    def second_moment(self, centre: Callable[[Rows], Array]) -> Array:
        """(D, D) float64 mean of (h - centre)(h - centre)^T; ``centre`` gives (n, D) or (D,) for a block."""
        width = self.bank.features.shape[1]
        moment: Array = np.zeros((width, width))
        for rows in self.blocks():
            shifted = rows.inputs - centre(rows)
            moment += shifted.T @ shifted
        moment /= len(self)
        return moment
