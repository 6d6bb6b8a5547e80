"""Resampled test sets for intervals of differences between models that were tested on the same samples.

Samples are drawn with replacement within strata (the classes of ID samples), n_c - 1 of n_c and weighted by
n_c / (n_c - 1): the variance of a stratified mean is then unbiased, which matters with three images a class (Rao and
Wu, Resampling Inference with Complex Survey Data, JASA 1988). A stratum of one sample keeps it: nothing can be learnt
of its variance. All models see the same draws, so that what is common to them cancels.

Letters: R resamples, n ID samples, m OOD samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def resampled_weights(strata: Array, resamples: int, generator: np.random.Generator) -> Array:
    """(R, n) float64 weight of each sample in each resampled set; within a stratum they sum to its size.

    Args:
        strata: (n,) whole numbers; samples with the same one are drawn among each other.
    """
    order = np.argsort(strata, kind="stable")
    sizes = np.unique(strata, return_counts=True)[1]
    starts = np.cumsum(sizes) - sizes
    draws = sizes - 1
    width, count = int(draws.sum()), len(order)
    picked = generator.random((resamples, width))
    picked *= np.repeat(sizes, draws)  # below 1, so below the size: 1 - 2^-53 times a whole number rounds below it
    places = np.repeat(starts, draws) + picked.astype(np.int64) + count * np.arange(resamples)[:, None]
    times = np.bincount(places.ravel(), minlength=resamples * count).reshape(resamples, count)
    factor = np.where(sizes > 1, sizes / np.maximum(draws, 1), 1.0)
    weights = np.empty((resamples, count))
    weights[:, order] = times * np.repeat(factor, sizes)
    weights[:, order[starts[sizes == 1]]] = 1.0
    return weights


@dataclass(frozen=True, eq=False)
class Placement:
    """Where the scores of one detector stand to each other, so that a resample needs no comparison of scores.

    Attributes:
        id_order: (n,) ID samples by ascending score.
        ood_order: (m,) OOD samples by ascending score.
        below: (m,) how many ID scores are smaller than each OOD score.
        not_above: (m,) how many are not larger.
    """

    id_order: Array
    ood_order: Array
    below: Array
    not_above: Array


def place(id_scores: Array, ood_scores: Array) -> Placement:
    """Sort once what every resample shares. Scores are finite."""
    id_order = np.argsort(id_scores, kind="stable")
    ascending = id_scores[id_order]
    return Placement(
        id_order,
        np.argsort(ood_scores, kind="stable"),
        np.searchsorted(ascending, ood_scores, "left"),
        np.searchsorted(ascending, ood_scores, "right"),
    )


def resampled_detection(placed: Placement, id_weights: Array, ood_weights: Array) -> dict[str, Array]:
    """(R,) AUROC and both FPR95 of every resample, as :mod:`openmmlo.evaluate.metrics.ood` defines them.

    Args:
        id_weights: (R, n) as :func:`resampled_weights` gives them.
        ood_weights: (R, m).
    """
    resamples, count = id_weights.shape
    mass = np.zeros((resamples, count + 1))  # of the ID samples of least score
    np.cumsum(np.take(id_weights, placed.id_order, axis=1), axis=1, out=mass[:, 1:])
    id_total, ood_total = mass[:, -1], ood_weights.sum(axis=1)
    below = np.take(mass, placed.below, axis=1)
    beaten = (below + np.take(mass, placed.not_above, axis=1)) / 2
    rows = np.arange(resamples)
    # A weight of zero never sets a threshold: the first sum that reaches 95 % ends in a sample that was drawn. The
    # tolerance is for sums of weights that are no whole numbers.
    id_last = np.argmax(mass[:, 1:] >= (0.95 * id_total - 1e-6)[:, None], axis=1)
    accepted = placed.below[None, :] <= id_last[:, None]
    caught = np.cumsum(np.take(ood_weights, placed.ood_order[::-1], axis=1), axis=1)
    ood_last = placed.ood_order[::-1][np.argmax(caught >= (0.95 * ood_total - 1e-6)[:, None], axis=1)]
    return {
        "auroc": np.einsum("rm,rm->r", beaten, ood_weights) / (id_total * ood_total),
        "fpr95_id_positive": np.einsum("rm,rm->r", accepted, ood_weights) / ood_total,
        "fpr95_ood_positive": 1 - below[rows, ood_last] / id_total,
    }
