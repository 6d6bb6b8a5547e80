"""Numbers of many rows come in; charts go out whose axes matplotlib drew and whose colours are the page's.

A chart is the inside of an ``<svg>``: axes, grid and lines as matplotlib places them, with classes in place of colours
so that a style decides them, in light and in dark. Points are places in the same units, which a page draws and a
script finds again. No text of a submission goes through matplotlib, which would read ``$`` as mathematics.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date
from typing import Any
from xml.etree import ElementTree

from markupsafe import Markup, escape

WIDTH, HEIGHT = 380, 320
"""Units of a chart, about a pixel each on a phone."""

LEFT, RIGHT, TOP, BOTTOM = 44, 12, 14, 44
"""Room around the plot, in the same units."""

_COLOURS = {"#010101": "axis", "#020202": "rule", "#030303": "best", "#040404": "told"}
"""What matplotlib is asked to draw with, and the class that stands for it in the page."""

_SETTINGS = {"svg.fonttype": "none", "svg.hashsalt": "openmmlo", "path.simplify": False, "font.family": ["sans-serif"]}

Place = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Chart:
    """The inside of an ``<svg>`` of WIDTH × HEIGHT, and where a pair of values lies in it."""

    svg: Markup
    x: tuple[float, float]
    y: tuple[float, float]

    def at(self, x: float | None, y: float | None) -> Place | None:
        """A place in units of the chart; None for what has none."""
        if x is None or y is None or not (math.isfinite(x) and math.isfinite(y)):
            return None
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return (
            round(LEFT + across * (WIDTH - LEFT - RIGHT), 1),
            round(HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM), 1),
        )


@dataclass(frozen=True, slots=True)
class Step:
    """A line of the best so far: days and values, and the class of its colour (``best`` or ``told``)."""

    days: tuple[float, ...]
    values: tuple[float, ...]
    look: str = "best"


def rates(x: Iterable[float], y: Iterable[float], x_name: str, y_name: str) -> Chart:
    """A chart of two rates, with axes in percent."""
    return _drawn(_room(x), _room(y), x_name, y_name, dates=False, steps=())


def over_time(days: Iterable[float], values: Iterable[float], y_name: str, steps: Sequence[Step]) -> Chart:
    """A chart of a rate against days as :func:`day_of` counts them, with lines of the best so far."""
    found = list(days)
    low, high = (min(found), max(found)) if found else (0.0, 0.0)
    pad = max(10.0, 0.05 * (high - low))
    return _drawn((low - pad, high + pad), _room(values), "", y_name, dates=True, steps=steps)


def best_so_far(points: Iterable[tuple[float, float]], look: str = "best") -> Step | None:
    """The line of the highest value up to each day; None where there is no point."""
    days: list[float] = []
    values: list[float] = []
    for day, value in sorted(points):
        if not values or value > values[-1]:
            if days and days[-1] == day:
                values[-1] = value
            else:
                days.append(day)
                values.append(value)
    return Step(tuple(days), tuple(values), look) if days else None


def day_of(text: str) -> float | None:
    """Days from 1970 to ``YYYY-MM-DD``, or to the middle of ``YYYY``; None where it is neither."""
    try:
        found = date(int(text), 7, 1) if len(text) == 4 else date.fromisoformat(text)
    except ValueError:
        return None
    return float((found - date(1970, 1, 1)).days)


def dots(places: Iterable[Place | None]) -> str:
    """Lines of no length at places, as one path: round caps make them dots."""
    return "".join(f"M{x:g} {y:g}h0" for x, y in filter(None, places))


def written(pairs: Iterable[tuple[str, Place]]) -> Markup:
    """Names beside their points: short, away from the edge, and none over another."""
    taken: list[tuple[float, float, float]] = []
    found = []
    for name, (x, y) in pairs:
        text = name if len(name) <= 22 else name[:21] + "…"
        width = 6.4 * len(text)
        to_left = x + 8 + width > WIDTH
        start = x - 8 - width if to_left else x + 8
        if start < LEFT or any(abs(y - other) < 13 and start < end and begin < start + width
                               for other, begin, end in taken):  # fmt: skip
            continue
        taken.append((y, start, start + width))
        anchor = Markup(' class="end"') if to_left else ""
        found.append(
            Markup('<text{} x="{}" y="{}" dy=".34em">{}</text>').format(anchor, x - 8 if to_left else x + 8, y, text)
        )
    return Markup("").join(found)


def _room(values: Iterable[float]) -> tuple[float, float]:
    """Limits of an axis of rates: all of them, with room at the ends, and no narrower than four points."""
    found = list(values)
    low, high = (min(found), max(found)) if found else (0.0, 1.0)
    pad = max(0.07 * (high - low), (0.04 - (high - low)) / 2)
    low, high = max(-0.03, low - pad), min(1.03, high + pad)
    return (low, high) if high - low > 0.01 else (low - 0.02, high + 0.02)


def _drawn(
    x: tuple[float, float], y: tuple[float, float], x_name: str, y_name: str, dates: bool, steps: Sequence[Step]
) -> Chart:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis, rule, best, told = _COLOURS
    percent = FuncFormatter(lambda value, _: f"{round(100 * value, 2):g}")
    with _settings():
        figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72))
        figure.patch.set_visible(False)
        axes = figure.add_axes(
            (LEFT / WIDTH, BOTTOM / HEIGHT, 1 - (LEFT + RIGHT) / WIDTH, 1 - (TOP + BOTTOM) / HEIGHT), frameon=False
        )
        axes.set_xlim(*x)
        axes.set_ylim(*y)
        axes.grid(color=rule, linewidth=1)
        axes.set_axisbelow(True)
        axes.tick_params(bottom=False, left=False, labelcolor=axis, labelsize=11, pad=5)
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_formatter(percent)
        if dates:
            locator = AutoDateLocator(minticks=3, maxticks=6)
            axes.xaxis.set_major_locator(locator)
            axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
            axes.xaxis.get_offset_text().set(color=axis, fontsize=11)
        else:
            axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
            axes.xaxis.set_major_formatter(percent)
            axes.set_xlabel(x_name, loc="right", color=axis, fontsize=11, labelpad=6)
        axes.set_title(y_name, loc="left", color=axis, fontsize=11, pad=4, x=-(LEFT - 6) / (WIDTH - LEFT - RIGHT))
        for step in steps:  # the best holds until today, which is where the axis ends
            colour = told if step.look == "told" else best
            axes.step([*step.days, x[1]], [*step.values, step.values[-1]], where="post", color=colour, linewidth=2)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    # Its own output of a moment ago, with none but our words in it.
    return Chart(Markup("".join(_plain(ElementTree.fromstring(buffer.getvalue())))), x, y)


def _settings() -> AbstractContextManager[Any]:
    from matplotlib import rc_context

    made: Callable[[dict[str, Any]], AbstractContextManager[Any]] = rc_context
    return made(_SETTINGS)


def _plain(root: ElementTree.Element) -> Iterator[str]:
    """Paths and texts alone, with classes in place of colours and fonts: a page's policy allows no style of theirs."""
    for element in root.iter():
        tag = element.tag.rpartition("}")[2]
        style = dict(_pair(part) for part in (element.get("style") or "").split(";") if ":" in part)
        if tag == "path" and "stroke" in style:
            look = _COLOURS.get(style["stroke"])
            if look:
                yield f'<path class="c-{look}" d="{_short(element.get("d") or "")}"/>'
        elif tag == "text" and (element.text or "").strip():
            anchor = {"middle": " middle", "end": " end"}.get(style.get("text-anchor", ""), "")
            place = f'x="{_rounded(element.get("x"))}" y="{_rounded(element.get("y"))}"'
            if element.get("x") is None:  # a text at the left of its place carries it in a transform
                place = f'transform="{escape((element.get("transform") or "").strip())}"'
            yield f'<text class="c-axis{anchor}" {place}>{escape((element.text or "").strip())}</text>'


def _pair(part: str) -> tuple[str, str]:
    key, _, value = part.partition(":")
    return key.strip(), value.strip()


def _short(path: str) -> str:
    """A path with a tenth of a unit at most, and no line breaks."""
    return " ".join(part if part.isalpha() else _rounded(part) for part in path.split())


def _rounded(text: str | None) -> str:
    return f"{round(float(text or 0), 1):g}"
