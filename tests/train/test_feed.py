"""Batches of pairs: the same whoever reads them, from any step on, with the pixels that an evaluation would see."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from pictured_sets import Pictured, write_pictured
from stubs import jpeg

from openmmlo.data import open_dataset
from openmmlo.data.images import decode
from openmmlo.data.transforms import PillowTransform
from openmmlo.errors import DataError
from openmmlo.progress import Silent
from openmmlo.records import ClassInfo, DatasetInfo
from openmmlo.train.augmentation import View
from openmmlo.train.batch import Batch, sample_key
from openmmlo.train.feed import PairFeed
from openmmlo.train.order import Order
from openmmlo.train.packed import pack
from openmmlo.train.pairs import read_pairs, tokenised
from openmmlo.train.recipe import Augmentation

CPU = torch.device("cpu")
INFO = DatasetInfo("pictures", "1", "cc0-1.0", (ClassInfo("a", "ant"), ClassInfo("b", "bee")), (7, 3))
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)


def letters(texts: list[str], length: int) -> tuple[torch.Tensor, torch.Tensor]:
    rows = [[ord(letter) for letter in text][:length] for text in texts]
    longest = max(map(len, rows))
    tokens = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    return tokens, (tokens > 0).long()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [
        Pictured(f"train/{n:04d}", n % 2, "ab"[n % 2], "ant " * (1 + n % 4), jpeg(n, 30, 20), ("ant",))
        for n in range(22)
    ]
    return write_pictured(tmp_path / "built", INFO, {"train": rows}, rows_a_group=4).folder


def feed_of(folder: Path, workers: int = 0, augmentation: Augmentation = "blip", accumulation: int = 1) -> PairFeed:
    dataset = open_dataset(folder)
    pairs = read_pairs(dataset, "train", "raw")
    chosen = np.arange(len(pairs)) >= 5
    train, validation = pairs.subset(chosen), pairs.subset(~chosen)
    images = pack(dataset, "train", folder.parent / "cache", Silent())
    table = [
        tokenised(item.texts, letters, lambda texts: [len(text) for text in texts], 12, 0)
        for item in (train, validation)
    ]
    order = Order(len(train), 4, accumulation, seed=2)
    return PairFeed(
        order,
        train,
        table[0],
        images,
        View(16, augmentation, seed=2),
        MEAN,
        STD,
        workers,
        (validation, table[1], images),
    )


def joined(batches: list[Batch]) -> dict[str, torch.Tensor]:
    return {sample_id: batch.pixels[row] for batch in batches for row, sample_id in enumerate(batch.sample_ids)}


def same_batches(left: list[Batch], right: list[Batch]) -> bool:
    return len(left) == len(right) and all(
        one.sample_ids == other.sample_ids
        and all(
            torch.equal(getattr(one, name), getattr(other, name))
            for name in ("pixels", "tokens", "mask", "labels", "keys")
        )
        for one, other in zip(left, right, strict=True)
    )


def test_a_batch_holds_what_its_samples_are(folder: Path) -> None:
    feed = feed_of(folder, augmentation="none")
    batch = next(feed.training(1, 9, 0, 1, CPU))
    at = feed.order.global_batch(1)
    assert batch.sample_ids == tuple(f"train/{5 + position:04d}" for position in at)
    assert batch.labels.tolist() == [(5 + position) % 2 for position in at]
    assert batch.keys.tolist() == [sample_key(sample_id) for sample_id in batch.sample_ids]
    assert [len("ant " * (1 + (5 + position) % 4)) for position in at] != batch.mask.sum(1).tolist()
    assert batch.mask.sum(1).tolist() == [min(12, 4 * (1 + (5 + position) % 4)) for position in at]
    transform = PillowTransform((16, 16), None, "bicubic", MEAN, STD)
    expected = torch.stack([transform(decode(jpeg(5 + int(position), 30, 20)).image) for position in at])
    assert torch.equal(batch.pixels, expected)


@pytest.mark.slow
def test_worker_processes_change_nothing(folder: Path) -> None:
    alone = list(feed_of(folder).training(0, 9, 0, 1, CPU))
    assert len(alone) == 9
    assert same_batches(alone, list(feed_of(folder, workers=2).training(0, 9, 0, 1, CPU)))


def test_going_on_gives_the_batches_that_would_have_come(folder: Path) -> None:
    feed = feed_of(folder)
    assert same_batches(list(feed.training(0, 9, 0, 1, CPU))[6:], list(feed.training(6, 9, 0, 1, CPU)))


def test_reading_leaves_the_random_states_alone(folder: Path) -> None:
    feed = feed_of(folder)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    list(feed.training(0, 3, 0, 1, CPU))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("accumulation", [1, 2])
def test_processes_get_parts_of_the_same_batches(folder: Path, accumulation: int) -> None:
    whole = list(feed_of(folder, accumulation=accumulation).training(0, 6, 0, 1, CPU))
    parts = [list(feed_of(folder, accumulation=accumulation).training(0, 6, rank, 2, CPU)) for rank in (0, 1)]
    assert len(whole) == len(parts[0]) == 6 * accumulation
    for one, *shares in zip(whole, *parts, strict=True):
        assert one.sample_ids == shares[0].sample_ids + shares[1].sample_ids
        assert torch.equal(one.pixels, torch.cat([share.pixels for share in shares]))
        assert torch.equal(one.tokens, torch.cat([share.tokens for share in shares]))
    views = joined(whole[: 4 * accumulation]), joined(whole[4 * accumulation :])
    again = views[0].keys() & views[1].keys()
    assert again
    assert not any(torch.equal(views[0][sample_id], views[1][sample_id]) for sample_id in again)


def test_a_sample_that_is_drawn_again_and_again_is_never_seen_the_same(folder: Path) -> None:
    """Classes drawn evenly, one of them with a single sample: a view of its own at every step of one epoch."""
    feed = feed_of(folder)
    feed = dataclasses.replace(feed, order=Order(17, 4, 1, 2, labels=(0,) * 16 + (1,)))
    only = feed.pairs.sample_ids[16]
    views = [
        next(batch.pixels[row] for row, name in enumerate(batch.sample_ids) if name == only)
        for batch in feed.training(0, 4, 0, 1, CPU)
        if only in batch.sample_ids
    ]
    assert feed.order.place(3)[0] == 0
    assert len(views) >= 3
    assert not any(torch.equal(one, other) for at, one in enumerate(views) for other in views[:at])


def test_two_views_of_each_image_share_all_but_their_pixels(folder: Path) -> None:
    """The first views are those of a feed of one; the second ones are others, the same whoever reads them."""
    feed = feed_of(folder)
    twice = dataclasses.replace(feed, views=2)
    for one, two in zip(feed.training(0, 5, 0, 1, CPU), twice.training(0, 5, 0, 1, CPU), strict=True):
        assert len(two) == 8
        assert two.sample_ids == one.sample_ids * 2
        assert torch.equal(two.pixels[:4], one.pixels)
        assert not any(torch.equal(a, b) for a, b in zip(two.pixels[:4], two.pixels[4:], strict=True))
        for name in ("tokens", "mask", "labels", "keys"):
            assert torch.equal(getattr(two, name), torch.cat([getattr(one, name)] * 2))
    parts = [list(twice.training(0, 5, rank, 2, CPU)) for rank in (0, 1)]
    for whole, *halves in zip(twice.training(0, 5, 0, 1, CPU), *parts, strict=True):
        seen = [half.pixels[view : view + 2] for view in (0, 2) for half in halves]
        assert torch.equal(whole.pixels, torch.cat(seen))


def test_unaugmented_training_pairs_come_once_in_their_order(folder: Path) -> None:
    feed = feed_of(folder)
    batches = list(feed.unaugmented(CPU))
    assert [sample_id for batch in batches for sample_id in batch.sample_ids] == list(feed.pairs.sample_ids)
    transform = PillowTransform((16, 16), None, "bicubic", MEAN, STD)
    assert torch.equal(batches[0].pixels[0], transform(decode(jpeg(5, 30, 20)).image))


def test_validation_is_whole_unaugmented_and_the_same_for_any_number_of_processes(folder: Path) -> None:
    feed = feed_of(folder)
    batches = list(feed.validation(0, 1, CPU))
    assert [len(batch) for batch in batches] == [5]
    assert batches[0].sample_ids == tuple(f"train/{number:04d}" for number in range(5))
    transform = PillowTransform((16, 16), None, "bicubic", MEAN, STD)
    assert torch.equal(batches[0].pixels[3], transform(decode(jpeg(3, 30, 20)).image))
    assert same_batches(batches, list(feed.validation(0, 2, CPU)))
    assert list(feed.validation(1, 2, CPU)) == []


def test_an_image_that_cannot_be_decoded_stops_with_its_place(folder: Path) -> None:
    feed = feed_of(folder)
    data = feed.images.folder / "images.bin"
    data.write_bytes(b"x" * data.stat().st_size)
    with pytest.raises(DataError, match="cannot be decoded"):
        list(feed.training(0, 1, 0, 1, CPU))
