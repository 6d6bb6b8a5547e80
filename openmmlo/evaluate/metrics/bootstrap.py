"""Resampled test sets for intervals of differences between models that were tested on the same samples.

Samples are drawn with replacement within strata (the classes of ID samples), n_c - 1 of n_c and weighted by
n_c / (n_c - 1): the variance of a stratified mean is then unbiased, which matters with three images a class (Rao and
Wu, Resampling Inference with Complex Survey Data, JASA 1988). A stratum of one sample keeps it: nothing can be learnt
of its variance. All models see the same draws, so that what is common to them cancels.

Letters: R resamples, n ID samples, m OOD samples. The resamples of one sample lie side by side, so that whatever is
looked up or added is so for a block of resamples at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def resampled_weights(strata: Array, resamples: int, generator: np.random.Generator) -> Array:
    """(n, R) float64 weight of each sample in each resampled set; within a stratum they sum to its size.

    Args:
        strata: (n,) whole numbers; samples with the same one are drawn among each other.
    """
    order = np.argsort(strata, kind="stable")
    sizes = np.unique(strata, return_counts=True)[1]
    starts = np.cumsum(sizes) - sizes
    draws = sizes - 1
    picked = generator.random((int(draws.sum()), resamples))
    picked *= np.repeat(sizes, draws)[:, None]  # below the size: the largest draw, 1 - 2^-53, rounds to below it
    places = np.repeat(starts, draws)[:, None] + picked.astype(np.int64)
    cells = places * resamples + np.arange(resamples)
    times = np.bincount(cells.ravel(), minlength=len(order) * resamples).reshape(len(order), resamples)
    weights = np.empty(times.shape)
    weights[order] = times * np.repeat(sizes / np.maximum(draws, 1), sizes)[:, None]
    weights[order[starts[sizes == 1]]] = 1.0
    return weights


@dataclass(frozen=True, eq=False)
class Placement:
    """Where OOD scores stand among a detector's ID scores, so that a resample needs no comparison of scores.

    Attributes:
        ascending: (m,) OOD samples by ascending score.
        below: (m,) how many ID scores are smaller than each OOD score.
        not_above: (m,) how many are not larger.
    """

    ascending: Array
    below: Array
    not_above: Array


def place(id_sorted: Array, ood_scores: Array) -> Placement:
    """Compare once what every resample shares: (n,) ascending ID scores and (m,) OOD scores, all finite."""
    return Placement(
        np.argsort(ood_scores, kind="stable"),
        np.searchsorted(id_sorted, ood_scores, "left"),
        np.searchsorted(id_sorted, ood_scores, "right"),
    )


def running_mass(weights: Array, order: Array) -> Array:
    """(n + 1, R) sums of the weights of the first 0, 1 ... n samples in an order."""
    count, resamples = len(order), weights.shape[1]
    # NumPy adds up one column after the other, each addition waiting for the last. Here sqrt(n) pieces go in step.
    step = max(1, math.isqrt(count))
    pieces = -(-count // step)
    sums = np.zeros((pieces * step, resamples))
    np.take(weights, order, axis=0, out=sums[:count], mode="clip")
    by_piece = sums.reshape(pieces, step, resamples)
    for place_in_piece in range(1, step):
        by_piece[:, place_in_piece] += by_piece[:, place_in_piece - 1]
    by_piece[1:] += np.cumsum(by_piece[:-1, -1], axis=0)[:, None]
    return np.concatenate([np.zeros((1, resamples)), sums[:count]])


def resampled_detection(placed: Placement, id_mass: Array, ood_weights: Array) -> dict[str, Array]:
    """(R,) AUROC and both FPR95 of every resample, as :mod:`openmmlo.evaluate.metrics.ood` defines them.

    Args:
        id_mass: (n + 1, R) :func:`running_mass` of the ID samples by ascending score.
        ood_weights: (m, R) as :func:`resampled_weights` gives them.
    """
    ood_mass = running_mass(ood_weights, placed.ascending[::-1])
    id_total, ood_total = id_mass[-1], ood_mass[-1]
    below = np.take(id_mass, placed.below, axis=0)
    beaten = (below + np.take(id_mass, placed.not_above, axis=0)) * ood_weights
    # The first sum that reaches 95 % ends in a sample that was drawn: a weight of zero sets no threshold.
    accepted = placed.below[:, None] < _first_reaching(id_mass, 0.95 * id_total)
    catching = placed.ascending[::-1][_first_reaching(ood_mass, 0.95 * ood_total) - 1]
    return {
        "auroc": beaten.sum(axis=0) / (2 * id_total * ood_total),
        "fpr95_id_positive": (accepted * ood_weights).sum(axis=0) / ood_total,
        "fpr95_ood_positive": 1 - below[catching, np.arange(len(catching))] / id_total,
    }


def _first_reaching(mass: Array, wanted: Array) -> Array:
    """(R,) least number of samples whose mass is at least ``wanted``, by bisection.

    Weights are no whole numbers, so their sums may fall a hair short of a mass that they reach.
    """
    low, high = np.zeros(len(wanted), dtype=np.int64), np.full(len(wanted), len(mass) - 1)
    columns = np.arange(len(wanted))
    for _ in range(len(mass).bit_length()):
        middle = (low + high) // 2
        reached = mass[middle, columns] >= wanted - 1e-6
        low, high = np.where(reached, low, np.minimum(middle + 1, high)), np.where(reached, middle, high)
    return low
