"""Long-tailed subsets: how many images each class keeps, and which.

Which images are kept differs between papers, so the rule has a name. Ranking by SHA-256 gives the same choice with
every version of every library, and a steeper ratio keeps a subset of what a flatter one keeps.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from typing import Literal

Selection = Literal["seeded", "first"]

SELECTION_RULES: dict[Selection, str] = {
    "seeded": "the images of a class ranked by SHA-256 of (seed, id), the first n kept",
    "first": "the first n images of a class in the order of the original archive",
}


def exponential_counts(largest: int, classes: int, ratio: float) -> list[int]:
    """Images per class, n_c = int(largest * (1 / ratio) ** (c / (C - 1))) for c = 0 .. C - 1.

    The profile of Cui et al., Class-Balanced Loss, CVPR 2019 (arXiv:1901.05555), and Cao et al., LDAM, NeurIPS 2019
    (arXiv:1906.07413). A value that floating point leaves a hair below a whole number counts as that number.

    Args:
        largest: images in the largest class.
        classes: C; a single class keeps ``largest``.
        ratio: largest over smallest class, at least 1.

    Raises:
        ValueError: no class, no image, a ratio below 1, or one so steep that the smallest class would be empty.
    """
    if classes < 1 or largest < 1:
        raise ValueError(f"a long tail needs at least one class and one image; got {classes} and {largest}")
    if not (math.isfinite(ratio) and ratio >= 1):
        raise ValueError(f"the ratio of the largest to the smallest class is {ratio:g}; expected 1 or more")
    if classes > 1 and ratio > largest:
        raise ValueError(f"a ratio of {ratio:g} leaves the smallest class empty: the largest has {largest:,} images")
    steps = max(classes - 1, 1)
    return [math.floor(round(largest * (1 / ratio) ** (number / steps), 9)) for number in range(classes)]


def seeded_order(ids: Iterable[str], seed: int) -> list[str]:
    """The ids ranked by SHA-256 of (seed, id): adding or removing an id leaves the order of the others as it is."""
    prefix = f"{seed}\n".encode()
    return sorted(ids, key=lambda item: (hashlib.sha256(prefix + item.encode("utf-8", "surrogatepass")).digest(), item))


def keep(ids: Sequence[str], count: int, selection: Selection = "seeded", seed: int = 0) -> list[str]:
    """The ``count`` ids that a rule of SELECTION_RULES keeps, in the order they were given."""
    if selection == "first":
        return list(ids[:count])
    chosen = set(seeded_order(ids, seed)[:count])
    return [item for item in ids if item in chosen]
