"""Plans: cut by position, hashed independently of layout, refused where ids repeat."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from stubs import Generated

from openmmlo.building.plan import Slice, make_plan, read_shard, refuse_difference
from openmmlo.errors import BuildRefused, ConfigError, DataError
from openmmlo.records import Sample, list_hash

SOURCE = Generated(images_per_split=25)


def test_shards_cover_the_plan_in_order_and_never_cross_a_split() -> None:
    plan = make_plan(SOURCE, SOURCE.splits(), shard_size=10)
    assert [(shard.name, len(shard)) for shard in plan.shards[:3]] == [
        ("train-00000-of-00003", 10),
        ("train-00001-of-00003", 10),
        ("train-00002-of-00003", 5),
    ]
    assert [shard.index for shard in plan.shards] == list(range(9))
    assert [shard.start for shard in plan.shards[1:]] == [shard.stop for shard in plan.shards[:-1]]
    assert plan.planned() == {"train": 25, "test": 25, "open": 25}


def test_a_saved_plan_gives_the_samples_back(tmp_path: Path) -> None:
    plan = make_plan(SOURCE, SOURCE.splits(), shard_size=10)
    path = tmp_path / "plan.parquet"
    plan.save(path)
    read = [sample for shard in plan.shards for sample in read_shard(path, shard, SOURCE)]
    assert read == [sample for split in SOURCE.splits() for sample in SOURCE.samples(split)]


def test_list_hash_is_the_one_of_the_records() -> None:
    plan = make_plan(SOURCE, SOURCE.splits(), shard_size=7)
    for split in SOURCE.splits():
        pairs = [(sample.sample_id, sample.class_key) for sample in SOURCE.samples(split)]
        assert plan.list_hashes[split] == list_hash(pairs)


def test_shard_size_changes_no_hash_but_a_label_does() -> None:
    @dataclass(frozen=True)
    class Relabelled(Generated):
        def samples(self, split: str) -> Iterator[Sample]:
            for index, sample in enumerate(super().samples(split)):
                yield replace(sample, label=0) if index == 3 else sample

    one = make_plan(SOURCE, ("train",), 10)
    assert make_plan(SOURCE, ("train",), 7).digest == one.digest
    assert make_plan(Relabelled(25), ("train",), 10).digest != one.digest


def test_a_limit_is_spread_over_all_splits() -> None:
    plan = make_plan(SOURCE, SOURCE.splits(), shard_size=10, limit=6)
    assert plan.planned() == {"train": 2, "test": 2, "open": 2}
    assert make_plan(SOURCE, SOURCE.splits(), 10, limit=10_000).planned() == {"train": 25, "test": 25, "open": 25}


def test_an_id_in_two_splits_is_refused_by_name() -> None:
    @dataclass(frozen=True)
    class Leaky(Generated):
        def samples(self, split: str) -> Iterator[Sample]:
            for index, sample in enumerate(super().samples(split)):
                yield replace(sample, sample_id="the-same") if index == 3 else sample

    with pytest.raises(DataError, match=r"1 sample ids stand more than once, 'the-same'"):
        make_plan(Leaky(25), SOURCE.splits(), 10)


def test_large_images_make_small_shards_and_row_groups(tmp_path: Path) -> None:
    from openmmlo.sources import open_source

    folder = tmp_path / "photos" / "cat"
    folder.mkdir(parents=True)
    for index in range(3):
        with (folder / f"{index}.jpg").open("wb") as file:
            file.truncate(100 * 2**20)  # sparse: 100 MiB each
    source = open_source(tmp_path / "photos", {"val": 0, "test": 0})
    plan = make_plan(source, ("train",), shard_size=1000)
    assert [len(shard) for shard in plan.shards] == [2, 1]
    assert plan.group_rows == 1


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2", "1/2/3"])
def test_a_slice_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected i/n"):
        Slice.parse(text)


def test_slices_share_every_shard_once() -> None:
    plan = make_plan(SOURCE, SOURCE.splits(), shard_size=10)
    for of in (1, 2, 4, 20):
        taken = [shard.index for number in range(1, of + 1) for shard in Slice(number, of).of_shards(plan.shards)]
        assert sorted(taken) == list(range(9))


def test_a_difference_is_refused_with_what_differs_and_both_fingerprints(tmp_path: Path) -> None:
    before = {"captioner": {"preset": "lavis", "model": "m"}, "limit": None}
    after = {"captioner": {"preset": "greedy", "model": "m"}, "limit": None}
    shown = r"fingerprint \w{16}, now \w{16}(?s:.)*captioner.preset: 'lavis' -> 'greedy'"
    with pytest.raises(BuildRefused, match=shown):
        refuse_difference(before, after, tmp_path)
    refuse_difference(before, dict(reversed(before.items())), tmp_path)
