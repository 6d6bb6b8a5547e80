"""What one number that has nothing to do with the image's content tells of whether it is out of distribution."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Flags = NDArray[np.bool_]


def auroc(inside: ArrayLike, outside: ArrayLike) -> float | None:
    """Probability that a value from outside is larger than one from inside, ties counting half; None without either.

    That is Mann and Whitney's U over the number of pairs (Annals of Mathematical Statistics, 1947), computed exactly
    from the counts of each value.
    """
    one, two = np.asarray(inside, np.int64), np.asarray(outside, np.int64)
    if not one.size or not two.size:
        return None
    values, places = np.unique(np.concatenate([one, two]), return_inverse=True)
    counts = np.bincount(places[: one.size], minlength=len(values))
    others = np.bincount(places[one.size :], minlength=len(values))
    below = np.cumsum(counts) - counts
    return float((2 * below + counts) @ others) / (2 * one.size * two.size)


def shortcut_table(
    scores: Mapping[str, ArrayLike], inside: Flags, outside: Flags, splits: Mapping[str, Flags], reference: str
) -> dict[str, Any]:
    """AUROC that each score alone reaches; the larger a score, the more it speaks for out of distribution.

    Args:
        scores: name -> (N,) whole numbers.
        inside, outside: (N,) rows in distribution and out of it.
        splits: name -> (N,) rows of a split.
        reference: what the rows ``inside`` are called.
    """
    if not inside.any() or not outside.any():
        missing = "in distribution" if not inside.any() else "out of distribution"
        return {"reason": f"the data set holds no caption {missing}"}
    ood = {name: rows & outside for name, rows in splits.items() if (rows & outside).any()}
    table: dict[str, Any] = {"id": reference}
    for name, values in scores.items():
        score = np.asarray(values, np.int64)
        table[name] = {
            **_against(score[inside], score[outside]),
            "splits": {split: _against(score[inside], score[rows]) for split, rows in ood.items()},
        }
    return table


def _against(inside: NDArray[np.int64], outside: NDArray[np.int64]) -> dict[str, Any]:
    value = auroc(inside, outside)
    return {
        "auroc": value,
        "separation": None if value is None else max(value, 1 - value),
        "id": float(inside.mean()),
        "ood": float(outside.mean()),
    }
