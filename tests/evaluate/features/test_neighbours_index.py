"""The approximate index: its recall is what it says, and it can be made exact."""

from __future__ import annotations

import numpy as np
import pytest

from openmmlo.errors import DataError
from openmmlo.evaluate.features.neighbour_index import nearest_approximately
from openmmlo.evaluate.features.neighbours import nearest, unit


@pytest.fixture(scope="module")
def features() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    return tuple(unit(generator.standard_normal((rows, 24)).astype(np.float32)) for rows in (4000, 300))  # type: ignore[return-value]


def test_recall_is_the_share_of_exact_neighbours_found(features: tuple[np.ndarray, np.ndarray]) -> None:
    bank, queries = features
    found = nearest_approximately(bank, queries, 10, probes=4, sample=300)
    exact = nearest(bank, queries, 10).indices
    shared = np.mean([len(set(one) & set(other)) / 10 for one, other in zip(found.indices, exact, strict=True)])
    assert found.recall == pytest.approx(shared)
    assert 0.1 < found.recall < 0.95
    assert found.sampled == 300
    assert f"recall {found.recall:.4f}" in found.how


def test_all_lists_read_give_the_exact_neighbours(features: tuple[np.ndarray, np.ndarray]) -> None:
    bank, queries = features
    found = nearest_approximately(bank.astype(np.float16), queries, 10, probes=10_000, sample=50)
    assert found.recall == 1
    assert found.sampled == 50
    exact = nearest(bank.astype(np.float16), queries, 10)
    np.testing.assert_allclose(found.cosines, exact.cosines, atol=1e-6)


def test_it_is_the_same_every_time(features: tuple[np.ndarray, np.ndarray]) -> None:
    one, two = (nearest_approximately(*features, 10, probes=4) for _ in range(2))
    np.testing.assert_array_equal(one.indices, two.indices)
    assert one.recall == two.recall


def test_queries_whose_lists_are_too_short_are_searched_exactly(features: tuple[np.ndarray, np.ndarray]) -> None:
    bank, queries = features
    found = nearest_approximately(bank, queries, 200, probes=1)
    exact = nearest(bank, queries, 200)
    assert (found.indices >= 0).all()
    short = int(found.how.split("; ")[1].split(" ")[0])
    assert short > 0
    assert (found.indices == exact.indices).all(axis=1).sum() >= short


def test_a_bank_of_one_row() -> None:
    bank = np.ones((1, 4), np.float32)
    assert nearest_approximately(bank, bank, 1).indices.tolist() == [[0]]


@pytest.mark.parametrize(("probes", "sample", "rows"), [(0, 1, 5), (1, 0, 5), (1, 1, 0)])
def test_recall_must_be_measurable(
    features: tuple[np.ndarray, np.ndarray], probes: int, sample: int, rows: int
) -> None:
    with pytest.raises(DataError, match="expected at least 1 of each"):
        nearest_approximately(features[0], features[1][:rows], 3, probes=probes, sample=sample)
