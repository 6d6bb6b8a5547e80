"""Nearest class mean against scikit-learn and loops."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from banks import bank_of, clustered
from sklearn.neighbors import NearestCentroid

from openmmlo.errors import DataError
from openmmlo.evaluate.classifiers.class_means import ClassMeans

Features = Literal["raw", "l2", "centred-l2"]


def units(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("features", ["raw", "l2", "centred-l2"])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_it_is_the_nearest_of_the_means(metric: Literal["cosine", "euclidean"], features: Features) -> None:
    train = clustered(200, 6, 5, seed=0, name="train", noise=1.5)
    test = clustered(300, 6, 5, seed=1, noise=1.5)

    def prepared(rows: np.ndarray) -> np.ndarray:
        rows = rows.astype(np.float64)
        if features == "centred-l2":
            rows = rows - train.features.astype(np.float64).mean(axis=0)
        return rows if features == "raw" else units(rows)

    means = np.array([prepared(train.features)[train.labels == c].mean(axis=0) for c in range(6)])
    queries = prepared(test.features)
    if metric == "cosine":
        expected = (units(queries) @ units(means).T).argmax(axis=1)
    else:
        expected = np.linalg.norm(queries[:, None] - means, axis=2).argmin(axis=1)
    fitted = ClassMeans(metric, features).fit(train, 6)
    assert (fitted.predict(test) == expected).all()
    assert (fitted.choices["metric"], fitted.choices["features"]) == (metric, features)
    if features == "centred-l2":
        assert fitted.head is None
    else:
        assert fitted.head is not None
        assert (fitted.head.logits(test).argmax(axis=1) == expected).all()


def test_euclidean_is_scikit_learns_nearest_centroid() -> None:
    train, test = clustered(100, 4, 5, seed=2, name="train"), clustered(100, 4, 5, seed=3)
    peer = NearestCentroid().fit(train.features.astype(np.float64), train.labels)
    assert (ClassMeans("euclidean", "raw").fit(train, 4).predict(test) == peer.predict(test.features)).all()


def test_logits_are_cosines_by_default() -> None:
    train, test = clustered(60, 3, 4, seed=2, name="train"), clustered(20, 3, 4, seed=3)
    head = ClassMeans().fit(train, 3).head
    assert head is not None
    means = units(np.array([units(train.features)[train.labels == c].mean(axis=0) for c in range(3)]))
    np.testing.assert_allclose(head.logits(test), units(test.features) @ means.T, atol=1e-6)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_classes_without_images_are_never_predicted(metric: Literal["cosine", "euclidean"]) -> None:
    # To the absent class, a mean of zero would be nearer than the only mean there is.
    fitted = ClassMeans(metric, "raw").fit(bank_of([[5.0, 5.0], [6.0, 5.0]], [1, 1], "train"), 3)
    assert fitted.choices["classes_without_images"] == 2
    assert fitted.predict(bank_of([[-1.0, -1.0], [0.0, 0.1], [0.0, 0.0]], [0, 0, 0])).tolist() == [1, 1, 1]


def test_half_precision_and_copies_of_rows_change_nothing() -> None:
    train, test = clustered(100, 4, 5, seed=2, name="train"), clustered(100, 4, 5, seed=3)
    halved = train.features.astype(np.float16)
    twice = bank_of(np.vstack([halved, halved]), [*train.labels, *train.labels], "train")
    first = ClassMeans().fit(twice, 4).head
    second = ClassMeans().fit(bank_of(halved.astype(np.float32), train.labels, "train"), 4).head
    assert first is not None
    assert second is not None
    np.testing.assert_allclose(first.weight, second.weight, atol=1e-7)
    assert first.logits(test).shape == (100, 4)


def test_means_without_direction_are_refused_or_counted() -> None:
    train = bank_of([[1.0, 0], [-1, 0], [0, 1]], [0, 0, 1], "train")
    assert ClassMeans().fit(train, 2).choices["means_without_direction"] == 1
    with pytest.raises(DataError, match="mean of every class is zero"):
        ClassMeans().fit(bank_of([[1.0, 0], [-1, 0]], [0, 0], "train"), 1)
