"""Folders as people have them: nested, linked, half split, oddly named. Every image file is listed exactly once."""

from __future__ import annotations

import csv
import json
import os
import pickle
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmmlo.data.images import decode
from openmmlo.errors import ConfigError, DataError, SampleFailed, UnknownName
from openmmlo.records import Finding, Sample, Source, Status
from openmmlo.sources import open_source
from openmmlo.sources.folder_tables import class_infos
from openmmlo.sources.imagefolder import ImageFolder
from openmmlo.sources.longtail import exponential_counts


def fill(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"")
    return root


def numbered(root: Path, **counts: int) -> Path:
    return fill(root, *(f"{key}/{number:04d}.jpg" for key, count in counts.items() for number in range(count)))


def all_samples(source: ImageFolder) -> list[Sample]:
    return [sample for split in source.splits() for sample in source.samples(split)]


def ids(source: ImageFolder, split: str) -> list[str]:
    return [sample.sample_id for sample in source.samples(split)]


def said(findings: list[Finding]) -> str:
    return "\n".join(f"{finding.level}: {finding.what}" for finding in findings)


def test_top_level_splits_and_nested_classes(tmp_path: Path) -> None:
    fill(
        tmp_path,
        "train/cat/b.jpg",
        "train/cat/a.JPG",
        "train/animals/big/dog/1.png",
        "train/cat/kitten/x.webp",
        "Validation/cat/v.jpg",
        "test/zebra/t.jpeg",
    )
    source = ImageFolder(tmp_path)
    assert isinstance(source, Source)
    assert source.splits() == ("train", "val", "test")
    assert ids(source, "train") == [
        "train/animals/big/dog/1.png",
        "train/cat/a.JPG",
        "train/cat/b.jpg",
        "train/cat/kitten/x.webp",
    ]
    assert [(s.label, s.class_key) for s in source.samples("train")] == [
        (0, "animals/big/dog"),
        (1, "cat"),
        (1, "cat"),
        (2, "cat/kitten"),
    ]
    (val,) = source.samples("val")
    assert (val.sample_id, val.split, val.class_key, val.source) == (
        "Validation/cat/v.jpg",
        "val",
        "cat",
        "imagefolder",
    )
    info = source.info()
    assert [item.key for item in info.classes] == ["animals/big/dog", "cat", "cat/kitten", "zebra"]
    assert [item.name for item in info.classes] == ["dog", "cat", "kitten", "zebra"]
    assert info.train_counts == (1, 2, 1, 0)
    assert val.image.locator == "Validation/cat/v.jpg"
    assert source.image(val.image.locator).read() == b""
    assert "1 classes have no training image: 'zebra'" in said(source.check())


def test_one_other_folder_makes_all_of_them_classes(tmp_path: Path) -> None:
    fill(tmp_path, "train/cat/a.jpg", "test/cat/a.jpg", "extra/a.jpg")
    source = ImageFolder(tmp_path, val=0, test=0)
    assert [item.key for item in source.info().classes] == ["extra", "test/cat", "train/cat"]
    assert source.splits() == ("train",)
    assert "warning: test, train look like splits" in said(source.check())


def test_folders_without_images_do_not_spoil_the_splits(tmp_path: Path) -> None:
    fill(tmp_path, "train/cat/a.jpg", "test/cat/a.jpg", "annotations/boxes.json", "__pycache__/x.pyc", "README.md")
    (tmp_path / "train/dog/puppy").mkdir(parents=True)
    source = ImageFolder(tmp_path)
    assert source.splits() == ("train", "test")
    assert [item.key for item in source.info().classes] == ["cat"]
    text = said(source.check())
    assert "3 folders hold no image: '__pycache__', 'annotations', 'train/dog'" in text
    assert "3 files are no images by their suffix: " in text


def test_two_folders_for_one_split_are_refused(tmp_path: Path) -> None:
    fill(tmp_path, "val/cat/a.jpg", "valid/cat/a.jpg")
    with pytest.raises(DataError, match="val, valid are all the split val"):
        ImageFolder(tmp_path).splits()


def test_images_outside_class_folders_are_refused(tmp_path: Path) -> None:
    fill(tmp_path, "stray.jpg", "cat/a.jpg")
    with pytest.raises(DataError, match=r"1 images lie in no class folder: 'stray.jpg'"):
        ImageFolder(tmp_path).splits()
    fill(tmp_path / "two", "train/stray.jpg", "train/cat/a.jpg")
    source = ImageFolder(tmp_path / "two")
    with pytest.raises(DataError, match=r"train/stray\.jpg"):
        source.info()
    assert [finding.level for finding in source.check()] == ["error"]


def test_what_is_no_image_is_counted_and_named(tmp_path: Path) -> None:
    fill(
        tmp_path,
        "cat/a.jpg",
        "cat/a.txt",
        "cat/._a.jpg",
        "cat/.DS_Store",
        "cat/Thumbs.db",
        ".git/x.jpg",
        "cat/b.heic",
        "cat/noend",
    )
    source = ImageFolder(tmp_path)
    assert [sample.sample_id for sample in all_samples(source)] == ["cat/a.jpg"]
    text = said(source.check())
    assert "4 hidden or system entries are skipped: '.git', 'cat/.DS_Store', 'cat/._a.jpg', …" in text
    assert "2 files are no images by their suffix: .heic (1), no suffix (1)" in text


def test_nothing_to_find_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"Expected CLASS/image or train/CLASS/image.*\.jpg"):
        ImageFolder(tmp_path).splits()
    with pytest.raises(DataError, match="There is no folder"):
        ImageFolder(tmp_path / "absent").splits()
    with pytest.raises(DataError, match="name it with --images"):
        ImageFolder().splits()
    numbered(tmp_path, cat=10)
    with pytest.raises(UnknownName, match=r"No imagefolder split named 'vall'\. Did you mean 'val'"):
        ImageFolder(tmp_path).samples("vall")


def test_it_opens_by_its_path(tmp_path: Path) -> None:
    source = open_source(tmp_path, {"longtail": "10", "val": 0})
    assert isinstance(source, ImageFolder)
    assert (source.images, source.longtail, source.val) == (tmp_path, 10.0, 0.0)


def test_the_seeded_split_is_stratified_and_keeps_training_images(tmp_path: Path) -> None:
    numbered(tmp_path, big=100, ten=10, three=3, two=2, one=1)
    source = ImageFolder(tmp_path)
    counts = {split: Counter(s.class_key for s in source.samples(split)) for split in source.splits()}
    assert counts["test"] == {"big": 20, "ten": 2, "three": 1}
    assert counts["val"] == {"big": 10, "ten": 1}
    assert counts["train"] == {"big": 70, "ten": 7, "three": 2, "two": 2, "one": 1}
    assert sorted(s.sample_id for s in all_samples(source)) == sorted(
        str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.jpg")
    )
    assert ids(source, "test") != ids(ImageFolder(tmp_path, seed=1), "test")
    assert ImageFolder(tmp_path, val=0).splits() == ("train", "test")
    assert ImageFolder(numbered(tmp_path / "tiny", a=1, b=2)).splits() == ("train",)
    for val, test in ((0.5, 0.5), (-0.1, 0.2), (float("nan"), 0.1)):
        with pytest.raises(ConfigError, match="add up to less than 1"):
            ImageFolder(tmp_path, val=val, test=test).splits()


def test_a_new_image_moves_few_others(tmp_path: Path) -> None:
    numbered(tmp_path, cat=200)
    before = {s.sample_id: s.split for s in all_samples(ImageFolder(tmp_path))}
    fill(tmp_path, "cat/new.jpg", "dog/new.jpg")
    after = {s.sample_id: s.split for s in all_samples(ImageFolder(tmp_path))}
    assert sum(after[image] != split for image, split in before.items()) <= 2


@pytest.mark.parametrize("form", ["csv", "csv-header", "tsv", "txt", "json-paths", "json-splits"])
def test_a_file_of_splits(tmp_path: Path, form: str) -> None:
    root = fill(tmp_path / "images", "cat/a b.jpg", "cat/c,d.jpg", "dog/é.jpg", "dog/left out.jpg")
    chosen = [("cat/a b.jpg", "train"), ("cat/c,d.jpg", "Validation"), ("dog/é.jpg", "test")]
    table = tmp_path / f"splits.{form.partition('-')[0]}"
    quoted = [(f'"{image}"', split) for image, split in chosen]
    text = {
        "csv": "\n".join(f"{image},{split}" for image, split in quoted),
        "csv-header": "\r\n".join(["split,weight,path", *(f"{split},1,{image}" for image, split in quoted)]),
        "tsv": "\n".join(f"./{image}\t{split}" for image, split in chosen),
        "txt": "\n\n".join(f"{image}   {split}" for image, split in chosen),
        "json-paths": json.dumps(dict(chosen)),
        "json-splits": json.dumps({split: [image] for image, split in chosen}),
    }[form]
    table.write_text("\ufeff" + text, encoding="utf-8")
    source = ImageFolder(root, splits_file=table)
    assert source.splits() == ("train", "val", "test")
    assert [ids(source, split) for split in source.splits()] == [["cat/a b.jpg"], ["cat/c,d.jpg"], ["dog/é.jpg"]]
    assert "1 images are not in the file of splits: 'dog/left out.jpg'" in said(source.check())


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("s.csv", "cat/a.jpg,train\ncat/b.jpg", r"s\.csv:2: 1 fields; expected 2"),
        ("s.csv", "cat/a.jpg,train\ncat/b.jpg,tset", r"s\.csv:2: 'tset' is no split\. Did you mean 'test'"),
        ("s.csv", "cat/a.jpg,train\n\ncat/a.jpg,test", r"s\.csv:3: 'cat/a\.jpg' stands in this file twice"),
        ("s.csv", "cat/z.jpg,train", r"s\.csv:1: no image 'cat/z\.jpg'"),
        ("s.csv", "../x.jpg,train", r"s\.csv:1: '\.\./x\.jpg' leaves the folder"),
        ("s.csv", "/etc/x.jpg,train", r"s\.csv:1: '/etc/x\.jpg' leaves the folder"),
        ("s.csv", 'split,colour\ntrain,"x"', r"s\.csv:1: no column of image paths"),
        ("s.csv", 'cat/a.jpg,"train', r"s\.csv:1: unexpected end of data"),
        ("s.txt", "cat/a.jpg train\ncat/b.jpg", r"s\.txt:2: 'cat/b\.jpg' is not a path"),
        ("s.txt", "", r"s\.txt names no image"),
        ("s.json", '{"cat/a.jpg": "train",\n}', r"s\.json:2: not valid JSON"),
        ("s.json", '["cat/a.jpg"]', r"s\.json: expected \{path: split\}"),
        (
            "s.json",
            '{"cat/a.jpg": "train", "cat/a.jpg": "test"}',
            r"s\.json: entry 2: 'cat/a\.jpg' stands in this file",
        ),
        ("s.json", '{"train": ["cat/a.jpg", 7]}', r"s\.json: entry 2 is 7"),
        ("s.json", "[" * 100_000, r"s\.json"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    root = fill(tmp_path / "images", "cat/a.jpg", "cat/b.jpg")
    (tmp_path / name).write_text(text)
    source = ImageFolder(root, splits_file=tmp_path / name)
    with pytest.raises(DataError, match=message):
        source.splits()


def test_a_file_of_splits_beside_split_folders_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, "train/cat/a.jpg")
    (tmp_path / "s.csv").write_text("train/cat/a.jpg,train")
    with pytest.raises(DataError, match=r"train already are the splits; remove s\.csv"):
        ImageFolder(tmp_path, splits_file=tmp_path / "s.csv").splits()
    (tmp_path / "latin.csv").write_bytes("train/café.jpg,train".encode("latin-1"))
    fill(tmp_path, "other/a.jpg")
    with pytest.raises(DataError, match=r"latin\.csv is not UTF-8"):
        ImageFolder(tmp_path, splits_file=tmp_path / "latin.csv").splits()


def test_the_long_tail_orders_classes_by_size_and_never_asks_for_more(tmp_path: Path) -> None:
    numbered(tmp_path / "train", b=50, a=50, rare=3, mid=40)
    numbered(tmp_path / "test", a=5, b=5, rare=5, mid=5)
    source = ImageFolder(tmp_path, longtail=10)
    profile = exponential_counts(50, 4, 10)
    info = source.info()
    assert dict(zip([c.key for c in info.classes], info.train_counts or (), strict=True)) == {
        "a": profile[0],
        "b": profile[1],
        "mid": profile[2],
        "rare": 3,
    }
    assert len(ids(source, "test")) == 20
    assert set(ids(source, "train")) < set(ids(ImageFolder(tmp_path), "train"))
    assert ids(source, "train") != ids(ImageFolder(tmp_path, longtail=10, seed=1), "train")
    assert ids(source, "train") == sorted(ids(source, "train"))
    assert "ratio 10" in info.notes[1]
    with pytest.raises(ConfigError, match="leaves the smallest class empty"):
        ImageFolder(tmp_path, longtail=51).info()
    with pytest.raises(ConfigError, match="expected 1 or more"):
        ImageFolder(tmp_path, longtail=0.5).info()
    fill(tmp_path / "only", "test/cat/a.jpg")
    with pytest.raises(DataError, match="there are none"):
        ImageFolder(tmp_path / "only", longtail=2).info()


HOSTILE = [
    "<script>alert('x')</script>",
    'say "cheese", please',
    "two\nlines\tand\ra tab",
    "x" * 5000,
    '=HYPERLINK("http://example.org")',
    "{{template}} %s $HOME `id`",
    "[mask]",
    "می‌خواهم",
    "\x00\x1b[31mred",
]


def test_hostile_class_names_stay_text(tmp_path: Path) -> None:
    keys = [f"c{number}" for number in range(len(HOSTILE))]
    numbered(tmp_path, **dict.fromkeys(keys, 1))
    with (tmp_path / "classes.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["key", "name", "synonyms"])
        table.writerows((key, name, "one;two | three;") for key, name in zip(keys, HOSTILE, strict=True))
    infos = ImageFolder(tmp_path).info().classes
    names = [info.name for info in infos]
    assert len(set(names)) == len(HOSTILE)
    assert names[:2] == HOSTILE[:2]
    assert names[2] == "two lines and a tab"
    assert names[3:8] == HOSTILE[3:8]
    assert names[8] == "[31mred"
    assert infos[0].synonyms == (HOSTILE[0], "one", "two", "three")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("key,name\ncat,Cat\ncta,Cat", r"classes\.csv:3: no class 'cta' \(a folder with images\)\. Did you mean 'cat'"),
        ("key,name\ncat,Cat\ncat,Other", r"classes\.csv:3: class 'cat' stands in this file twice"),
        ("key,name\ncat,Cat, the", r"classes\.csv:2: 3 fields; expected 2"),
        ("key,nmae\ncat,Cat", r"classes\.csv:1: columns"),
        ("name\nCat", r"classes\.csv:1: columns"),
        ('key,name\ncat,"Cat', r"classes\.csv:2: unexpected end of data"),
        ("key,name\ncat," + "x" * 200_000, r"classes\.csv:2: field larger than"),
    ],
)
def test_a_wrong_class_table_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    fill(tmp_path, "cat/a.jpg")
    (tmp_path / "classes.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        ImageFolder(tmp_path).info()


def test_a_class_table_given_by_hand_wins(tmp_path: Path) -> None:
    root = fill(tmp_path / "images", "golden-retriever/a.jpg", "a/crane/a.jpg", "b/crane/a.jpg", "red_panda/a.jpg")
    (root / "classes.csv").write_text("nonsense")
    (tmp_path / "names.csv").write_text("key,synonyms,name\nred_panda,lesser panda;Ailurus fulgens,\n")
    infos = {info.key: info for info in ImageFolder(root, classes=tmp_path / "names.csv").info().classes}
    assert infos["red_panda"].synonyms == ("red panda", "lesser panda", "Ailurus fulgens")
    assert infos["golden-retriever"].synonyms == ("golden-retriever", "golden retriever")
    assert infos["a/crane"].name == "crane (a/crane)"
    assert infos["a/crane"].synonyms == ("crane (a/crane)", "crane")
    assert infos["b/crane"].name == "crane (b/crane)"


words = st.text(st.sampled_from("ab ()/_"), min_size=1, max_size=6)


@given(st.lists(words, unique=True, max_size=12), st.data())
def test_class_names_are_always_unique(keys: list[str], data: st.DataObject) -> None:
    table = {key: (data.draw(words).strip(), ()) for key in keys if data.draw(st.booleans())}
    infos = class_infos(keys, table)
    assert [info.key for info in infos] == keys
    assert len({info.name for info in infos}) == len(keys)
    assert all(info.name and info.synonyms[0] == info.name for info in infos)


def test_links_follow_the_rules(tmp_path: Path) -> None:
    disk = fill(tmp_path / "disk", "cat/a.jpg", "cat/b.jpg", "dogs/c.jpg")
    root = fill(tmp_path / "root", "test/cat/t.jpg", "test/bird/u.jpg")
    (root / "train").symlink_to(disk)
    (root / "test/dogs").symlink_to(disk / "dogs")
    (root / "test/cat/single.jpg").symlink_to(disk / "dogs/c.jpg")
    (root / "test/cat/inside.jpg").symlink_to(root / "test/cat/t.jpg")
    (root / "test/again").symlink_to(root / "test/bird")
    (root / "test/loop").symlink_to(root / "test")
    source = ImageFolder(root)
    assert ids(source, "train") == ["train/cat/a.jpg", "train/cat/b.jpg", "train/dogs/c.jpg"]
    assert {s.sample_id: s.problem for s in source.samples("test")} == {
        "test/again/u.jpg": None,
        "test/bird/u.jpg": None,
        "test/cat/inside.jpg": None,
        "test/cat/single.jpg": Status.LINK,
        "test/cat/t.jpg": None,
        "test/dogs": Status.LINK,
    }
    text = said(source.check())
    assert "2 images are links out of the folder, not followed" in text
    assert "1 linked folders leave the folder: 'test/dogs'" in text
    assert "1 linked folders lead back to a folder above them: 'test/loop'" in text
    followed = {s.sample_id: s.problem for s in ImageFolder(root, follow_links=True).samples("test")}
    assert followed["test/cat/single.jpg"] is None
    assert followed["test/dogs/c.jpg"] is None
    assert "test/dogs" not in followed


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    fill(tmp_path, "a/1.jpg", "b/2.jpg")
    (tmp_path / "a/x").symlink_to(tmp_path / "b")
    (tmp_path / "b/y").symlink_to(tmp_path / "a")
    (tmp_path / "b/up").symlink_to(tmp_path.parent)
    for follow in (False, True):
        listed = [s.sample_id for s in all_samples(ImageFolder(tmp_path, follow_links=follow))]
        assert len(listed) == len(set(listed)) <= 8
        assert {"a/1.jpg", "b/2.jpg"} <= set(listed)


def test_names_that_are_not_utf8_are_shown_and_refused(tmp_path: Path) -> None:
    fill(tmp_path, "cat/caf\\xe9.jpg")
    for raw in (b"cat/caf\xe9.jpg", b"cat/\xff\xfe.jpg", b"d\xf6g/a.jpg"):
        path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + raw))
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    samples = {s.sample_id: s.problem for s in all_samples(ImageFolder(tmp_path))}
    assert samples == {
        "cat/\\xff\\xfe.jpg": Status.NAME,
        "cat/caf\\xe9.jpg": None,
        "cat/caf\\xe9~2.jpg": Status.NAME,
        "d\\xf6g/a.jpg": Status.NAME,
    }
    assert all(s.image.locator.encode() for s in all_samples(ImageFolder(tmp_path)))


def test_odd_images_each_end_once_as_expected(tmp_path: Path, odd_images: Callable[[Path], dict[str, Status]]) -> None:
    expected = odd_images(tmp_path / "root" / "odd")
    odd_images(tmp_path / "root" / "even" / "nested")
    source = ImageFolder(tmp_path / "root", val=0, test=0)
    samples = [s for s in source.samples("train") if s.class_key == "odd"]
    assert [s.sample_id for s in samples] == sorted(f"odd/{name}" for name in expected)
    assert len(expected) >= 60
    ended: dict[str, Status] = {}
    for sample in samples:
        status = sample.problem or Status.OK
        if status is Status.OK:
            try:
                decode(sample.image.read())
            except SampleFailed as failure:
                status = failure.status
        ended[sample.sample_id.removeprefix("odd/")] = status
    assert ended == expected
    text = said(source.check())
    assert "2 images are no regular files: 'even/nested/pipe.jpg', 'odd/pipe.jpg'" in text
    assert "2 images have names that are not UTF-8" in text
    assert "4 images are links to nothing" in text


trees = st.dictionaries(
    st.lists(st.sampled_from(["a", "b", "train", "test", "ä b"]), min_size=1, max_size=3).map("/".join),
    st.integers(1, 6),
    min_size=1,
    max_size=6,
)


@given(trees, st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_every_image_is_listed_once_in_the_same_order(
    tmp_path_factory: pytest.TempPathFactory, folders: dict[str, int], seed: int
) -> None:
    root = tmp_path_factory.mktemp("tree")
    paths = [f"{folder}/{number}.jpg" for folder, count in folders.items() for number in range(count)]
    fill(root, *paths)
    source = ImageFolder(root, seed=seed)
    if all(path.split("/")[0] in {"train", "test"} for path in paths) and any(path.count("/") == 1 for path in paths):
        with pytest.raises(DataError, match="no class folder"):
            source.splits()
        return
    samples = all_samples(source)
    assert sorted(s.sample_id for s in samples) == sorted(paths)
    assert samples == all_samples(ImageFolder(root, seed=seed))
    keys = [info.key for info in source.info().classes]
    assert keys == sorted({s.class_key for s in samples})
    assert all(keys[s.label] == s.class_key for s in samples)
    order = {split: number for number, split in enumerate(source.splits())}
    assert samples == sorted(samples, key=lambda s: (order[s.split], s.class_key, s.sample_id))
    assert Counter(s.label for s in samples if s.split == "train") == {
        label: count for label, count in enumerate(source.info().train_counts or ()) if count
    }


def test_a_used_source_pickles_small(tmp_path: Path) -> None:
    numbered(tmp_path, cat=500)
    source = ImageFolder(tmp_path)
    all_samples(source)
    copy = pickle.loads(pickle.dumps(source))  # noqa: S301 - our own
    assert len(pickle.dumps(source)) < 1000
    assert copy == source
    assert all_samples(copy) == all_samples(source)


@pytest.mark.slow
def test_many_files_take_seconds_not_minutes(tmp_path: Path) -> None:
    """60,000 files through hard links of one: listed, split and carved at a pace that is 15 s for 740,000."""
    count = 60_000
    (tmp_path / "seed.txt").write_bytes(b"")
    for start in range(0, count, 500):
        folder = tmp_path / f"class{start:06d}"
        folder.mkdir()
        for number in range(500):
            os.link(tmp_path / "seed.txt", folder / f"{number}.jpg")
    began = time.process_time()
    assert len(all_samples(ImageFolder(tmp_path))) == count
    assert time.process_time() - began < 15 * count / 740_000 * 2


def test_a_long_tail_that_leaves_nothing_out_says_so(tmp_path: Path) -> None:
    for key, count in (("a", 8), ("b", 2)):
        (tmp_path / key).mkdir()
        for index in range(count):
            (tmp_path / key / f"{index}.jpg").write_bytes(b"x")
    source = ImageFolder(images=tmp_path, val=0, test=0, longtail=4)
    assert "leaves out no image" in said(source.check())
    assert "leaves out no image" not in said(ImageFolder(images=tmp_path, val=0, test=0, longtail=8).check())
