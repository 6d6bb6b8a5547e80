"""Every definition of a benchmark: flat, complete, pinned to the real lists, and of sources that exist."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from openmmlo.evaluate.benchmark import ROOT, Benchmark, ImageSet, benchmark_names, load_benchmark
from openmmlo.evaluate.detectors import DETECTORS
from openmmlo.records import Sample, list_hash, shot_group
from openmmlo.sources import SOURCES, open_source
from openmmlo.sources.longtail import exponential_counts
from openmmlo.sources.places365 import names

NAMES = benchmark_names()

SIZES = {
    "miniature": {"train": 5499, "test": 2500, "sketch": 500, "near-ood": 750, "far-ood": 750},
    "imagenet-lt": {"train": 115_846, "validation": 20_000, "test": 50_000},
    "imagenet-lt-open": {"train": 115_846, "validation": 20_000, "test": 50_000, "open": 18_000},
    "imagenet-sketch": {"train": 115_846, "validation": 20_000, "test": 50_889},
    "places-lt": {"train": 62_500, "validation": 7_300, "test": 36_500},
    "places-lt-open": {"train": 62_500, "validation": 7_300, "test": 36_500, "open": 6_600},
    "inaturalist2018": {"train": 437_513, "test": 24_426},
    "cifar100-lt-ood": {
        "train": 10_847, "test": 10_000, "svhn": 10_000, "lsun": 10_000, "isun": 8_925, "textures": 5_640,
        "places365": 10_000,
    },
    "openood-imagenet1k": {
        "train": 1_281_167, "validation": 5_000, "test": 45_000, "ood-validation": 1_763, "ssb-hard": 49_000,
        "ninco": 5_879, "inaturalist": 10_000, "textures": 5_160, "openimage-o": 15_869,
    },
    "openood-cifar100": {
        "train": 50_000, "validation": 1_000, "test": 9_000, "ood-validation": 972, "cifar10": 10_000, "tin": 6_526,
        "mnist": 70_000, "svhn": 26_032, "textures": 5_640, "places365": 33_773,
    },
}  # fmt: skip
"""Rows of every set, from the papers and releases."""

LISTS = {
    ("imagenet-lt", "val"): "ImageNet_LT_val",
    ("imagenet-lt", "test"): "ImageNet_LT_test",
    ("imagenet-lt", "open"): "ImageNet_LT_open",
    ("places-lt", "train"): "Places_LT_train",
    ("places-lt", "val"): "Places_LT_val",
    ("places-lt", "test"): "Places_LT_test",
    ("places-lt", "open"): "Places_LT_open",
    ("inaturalist2018", "val"): "iNaturalist18_val",
}


def sets(source: str) -> list[tuple[str, ImageSet]]:
    """Every set of a source, with the name of its benchmark."""
    return [(name, item) for name in NAMES for item in load_benchmark(name).sets if item.source == source]


def test_the_benchmarks_are_those_that_are_promised() -> None:
    assert set(NAMES) == set(SIZES)


@pytest.mark.parametrize("name", NAMES)
def test_definition_is_flat_complete_and_says_what_it_is(name: str) -> None:
    text = (ROOT / f"{name}.yaml").read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert not any(word in text for word in ("&", "<<:", "${", "!"))
    values: dict[str, Any] = yaml.safe_load(text)
    assert set(values) == set(Benchmark.__dataclass_fields__) - {"folder"}
    assert all({"name", "role", "source", "split", "rows"} <= set(item) for item in values["sets"])


@pytest.mark.parametrize("name", NAMES)
def test_definition_has_the_published_sizes(name: str) -> None:
    found = load_benchmark(name)
    assert found.name == name
    assert found.version >= 1
    assert {item.name: item.rows for item in found.sets} == SIZES[name]
    assert sum(found.group_sizes.values()) == found.classes
    assert found.train_rows == SIZES[name]["train"]
    assert all(item.group in ("near", "far", "open") for item in found.with_role("ood"))
    assert {*found.detectors} <= {*DETECTORS}
    assert found.neighbours in found.neighbour_sweep
    assert found.image_size == (32 if "cifar" in name else None)  # else sharper images give themselves away


@pytest.mark.parametrize("name", NAMES)
def test_every_set_has_a_source_that_takes_its_options_and_an_origin(name: str) -> None:
    for item in load_benchmark(name).sets:
        assert item.source in SOURCES
        source = open_source(item.source, item.options)
        assert item.split in source.splits()
        assert item.source == "miniature" or item.origin
        assert item.name == item.name.lower().replace("_", "-")


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith(("places", "inaturalist"))])
def test_label_map_is_that_of_the_class_table(name: str) -> None:
    found = load_benchmark(name)
    (test,) = found.with_role("test")
    info = open_source(test.source, test.options).info()
    assert (info.label_map_hash, len(info.classes)) == (found.label_map_hash, found.classes)


@pytest.mark.parametrize("source", ["places-lt", "inaturalist2018", "imagenet-lt"])
def test_label_map_is_that_of_the_real_lists(source: str, official_splits: Path) -> None:
    found = open_source(source, {"lists": official_splits}).info().label_map_hash
    (pinned,) = {load_benchmark(name).label_map_hash for name, item in sets(source) if item.role == "test"}
    assert found == pinned


@pytest.mark.parametrize(("source", "split"), LISTS)
def test_list_hash_is_that_of_the_real_list(source: str, split: str, official_splits: Path) -> None:
    pinned = {item.list_hash for _, item in sets(source) if item.split == split}
    samples = list(open_source(source, {"lists": official_splits}).samples(split))
    assert pinned == {list_hash((sample.sample_id, sample.class_key) for sample in samples)}
    assert pinned == {list_hash(plain_pairs(official_splits, source, split))}


def plain_pairs(folder: Path, source: str, split: str) -> list[tuple[str, str]]:
    """(sample_id, class key) by a plain parse of the list, following the rule for ids and nothing else."""
    text = gzip.decompress((folder / f"{LISTS[source, split]}.txt.gz").read_bytes()).decode()
    pairs = []
    for line in text.splitlines():
        parts = Path(line.split()[0])
        key = "" if split == "open" else parts.parent.name
        pairs.append((f"{key}/{parts.stem}" if source == "places-lt" and key else parts.stem, key))
    return pairs


def test_the_miniature_is_pinned_whole() -> None:
    for _, item in sets("miniature"):
        samples: list[Sample] = list(open_source("miniature").samples(item.split))
        assert item.list_hash == list_hash((sample.sample_id, sample.class_key) for sample in samples)
    found = load_benchmark("miniature")
    counts = open_source("miniature").info().train_counts or ()
    assert Counter(map(shot_group, counts)) == found.group_sizes
    assert (found.with_role("validation"), len(found.with_role("shifted"))) == ((), 1)


def test_group_sizes_of_places_lt_under_both_rules(official_splits: Path) -> None:
    counts = open_source("places-lt", {"lists": official_splits}).info().train_counts or ()
    assert Counter(shot_group(count) for count in counts) == load_benchmark("places-lt").group_sizes
    assert load_benchmark("places-lt").group_sizes == {"many": 131, "medium": 163, "few": 71}
    assert Counter(shot_group(count, "oltr") for count in counts) == {"many": 132, "medium": 156, "few": 77}


def test_group_sizes_of_cifar_by_the_formula() -> None:
    counts = exponential_counts(500, 100, 100)
    assert Counter(map(shot_group, counts)) == load_benchmark("cifar100-lt-ood").group_sizes
    assert sum(counts) == 10_847 == load_benchmark("cifar100-lt-ood").train_rows


def test_group_sizes_are_those_of_the_papers() -> None:
    groups = {name: tuple(load_benchmark(name).group_sizes.values()) for name in NAMES}
    assert groups["imagenet-lt"] == groups["imagenet-lt-open"] == groups["imagenet-sketch"] == (385, 479, 136)
    assert groups["inaturalist2018"] == (842, 4_076, 3_224)
    assert groups["openood-imagenet1k"] == (1000, 0, 0)


def test_the_10_000_images_of_places365_follow_from_their_names() -> None:
    ((_, item),) = sets("places365")
    nothing: Any = None  # no image is read
    listed = [Sample(name, nothing, -1, "val", "places365") for name in names("val")]
    chosen = item.select(listed)
    assert item.list_hash == list_hash((sample.sample_id, sample.class_key) for sample in chosen)


def test_nothing_is_chosen_on_test_data() -> None:
    for name in NAMES:
        found = load_benchmark(name)
        tested = {(item.source, str(item.options), item.split) for item in found.with_role("test", "ood", "shifted")}
        chosen = {
            (item.source, str(item.options), item.split) for item in found.with_role("validation", "ood-validation")
        }
        assert not tested & chosen
