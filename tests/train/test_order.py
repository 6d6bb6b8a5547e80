"""The order of samples: every one once an epoch, the same whoever computes it, from any step on."""

from __future__ import annotations

import numpy as np
import pytest

from openmmlo.errors import ConfigError
from openmmlo.train.order import Order, class_aware, part, square_root

CLASS_AWARE = [11, 10, 5, 2, 14, 9, 12, 10, 6, 9, 1, 13, 9, 12, 3, 10]
INSTANCE = [5, 10, 6, 1, 3, 14, 4, 13, 0, 8, 2, 11, 15, 9, 7, 12]


def test_an_epoch_takes_every_sample_once_and_drops_the_ragged_batch() -> None:
    order = Order(23, 5, 1, seed=1)
    assert (order.steps_an_epoch, order.dropped) == (4, 3)
    seen = np.concatenate([order.global_batch(step) for step in range(4)])
    assert len(set(seen)) == 20
    assert set(order.epoch(0)) == set(range(23))
    left_out = [set(range(23)) - set(np.concatenate([order.global_batch(4 * e + s) for s in range(4)])) for e in (0, 1)]
    assert left_out[0] != left_out[1]


def test_orders_differ_by_seed_and_epoch_and_by_nothing_else() -> None:
    first = Order(50, 10, 1, seed=1)
    again = [Order(50, 10, 1, seed=1).global_batch(step).tolist() for step in (7, 3, 7)]
    assert again == [first.global_batch(step).tolist() for step in (7, 3, 7)]
    assert first.epoch(0).tolist() != first.epoch(1).tolist() != Order(50, 10, 1, seed=2).epoch(1).tolist()
    assert first.place(13) == (2, 3)


@pytest.mark.parametrize("world", [1, 2, 3, 6])
@pytest.mark.parametrize("accumulation", [1, 2])
def test_processes_share_a_global_batch_without_changing_it(world: int, accumulation: int) -> None:
    order = Order(40, 12, accumulation, seed=0)
    order.check_processes(world)
    whole = order.global_batch(2)
    parts = [part(whole, accumulation, index, rank, world) for index in range(accumulation) for rank in range(world)]
    assert {len(item) for item in parts} == {12 // world // accumulation}
    assert np.concatenate(parts).tolist() == whole.tolist()


def test_a_batch_that_does_not_part_evenly_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"batch_size 12 does not part evenly over 5 processes x 1 .* does: 10"):
        Order(40, 12, 1, seed=0).check_processes(5)


def test_a_batch_larger_than_the_data_is_refused() -> None:
    with pytest.raises(ConfigError, match="batch_size is 12 and there are 11 training samples"):
        Order(11, 12, 1, seed=0)


def test_class_aware_drawing_evens_out_classes_and_goes_round_within_them() -> None:
    labels = (0,) * 60 + (1,) * 6 + (3,) * 30 + (-1,) * 3
    order = class_aware(labels, seed=4, epoch=0)
    assert len(order) == 99
    drawn = np.array(labels)[order]
    assert {label: int(np.sum(drawn == label)) for label in (0, 1, 3)} == {0: 33, 1: 33, 3: 33}
    assert not np.any(drawn == -1)
    rare = np.bincount(order[drawn == 1] - 60, minlength=6)
    assert rare.min() >= 5
    assert rare.max() <= 6
    assert len(set(order[drawn == 0])) == 33
    assert [set(drawn[start : start + 3]) for start in range(0, 99, 3)] == [{0, 1, 3}] * 33
    assert order.tolist() == class_aware(labels, seed=4, epoch=0).tolist() != class_aware(labels, 4, 1).tolist()
    assert Order(99, 9, 1, 4, labels).epoch(0).tolist() == order.tolist()


def test_class_aware_orders_are_those_of_runs_that_were_interrupted_before() -> None:
    """Drawn with the first version of this file: a run that goes on must find the same samples."""
    labels = (0,) * 9 + (1,) * 2 + (2,) * 4 + (-1,)
    assert class_aware(labels, seed=7, epoch=2).tolist() == CLASS_AWARE
    assert Order(16, 4, 1, 7, labels).epoch(2).tolist() == CLASS_AWARE
    assert Order(16, 4, 1, 7).epoch(2).tolist() == INSTANCE


def test_square_root_drawing_by_expected_counts() -> None:
    counts = {0: 400, 1: 100, 2: 25, 4: 9, 5: 1}
    labels = np.repeat(list(counts), list(counts.values()))
    samples = len(labels)
    roots = {label: count**0.5 for label, count in counts.items()}
    expected = {label: samples * root / sum(roots.values()) for label, root in roots.items()}
    drawn = [labels[square_root(labels.tolist(), seed=3, epoch=epoch)] for epoch in range(200)]
    found = {label: np.array([np.sum(epoch == label) for epoch in drawn]) for label in counts}
    for label, numbers in found.items():
        assert np.abs(numbers - expected[label]).max() < 1
        assert numbers.mean() == pytest.approx(expected[label], abs=0.15)
    assert {len(epoch) for epoch in drawn} == {samples}
    ratio = found[0].mean() / found[2].mean()
    assert ratio == pytest.approx(4.0, rel=0.01)


def test_square_root_drawing_goes_round_within_classes_in_random_order() -> None:
    labels = (0,) * 81 + (1,) * 9 + (-1,) * 5
    order = square_root(labels, seed=1, epoch=0)
    drawn = np.array(labels)[order]
    assert not np.any(drawn == -1)
    rare = np.bincount(order[drawn == 1] - 81, minlength=9)
    assert rare.max() - rare.min() <= 1
    assert len(set(order[drawn == 0])) == np.sum(drawn == 0)
    assert 0 < np.sum(drawn[:48] == 1) < np.sum(drawn == 1)
    assert order.tolist() == square_root(labels, 1, 0).tolist()
    assert order.tolist() != square_root(labels, 1, 1).tolist()
    assert order.tolist() != square_root(labels, 2, 0).tolist()


def test_an_order_says_how_it_draws_and_may_be_taken_up_at_any_step() -> None:
    labels = (0,) * 30 + (1,) * 10
    order = Order(40, 8, 1, 5, labels, "square-root")
    assert order.epoch(1).tolist() == square_root(labels, 5, 1).tolist()
    late = Order(40, 8, 1, 5, labels, "square-root").global_batch(7)
    assert late.tolist() == [order.global_batch(step).tolist() for step in range(8)][7]
    assert Order(40, 8, 1, 5, labels).drawing == "class-aware"


def test_a_lone_sample_comes_as_often_as_its_class() -> None:
    labels = (0,) * 100 + tuple(range(1, 200))
    times = [int(np.sum(square_root(labels, 0, epoch) == 100)) for epoch in range(150)]
    assert set(times) == {1, 2}
    assert np.mean(times) == pytest.approx(299 / (10 + 199), abs=0.12)
