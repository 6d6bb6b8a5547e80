"""Unit class centres come in; angles between them and to what lies outside go out, in degrees.

An angle is the arccos of the clamped cosine; means are of angles, not of cosines. NaN stands for the undefined: a class
without a sample, or whose unit features cancel. Letters: N samples, C classes, M centres, D features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from openmmlo.errors import DataError
from openmmlo.evaluate.features.blocks import BLOCK_NUMBERS, add_by_class, unit, unit_blocks

Array = np.ndarray[Any, np.dtype[Any]]

_CANCELLED = 1e-9  # length of a mean of unit rows that has no direction


def degrees(cosines: Array) -> Array:
    """Angles of cosines, which rounding may have moved outside -1 to 1."""
    found: Array = np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))
    return found


def check_labels(labels: Array, classes: int, what: str) -> None:
    """Refuse labels outside 0 to C - 1.

    Raises:
        DataError: with their number.
    """
    bad = int(np.sum((labels < 0) | (labels >= classes)))
    if bad:
        raise DataError(f"{what} has {bad:,} labels outside 0 to {classes - 1}. Use the benchmark's label map.")


def class_centres(features: Array, labels: Array, classes: int, what: str) -> Array:
    """(C, D) float64: the mean of each class's unit features, at unit length; NaN where it has no direction.

    All-zero rows have no direction and count nowhere.
    """
    sums = np.zeros((classes, features.shape[1]))
    counts = np.zeros(classes, np.int64)
    for place, rows in unit_blocks(features, what):
        mine = np.asarray(labels[place])
        add_by_class(sums, rows, mine)
        counts += np.bincount(mine[rows.any(axis=1)], minlength=classes)
    means = sums / np.maximum(counts, 1)[:, None]
    found = unit(means)
    found[np.linalg.norm(means, axis=1) < _CANCELLED] = np.nan
    return found


def own_angles(first: Array, second: Array) -> Array:
    """(C,) angle of each row of the first (C, D) to the same row of the second."""
    return degrees(np.einsum("cd,cd->c", first, second))


def mean_angles(rows: Array, others: Array, leave_out_own: bool = False) -> Array:
    """(C,) mean angle of each unit row to the unit rows of ``others``, in blocks.

    Args:
        rows: (C, D); NaN rows give NaN.
        others: (M, D); NaN rows are left out.
        leave_out_own: ``others`` are of the same classes, and a class is not compared with itself.
    """
    defined = ~np.isnan(others).any(axis=1)
    found = np.full(len(rows), np.nan)
    kept, owners = others[defined], np.flatnonzero(defined)
    size = max(1, BLOCK_NUMBERS // max(1, len(kept)))
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        angles = degrees(part @ kept.T)
        sums, counts = angles.sum(axis=1), np.full(len(part), len(kept))
        if leave_out_own:
            own = owners[None, :] == np.arange(start, start + len(part))[:, None]
            sums, counts = np.where(own, 0.0, angles).sum(axis=1), counts - own.sum(axis=1)
        found[start : start + size] = np.divide(sums, counts, out=np.full(len(part), np.nan), where=counts > 0)
    return found


def sample_angles(features: Array, labels: Array, centres: Array, what: str) -> Array:
    """(C,) mean angle of the samples of each class to the centre of their class."""
    sums, counts = np.zeros(len(centres)), np.zeros(len(centres), np.int64)
    for place, rows in unit_blocks(features, what):
        mine = np.asarray(labels[place])
        angles = degrees(np.einsum("nd,nd->n", rows, centres[mine]))
        kept = rows.any(axis=1) & ~np.isnan(angles)
        sums += np.bincount(mine[kept], angles[kept], minlength=len(centres))
        counts += np.bincount(mine[kept], minlength=len(centres))
    found: Array = np.divide(sums, counts, out=np.full(len(centres), np.nan), where=counts > 0)
    return found


def outside_angles(directions: Array, arrays: Sequence[Array], whats: Sequence[str]) -> tuple[Array, int]:
    """(C,) mean angle of each direction to all samples of some arrays, and how many samples those are.

    All-zero samples count nowhere.
    """
    sums, total = np.zeros(len(directions)), 0
    size = max(1, BLOCK_NUMBERS // max(1, len(directions), directions.shape[1]))
    for array, what in zip(arrays, whats, strict=True):
        for _, rows in unit_blocks(array, what, rows=size):
            kept = rows[rows.any(axis=1)]
            sums += degrees(kept @ directions.T).sum(axis=0)
            total += len(kept)
    return (sums / total if total else np.full(len(directions), np.nan)), total
