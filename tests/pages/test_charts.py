"""The geometry of charts against the numbers that they draw."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmmlo.pages.charts import (
    HEIGHT,
    WIDTH,
    LinearScale,
    LogScale,
    around,
    columns,
    count_label,
    dots,
    line,
    outline,
    tail_bars,
    tail_scale,
)  # fmt: skip
from openmmlo.pages.wording import counted, decimal, file_size, hundredths, number, part, percent, share


def test_log_scale_and_its_ticks() -> None:
    scale = LogScale(1, 10_000)
    assert [scale.at(value) for value in (1, 10, 100, 10_000)] == pytest.approx([0, 0.25, 0.5, 1])
    assert [(tick.at, tick.label) for tick in scale.ticks()] == [
        (0, "1"), (25, "10"), (50, "100"), (75, "1k"), (100, "10k"),
    ]  # fmt: skip
    assert [tick.label for tick in LogScale(0.6, 5000).ticks()] == ["1", "10", "100", "1k"]
    assert len(LogScale(1, 1e14).ticks()) <= 8


def bars_of(path: str) -> list[tuple[int, int, int]]:
    """(left, right, top) of every bar."""
    found = re.findall(r"M(\d+) (\d+)V(\d+)H(\d+)V(\d+)z", path)
    assert all(int(bottom) == int(end) == HEIGHT for _, bottom, _, _, end in found)
    return [(int(left), int(right), int(top)) for left, _, top, right, _ in found]


@pytest.mark.parametrize("classes", [3, 50, 8142])
def test_bars_are_as_high_as_the_logarithm_of_their_counts(classes: int) -> None:
    counts = [max(1, round(4980 * 0.998 ** (place * 1000 / classes))) for place in range(classes)]
    groups = ["many" if count > 100 else "medium" if count >= 20 else "few" for count in counts]
    scale = tail_scale(counts)
    bars = tail_bars(counts, groups, scale)
    assert [bar.group for bar in bars] == list(dict.fromkeys(groups))
    drawn = [bar for item in bars for bar in bars_of(item.path)]
    assert len(drawn) == classes
    for place, ((left, right, top), count) in enumerate(zip(drawn, counts, strict=True)):
        expected = math.log(count / scale.low) / math.log(scale.high / scale.low)
        assert 1 - top / HEIGHT == pytest.approx(expected, abs=0.001)
        assert left < right
        assert left - 1 <= WIDTH * (place + 0.5) / classes <= right + 1
    assert sum(bar.count for bar in bars) == classes


def test_classes_without_an_image_have_no_bar() -> None:
    (bar,) = tail_bars([0, 0], ["few", "few"], tail_scale([0, 0]))
    assert bar.path == ""


def test_lines_and_dots_lie_on_their_points() -> None:
    x, y = LogScale(1, 100), LogScale(1, 10_000)
    points = [(1, 10_000), (10, 100), (100, 1)]
    assert line(points, x, y) == f"M0 0L{WIDTH // 2} {HEIGHT // 2}L{WIDTH} {HEIGHT}"
    assert dots(points, x, y) == f"M0 0h0M{WIDTH // 2} {HEIGHT // 2}h0M{WIDTH} {HEIGHT}h0"
    assert line([(0, 1), (1, 0)], x, y) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0%"), (1, "100%"), (0.5, "50.0%"), (0.0042, "0.42%"), (0.9991, "99.91%"), (0.999999, ">99.99%"),
     (0.000001, "<0.01%"), (None, "–"), (True, "–"), ("1", "–"), (1.5, "150.0%")],
)  # fmt: skip
def test_percent(value: object, text: str) -> None:
    assert percent(value) == text


def test_numbers_for_people() -> None:
    assert [number(value) for value in (1234567, 0, 2.0, 12.345, None, "1")] == [
        "1,234,567",
        "0",
        "2",
        "12.3",
        "–",
        "–",
    ]
    assert [decimal(value) for value in (0.98765, -1.5, None)] == ["0.988", "−1.500", "–"]
    assert (counted(1, "class", "classes"), counted(2, "row")) == ("1 class", "2 rows")
    assert [count_label(value) for value in (1, 1000, 20_000, 10**6)] == ["1", "1k", "20k", "1M"]
    assert [share(value) for value in (0.25, 2, -1, None)] == [25, 100, 0, 0]
    assert part({"a": {"b": 1}}, "a", "b") == 1
    assert part({"a": None}, "a", "b") is None


def test_linear_scales_have_round_ticks_between_their_ends() -> None:
    assert [(tick.at, tick.label) for tick in LinearScale(0, 1).ticks(percent=True)] == [
        (0, "0%"), (20, "20%"), (40, "40%"), (60, "60%"), (80, "80%"), (100, "100%"),
    ]  # fmt: skip
    assert [tick.label for tick in LinearScale(-5, 15).ticks()] == ["\u22125", "0", "5", "10", "15"]
    assert [tick.label for tick in LinearScale(0.9, 0.91).ticks(percent=True)][:2] == ["90.0%", "90.2%"]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20), st.sampled_from([1e-3, 1.0, 2.0]))
def test_an_axis_around_values_holds_them_and_little_else(values: list[float], least: float) -> None:
    axis = around(values, least)
    slack = 1e-8 * max(1.0, *map(abs, values))
    assert axis.low - slack <= min(values) <= max(values) <= axis.high + slack
    spread = max(max(values) - min(values), least)
    assert axis.high - axis.low <= 1.5 * spread
    assert 2 <= len(axis.ticks()) <= 7
    places = [tick.at for tick in axis.ticks()]
    assert all(-1e-3 <= at <= 100 + 1e-3 for at in places)


def test_histograms_are_as_high_as_their_shares() -> None:
    y = LinearScale(0, 0.5)
    assert outline([0.5, 0.25], y) == f"M0 {HEIGHT}V0H{WIDTH // 2}V{HEIGHT // 2}H{WIDTH}V{HEIGHT}z"
    assert outline([], y) == ""
    assert columns([0.5, None], y, 0.0) == f"M0 {HEIGHT}V0H{WIDTH // 2}V{HEIGHT}z"


def test_a_falling_logarithmic_axis_has_its_ticks() -> None:
    assert [(tick.at, tick.label) for tick in LogScale(1000, 10).ticks()] == [(100, "10"), (50, "100"), (0, "1k")]


def test_hundredths_and_file_sizes() -> None:
    assert [hundredths(value) for value in (0.93628, 0, 1.0, None)] == ["93.63", "0.00", "100.00", "–"]
    assert [file_size(value) for value in (999, 1500, 2_000_000)] == ["999 bytes", "1.5 kB", "2.0 MB"]
