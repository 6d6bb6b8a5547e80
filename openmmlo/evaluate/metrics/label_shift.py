"""Accuracy under other class frequencies at test time, from long-tailed over uniform to reversed.

Zhang et al., Self-Supervised Aggregation of Diverse Experts for Test-Agnostic Long-Tailed Recognition (SADE), NeurIPS
2022 (arXiv:2107.09249). Their test lists give the class of rank r (by training images) int(n * ratio^(-r / (C - 1)))
images, n being what a class has: 12,058 for ImageNet-LT at ratio 50. Which images of a class stay was drawn there;
here those of least SHA-256 of (seed, sample_id) stay, so that anybody gets the same. Their own lists work too.

Letters: N samples, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from openmmlo.errors import DataError
from openmmlo.sources.longtail import exponential_counts, seeded_order

Array = np.ndarray[Any, np.dtype[Any]]
Accuracy = dict[str, float | int | None]
"""``rows`` and ``top1_samples``: how many images a prior keeps, and the share of them predicted right."""

RATIOS = (50, 25, 10, 5, 2)
PRIORS: Mapping[str, tuple[int, bool]] = {
    **{f"forward-{ratio}": (ratio, False) for ratio in RATIOS},
    "uniform": (1, False),
    **{f"backward-{ratio}": (ratio, True) for ratio in reversed(RATIOS)},
}
"""Name -> ratio of the largest to the smallest class, and whether the rarest training class is the largest."""


def prior_counts(ratio: int, reverse: bool, train_counts: Sequence[int], available: Array) -> Array | None:
    """(C,) images of each class under a prior: the largest such profile that the test set can fill.

    Args:
        ratio: of the largest to the smallest class.
        reverse: the class with fewest training images is the largest.
        train_counts: (C,) training images per class; equal counts keep label order.
        available: (C,) test images per class; classes without one stay out.

    None where the smallest class would be left without an image.
    """
    order = np.flatnonzero(available)
    if not len(order):
        return None
    order = order[np.argsort(-np.asarray(train_counts, dtype=np.int64)[order], kind="stable")]
    if reverse:
        order = order[::-1]
    steps = max(len(order) - 1, 1)
    shares = float(ratio) ** (-np.arange(len(order)) / steps)
    largest = math.floor(round(float((available[order] / shares).min()), 9))
    if len(order) > 1 and largest < ratio:
        return None
    counts = np.zeros(len(available), dtype=np.int64)
    counts[order] = exponential_counts(largest, len(order), ratio)
    return counts


def prior_accuracies(
    sample_ids: Sequence[str], labels: Array, right: Array, train_counts: Sequence[int], seed: int = 0
) -> dict[str, Accuracy]:
    """Top-1 accuracy over samples under forward, uniform and backward long-tailed test priors.

    Args:
        sample_ids: (N,) different ids, which decide the images that stay.
        labels: (N,) 0 to C - 1.
        right: (N,) bool, whether each is predicted right.
        train_counts: (C,) training images per class.
        seed: of the ranking of images.

    A prior whose smallest class would be empty has no rows, and None.
    """
    available = np.bincount(labels, minlength=len(train_counts))
    ranks = _ranks(sample_ids, labels, seed)
    found = {}
    for prior, (ratio, reverse) in PRIORS.items():
        counts = prior_counts(ratio, reverse, train_counts, available)
        kept = np.zeros(len(labels), dtype=np.bool_) if counts is None else ranks < counts[labels]
        found[prior] = _accuracy(right[kept])
    return found


def listed_accuracies(
    sample_ids: Sequence[str], right: Array, lists: Mapping[str, Iterable[str]]
) -> dict[str, Accuracy]:
    """Top-1 accuracy over samples under priors given as lists of sample ids, as SADE publishes them.

    Args:
        sample_ids: (N,) different ids.
        right: (N,) bool, whether each is predicted right.
        lists: name of the prior -> ids; an id that is listed twice counts twice.

    Raises:
        DataError: a list names a sample that was not predicted.
    """
    place = {sample_id: index for index, sample_id in enumerate(sample_ids)}
    found = {}
    for prior, listed in lists.items():
        ids = list(listed)
        unknown = [item for item in ids if item not in place]
        if unknown:
            raise DataError(
                f"Test prior {prior!r}: {len(unknown):,} of {len(ids):,} samples were not predicted, the first is "
                f"{unknown[0]!r}. Expected ids of the test set; give the list that belongs to this benchmark."
            )
        found[prior] = _accuracy(right[[place[item] for item in ids]] if ids else right[:0])
    return found


def _accuracy(right: Array) -> Accuracy:
    return {"rows": len(right), "top1_samples": float(right.mean()) if len(right) else None}


def _ranks(sample_ids: Sequence[str], labels: Array, seed: int) -> Array:
    """(N,) place of each sample in the seeded order of its class."""
    place = {sample_id: index for index, sample_id in enumerate(sample_ids)}
    by_class: dict[int, list[str]] = {}
    for sample_id, label in zip(sample_ids, labels.tolist(), strict=True):
        by_class.setdefault(label, []).append(sample_id)
    ranks = np.empty(len(labels), dtype=np.int64)
    for ids in by_class.values():
        ranks[[place[item] for item in seeded_order(ids, seed)]] = np.arange(len(ids))
    return ranks
