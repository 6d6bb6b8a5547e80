"""The order of samples: every one once an epoch, the same whoever computes it, from any step on."""

from __future__ import annotations

import numpy as np
import pytest

from openmmlo.errors import ConfigError
from openmmlo.train.order import Order, class_aware, part


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
