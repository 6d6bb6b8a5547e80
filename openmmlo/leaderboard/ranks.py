"""Values over seeds come in; means, deviations, intervals and ranks with ties go out.

The interval is the 95 % confidence interval of the mean over seeds by Student's t: mean ± t(0.975, n - 1) · sd / √n. It
takes two seeds; a row with one, and a reported row without deviation, has none and stands for the point it is.

Two rows tie where their intervals share a point. As that is not transitive (A may tie with B and B with C, and A be
better than C), a rank is a range: from one more than the number of rows that are better for certain, to the number of
rows that are not worse for certain.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import stdtrit

Direction = Literal["higher", "lower", "none"]

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Rank:
    """Ranks that a row may have, 1 the best: equal where it ties with no other."""

    best: int
    worst: int

    @property
    def text(self) -> str:
        return str(self.best) if self.best == self.worst else f"{self.best}–{self.worst}"


@dataclass(frozen=True)
class Value:
    """A metric of a row.

    Attributes:
        values: one a seed, in the order of the row's seeds; a reported row has one.
        sd: standard deviation over seeds, N - 1 below; None for one seed.
        interval: of the mean, None for one seed.
        rank: among the rows of its protocol; None where the metric ranks nothing.
        decimals: how many are printed: what a paper prints is not made to look more exact.
    """

    mean: float
    values: tuple[float, ...]
    sd: float | None = None
    interval: tuple[float, float] | None = None
    rank: Rank | None = None
    decimals: int = 2


def over_seeds(values: Sequence[float]) -> Value:
    """Mean, deviation and interval of at least one value."""
    count = len(values)
    mean = math.fsum(values) / count
    if count < 2:
        return Value(mean, tuple(values))
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))
    half = float(stdtrit(count - 1, (1 + CONFIDENCE) / 2)) * sd / math.sqrt(count)
    return Value(mean, tuple(values), sd, (mean - half, mean + half))


def ranks(values: Sequence[Value], direction: Direction) -> list[Rank | None]:
    """The rank of each value among all of them."""
    if direction == "none":
        return [None] * len(values)
    sign = 1.0 if direction == "higher" else -1.0
    ends = np.array([[sign * end for end in (value.interval or (value.mean, value.mean))] for value in values])
    ends = np.sort(ends.reshape(-1, 2), axis=1)
    lows, highs = np.sort(ends[:, 0]), np.sort(ends[:, 1])
    better = len(values) - np.searchsorted(lows, ends[:, 1], side="right")
    worse = np.searchsorted(highs, ends[:, 0], side="left")
    return [Rank(int(1 + ahead), int(len(values) - behind)) for ahead, behind in zip(better, worse, strict=True)]
