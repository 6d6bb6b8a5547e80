"""The proof that comes with every row: its bounds hold, it fails where it must, and without it results are wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from openmmlo.evaluate.features import neighbour_prefilter, neighbours
from openmmlo.evaluate.features.neighbour_cells import Cells
from openmmlo.evaluate.features.neighbour_prefilter import Prefilter, _by_chunks
from openmmlo.evaluate.features.neighbour_rescoring import decode, encode, settle
from openmmlo.evaluate.features.neighbours import nearest, unit

Array = np.ndarray[Any, np.dtype[Any]]


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def expected(bank: Array, queries: Array, k: int) -> Array:
    products = (queries.astype(np.float64) @ bank.astype(np.float64).T).astype(np.float32)
    order: Array = np.argsort(-products, axis=1, kind="stable")[:, :k]
    return order


def hard(rows: int, seed: int) -> Array:
    """Rows about ±e₁ and ±e₂ that differ by less than bfloat16 resolves at their length; centring does not help."""
    generator = np.random.default_rng(seed)
    axes = np.concatenate([np.eye(4, 64), -np.eye(4, 64)])
    spread = generator.standard_normal((rows, 64)) * 1e-3
    return unit((axes[generator.integers(0, 8, rows)] + spread).astype(np.float32))


def test_where_bfloat16_alone_is_wrong_the_guard_sees_it() -> None:
    bank, queries, k = hard(4000, 0), hard(200, 1), 5
    right = expected(bank, queries, k)
    candidates = Prefilter(bank, "bfloat16", "cpu").candidates(queries, k)
    assert not np.array_equal(np.sort(candidates.rows[:, :k]), np.sort(right))
    _, proven = settle(bank, queries, candidates, k)
    assert not proven.any()


def hidden() -> tuple[Array, Array]:
    """300 rows, then one that is nearer to every query and looks further away in bfloat16; and all of them negated.

    All lie between two bfloat16 numbers and are rounded down, the nearest by more than the others.
    """
    low = 1 + 2**-8 - 2**-12  # just below the middle of 1 and the next number, 1 + 2^-7
    first = [low] * 4 + [1] * 3 + [1 + 2**-7] + [1] * 8 + [0]
    other = [*first[:-1], -(2**-10)]  # a little further away, so that candidates end where bounds differ
    half = np.array([first] * 20 + [other] * 280 + [[low] * 8 + [1] * 8 + [0]], np.float32)
    queries = np.array([[1] * 8 + [-1] * 8 + [1]] * 40, np.float32)
    return np.concatenate([half, -half]), queries


def test_a_row_that_rounding_hides_is_found_and_only_the_guard_finds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "SMALL", 0)
    monkeypatch.setattr(neighbour_prefilter, "has_bfloat16", lambda: True)
    bank, queries = hidden()
    assert (expected(bank, queries, 1) == 300).all()
    guarded = nearest(bank, queries, 1)
    assert (guarded.indices == 300).all()
    assert "bfloat16" not in guarded.how
    monkeypatch.setattr(Prefilter, "_error", lambda self, exact, rounded: np.zeros(len(exact)))
    monkeypatch.setitem(neighbour_prefilter.OUTPUT, "bfloat16", 0.0)
    unguarded = nearest(bank, queries, 1)
    assert unguarded.how == "40 rows by bfloat16"
    assert (unguarded.indices != 300).all()


@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(1, 80),
    scale=st.sampled_from([1e-25, 1e-20, 1e-3, 1.0, 1e5]),
    offset=st.sampled_from([0.0, 1.0, 30.0]),
    precision=st.sampled_from(["bfloat16", "float32"]),
)
@settings(max_examples=60, deadline=None)
def test_no_inner_product_is_above_its_bound(seed: int, size: int, scale: float, offset: float, precision: str) -> None:
    generator = np.random.default_rng(seed)
    bank = ((generator.standard_normal((200, size)) + offset) * scale).astype(np.float32)
    queries = (generator.standard_normal((20, size)) + offset).astype(np.float32)
    found = Prefilter(bank, precision, "cpu").candidates(queries, 5)
    exact = queries.astype(np.float64) @ bank.astype(np.float64).T
    of_candidates = np.take_along_axis(exact, found.rows, axis=1)
    assert (of_candidates <= found.upper).all()
    np.put_along_axis(exact, found.rows, -np.inf, axis=1)
    assert (exact.max(axis=1) <= found.upper[:, -1]).all()
    assert (np.diff(found.upper, axis=1) <= 0).all()


def test_bounds_are_tight_enough_to_prove_most_rows() -> None:
    generator = np.random.default_rng(0)
    bank, queries = (unit(generator.standard_normal((rows, 256)).astype(np.float32)) for rows in (5000, 200))
    for precision in ("bfloat16", "float32"):
        _, proven = settle(bank, queries, Prefilter(bank, precision, "cpu").candidates(queries, 20), 20)
        assert proven.mean() > 0.95, precision


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("shift", [0.0, -10.0])
def test_chunks_give_the_largest(dtype: torch.dtype, shift: float) -> None:
    generator = torch.Generator().manual_seed(0)
    scores = (torch.randn((7, 3200), generator=generator) + shift).to(dtype)
    values, places = _by_chunks(scores, 40)
    np.testing.assert_array_equal(values.sort(dim=1, descending=True).values, scores.float().topk(40, dim=1).values)
    np.testing.assert_array_equal(values, scores.float().gather(1, places))
    assert all(len(set(row)) == 40 for row in places.tolist())


def test_keys_order_as_products_and_then_as_indices() -> None:
    values = np.array([-np.inf, -2.5, -1e-40, -0.0, 0.0, 1e-40, 0.3, np.float32(0.3) + 2**-24, 7.0])
    keys = encode(values, np.arange(len(values)))
    assert keys[3] > keys[4]  # one zero, the smaller index first
    assert (np.diff(np.delete(keys, 3)) > 0).all()
    back, rows = decode(keys)
    np.testing.assert_array_equal(back, values.astype(np.float32))
    np.testing.assert_array_equal(rows, np.arange(len(values)))


def test_cells_answer_for_tight_clusters_and_decline_where_there_are_none() -> None:
    bank, queries = hard(4000, 0), hard(200, 1)
    keys, done = Cells(bank).search(queries, 5)
    assert done.all()
    np.testing.assert_array_equal(decode(keys)[1], expected(bank, queries, 5))
    generator = np.random.default_rng(0)
    bank, queries = (unit(generator.standard_normal((rows, 64)).astype(np.float32)) for rows in (4000, 200))
    _, done = Cells(bank).search(queries, 5)
    assert not done.any()


def test_cells_look_further_where_the_nearest_holds_too_few() -> None:
    bank, queries = hard(4000, 0), hard(200, 1)
    cells = Cells(bank)
    k = int(cells.sizes.max()) + 10
    keys, done = cells.search(queries, k)
    right = expected(bank, queries, k)
    np.testing.assert_array_equal(decode(keys)[1][done], right[done])
    assert done.any()
