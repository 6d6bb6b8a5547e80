"""Rows of a feature array in blocks, checked: a mapped bank of a million rows never stands in memory whole.

Letters: N samples, D features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from openmmlo.errors import DataError

Array = np.ndarray[Any, np.dtype[Any]]

BLOCK_NUMBERS = 1 << 22
"""Numbers of a block: 32 MiB in float64."""


def blocks(
    features: Array, what: str, dtype: Any = np.float64, rows: int | None = None
) -> Iterator[tuple[slice, Array]]:
    """(rows, values) of each block of an (N, D) array, in order; values are a copy in the precision asked for.

    Args:
        what: whose features they are, for messages ("bank 'test'").
        rows: rows a block; by memory where None.

    Raises:
        DataError: a row has a NaN or an infinite value; all such rows are counted.
    """
    size = rows or max(1, BLOCK_NUMBERS // max(1, features.shape[1]))
    for start in range(0, len(features), size):
        place = slice(start, min(start + size, len(features)))
        values: Array = np.array(features[place], dtype=dtype)  # a copy: a mapped file cannot be written
        if not np.isfinite(values).all():
            bad = sum(
                int((~np.isfinite(np.asarray(features[first : first + size])).all(axis=1)).sum())
                for first in range(start, len(features), size)
            )
            raise DataError(
                f"{what} has {bad:,} of {len(features):,} rows with NaN or infinite values; expected finite features. "
                "Extract it again in float32, and check the model's weights."
            )
        yield place, values


def unit(values: Array) -> Array:
    """Rows at unit length; the direction of an all-zero row is undefined, and it stays zero."""
    lengths = np.linalg.norm(values, axis=-1, keepdims=True)
    found: Array = np.divide(values, lengths, out=np.zeros_like(values), where=lengths > 0)
    return found


def unit_blocks(features: Array, what: str, rows: int | None = None) -> Iterator[tuple[slice, Array]]:
    """As :func:`blocks`, in float64 and at unit length."""
    for place, values in blocks(features, what, rows=rows):
        yield place, unit(values)


def unit_sample(arrays: Sequence[Array], whats: Sequence[str], most: int, seed: int) -> Array:
    """(n, D) float64 unit rows of all arrays together, in order; without zero rows; seeded where there are more.

    Args:
        whats: whose features each array has, for messages.

    Raises:
        DataError: NaN or infinite values among the rows that were taken; arrays of different widths.
    """
    widths = sorted({array.shape[1] for array in arrays})
    if len(widths) > 1:
        raise DataError(
            f"{', '.join(whats)}: {' and '.join(map(str, widths))} features a row; expected one width. Use one model."
        )
    total = sum(map(len, arrays))
    chosen = np.arange(total)
    if total > most:
        chosen = np.sort(np.random.default_rng(seed).choice(total, most, replace=False))
    parts = []
    start = 0
    for array, what in zip(arrays, whats, strict=True):
        mine = chosen[(chosen >= start) & (chosen < start + len(array))] - start
        start += len(array)
        values = np.array(array[mine], np.float64)
        if not np.isfinite(values).all():
            for _ in blocks(array, what):  # it raises, with the count of the whole
                continue
        parts.append(unit(values))
    found: Array = np.concatenate(parts) if parts else np.zeros((0, widths[0] if widths else 0))
    return found[found.any(axis=1)]


def add_by_class(sums: Array, rows: Array, labels: Array) -> None:
    """Add each of (n, D) rows to the row of ``sums`` (C, D) that its label names, in place."""
    if not len(rows):
        return
    order = np.argsort(labels, kind="stable")
    present, starts = np.unique(labels[order], return_index=True)
    sums[present] += np.add.reduceat(rows[order], starts, axis=0)
