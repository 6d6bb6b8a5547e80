"""Exact nearest neighbours against float64 brute force."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from openmmlo.errors import DataError
from openmmlo.evaluate.features import neighbour_cells, neighbour_prefilter, neighbour_rescoring, neighbours
from openmmlo.evaluate.features.neighbours import Neighbours, nearest, unit

Array = np.ndarray[Any, np.dtype[Any]]


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=[True, False], ids=["bfloat16", "float32"])
def every_step(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """No search is too small for the steps of large ones; with and without instructions for bfloat16."""
    monkeypatch.setattr(neighbours, "SMALL", 0)
    monkeypatch.setattr(neighbour_prefilter, "has_bfloat16", lambda: request.param)
    return bool(request.param)


def brute(bank: Array, queries: Array, k: int) -> tuple[Array, Array]:
    """Inner products in float64, rounded to float32; sorted by these, then by index."""
    products = (queries.astype(np.float64) @ bank.astype(np.float64).T).astype(np.float32)
    order = np.argsort(-products, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(products, order, axis=1), order


def assert_exact(found: Neighbours, bank: Array, queries: Array, k: int) -> None:
    cosines, indices = brute(bank, queries, k)
    np.testing.assert_array_equal(found.cosines, cosines)
    np.testing.assert_array_equal(found.indices, indices)
    assert found.cosines.dtype == np.float32
    assert found.indices.dtype == np.int64


def scattered(rows: int, size: int, seed: int = 0) -> Array:
    return unit(np.random.default_rng(seed).standard_normal((rows, size)).astype(np.float32))


def clustered(rows: int, size: int, clusters: int, noise: float, seed: int = 0) -> Array:
    """Unit rows about ``clusters`` directions, which are the same for every seed; ``noise`` is the length added."""
    centres = scattered(clusters, size, seed=99)
    generator = np.random.default_rng(seed)
    spread = generator.standard_normal((rows, size)) * noise / size**0.5
    return unit((centres[generator.integers(0, clusters, rows)] + spread).astype(np.float32))


BANKS = {
    "scattered": lambda: (scattered(3000, 48), scattered(700, 48, 1)),
    "loose clusters": lambda: (clustered(3000, 48, 20, 0.7), clustered(700, 48, 20, 0.7, 1)),
    "tight clusters": lambda: (clustered(3000, 48, 20, 0.02), clustered(700, 48, 20, 0.02, 1)),
    "two clusters": lambda: (clustered(3000, 48, 2, 0.05), clustered(700, 48, 2, 0.05, 1)),
    "a cone": lambda: (clustered(3000, 48, 1, 0.2), clustered(700, 48, 1, 0.2, 1)),
    "all negative": lambda: (clustered(3000, 48, 1, 0.2), -clustered(700, 48, 1, 0.2, 1)),
    "rows three times": lambda: (np.tile(scattered(1000, 48), (3, 1)), scattered(700, 48, 1)),
    "rows a hundred times": lambda: (np.tile(scattered(30, 48), (100, 1)), scattered(700, 48, 1)),
    "far from unit": lambda: (scattered(3000, 48) * 1e4, scattered(700, 48, 1) * 1e-4),
    "tiny": lambda: (scattered(3000, 48) * np.float32(1e-30), scattered(700, 48, 1) * np.float32(1e-12)),
    "integers": lambda: (
        np.random.default_rng(0).integers(-2, 3, (3000, 48)).astype(np.float32),
        np.random.default_rng(1).integers(-2, 3, (700, 48)).astype(np.float32),
    ),
}


@pytest.mark.parametrize("name", BANKS)
def test_it_equals_float64_brute_force(name: str, every_step: bool) -> None:
    bank, queries = BANKS[name]()
    assert_exact(nearest(bank, queries, 7), bank, queries, 7)


def test_small_searches_are_exact_too() -> None:
    bank, queries = scattered(200, 16), scattered(30, 16, 1)
    found = nearest(bank, queries, 5)
    assert_exact(found, bank, queries, 5)
    assert found.how == "30 rows by float64"


@pytest.mark.parametrize("k", [1, 2, 63, 64])
def test_k_from_one_to_all_rows(k: int, every_step: bool) -> None:
    bank, queries = scattered(64, 16), scattered(40, 16, 1)
    assert_exact(nearest(bank, queries, k), bank, queries, k)


def test_a_bank_of_one_row(every_step: bool) -> None:
    bank, queries = scattered(1, 16), scattered(40, 16, 1)
    assert_exact(nearest(bank, queries, 1), bank, queries, 1)


def test_one_search_serves_every_smaller_k(every_step: bool) -> None:
    bank, queries = scattered(2000, 32), scattered(100, 32, 1)
    most = nearest(bank, queries, 50)
    for k in (1, 5, 10, 50):
        assert_exact(most.first(k), bank, queries, k)
        np.testing.assert_array_equal(most.cosines[:, k - 1], nearest(bank, queries, k).cosines[:, -1])
    for k in (0, 51):
        with pytest.raises(DataError, match=f"{k} neighbours asked of a search for 50"):
            most.first(k)


def test_zero_vectors_have_the_first_rows_as_neighbours(every_step: bool) -> None:
    bank, queries = scattered(2000, 32), scattered(100, 32, 1)
    bank[::7] = 0
    queries[3] = 0
    found = nearest(bank, queries, 9)
    assert_exact(found, bank, queries, 9)
    assert found.indices[3].tolist() == list(range(9))
    assert (nearest(np.zeros_like(bank), queries, 4).indices == np.arange(4)).all()


def test_equal_rows_come_in_the_order_of_their_indices(every_step: bool) -> None:
    row = scattered(1, 32)
    bank = np.concatenate([scattered(500, 32, 2), np.repeat(row, 5, axis=0), scattered(500, 32, 3)])
    found = nearest(bank, np.repeat(row, 40, axis=0), 6)
    assert (found.indices[:, :5] == np.arange(500, 505)).all()


@pytest.mark.parametrize("sizes", [(64, 16, 48, 7), (100_000, 3, 333, 50), (17, 1000, 1000, 1000)])
def test_block_sizes_decide_nothing(sizes: tuple[int, ...], every_step: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    bank, queries = clustered(1500, 24, 10, 0.3), clustered(150, 24, 10, 0.3, 1)
    monkeypatch.setattr(neighbour_prefilter, "BANK_ROWS", sizes[0])
    monkeypatch.setattr(neighbour_prefilter, "QUERY_ROWS", sizes[1])
    monkeypatch.setattr(neighbour_rescoring, "BANK_ROWS", sizes[2])
    monkeypatch.setattr(neighbour_cells, "BLOCK", sizes[2])
    monkeypatch.setattr(neighbour_cells, "READ", sizes[2])
    monkeypatch.setattr(neighbours, "TRIAL", sizes[3])
    monkeypatch.setattr(neighbours, "GROUP", sizes[3])
    assert_exact(nearest(bank, queries, 6), bank, queries, 6)


def test_a_bank_too_large_to_keep_is_read_anew(every_step: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    bank, queries = scattered(1500, 24), scattered(150, 24, 1)
    monkeypatch.setattr(neighbour_prefilter, "KEPT_BYTES", 0)
    monkeypatch.setattr(neighbour_prefilter, "BANK_ROWS", 400)
    monkeypatch.setattr(neighbours, "TRIAL", 60)
    monkeypatch.setattr(neighbours, "FAR_GROUP", 50)
    assert_exact(nearest(bank, queries, 6), bank, queries, 6)


def test_memory_mapped_float16(tmp_path: Path, every_step: bool) -> None:
    np.save(tmp_path / "bank.npy", scattered(2000, 32).astype(np.float16))
    np.save(tmp_path / "queries.npy", scattered(100, 32, 1).astype(np.float16))
    bank, queries = (np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in ("bank", "queries"))
    assert_exact(nearest(bank, queries, 8), bank, queries, 8)


def test_threads_decide_nothing(every_step: bool) -> None:
    bank, queries = scattered(2000, 32), scattered(300, 32, 1)
    one = nearest(bank, queries, 8)
    torch.set_num_threads(2)
    two = nearest(bank, queries, 8)
    np.testing.assert_array_equal(one.cosines, two.cosines)
    np.testing.assert_array_equal(one.indices, two.indices)


def test_torch_told_to_multiply_in_less_than_float32_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "SMALL", 0)
    monkeypatch.setattr(neighbour_prefilter, "has_bfloat16", lambda: False)
    bank, queries = clustered(2000, 64, 4, 0.05), clustered(300, 64, 4, 0.05, 1)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        assert_exact(nearest(bank, queries, 8), bank, queries, 8)
    finally:
        torch.set_float32_matmul_precision(before)


def test_no_queries() -> None:
    found = nearest(scattered(10, 8), np.empty((0, 8), np.float32), 3)
    assert found.cosines.shape == found.indices.shape == (0, 3)


def test_unit_divides_by_the_norm_plus_a_constant(tmp_path: Path) -> None:
    features = np.random.default_rng(0).standard_normal((50, 8)).astype(np.float16)
    features[4] = 0
    wide = features.astype(np.float64)
    expected = wide / (np.linalg.norm(wide, axis=1, keepdims=True) + 1e-10)
    found = unit(features)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)
    assert not found[4].any()
    mapped = unit(features, tmp_path / "unit.npy")
    np.testing.assert_array_equal(mapped, found)
    mapped.flush()
    np.testing.assert_array_equal(np.load(tmp_path / "unit.npy"), found)


class Counting:
    """A Progress that adds up."""

    def __init__(self) -> None:
        self.total = self.rows = self.closed = 0

    def start(self, total: int, done: int) -> None:
        self.total = total

    def advance(self, rows: int, failed: int) -> None:
        self.rows += rows

    def say(self, message: str) -> None:
        return

    def close(self) -> None:
        self.closed += 1


def test_progress_reaches_its_end(every_step: bool) -> None:
    progress = Counting()
    nearest(scattered(1000, 16), scattered(900, 16, 1), 3, progress=progress)
    assert (progress.total, progress.rows, progress.closed) == (900, 900, 1)


GOOD = scattered(10, 8)


@pytest.mark.parametrize(
    ("bank", "queries", "k", "message"),
    [
        (GOOD, GOOD, 11, r"k = 11 neighbours of a bank of 10 rows; expected 1 to 10\. Choose a smaller k"),
        (GOOD, GOOD, 0, "k = 0 neighbours"),
        (GOOD[:0], GOOD, 1, "a bank of 0 rows"),
        (GOOD, GOOD[:, :4], 1, "Bank rows have 8 features and queries 4"),
        (GOOD[0], GOOD, 1, r"The bank of a neighbour search is float32 \(8,\)"),
        (GOOD, GOOD.astype(np.float64), 1, "The queries of a neighbour search is float64"),
    ],
)
def test_what_cannot_be_searched_is_refused(bank: Array, queries: Array, k: int, message: str) -> None:
    with pytest.raises(DataError, match=message):
        nearest(bank, queries, k)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_bad_numbers_are_counted(value: float) -> None:
    bad = scattered(20, 8)
    bad[[3, 5, 5], [0, 1, 2]] = value
    with pytest.raises(DataError, match=r"The bank of a neighbour search: 2 of 20 rows hold NaN or infinite"):
        nearest(bad, GOOD, 1)
    with pytest.raises(DataError, match=r"The queries of a neighbour search: 2 of 20 rows"):
        nearest(GOOD, bad, 1)
