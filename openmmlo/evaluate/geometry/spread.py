"""Unit image and text features come in; how far apart, how even and how close in pairs they lie goes out.

Modality gap: Liang et al., Mind the gap, NeurIPS 2022 (arXiv:2203.02053). Uniformity and alignment: Wang and Isola,
ICML 2020 (arXiv:2005.10242). All-zero rows have no direction and count nowhere. Letters: N samples, C classes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from openmmlo.evaluate.features.blocks import BLOCK_NUMBERS, unit, unit_blocks, unit_sample
from openmmlo.evaluate.geometry.class_angles import degrees

Array = np.ndarray[Any, np.dtype[Any]]

MOST_PAIRED = 10_000
"""Rows whose pairs are all compared; of more a seeded sample is."""


def mean_direction(features: Array, what: str) -> Array:
    """(D,) mean of the unit rows, not renormalised; NaN where every row is zero."""
    total, count = np.zeros(features.shape[1]), 0
    for _, rows in unit_blocks(features, what):
        total += rows.sum(axis=0)
        count += int(rows.any(axis=1).sum())
    return total / count if count else np.full(features.shape[1], np.nan)


def modality_gap(image_mean: Array, text_mean: Array) -> dict[str, float | None]:
    """Length of the difference of the two means of unit features, and the angle between them in degrees."""
    first, second = unit(image_mean), unit(text_mean)
    distance = float(np.linalg.norm(image_mean - text_mean))
    angle = float(degrees(first @ second)) if first.any() and second.any() else math.nan
    return {
        "distance": None if math.isnan(distance) else distance,
        "angle": None if math.isnan(angle) else angle,
    }


def uniformity(features: Array, what: str, seed: int) -> tuple[float | None, int]:
    """Log of the mean over pairs of different rows of exp(-2 ||x - y||^2), and how many rows were paired.

    0 where all rows are one, lower the more evenly they lie. None with fewer than two rows.
    """
    rows = unit_sample([features], [what], MOST_PAIRED, seed)
    count = len(rows)
    if count < 2:
        return None, count
    total = 0.0
    size = max(1, BLOCK_NUMBERS // count)
    for start in range(0, count, size):
        part = rows[start : start + size]
        values = np.exp(4 * (np.clip(part @ rows[start:].T, -1, 1) - 1))
        # Of each pair once: what stands above the diagonal.
        total += float(np.triu(values, 1).sum())
    return math.log(total / (count * (count - 1) / 2)), count


def alignment(images: Array, texts: Array, what: str, owners: Array | None = None) -> float | None:
    """Mean of ||x - y||^2 over pairs of unit image and text features.

    Args:
        texts: (N, D) row by row, or (C, D) with the row of each image in ``owners``.
    """
    total, count = 0.0, 0
    for place, rows in unit_blocks(images, what):
        others = np.asarray(texts[place] if owners is None else texts[owners[place]], np.float64)
        partners = unit(others)
        kept = rows.any(axis=1) & partners.any(axis=1)
        total += float(np.square(rows[kept] - partners[kept]).sum())
        count += int(kept.sum())
    return total / count if count else None
