"""Numbers come in, the geometry of a chart goes out: ticks in percent of the plot, and SVG paths.

Paths live in a box of WIDTH × HEIGHT units with y pointing down, stretched over the plot; labels and grid lines are
placed in percent beside it, so that a chart fits every screen without its text growing or shrinking.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

WIDTH, HEIGHT = 10_000, 1_000


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled place on an axis, in percent from its start."""

    at: float
    label: str


class Scale(Protocol):
    """An axis: which values have a place on it, and where."""

    def holds(self, value: float) -> bool: ...

    def at(self, value: float) -> float: ...


@dataclass(frozen=True, slots=True)
class LogScale:
    """A logarithmic axis from ``low`` to ``high``, both positive; it falls where ``low`` is the larger."""

    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether a value has a logarithm."""
        return value > 0

    def at(self, value: float) -> float:
        """Where a value lies: 0 at ``low``, 1 at ``high``."""
        return math.log(value / self.low) / math.log(self.high / self.low)

    def ticks(self) -> list[Tick]:
        """The powers of ten on the axis."""
        least, most = sorted((self.low, self.high))
        first, last = math.ceil(math.log10(least) - 1e-9), math.floor(math.log10(most) + 1e-9)
        step = max(1, (last - first) // 6)
        return [
            Tick(round(100 * self.at(10.0**power), 3), count_label(10**power)) for power in range(first, last + 1, step)
        ]


@dataclass(frozen=True, slots=True)
class LinearScale:
    """An even axis from ``low`` to ``high``."""

    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether a value is a number."""
        return math.isfinite(value)

    def at(self, value: float) -> float:
        """Where a value lies: 0 at ``low``, 1 at ``high``."""
        return (value - self.low) / (self.high - self.low)

    def ticks(self, most: int = 6, percent: bool = False) -> list[Tick]:
        """Round values on the axis, at most ``most`` of them."""
        step = round_step((self.high - self.low) / max(1, most - 1))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        # Of both, and of 100 times a fraction, the digits that the step has and no more.
        digits = max(0, -math.floor(math.log10(100 * step if percent else step) + 1e-9))
        found = []
        for place in range(first, last + 1):
            value = place * step
            shown = 100 * value if percent else value
            text = f"{shown:,.{digits}f}" if abs(shown) < 1e6 else f"{shown:.3g}"
            found.append(Tick(round(100 * self.at(value), 3), text.replace("-", "\u2212") + ("%" if percent else "")))
        return found


def round_step(least: float) -> float:
    """The least of 1, 2, 5, 10, 20 ... and their tenths that is no smaller."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


def around(values: Sequence[float], least: float = 1e-9) -> LinearScale:
    """An axis between round values that holds all of these, with no more than half a step of room at the ends."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    spread = max(high - low, least, 1e-9 * max(abs(low), abs(high)))
    middle = (low + high) / 2
    low, high = min(low, middle - spread / 2), max(high, middle + spread / 2)
    step = round_step(spread / 5) / 2
    return LinearScale(math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step)


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


def line(points: Iterable[tuple[float, float]], x: Scale, y: Scale) -> str:
    """A path through those of the points that have a place on both axes."""
    placed = [f"{_across(x.at(a))} {_down(y.at(b))}" for a, b in points if x.holds(a) and y.holds(b)]
    return f"M{'L'.join(placed)}" if placed else ""


def dots(points: Iterable[tuple[float, float]], x: Scale, y: Scale) -> str:
    """Lines of no length at points: round caps make them dots, whatever way the plot is stretched."""
    return "".join(f"M{_across(x.at(a))} {_down(y.at(b))}h0" for a, b in points if x.holds(a) and y.holds(b))


def outline(heights: Sequence[float], y: Scale) -> str:
    """A histogram over the whole width as one closed path: the outline of its columns, down to the ground."""
    if not heights:
        return ""
    edges = [round(WIDTH * place / len(heights)) for place in range(len(heights) + 1)]
    steps = "".join(f"V{_down(y.at(height))}H{right}" for height, right in zip(heights, edges[1:], strict=True))
    return f"M0 {HEIGHT}{steps}V{HEIGHT}z"


def columns(heights: Sequence[float | None], y: Scale, gap: float = 0.12) -> str:
    """Columns of equal width over the whole width, with gaps; None has no column."""
    slot = WIDTH / max(1, len(heights))
    return "".join(
        f"M{round(place * slot + gap * slot / 2)} {HEIGHT}V{_down(y.at(height))}"
        f"H{round((place + 1) * slot - gap * slot / 2)}V{HEIGHT}z"
        for place, height in enumerate(heights)
        if height is not None
    )


def _across(share: float) -> int:
    return round(WIDTH * share)


def _down(share: float) -> int:
    return round(HEIGHT * (1 - min(1.0, max(0.0, share))))
