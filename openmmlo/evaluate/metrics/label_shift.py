"""Accuracy under other class frequencies at test time, from long-tailed over uniform to reversed.

Zhang et al., Self-Supervised Aggregation of Diverse Experts for Test-Agnostic Long-Tailed Recognition (SADE), NeurIPS
2022 (arXiv:2107.09249). Their test lists follow n_c = int(n_max * ratio^(-rank / (C - 1))) over classes ranked by
training images (their ImageNet-LT lists: 12,058 images at ratio 50); which images of a class stay is drawn there, and
here decided by the SHA-256 of (seed, sample_id).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from openmmlo.sources.longtail import seeded_order

Array = np.ndarray[Any, np.dtype[Any]]

RATIOS = (50, 25, 10, 5, 2)
PRIORS = (
    *(f"forward-{ratio}" for ratio in RATIOS),
    "uniform",
    *(f"backward-{ratio}" for ratio in reversed(RATIOS)),
)


def prior_counts(prior: str, train_counts: Sequence[int], available: Array) -> Array:
    """(C,) images of each class under a prior.

    Args:
        prior: one of PRIORS.
        train_counts: (C,) training images per class; equal counts keep label order.
        available: (C,) test images per class; the profile starts at the least of those that are not zero, so that
            every class can follow it.
    """
    tested = np.flatnonzero(available)
    most = int(available[tested].min()) if len(tested) else 0
    kind, _, ratio = prior.partition("-")
    counts = np.zeros(len(available), dtype=np.int64)
    if kind == "uniform":
        counts[tested] = most
        return counts
    order = tested[np.argsort(-np.asarray(train_counts)[tested], kind="stable")]
    steps = max(len(order) - 1, 1)
    profile = [int(most * float(ratio) ** (-rank / steps)) for rank in range(len(order))]
    counts[order if kind == "forward" else order[::-1]] = profile
    return counts


def prior_accuracies(
    sample_ids: Sequence[str], labels: Array, right: Array, train_counts: Sequence[int], seed: int = 0
) -> dict[str, dict[str, float | int | None]]:
    """Top-1 accuracy over samples under every prior of PRIORS, with the images it is over.

    Args:
        sample_ids: (N,) ids, which decide the images that stay.
        labels: (N,) 0 to C - 1.
        right: (N,) bool, whether each is predicted right.
        train_counts: (C,) training images per class.
    """
    available = np.bincount(labels, minlength=len(train_counts))
    place: Mapping[str, int] = {sample_id: index for index, sample_id in enumerate(sample_ids)}
    ranks = np.empty(len(labels), dtype=np.int64)
    by_class: dict[int, list[str]] = {}
    for sample_id, label in zip(sample_ids, labels.tolist(), strict=True):
        by_class.setdefault(label, []).append(sample_id)
    for ids in by_class.values():
        for rank, sample_id in enumerate(seeded_order(ids, seed)):
            ranks[place[sample_id]] = rank
    found: dict[str, dict[str, float | int | None]] = {}
    for prior in PRIORS:
        kept = ranks < prior_counts(prior, train_counts, available)[labels]
        rows = int(kept.sum())
        found[prior] = {"rows": rows, "top1_samples": float(right[kept].mean()) if rows else None}
    return found
