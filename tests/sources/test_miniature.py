"""The miniature as a source: counts, ids, splits, determinism, laziness."""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import pickle
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from openmmlo.config import construct
from openmmlo.errors import ConfigError, DataError, UnknownName
from openmmlo.records import Sample, Source
from openmmlo.sources import open_source
from openmmlo.sources.miniature import SPLITS, Miniature, RenderedImage, picture_at
from openmmlo.sources.miniature_captions import CAPTIONS_VERSION, caption_of
from openmmlo.sources.miniature_classes import CLASSES, VERSION


def first(split: str, count: int, **options: int) -> list[Sample]:
    return list(itertools.islice(Miniature(**options).samples(split), count))


def test_is_a_source() -> None:
    source = open_source("miniature", {"seed": "3", "size": "96"})
    assert isinstance(source, Source)
    assert source == Miniature(seed=3, size=96)
    assert pickle.loads(pickle.dumps(source)) == source  # noqa: S301 - made two lines above


def test_counts_follow_the_closed_form() -> None:
    counts = Miniature().train_counts
    by_rank = [counts[label] for label in np.argsort([item.rank for item in CLASSES])]
    assert by_rank == [int(500 * 0.01 ** (rank / 49) + 1e-9) for rank in range(50)]
    assert (by_rank[0], by_rank[-1], sum(counts)) == (500, 5, 5499)
    assert Counter(Miniature().info().shot_groups()) == {"many": 18, "medium": 17, "few": 15}


@pytest.mark.parametrize(("split", "classes", "total"), [
    ("train", 50, 5499), ("train_balanced", 50, 5499), ("test", 50, 2500), ("near_ood", 15, 750), ("far_ood", 3, 750),
    ("sketch", 50, 500),
])  # fmt: skip
def test_every_split(split: str, classes: int, total: int) -> None:
    source = Miniature()
    samples = list(source.samples(split))
    assert len(samples) == len({sample.sample_id for sample in samples}) == total
    assert len({sample.class_key for sample in samples}) == classes
    keys = [item.key for item in source.info().classes]
    for sample in samples:
        assert sample.split == split == sample.sample_id.partition("/")[0]
        assert sample.label == (-1 if "ood" in split else keys.index(sample.class_key))
        assert source.image(sample.image.locator) == sample.image
    counts = Counter(sample.class_key for sample in samples)
    if split == "train":
        assert tuple(counts[key] for key in keys) == source.info().train_counts
    else:
        assert max(counts.values()) - min(counts.values()) <= 1
    assert samples == list(source.samples(split))


def test_split_names_fit_the_hub_and_unknown_ones_are_refused() -> None:
    assert all(split.isidentifier() for split in SPLITS)
    with pytest.raises(UnknownName, match="Did you mean 'train'"):
        Miniature().samples("trian")


def test_the_beginning_of_a_split_resembles_the_whole() -> None:
    counts = Miniature().train_counts
    seen = Counter(sample.label for sample in first("train", 1100))
    assert all(abs(seen[label] - count / 5) <= 1 for label, count in enumerate(counts))


def test_names_are_unique_and_no_name_belongs_to_two() -> None:
    info = Miniature().info()
    everything = [*info.classes, *info.ood_classes]
    names = [name.casefold() for item in everything for name in dict.fromkeys((item.name, *item.synonyms))]
    assert len(names) == len(set(names))
    assert all(item.name in item.synonyms for item in everything)
    assert sum(len(item.synonyms) > 1 for item in info.classes) == 50


def test_label_order_says_nothing_of_frequency() -> None:
    assert sorted(item.rank for item in CLASSES) == list(range(50))
    assert [item.key for item in CLASSES] == sorted(item.key for item in CLASSES)
    assert abs(np.corrcoef([item.rank for item in CLASSES], range(50))[0, 1]) < 0.3


def test_the_class_table_is_versioned() -> None:
    """A changed row needs a new VERSION, and then a new digest here."""
    rows = "\n".join(repr(item) for item in CLASSES)
    assert (VERSION, hashlib.sha256(rows.encode()).hexdigest()[:16]) == ("1", "2fb197e8b0382db8")


def test_pictures_and_captions_are_versioned() -> None:
    """What a picture shows and how it is told, on every Python; a change needs a new version, and new digests here."""
    pictures = [picture_at(sample.image.locator)[0] for split in SPLITS for sample in first(split, 40)]
    numbers = [
        (picture.size_word, picture.backdrop.names, picture.detail, thing.shape, thing.colour, thing.rgb)
        for picture in pictures
        for thing in (*picture.things, *picture.bystanders)
    ]
    numbers += [
        tuple(round(number, 6) for number in (thing.x, thing.y, thing.extent, thing.angle, thing.mirrored))
        for picture in pictures
        for thing in (*picture.things, *picture.bystanders)
    ]
    told = [caption_of(picture) for picture in pictures]
    digests = [hashlib.sha256(repr(value).encode()).hexdigest()[:16] for value in (numbers, told)]
    assert (VERSION, CAPTIONS_VERSION, *digests) == ("1", "1", "508cadefa9344b10", "f02624a5aad8036d")


def test_an_image_is_the_same_in_every_process() -> None:
    locators = [sample.image.locator for split in SPLITS for sample in first(split, 6)]
    code = (
        "import sys, hashlib\n"
        "from openmmlo.sources.miniature import Miniature\n"
        "print(*(hashlib.sha256(Miniature().image(line).read()).hexdigest() for line in sys.argv[1:]))"
    )
    environment = os.environ | {"PYTHONHASHSEED": "12345", "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", code, *reversed(locators)]
    other = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.split()
    here = [hashlib.sha256(Miniature(seed=9).image(locator).read()).hexdigest() for locator in locators]
    assert here == other[::-1]


def test_images_differ_between_ids_and_seeds() -> None:
    read = [sample.image.read() for seed in (0, 1, -1) for split in SPLITS for sample in first(split, 25, seed=seed)]
    assert len(set(read)) == len(read)


@pytest.mark.parametrize("size", [32, 64, 224])
def test_images_are_rgb_png_of_the_size_asked_for(size: int) -> None:
    for split in SPLITS:
        for sample in first(split, 3, size=size):
            with Image.open(io.BytesIO(sample.image.read())) as image:
                assert (image.format, image.mode, image.size) == ("PNG", "RGB", (size, size))


def test_a_locator_carries_everything() -> None:
    sample = first("train", 1, seed=4, size=48)[0]
    assert sample.image.locator == f"v1/s48/seed4/{sample.sample_id}"
    assert Miniature().image(sample.image.locator).read() == sample.image.read()


@pytest.mark.parametrize("locator", [
    "", "../secrets", "v1/s64/seed0/train/unicorn-000000", "v1/s64/seed0/test/spade-000000",
    "v1/s64/seed0/x/cat-000000", "v1/s64/seed0/train/cat-12", "v2/s64/seed0/train/cat-000000",
])  # fmt: skip
def test_other_locators_are_refused(locator: str) -> None:
    with pytest.raises(DataError):
        Miniature().image(locator)
    with pytest.raises(DataError):
        RenderedImage(locator).read()


@pytest.mark.slow
def test_a_million_images_are_listed_lazily_and_fast() -> None:
    source = Miniature(total=1_000_000)
    counts = source.train_counts
    assert sum(counts) == 1_000_000
    assert max(counts) / min(counts) == pytest.approx(100, rel=0.01)
    start = time.process_time()
    assert sum(1 for _ in source.samples("train")) == 1_000_000
    assert time.process_time() - start < 20  # 2.3 s on an idle core
    listed = source.samples("train")
    assert next(iter(listed)).image.read().startswith(b"\x89PNG")


@pytest.mark.parametrize("total", [50, 51, 777, 5499, 100_003])
def test_any_total_is_met_exactly(total: int) -> None:
    source = Miniature(total=total)
    by_rank = [source.train_counts[label] for label in np.argsort([item.rank for item in CLASSES])]
    assert sum(by_rank) == total
    assert min(by_rank) >= 1
    assert by_rank == sorted(by_rank, reverse=True)
    assert sum(1 for _ in source.samples("train_balanced")) == total


@pytest.mark.parametrize(("options", "says"), [
    ({"size": 8}, "size is 8"), ({"ratio": 0.5}, "ratio is 0.5"), ({"largest": 50}, "leaves the smallest class empty"),
    ({"total": 49}, "total is 49"), ({"test_per_class": -1}, "test_per_class is -1"),
    ({"size": 10_000}, "at most 2048"), ({"sise": 64}, "Did you mean 'size'"),
])  # fmt: skip
def test_impossible_options_are_refused(options: dict[str, float], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        construct(Miniature, options, "source miniature")


def test_check_names_every_split() -> None:
    findings = Miniature().check()
    assert [finding.what.partition(":")[0] for finding in findings if finding.level == "ok"] == list(SPLITS)
    assert not [finding for finding in findings if finding.level == "error"]
    assert len(Miniature(test_per_class=0).check(("test",))) == 1


def test_listing_and_opening_stay_light() -> None:
    """Listing a million samples needs no drawing library, and importing the source none of the heavy ones."""
    code = (
        "import sys; from openmmlo.sources.miniature import Miniature; list(Miniature().samples('train'));"
        "print([name for name in ('torch', 'PIL', 'numpy', 'matplotlib') if name in sys.modules])"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"
