"""OpenOOD's lists and images as its download script lays them out; images of ImageNet where users have them."""

from __future__ import annotations

import gzip
import pickle
from pathlib import Path

import pytest

from openmmlo.errors import DataError, UnknownName
from openmmlo.records import Sample, Source, Status
from openmmlo.sources import open_source
from openmmlo.sources.imagenet_lt import class_table
from openmmlo.sources.openood import OpenOOD

LISTS = {
    "imagenet/test_imagenet.txt": "imagenet_1k/val/ILSVRC2012_val_00000293.JPEG 0\n"
    "imagenet_1k/val/ILSVRC2012_val_00000294.JPEG 999\n",
    "imagenet/test_ninco.txt": "ninco/amphiuma_means/amphiuma_means_000_10045958.jpeg -1\n",
    "imagenet/test_textures.txt": "texture/banded/banded_0002.jpg -1\n",
    "cifar100/test_cifar100.txt": "cifar100/test/apple/0076.png 0\r\ncifar100/test/worm/0024.png 99\r\n",
    "cifar100/train_cifar100.txt": "cifar100/train/apple/0001.png 0\ncifar100/train/apple/0002.png 0\n",
    "cifar100/test_mnist.txt": "mnist/test/8_8486.jpg -1\nmnist/train/8_8486.jpg -1\n",
}


def lay(root: Path, lists: dict[str, str] = LISTS) -> None:
    """Lists, and every image of them where the download script puts it."""
    for name, text in lists.items():
        file = root / "benchmark_imglist" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, newline="")
        for line in text.split("\n"):
            path = line.split(" ")[0]
            if path:
                large = path.split("/")[0] in ("imagenet_1k", "ninco")
                image = root / ("images_largescale" if large else "images_classic") / path
                image.parent.mkdir(parents=True, exist_ok=True)
                image.write_bytes(path.encode())


def read(samples: list[Sample]) -> list[str]:
    return [sample.image.read().decode() for sample in samples]


@pytest.mark.parametrize("home", [".", "openood", "OpenOOD", "OpenOOD/data"])
def test_every_image_of_every_list_is_found(home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(tmp_path / home)
    monkeypatch.setenv("OPENMMLO_DATA", str(tmp_path))
    for name, text in LISTS.items():
        suite, _, file = name.partition("/")
        split, _, kind = file.removesuffix(".txt").partition("_")
        source = open_source("openood", {"suite": suite, "set": kind})
        samples = list(source.samples(split))
        rows = [line.split() for line in text.splitlines()]
        assert isinstance(source, Source)
        assert [(sample.sample_id, sample.label) for sample in samples] == [(path, int(label)) for path, label in rows]
        assert read(samples) == [path for path, _ in rows]
        assert [source.image(sample.image.locator).read() for sample in samples] == [
            sample.image.read() for sample in samples
        ]
        assert pickle.loads(pickle.dumps(samples)) == samples  # noqa: S301 - our own bytes
        keys = [info.key for info in source.info().classes]
        assert [sample.class_key for sample in samples] == [keys[int(y)] if y != "-1" else "" for _, y in rows]
        assert [finding.level for finding in source.check()] == ["ok"] * len(source.check())


def test_training_counts_come_from_the_training_list(tmp_path: Path) -> None:
    lay(tmp_path)
    assert OpenOOD(images=tmp_path, suite="cifar100").info().train_counts == (2, *[0] * 99)
    assert OpenOOD(images=tmp_path, suite="imagenet").info().train_counts is None
    assert OpenOOD(images=tmp_path, suite="cifar100", set="mnist").info().train_counts is None


@pytest.mark.parametrize("layout", ["val/{wnid}/{file}", "val/{file}", "ILSVRC/Data/CLS-LOC/val/{file}"])
def test_images_of_imagenet_are_found_where_imagenet_lies(
    layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(tmp_path / "openood")
    monkeypatch.setenv("OPENMMLO_DATA", str(tmp_path))
    file = "ILSVRC2012_val_00000293.JPEG"
    (tmp_path / "openood/images_largescale/imagenet_1k/val" / file).unlink()
    moved = tmp_path / "imagenet" / layout.format(wnid=class_table()[0].key, file=file)
    moved.parent.mkdir(parents=True)
    moved.write_bytes(b"from elsewhere")
    source = open_source("openood", {"suite": "imagenet"})
    first, second = source.samples("test")
    assert (first.problem, second.problem) == (None, None)
    assert first.sample_id == f"imagenet_1k/val/{file}"
    assert first.image.read() == b"from elsewhere" == source.image(first.image.locator).read()


def test_what_is_missing_is_counted_and_the_origin_named(tmp_path: Path) -> None:
    lay(tmp_path)
    source = OpenOOD(images=tmp_path, suite="cifar100", set="mnist")
    (tmp_path / "images_classic/mnist/train/8_8486.jpg").unlink()
    assert [sample.problem for sample in source.samples("test")] == [None, Status.MISSING]
    (finding,) = source.check()
    assert "1 of 2 images" in finding.what
    assert finding.allowable
    assert "github.com/Jingkang50/OpenOOD" in finding.remedy
    (finding,) = OpenOOD(images=tmp_path, suite="cifar100", set="tin").check()
    assert "benchmark_imglist/cifar100/train_tin.txt" in finding.what
    assert "OPENMMLO_DATA is not set" in OpenOOD().check()[0].what
    with pytest.raises(UnknownName, match="Known: test, train, val"):
        source.samples("open")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("../../../etc/passwd -1\n", "leaves the image root"),
        ("mnist/../../secret.jpg -1\n", "leaves the image root"),
        ("/etc/passwd -1\n", "is absolute"),
        ("mnist\\test\\1.jpg -1\n", "backslash"),
        ("mnist/test/1.jpg 5\n", "label 5 in an open-set list"),
        ("mnist/test/1.jpg\n", "is not a list line"),
        ("mnist/test/1.jpg -1\nmnist/test/2.jpg -1\nmnist/test/1.jpg -1\n", "listed twice"),
        ('mnist/test/1.jpg {"label": 1}\n', "not an integer"),
        ("", "no line in it"),
    ],
)
def test_hostile_and_broken_lists_are_refused(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "benchmark_imglist/cifar100/test_mnist.txt"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    with pytest.raises(DataError, match=message):
        OpenOOD(images=tmp_path, suite="cifar100", set="mnist").samples("test")


def test_a_set_is_a_name_and_a_label_is_in_the_class_table(tmp_path: Path) -> None:
    lay(tmp_path, {"cifar100/test_cifar100.txt": "cifar100/test/apple/0076.png 100\n"})
    with pytest.raises(DataError, match="outside the class table"):
        OpenOOD(images=tmp_path, suite="cifar100").samples("test")
    for name in ("../../secret", "a/b", "", "..", "x.txt\0"):
        if name:
            with pytest.raises(DataError, match="no name of a list"):
                OpenOOD(images=tmp_path, suite="cifar100", set=name).samples("test")


def test_links_are_followed_only_directly_under_the_image_folders(tmp_path: Path) -> None:
    lay(tmp_path / "data")
    outside = tmp_path / "elsewhere"
    (tmp_path / "data/images_classic/mnist").rename(outside)
    (tmp_path / "data/images_classic/mnist").symlink_to(outside)
    source = OpenOOD(images=tmp_path / "data", suite="cifar100", set="mnist")
    assert [sample.problem for sample in source.samples("test")] == [None, None]
    (outside / "train").rename(tmp_path / "deeper")
    (outside / "train").symlink_to(tmp_path / "deeper")
    assert [sample.problem for sample in source.samples("test")] == [None, Status.LINK]
    assert [sample.problem for sample in OpenOOD(source.images, "cifar100", "mnist", True).samples("test")] == [
        None,
        None,
    ]
    for locator in ("images_classic/../../secret", "../x", "secret"):
        with pytest.raises(DataError, match="no image of OpenOOD"):
            source.image(locator)


def test_lists_may_be_compressed(tmp_path: Path) -> None:
    lay(tmp_path)
    file = tmp_path / "benchmark_imglist/imagenet/test_ninco.txt"
    Path(f"{file}.gz").write_bytes(gzip.compress(file.read_bytes()))
    file.unlink()
    assert len(list(OpenOOD(images=tmp_path, set="ninco").samples("test"))) == 1
