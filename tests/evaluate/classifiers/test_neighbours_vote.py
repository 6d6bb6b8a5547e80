"""The neighbours' vote against scikit-learn and a loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
from banks import bank_of, clustered
from sklearn.neighbors import KNeighborsClassifier

from openmmlo.errors import ConfigError, DataError
from openmmlo.evaluate.classifiers.neighbours_vote import NeighboursVote, vote


@pytest.mark.parametrize("k", [1, 5, 20])
def test_it_is_scikit_learns_with_these_weights(k: int) -> None:
    train, test = clustered(300, 6, 8, seed=0, name="train", noise=1.5), clustered(200, 6, 8, seed=1, noise=1.5)
    peer = KNeighborsClassifier(k, metric="cosine", weights=lambda distances: np.exp((1 - distances) / 0.07))
    peer.fit(train.features, train.labels)
    fitted = NeighboursVote(k).fit(train, 6)
    assert (fitted.predict(test) == peer.predict(test.features)).all()
    assert fitted.choices["k"] == k
    assert fitted.head is None


def test_a_vote_by_hand() -> None:
    labels = np.array([[2, 0, 0], [1, 1, 0]])
    cosines = np.array([[0.9, 0.8, 0.8], [0.5, 0.4, 0.6]], np.float32)
    near = [math.exp(0.9 / 0.1), 2 * math.exp(0.8 / 0.1)]
    assert vote(labels, cosines, 0.1, 3).tolist() == [2 if near[0] > near[1] else 0, 0]
    assert vote(labels, cosines, 10.0, 3).tolist() == [0, 1]  # all weights alike: the majority
    assert vote(labels, cosines, 1e-4, 3).tolist() == [2, 0]  # the nearest alone; nothing overflows
    assert vote(np.array([[4, 3]]), np.array([[0.5, 0.5]]), 0.07, 5).tolist() == [3]  # equal votes: the lowest


def test_blocks_of_any_size_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    labels, cosines = generator.integers(0, 4, (50, 7)), generator.uniform(-1, 1, (50, 7))
    whole = vote(labels, cosines, 0.07, 4)
    monkeypatch.setattr("openmmlo.evaluate.classifiers.neighbours_vote.BLOCK_NUMBERS", 12)
    assert (vote(labels, cosines, 0.07, 4) == whole).all()


def test_more_neighbours_than_rows_take_all_and_say_so() -> None:
    fitted = NeighboursVote(50).fit(bank_of(np.eye(3, dtype=np.float32), [0, 1, 1], "train"), 4)
    assert (fitted.choices["k"], fitted.choices["asked_k"]) == (3, 50)
    assert fitted.choices["classes_without_images"] == 2
    assert fitted.predict(bank_of(np.eye(3, dtype=np.float32), [0, 1, 1])).tolist() == [0, 1, 1]


def test_odd_options_and_banks_are_refused() -> None:
    with pytest.raises(ConfigError, match="neighbours is 0"):
        NeighboursVote(0)
    with pytest.raises(ConfigError, match="temperature 0"):
        NeighboursVote(temperature=0.0)
    with pytest.raises(DataError, match="only all-zero"):
        NeighboursVote().fit(bank_of(np.zeros((3, 2), np.float32), [0, 1, 1], "train"), 2)
    fitted = NeighboursVote(1).fit(bank_of(np.eye(3, dtype=np.float32), [0, 1, 1], "train"), 2)
    with pytest.raises(DataError, match="learnt from 3"):
        fitted.predict(bank_of(np.eye(2, dtype=np.float32), [0, 1]))
    nan = np.full((2, 3), np.nan, np.float32)
    with pytest.raises(DataError, match="2 of 2 rows"):
        fitted.predict(bank_of(nan, [0, 1]))
