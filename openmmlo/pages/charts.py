"""Numbers come in, the geometry of a chart goes out: ticks in percent of the plot, and SVG paths.

Paths live in a box of WIDTH × HEIGHT units with y pointing down, stretched over the plot; labels and grid lines are
placed in percent beside it, so that a chart fits every screen without its text growing or shrinking.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 10_000, 1_000


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled place on an axis, in percent from its start."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class LogScale:
    """A logarithmic axis from ``low`` to ``high``, both positive."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """Where a value lies: 0 at ``low``, 1 at ``high``."""
        return math.log(value / self.low) / math.log(self.high / self.low)

    def ticks(self) -> list[Tick]:
        """The powers of ten on the axis."""
        first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
        step = max(1, (last - first) // 6)
        return [
            Tick(round(100 * self.at(10.0**power), 3), count_label(10**power)) for power in range(first, last + 1, step)
        ]


def count_label(value: float) -> str:
    """A round count in few letters: 1, 100, 10k, 1M."""
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


@dataclass(frozen=True, slots=True)
class TailBars:
    """Bars of the classes of one shot group, from ``first`` on, as one path."""

    group: str
    first: int
    count: int
    path: str


def tail_scale(counts: Sequence[int]) -> LogScale:
    """The axis of images a class: from below one image, so that a bar of one is seen, to above the largest class."""
    return LogScale(0.6, max(10.0, max(counts, default=1) * 1.25))


def tail_bars(counts: Sequence[int], groups: Sequence[str], scale: LogScale) -> list[TailBars]:
    """Bars of falling counts, a path a group. A class without an image has no bar."""
    slot = WIDTH / max(1, len(counts))
    gap = slot * 0.16 if len(counts) <= 240 else 0.0
    found: list[TailBars] = []
    for group in dict.fromkeys(groups):
        places = [place for place, item in enumerate(groups) if item == group]
        pieces = []
        for place in places:
            if counts[place] > 0:
                left, right = round(place * slot + gap / 2), round((place + 1) * slot - gap / 2)
                pieces.append(f"M{left} {HEIGHT}V{_down(scale.at(counts[place]))}H{right}V{HEIGHT}z")
        found.append(TailBars(group, places[0], len(places), "".join(pieces)))
    return found


def line(points: Iterable[tuple[float, float]], x: LogScale, y: LogScale) -> str:
    """A path through points on logarithmic axes."""
    placed = [f"{round(WIDTH * x.at(a))} {_down(y.at(b))}" for a, b in points if a > 0 and b > 0]
    return f"M{'L'.join(placed)}" if placed else ""


def dots(points: Iterable[tuple[float, float]], x: LogScale, y: LogScale) -> str:
    """Lines of no length at points: round caps make them dots, whatever way the plot is stretched."""
    return "".join(f"M{round(WIDTH * x.at(a))} {_down(y.at(b))}h0" for a, b in points if a > 0 and b > 0)


def _down(share: float) -> int:
    return round(HEIGHT * (1 - min(1.0, max(0.0, share))))
