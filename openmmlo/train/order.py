"""Which samples form which batch: a function of (seed, epoch) alone, so that a run can stop and go on anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from openmmlo.errors import ConfigError

Positions = npt.NDArray[np.int64]
Drawing = Literal["class-aware", "square-root"]
Drawn = tuple[tuple[int, ...], Drawing]
"""(N,) classes, and how they are drawn."""


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
        labels: (N,) classes, for drawing by class; None takes every sample once an epoch.
        drawing: how, of DRAWINGS, where there are labels.
    """

    samples: int
    batch_size: int
    accumulation: int
    seed: int
    labels: tuple[int, ...] | None = field(default=None, repr=False)
    drawing: Drawing = "class-aware"
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
                else DRAWINGS[self.drawing](self.labels, self.seed, number)
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
    rounds = -(-len(labels) // len(groups))
    turns = np.concatenate([generator.permutation(len(groups)) for _ in range(rounds)])[: len(labels)]
    return _taken_in_turn(turns, groups, generator)


def square_root(labels: Sequence[int], seed: int, epoch: int) -> Positions:
    """(N,) positions whose classes come in proportion to the square root of their samples, in random order.

    Mahajan et al., Exploring the Limits of Weakly Supervised Pretraining, ECCV 2018 (arXiv:1805.00932); Kang et al. as
    above, q = 1/2. An epoch has the expected number of each class rounded up or down, at random so that the mean over
    epochs is right; samples of a class go round as in :func:`class_aware`. Label -1 is left out.
    """
    generator = _generator(seed, epoch)
    groups = members(labels)
    weights = np.sqrt([len(group) for group in groups])
    ends = np.cumsum(weights) * (len(labels) / weights.sum())
    places = np.arange(len(labels)) + generator.random()  # evenly spaced, the first at random
    turns = np.minimum(np.searchsorted(ends, places, side="right"), len(groups) - 1)
    return _taken_in_turn(generator.permutation(turns), groups, generator)


DRAWINGS = {"class-aware": class_aware, "square-root": square_root}


def _taken_in_turn(turns: Positions, groups: Sequence[Positions], generator: np.random.Generator) -> Positions:
    """(N,) for the class of each turn its next sample; a class is shuffled anew when every sample of it has come."""
    chosen = np.empty(len(turns), dtype=np.int64)
    ends = np.cumsum(np.bincount(turns, minlength=len(groups)))
    for places, group in zip(np.split(np.argsort(turns, kind="stable"), ends[:-1]), groups, strict=True):
        laps = -(-len(places) // len(group))
        drawn = [generator.permutation(group) for _ in range(laps)]
        chosen[places] = np.concatenate(drawn)[: len(places)] if drawn else group[:0]
    return chosen


def members(labels: Sequence[int] | Positions) -> list[Positions]:
    """Positions of the samples of each class that has any, in the order of labels; label -1 is none."""
    array = np.asarray(labels, dtype=np.int64)
    by_label = np.argsort(array, kind="stable")
    starts = np.unique(array[by_label], return_index=True)
    return [group for label, group in zip(starts[0], np.split(by_label, starts[1][1:]), strict=True) if label >= 0]
