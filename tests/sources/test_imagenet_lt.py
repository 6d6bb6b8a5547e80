"""ImageNet-LT on the real lists: class table, path variants, layouts on disk, and what is refused."""

from __future__ import annotations

import gzip
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from openmmlo.errors import DataError
from openmmlo.records import Source, Status, list_hash
from openmmlo.sources.imagenet_lt import ImageNetLT, class_table


def rows(folder: Path, name: str) -> list[tuple[str, int]]:
    """A plain parse of a real list."""
    lines = gzip.decompress((folder / f"{name}.txt.gz").read_bytes()).decode().splitlines()
    return [(line.split()[0], int(line.split()[1])) for line in lines]


@pytest.fixture(scope="module")
def flat_lists(official_splits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lists of a release whose test list reads val/<file>."""
    folder = tmp_path_factory.mktemp("flat")
    shutil.copy(official_splits / "ImageNet_LT_test.flat.txt.gz", folder / "ImageNet_LT_test.txt.gz")
    shutil.copy(official_splits / "ImageNet_LT_val.txt.gz", folder)
    return folder


def test_the_class_table_is_that_of_the_lists(official_splits: Path) -> None:
    table = class_table()
    names = [
        line.split(" ", 1)[0] for line in (official_splits / "ImageNet_LT_classnames.txt").read_text().splitlines()
    ]
    assert [info.key for info in table] == names == sorted(names)
    assert len(table) == len({info.name for info in table}) == 1000
    assert all(info.name in info.synonyms for info in table)
    by_key = {info.key: info for info in table}
    assert by_key["n02509815"].synonyms == (
        "lesser panda", "red panda", "panda", "bear cat", "cat bear", "Ailurus fulgens",
    )  # fmt: skip
    assert by_key["n02012849"].name == "crane (n02012849)"
    assert by_key["n03126707"].name == "crane (n03126707)"
    assert by_key["n03710637"].synonyms[0] == by_key["n03710721"].synonyms[0] == "maillot"
    assert sum("(" in info.name for info in table) == 4


def test_readable_names_of_the_lists_are_mostly_lemmas(official_splits: Path) -> None:
    """An independent naming of the same 1,000 classes: labels shifted by one would share almost no word."""
    lines = (official_splits / "ImageNet_LT_classnames.txt").read_text().splitlines()
    shared = 0
    for info, line in zip(class_table(), lines, strict=True):
        words = set(line.split(" ", 1)[1].casefold().split())
        shared += bool(words & set(" ".join(info.synonyms).casefold().split()))
    assert shared > 900


def test_the_class_table_loads_no_heavy_package() -> None:
    code = (
        "import sys; from openmmlo.sources.imagenet_lt import ImageNetLT; ImageNetLT().info();"
        "sys.exit(any(name in sys.modules for name in ('timm', 'torch', 'transformers', 'datasets')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_class_table_says_when_timm_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    class_table.cache_clear()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError, match="pip install"):
        class_table()


def test_real_lists(official_splits: Path) -> None:
    source = ImageNetLT(lists=official_splits)
    assert isinstance(source, Source)
    assert source.info().train_counts is None
    assert source.info().shot_groups() == ()
    wnids = [info.key for info in source.info().classes]
    ids: list[str] = []
    for split, count, each in (("val", 20_000, 20), ("test", 50_000, 50), ("open", 18_000, None)):
        samples = list(source.samples(split))
        plain = rows(official_splits, f"ImageNet_LT_{split}")
        assert len(samples) == count
        assert [sample.sample_id for sample in samples] == [Path(path).stem for path, _ in plain]
        assert [sample.label for sample in samples] == [label for _, label in plain]
        if each:
            assert set(Counter(sample.label for sample in samples).values()) == {each}
            assert all(sample.class_key == wnids[sample.label] == path.split("/")[1] for sample, (path, _) in zip(
                samples, plain, strict=True
            ))  # fmt: skip
            assert [sample.image.locator for sample in samples] == [path for path, _ in plain]
        else:
            assert {(sample.label, sample.class_key) for sample in samples} == {(-1, "")}
        ids += [sample.sample_id for sample in samples]
    assert len(set(ids)) == len(ids) == 88_000


def test_the_flat_test_list_gives_the_same_samples(official_splits: Path, flat_lists: Path) -> None:
    ours = list(ImageNetLT(lists=official_splits).samples("test"))
    flat = list(ImageNetLT(lists=flat_lists).samples("test"))
    assert flat == ours
    pairs = [[(sample.sample_id, sample.class_key) for sample in samples] for samples in (ours, flat)]
    assert list_hash(pairs[0]) == list_hash(pairs[1])


def test_train_counts_come_from_the_list(tmp_path: Path) -> None:
    wnids = [info.key for info in class_table()]
    text = "".join(
        f"train/{wnid}/{wnid}_{number}.JPEG {label}\n"
        for label, wnid in enumerate(wnids)
        for number in range(101 if label < 3 else 20 if label < 5 else 19)
    )
    (tmp_path / "ImageNet_LT_train.txt").write_text(text)
    info = ImageNetLT(lists=tmp_path).info()
    assert info.train_counts == (101,) * 3 + (20,) * 2 + (19,) * 995
    assert Counter(info.shot_groups()) == {"many": 3, "medium": 2, "few": 995}


LAYOUTS = {
    "classes": ("train/{wnid}", "val/{wnid}"),
    "flat validation images": ("train/{wnid}", "val"),
    "Kaggle": ("ILSVRC/Data/CLS-LOC/train/{wnid}", "ILSVRC/Data/CLS-LOC/val"),
    "Kaggle, sorted into classes": ("ILSVRC/Data/CLS-LOC/train/{wnid}", "ILSVRC/Data/CLS-LOC/val/{wnid}"),
    "named by archive": ("ILSVRC2012_img_train/{wnid}", "ILSVRC2012_img_val"),
}


@pytest.fixture(scope="module", params=["classes", "flat"])
def short_lists(
    request: pytest.FixtureRequest, official_splits: Path, flat_lists: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Every 331st row of a release's validation and test list."""
    folder = tmp_path_factory.mktemp("short")
    for split in ("val", "test"):
        name = f"ImageNet_LT_{split}.txt"
        data = ((official_splits if request.param == "classes" else flat_lists) / f"{name}.gz").read_bytes()
        (folder / name).write_text("".join(gzip.decompress(data).decode().splitlines(keepends=True)[::331]))
    return folder


@pytest.mark.parametrize("layout", LAYOUTS)
def test_images_are_found_in_every_layout(
    official_splits: Path, short_lists: Path, tmp_path: Path, layout: str
) -> None:
    present = {split: rows(official_splits, f"ImageNet_LT_{split}")[::662] for split in ("val", "test")}
    for split, template in zip(("val", "test"), LAYOUTS[layout], strict=True):
        for path, _ in present[split]:
            folder = tmp_path / template.format(wnid=path.split("/")[1])
            folder.mkdir(parents=True, exist_ok=True)
            (folder / Path(path).name).write_bytes(path.encode())
    source = ImageNetLT(images=tmp_path, lists=short_lists)
    for split, expected in present.items():
        samples = list(source.samples(split))
        found = [sample for sample in samples if sample.problem is None]
        assert len(samples) > len(found)
        assert [sample.image.read().decode() for sample in found] == [path for path, _ in expected]
        assert [source.image(sample.image.locator) for sample in found] == [sample.image for sample in found]


def test_a_linked_train_folder_is_followed(official_splits: Path, tmp_path: Path) -> None:
    (tmp_path / "disk/n01440764").mkdir(parents=True)
    (tmp_path / "disk/n01440764/n01440764_762.JPEG").write_bytes(b"")
    (tmp_path / "images").mkdir()
    (tmp_path / "images/train").symlink_to(tmp_path / "disk")
    source = ImageNetLT(images=tmp_path / "images", lists=official_splits)
    assert next(iter(source.samples("val"))).problem is None


def test_the_open_set_lies_beside_the_images(official_splits: Path, tmp_path: Path) -> None:
    names = [path for path, _ in rows(official_splits, "ImageNet_LT_open")[:3]]
    for folder, name in zip(("ImageNet_LT_open", "ImageNet_LT_open/val"), names, strict=False):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / name).write_bytes(folder.encode())
    samples = list(ImageNetLT(images=tmp_path, lists=official_splits).samples("open"))[:3]
    assert [sample.problem for sample in samples] == [None, None, Status.MISSING]
    assert [sample.image.locator for sample in samples] == [
        f"open/{names[0]}",
        f"open/val/{names[1]}",
        f"open/{names[2]}",
    ]
    assert [sample.image.read() for sample in samples[:2]] == [b"ImageNet_LT_open", b"ImageNet_LT_open/val"]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("train/n01440764/n01440764_1.JPEG 0\ntrain/n01443537/n01443537_1.JPEG 0\n", 2, "expected 1"),
        ("train/n01440764/n01440764_1.JPEG 0\ntrain/n01440764/n01440764_1.JPEG 0\n", 2, "repeats"),
        ("train/n00000001/n00000001_1.JPEG 0\n", 1, "no class of ILSVRC 2012"),
        ("train/n01440764/n01440764_1.JPEG 1000\n", 1, "outside the class table; expected 0 to 999"),
        ("train/n01440764/n01440764_1.JPEG -1\n", 1, "known classes"),
        ("/train/n01440764/n01440764_1.JPEG 0\n", 1, "absolute"),
        ("train\\n01440764\\n01440764_1.JPEG 0\n", 1, "backslash"),
    ],
)
def test_wrong_lists_are_refused(tmp_path: Path, text: str, line: int, message: str) -> None:
    file = tmp_path / "ImageNet_LT_train.txt"
    file.write_text(text)
    with pytest.raises(DataError) as error:
        ImageNetLT(lists=tmp_path).samples("train")
    assert str(error.value).startswith(f"{file}:{line}: ")
    assert message in str(error.value)


def test_check_names_the_archive_and_the_layout(official_splits: Path, tmp_path: Path) -> None:
    found = ImageNetLT(images=tmp_path, lists=official_splits).check(("val", "test", "open"))
    assert [finding.level for finding in found] == ["ok", "error"] * 3
    assert f"val: 0 of 20,000 images found under {tmp_path}" in found[1].what
    for finding, archive in zip(
        found[1::2], ("img_train.tar", "img_val.tar", "ILSVRC2010_images_val.tar"), strict=True
    ):
        assert archive in finding.remedy
    missing = ImageNetLT(lists=tmp_path).check()
    assert [finding.level for finding in missing] == ["error"] * 4
    assert all("openmmlo lists get imagenet-lt" in finding.remedy for finding in missing)


def test_a_full_set_of_images_is_ok(tmp_path: Path) -> None:
    (tmp_path / "ImageNet_LT_test.txt").write_text("val/ILSVRC2012_val_00000001.JPEG 65\n")
    (tmp_path / "val").mkdir()
    (tmp_path / "val/ILSVRC2012_val_00000001.JPEG").write_bytes(b"")
    found = ImageNetLT(images=tmp_path).check(("test",))
    assert [finding.level for finding in found] == ["warning", "ok"]
    assert "the official list has 50,000" in found[0].what
    assert found[1].what == f"test: 1 of 1 images found under {tmp_path} in val/"
