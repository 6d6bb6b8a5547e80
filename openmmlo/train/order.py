"""Which samples form which batch: a function of (seed, epoch) alone, so that a run can stop and go on anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from openmmlo.errors import ConfigError

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Order:
    """The global batches of a run, in order.

    Every process computes the same order and takes its own part of each batch, so the number of processes does not
    change which samples a step is made of. The last batch of an epoch is dropped where it would be smaller.

    Attributes:
        samples: N.
        batch_size: samples a step, of all processes and accumulated batches together.
        accumulation: batches a step is made of.
        seed: of the permutations.
        labels: (N,) classes, for class-aware drawing; None takes every sample once an epoch.
    """

    samples: int
    batch_size: int
    accumulation: int
    seed: int
    labels: tuple[int, ...] | None = field(default=None, repr=False)
    _epochs: dict[int, Positions] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.batch_size > self.samples:
            raise ConfigError(
                f"batch_size is {self.batch_size} and there are {self.samples} training samples; an epoch has no "
                "whole batch. Choose a smaller batch_size."
            )
        if self.labels is not None and len(self.labels) != self.samples:
            raise ValueError(f"{len(self.labels)} labels for {self.samples} samples")

    @property
    def steps_an_epoch(self) -> int:
        return self.samples // self.batch_size

    @property
    def dropped(self) -> int:
        """Samples at the end of each epoch's permutation that form no whole batch; which ones changes every epoch."""
        return self.samples % self.batch_size

    def place(self, step: int) -> tuple[int, int]:
        """(epoch, step in it) of a step of the run."""
        return divmod(step, self.steps_an_epoch)

    def global_batch(self, step: int) -> Positions:
        """(batch_size,) positions of the samples of a step."""
        epoch, within = self.place(step)
        return self.epoch(epoch)[within * self.batch_size : (within + 1) * self.batch_size]

    def epoch(self, number: int) -> Positions:
        """(N,) positions in the order of an epoch; the latest two are kept."""
        if number not in self._epochs:
            while len(self._epochs) > 1:
                del self._epochs[next(iter(self._epochs))]
            self._epochs[number] = (
                permutation(self.samples, self.seed, number)
                if self.labels is None
                else class_aware(self.labels, self.seed, number)
            )
        return self._epochs[number]

    def check_processes(self, world: int) -> None:
        """Raises ConfigError where a global batch does not part evenly over the processes."""
        shares = world * self.accumulation
        if self.batch_size % shares:
            near = max(1, round(self.batch_size / shares)) * shares
            raise ConfigError(
                f"batch_size {self.batch_size} does not part evenly over {world} processes x {self.accumulation} "
                f"accumulated batches. The nearest that does: {near}."
            )


def part(batch: Positions, accumulation: int, index: int, rank: int, world: int) -> Positions:
    """What process ``rank`` of ``world`` computes in the accumulated batch ``index`` of a step."""
    size = len(batch) // accumulation
    share = size // world
    start = index * size + rank * share
    return batch[start : start + share]


def _generator(seed: int, epoch: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, epoch])))


def permutation(samples: int, seed: int, epoch: int) -> Positions:
    """(N,) every position once."""
    return _generator(seed, epoch).permutation(samples)


def class_aware(labels: Sequence[int], seed: int, epoch: int) -> Positions:
    """(N,) positions whose classes come equally often, as in the second stage of Kang et al. (arXiv:1910.09217).

    Classes go round in shuffled order, and so do the samples of each class: a sample comes again only when every
    other of its class has come. Classes without a sample are left out, and so are samples with label -1.
    """
    generator = _generator(seed, epoch)
    groups = members(labels)
    classes = len(groups)
    rounds = -(-len(labels) // classes)
    turns = np.concatenate([generator.permutation(classes) for _ in range(rounds)])[: len(labels)]
    chosen = np.empty(len(labels), dtype=np.int64)
    for places, group in zip(members(turns), groups, strict=True):
        laps = -(-len(places) // len(group))
        drawn = [generator.permutation(group) for _ in range(laps)]
        chosen[places] = np.concatenate(drawn)[: len(places)]
    return chosen


def members(labels: Sequence[int] | Positions) -> list[Positions]:
    """Positions of the samples of each class that has any, in the order of labels; label -1 is none."""
    array = np.asarray(labels, dtype=np.int64)
    by_label = np.argsort(array, kind="stable")
    starts = np.unique(array[by_label], return_index=True)
    return [group for label, group in zip(starts[0], np.split(by_label, starts[1][1:]), strict=True) if label >= 0]
