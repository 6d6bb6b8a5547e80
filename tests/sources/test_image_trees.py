"""DTD, Places365 and ImageNet-Sketch in the folders that their archives unpack to."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from openmmlo.errors import ConfigError, DataError, UnknownName
from openmmlo.records import Sample, Source, Status
from openmmlo.sources import open_source
from openmmlo.sources.imagenet_lt import class_table
from openmmlo.sources.imagenet_sketch import ImageNetSketch
from openmmlo.sources.places365 import Places365, names
from openmmlo.sources.textures import KINDS, Textures


def put(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(f"image {Path(path).stem}".encode())


def ids(samples: list[Sample]) -> list[str]:
    return [sample.sample_id for sample in samples]


TEXTURES = ("banded/banded_0002.jpg", "polka-dotted/polka-dotted_0001.jpg", "waffled/waffled_0042.jpg")


@pytest.mark.parametrize(
    "home", ["dtd/images", "DTD/dtd/images", "textures", "small_OOD_dataset/dtd/images", "texture"]
)
def test_textures_have_one_id_in_every_layout(home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / home, *TEXTURES)
    (tmp_path / home / "waffled" / ".directory").write_text("as DTD ships it")
    monkeypatch.setenv("OPENMMLO_DATA", str(tmp_path))
    source = open_source("textures")
    samples = list(source.samples("all"))
    assert isinstance(source, Source)
    assert ids(samples) == ["banded/banded_0002", "polka-dotted/polka-dotted_0001", "waffled/waffled_0042"]
    assert [(sample.class_key, sample.label) for sample in samples] == [
        ("banded", 0),
        ("polka-dotted", KINDS.index("polka-dotted")),
        ("waffled", 43),
    ]
    assert samples[2].image.read() == b"image waffled_0042" == source.image(samples[2].image.locator).read()
    assert "3 of 5,640" in source.check()[0].what
    assert "robots.ox.ac.uk" in source.check()[0].remedy


def test_there_are_47_kinds_of_texture_and_120_images_of_each() -> None:
    assert len(KINDS) == 47 == len(set(KINDS))
    assert list(KINDS) == sorted(KINDS)
    assert 47 * 120 == 5640


def test_a_partition_of_dtd_follows_its_list(tmp_path: Path) -> None:
    put(tmp_path / "dtd/images", *TEXTURES)
    (tmp_path / "dtd/labels").mkdir()
    lists = tmp_path / "dtd/labels"
    (lists / "test2.txt").write_text(f"{TEXTURES[2]}\n{TEXTURES[0]}\nwoven/woven_0001.jpg\n")
    source = Textures(images=tmp_path / "dtd", partition=2)
    samples = list(source.samples("test"))
    assert ids(samples) == ["waffled/waffled_0042", "banded/banded_0002", "woven/woven_0001"]
    assert [sample.problem for sample in samples] == [None, None, Status.MISSING]
    with pytest.raises(DataError, match=r"no list labels/train2\.txt"):
        source.samples("train")
    assert [finding.level for finding in source.check(("all", "test", "val"))] == ["warning", "error"]
    for line, message in (
        ("../../secret.jpg", "no DTD image"),
        ("banded/../../x.jpg", "no DTD image"),
        ("/etc/passwd", "no DTD image"),
        ("banded/.x.jpg", "no DTD image"),
        (f"{TEXTURES[0]}\n{TEXTURES[0]}", ":2: repeats"),
    ):
        (lists / "test2.txt").write_text(line + "\n")
        with pytest.raises(DataError, match=message):
            source.samples("test")
    with pytest.raises(ConfigError, match="expected 1 to 10"):
        Textures(partition=11)
    with pytest.raises(UnknownName, match="Known: all, test, train, val"):
        source.samples("extra")


def test_a_folder_that_is_no_kind_of_texture_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "dtd/images", *TEXTURES, "holidays/beach.jpg")
    with pytest.raises(DataError, match=r"'holidays/beach\.jpg' .* no folder of the 47 kinds"):
        Textures(images=tmp_path / "dtd").samples("all")


VAL = tuple(f"Places365_val_{number:08d}" for number in (1, 2, 36_500))


@pytest.mark.parametrize(
    "home", ["places365/val_256", "Places365/val_large", "places365/val/airfield", "ood_datasets/places365/val"]
)
def test_places365_lists_every_published_name_whatever_is_there(
    home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / home, *(f"{name}.jpg" for name in VAL), "holiday.jpg")
    monkeypatch.setenv("OPENMMLO_DATA", str(tmp_path))
    source = open_source("places365")
    samples = list(source.samples("val"))
    assert isinstance(source, Source)
    assert ids(samples) == list(names("val"))
    assert len(samples) == 36_500
    there = [sample for sample in samples if sample.problem is None]
    assert ids(there) == list(VAL)
    assert {sample.problem for sample in samples} == {None, Status.MISSING}
    assert there[2].image.read() == b"image Places365_val_00036500" == source.image(there[2].image.locator).read()
    findings = source.check(("val", "test"))
    assert [finding.level for finding in findings] == ["warning", "error"]
    assert "3 of 36,500" in findings[0].what
    assert "test_256.tar" in findings[1].remedy


def test_places365_test_images_and_a_folder_named_outright(tmp_path: Path) -> None:
    put(tmp_path / "test_256", "Places365_test_00000007.jpg")
    source = Places365(images=tmp_path / "test_256")
    there = [sample for sample in source.samples("test") if sample.problem is None]
    assert ids(there) == ["Places365_test_00000007"]
    assert there[0].image.read() == source.image(there[0].image.locator).read()
    with pytest.raises(DataError, match=r"Places365 \(val\): no folder"):
        source.samples("val")


WNIDS = [info.key for info in class_table()]


@pytest.mark.parametrize("home", ["imagenet-sketch/sketch", "ImageNet-Sketch/data/sketch", "sketch", "imagenet_sketch"])
def test_sketches_are_labelled_by_sorted_wnid(home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / home, f"{WNIDS[0]}/sketch_0.JPEG", f"{WNIDS[999]}/sketch_0.JPEG", f"{WNIDS[7]}/sketch_12.JPEG")
    monkeypatch.setenv("OPENMMLO_DATA", str(tmp_path))
    source = open_source("imagenet-sketch")
    samples = list(source.samples("test"))
    assert isinstance(source, Source)
    assert ids(samples) == ["n01440764/sketch_0", "n01514668/sketch_12", "n15075141/sketch_0"]
    assert [sample.label for sample in samples] == [0, 7, 999]
    assert source.info().label_map_hash == open_source("imagenet-lt").info().label_map_hash
    assert pickle.loads(pickle.dumps(samples)) == samples  # noqa: S301 - our own bytes
    assert source.image(samples[1].image.locator).read() == b"image sketch_12"
    assert "3 of 50,889" in source.check()[0].what


def test_a_folder_that_is_no_class_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "sketch", f"{WNIDS[0]}/sketch_0.JPEG", "n99999999/sketch_0.JPEG")
    with pytest.raises(DataError, match="n99999999"):
        ImageNetSketch(images=tmp_path / "sketch").samples("test")
    with pytest.raises(DataError, match="Searched: nothing"):
        ImageNetSketch().samples("test")
