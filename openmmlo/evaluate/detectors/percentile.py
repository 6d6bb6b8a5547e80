"""A percentile of more numbers than fit in memory, exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

HALF = 1 << 16


def percentile(parts: Callable[[], Iterable[Array]], q: float) -> float:
    """The q-th percentile (0 to 100) of all numbers, interpolated between neighbours as numpy.percentile does.

    The bits of a float32, with the sign turned over, sort like the numbers. One pass counts their upper halves, a
    second the lower halves of those that matter.

    Args:
        parts: gives the numbers in float32 arrays, anew at every call; none is NaN.
        q: from 0 to 100.
    """
    upper: Array = np.zeros(HALF, dtype=np.int64)
    for part in parts():
        upper += np.bincount(_keys(part) >> 16, minlength=HALF)
    place = q / 100 * (int(upper.sum()) - 1)
    below = int(place)
    wanted = (below, min(below + 1, int(upper.sum()) - 1))
    ends = np.cumsum(upper)
    halves = [int(np.searchsorted(ends, rank, side="right")) for rank in wanted]
    lower: dict[int, Array] = {half: np.zeros(HALF, dtype=np.int64) for half in halves}
    for part in parts():
        keys = _keys(part)
        for half, counts in lower.items():
            counts += np.bincount(keys[keys >> 16 == half] & (HALF - 1), minlength=HALF)
    first, second = (
        _value(half, int(np.searchsorted(np.cumsum(lower[half]), rank - (ends[half] - upper[half]), side="right")))
        for half, rank in zip(halves, wanted, strict=True)
    )
    return first + (second - first) * (place - below)


def _keys(values: Array) -> Array:
    """(n,) int64 that sort like the numbers."""
    bits: Array = np.ascontiguousarray(values, dtype=np.float32).reshape(-1).view(np.uint32)
    keys: Array = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))
    return keys.astype(np.int64)


def _value(upper: int, lower: int) -> float:
    key = upper * HALF + lower
    bits = key & ~(1 << 31) if key >> 31 else ~key & 0xFFFFFFFF
    return float(np.array([bits], dtype=np.uint32).view(np.float32)[0])
