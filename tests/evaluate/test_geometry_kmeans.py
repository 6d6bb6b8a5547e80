"""Spherical k-means: brute force on tiny data, determinism, duplicates and fewer rows than centres."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from sklearn.cluster import KMeans

from openmmlo.evaluate.geometry.kmeans import first_centres, spherical_centres


def unit_rows(count: int, width: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, width))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def within(rows: np.ndarray, centres: np.ndarray) -> float:
    """Sum of cosines of each row to its nearest centre: what spherical k-means makes large."""
    return float((rows @ centres.T).max(axis=1).sum())


def test_the_best_of_some_seeds_is_the_best_of_all_partitions() -> None:
    rows = unit_rows(9, 3, 0)
    best = max(
        sum(np.linalg.norm(rows[np.array(owners) == c].sum(axis=0)) for c in range(2))
        for owners in product(range(2), repeat=9)
    )
    found = max(within(rows, spherical_centres(rows, 2, seed)) for seed in range(8))
    assert found == pytest.approx(best, rel=1e-6)


def test_every_centre_is_the_direction_of_its_rows() -> None:
    rows = unit_rows(400, 6, 1)
    centres = spherical_centres(rows, 12, 0)
    owners = (rows @ centres.T).argmax(axis=1)
    for place in range(12):
        mean = rows[owners == place].sum(axis=0)
        assert centres[place] @ mean / np.linalg.norm(mean) > 0.999
    np.testing.assert_allclose(np.linalg.norm(centres, axis=1), 1, atol=1e-12)


def test_it_finds_clusters_that_are_there() -> None:
    truth = unit_rows(10, 20, 2)
    rows = np.repeat(truth, 30, axis=0) + 0.05 * np.random.default_rng(3).normal(size=(300, 20))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    centres = spherical_centres(rows, 10, 0)
    assert sorted((centres @ truth.T).argmax(axis=1)) == list(range(10))
    assert (centres @ truth.T).max(axis=1).min() > 0.99


def test_it_is_about_as_good_as_the_best_of_many_starts_of_scikit_learn() -> None:
    rows = unit_rows(600, 8, 4)
    peer = KMeans(20, n_init=5, random_state=0).fit(rows).cluster_centers_
    peer /= np.linalg.norm(peer, axis=1, keepdims=True)
    assert within(rows, spherical_centres(rows, 20, 0)) > 0.97 * within(rows, peer)


def test_equal_rows_and_seed_give_equal_centres_with_any_number_of_threads() -> None:
    import faiss

    rows = unit_rows(3000, 16, 5)
    threads = faiss.omp_get_max_threads()
    try:
        found = []
        for number in (1, 2):
            faiss.omp_set_num_threads(number)
            found.append(spherical_centres(rows, 50, 7))
    finally:
        faiss.omp_set_num_threads(threads)
    assert found[0].tobytes() == found[1].tobytes()
    assert (spherical_centres(rows, 50, 8) != found[0]).any()


def test_fewer_distinct_rows_than_centres_give_fewer_centres() -> None:
    rows = unit_rows(7, 4, 6)
    assert sorted(map(tuple, spherical_centres(rows, 100, 0))) == sorted(map(tuple, rows))
    copies = np.repeat(rows[:3], 40, axis=0)
    assert sorted(map(tuple, spherical_centres(copies, 100, 0))) == sorted(map(tuple, rows[:3]))
    assert spherical_centres(np.zeros((0, 4)), 100, 0).shape == (0, 4)
    assert first_centres(rows, 1, 0).shape == (1, 4)
