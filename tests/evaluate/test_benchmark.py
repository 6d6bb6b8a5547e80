"""Definitions are flat, complete and strict; subsets are pinned by rank."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from openmmlo.errors import ConfigError, DataError, UnknownName
from openmmlo.evaluate.benchmark import Benchmark, ImageSet, benchmark_names, load_benchmark
from openmmlo.records import Sample
from openmmlo.sources.miniature import RenderedImage


def sample(sample_id: str, key: str = "") -> Sample:
    return Sample(sample_id, RenderedImage(""), 0, "test", "made", key)


def definition(**more: Any) -> dict[str, Any]:
    sets = [{"name": "test", "role": "test", "source": "miniature", "split": "test"}]
    return {"name": "own", "version": 1, "title": "One's own.", "classes": 50, "sets": sets} | more


def written(folder: Path, **more: Any) -> str:
    file = folder / "own.yaml"
    file.write_text(yaml.safe_dump(definition(**more)), encoding="utf-8")
    return str(file)


@given(st.sets(st.text(min_size=1, max_size=6), min_size=1, max_size=30), st.integers(0, 5), st.data())
def test_a_subset_is_the_first_by_digest_in_the_order_of_the_list(ids: set[str], seed: int, data: Any) -> None:
    listed = data.draw(st.permutations(sorted(ids)))
    count = data.draw(st.integers(0, len(ids)))
    kept = ImageSet("x", "ood", "made", "test", count=count, seed=seed).select([sample(item) for item in listed])
    ranked = sorted(ids, key=lambda item: hashlib.sha256(f"{seed}\n{item}".encode()).hexdigest())
    assert [item.sample_id for item in kept] == [item for item in listed if item in ranked[:count]]


def test_a_subset_of_each_class_and_what_is_too_few() -> None:
    listed = [sample(f"{key}{number}", key) for number in range(9) for key in "ab"]
    kept = ImageSet("svhn", "ood", "made", "test", per_class=4).select(listed)
    assert sorted(item.class_key for item in kept) == ["a"] * 4 + ["b"] * 4
    assert kept == [item for item in listed if item in kept]
    both = ImageSet("svhn", "ood", "made", "test", per_class=4, count=3).select(listed)
    assert set(both) < set(kept)
    with pytest.raises(DataError, match="svhn: class 'a' has 9 images; the benchmark takes 10"):
        ImageSet("svhn", "ood", "made", "test", per_class=10).select(listed)
    with pytest.raises(DataError, match="svhn: 18 images found; the benchmark takes 19"):
        ImageSet("svhn", "ood", "made", "test", count=19).select(listed)


def test_a_file_of_ones_own_is_read_strictly(tmp_path: Path) -> None:
    assert load_benchmark(written(tmp_path)).name == "own"
    cases: list[tuple[dict[str, Any], str]] = [
        ({"shot": "paper"}, "Did you mean 'shots'"),
        ({"shots": "mine"}, "expected one of 'paper', 'oltr'"),
        ({"classes": "many"}, "expected int"),
        ({"sets": "test"}, "a list of sets"),
        ({"sets": ["test"]}, "expected key: value lines"),
        ({"sets": [{"name": "test", "role": "tst", "source": "miniature", "split": "test"}]}, "Did you mean 'test'"),
        ({"sets": [{"name": "x", "role": "ood", "source": "miniature", "split": "test"}]}, "0 sets have role 'test'"),
        ({"sets": definition()["sets"] * 2}, "two sets are called 'test'"),
    ]
    for more, message in cases:
        with pytest.raises(ConfigError, match=message):
            load_benchmark(written(tmp_path, **more))
    (tmp_path / "own.yaml").write_text("{", encoding="utf-8")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_benchmark(str(tmp_path / "own.yaml"))
    with pytest.raises(UnknownName, match="Did you mean 'imagenet-lt'"):
        load_benchmark("imagenet_lt")


def test_the_digest_is_of_everything_but_the_folder() -> None:
    one = load_benchmark("miniature")
    values = {name: getattr(one, name) for name in one.__dataclass_fields__}
    assert Benchmark(**values | {"folder": "/somewhere"}).digest == one.digest
    changed = [
        Benchmark(**values | {"version": 2}).digest,
        Benchmark(**values | {"shots": "oltr"}).digest,
        Benchmark(**values | {"image_size": 32}).digest,
        Benchmark(**values | {"sets": one.sets[:-1]}).digest,
    ]
    assert len({one.digest, *changed}) == 5
    assert len({load_benchmark(name).digest for name in benchmark_names()}) == len(benchmark_names())


def test_sets_by_role_keep_their_order() -> None:
    one = load_benchmark("openood-imagenet1k")
    assert [item.name for item in one.with_role("ood")] == [
        "ssb-hard",
        "ninco",
        "inaturalist",
        "textures",
        "openimage-o",
    ]
    assert [item.role for item in one.with_role("test", "ood-validation")] == ["test", "ood-validation"]
