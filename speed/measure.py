"""Interleaved pairs, the median of their ratios, a bootstrap interval and a verdict."""

from __future__ import annotations

import gc
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm


@dataclass(frozen=True)
class Line:
    """One row of the table.

    ``value`` with the interval ``low`` to ``high`` (95 %, bootstrap of the median) is compared with ``bar``; where
    ``at_least`` the value must not be below it, else not above.
    """

    name: str
    peer: str
    unit: str
    value: float
    low: float
    high: float
    bar: float
    at_least: bool
    pairs: int
    detail: str

    @property
    def verdict(self) -> str:
        if self.at_least:
            return "met" if self.low >= self.bar else "missed" if self.high < self.bar else "undecided"
        return "met" if self.high <= self.bar else "missed" if self.low > self.bar else "undecided"


def interleaved(
    name: str,
    ours: Callable[[], float],
    peer: Callable[[], float],
    *,
    peer_name: str,
    bar: float,
    at_least: bool,
    pairs: int,
    detail: Callable[[float, float], str],
) -> Line:
    """Measure ``ours() / peer()`` in pairs, the order alternating; both give a positive number."""
    measured = []
    for pair in tqdm(range(pairs), desc=name, file=sys.stderr):
        first, second = (ours, peer) if pair % 2 == 0 else (peer, ours)
        one, two = first(), second()
        measured.append((one, two) if pair % 2 == 0 else (two, one))
    table = np.array(measured)
    low, value, high = bootstrap(table[:, 0] / table[:, 1])
    text = detail(float(np.median(table[:, 0])), float(np.median(table[:, 1])))
    return Line(name, peer_name, "ratio", value, low, high, bar, at_least, pairs, text)


def repeated(
    name: str, measure: Callable[[], float], *, unit: str, bar: float, pairs: int, peer_name: str, detail: str = ""
) -> Line:
    """Measure an absolute number that must stay below a bar."""
    values = np.array([measure() for _ in tqdm(range(pairs), desc=name, file=sys.stderr)])
    low, value, high = bootstrap(values)
    return Line(name, peer_name, unit, value, low, high, bar, at_least=False, pairs=pairs, detail=detail)


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    gc.collect()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def bootstrap(values: np.ndarray, resamples: int = 10_000) -> tuple[float, float, float]:
    """2.5 %, median and 97.5 % of the median under resampling."""
    draws = np.random.default_rng(0).choice(values, (resamples, len(values)))
    low, high = np.percentile(np.median(draws, axis=1), [2.5, 97.5])
    return float(low), float(np.median(values)), float(high)


def table(lines: list[Line]) -> str:
    """The lines as a Markdown table, with the machine below it."""
    rows = [
        "| what | against | measured (95 % interval) | bar | verdict | pairs |",
        "|---|---|---|---|---|---|",
    ]
    for line in lines:
        unit = "" if line.unit == "ratio" else f" {line.unit}"
        sign = "≥" if line.at_least else "≤"
        detail = f"; {line.detail}" if line.detail else ""
        rows.append(
            f"| {line.name} | {line.peer} | {line.value:.3g}{unit} ({line.low:.3g} to {line.high:.3g}){detail} "
            f"| {sign} {line.bar:g}{unit} | {line.verdict} | {line.pairs} |"
        )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    rows.append(f"\n{platform.machine()}, {cores} cores, Python {platform.python_version()}, {platform.system()}.")
    return "\n".join(rows)
