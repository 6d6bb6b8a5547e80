"""Places-LT on the real lists: counts, groups, and equal ids for every release and every layout on disk."""

from __future__ import annotations

import gzip
import hashlib
import pickle
from collections import Counter
from pathlib import Path

import pytest

from openmmlo.errors import DataError, UnknownName
from openmmlo.records import Sample, Source, Status, list_hash
from openmmlo.sources import open_source
from openmmlo.sources.official_lists import known
from openmmlo.sources.places_lt import PlacesLT, class_info, class_key


def rows(folder: Path, name: str) -> list[tuple[str, int]]:
    """A plain parse of a real list."""
    lines = gzip.decompress((folder / f"{name}.txt.gz").read_bytes()).decode().splitlines()
    return [(line.split()[0], int(line.split()[1])) for line in lines]


def keys(samples: list[Sample]) -> list[tuple[str, str]]:
    return [(sample.sample_id, sample.class_key) for sample in samples]


@pytest.fixture(scope="module")
def second_release(official_splits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lists of the other release: data_256/<letter>/<class with slashes>/<file>, and val_256/<file> for test."""
    folder = tmp_path_factory.mktemp("second")
    train = rows(official_splits, "Places_LT_train.data_256")
    folders = {label: path.rpartition("/")[0] for path, label in train}
    val = [(f"{folders[label]}/{Path(path).name}", label) for path, label in rows(official_splits, "Places_LT_val")]
    test = [(f"val_256/{Path(path).name}", label) for path, label in rows(official_splits, "Places_LT_test")]
    for split, entries in (("train", train), ("val", val), ("test", test)):
        text = "".join(f"{path} {label}\n" for path, label in entries)
        (folder / f"Places_LT_{split}.txt").write_text(text)
    return folder


def small(folder: Path, **lists: str) -> PlacesLT:
    """A source over short lists of its own."""
    folder.mkdir(exist_ok=True)
    for split, text in lists.items():
        (folder / f"Places_LT_{split}.txt").write_text(text)
    return PlacesLT(lists=folder)


TRAIN = "train/airfield/1.jpg 0\ntrain/arena-hockey/1.jpg 1\ntrain/beach/1.jpg 2\ntrain/beach/2.jpg 2\n"


def test_the_second_release_is_the_published_one(second_release: Path) -> None:
    official = {entry.name: entry.sha256 for entry in known()["places-lt"]}
    for split in ("train", "val", "test"):
        name = f"Places_LT_{split}.txt"
        assert hashlib.sha256((second_release / name).read_bytes()).hexdigest() == official[name][1]


def test_counts_groups_and_classes_of_the_real_lists(official_splits: Path) -> None:
    source = PlacesLT(lists=official_splits)
    assert isinstance(source, Source)
    info = source.info()
    assert source.splits() == ("train", "val", "test", "open")
    assert info.train_counts is not None
    assert len(info.classes) == len({c.name for c in info.classes}) == len({c.key for c in info.classes}) == 365
    assert (sum(info.train_counts), max(info.train_counts), min(info.train_counts)) == (62_500, 4_980, 5)
    assert Counter(info.shot_groups()) == {"many": 131, "medium": 163, "few": 71}
    assert Counter(info.shot_groups("oltr")) == {"many": 132, "medium": 156, "few": 77}
    plain = Counter(label for _, label in rows(official_splits, "Places_LT_train"))
    assert info.train_counts == tuple(plain[label] for label in range(365))
    assert "184.5K" in info.notes[0]


def test_samples_of_the_real_lists(official_splits: Path) -> None:
    source = PlacesLT(lists=official_splits)
    classes = source.info().classes
    ids: list[str] = []
    for split, count in {"train": 62_500, "val": 7_300, "test": 36_500, "open": 6_600}.items():
        samples = list(source.samples(split))
        plain = rows(official_splits, f"Places_LT_{split}")
        assert len(samples) == count
        assert [sample.label for sample in samples] == [label for _, label in plain]
        if split == "open":
            assert {sample.class_key for sample in samples} == {""}
            assert [sample.sample_id for sample in samples] == [Path(path).stem for path, _ in plain]
        else:
            assert all(classes[sample.label].key == sample.class_key for sample in samples)
            expected = [f"{path.split('/')[1]}/{Path(path).stem}" for path, _ in plain]
            assert [sample.sample_id for sample in samples] == expected
        ids += [sample.sample_id for sample in samples]
    assert len(set(ids)) == len(ids) == 112_900


def test_both_releases_give_equal_ids_and_hashes(official_splits: Path, second_release: Path) -> None:
    first, second = PlacesLT(lists=official_splits), PlacesLT(lists=second_release)
    assert first.info().label_map_hash == second.info().label_map_hash
    assert first.info().train_counts == second.info().train_counts
    for split in ("train", "val", "test"):
        ours, theirs = list(first.samples(split)), list(second.samples(split))
        assert keys(ours) == keys(theirs)
        assert [sample.label for sample in ours] == [sample.label for sample in theirs]
        assert [sample.image.locator for sample in ours] == [sample.image.locator for sample in theirs]
        assert list_hash(keys(ours)) == list_hash(keys(theirs))
    sample = next(iter(second.samples("test")))
    assert (sample.sample_id, sample.class_key) == ("airfield/Places365_val_00003597", "airfield")
    assert sample.problem is Status.MISSING
    assert sample.image.locator == "val/airfield/Places365_val_00003597.jpg"


LAYOUTS = {
    "easyformat": ("train/{dash}", "val/{dash}"),
    "easyformat, unpacked one level down": ("places365_standard/train/{dash}", "places365_standard/val/{dash}"),
    "slashes": ("train/{slash}", "val/{slash}"),
    "256": ("data_256/{letter}/{slash}", "val_256"),
    "large": ("data_large/{letter}/{slash}", "val_large"),
    "torchvision": ("data_256_standard/{letter}/{slash}", "val_256"),
}


@pytest.fixture(scope="module", params=["first", "second"])
def short_lists(
    request: pytest.FixtureRequest,
    official_splits: Path,
    second_release: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The real validation list of a release, and every 331st row of its test list."""
    folder = tmp_path_factory.mktemp("short")
    for split, step in (("val", 1), ("test", 331)):
        name = f"Places_LT_{split}.txt"
        if request.param == "first":
            lines = gzip.decompress((official_splits / f"{name}.gz").read_bytes()).decode().splitlines(keepends=True)
        else:
            lines = (second_release / name).read_text().splitlines(keepends=True)
        (folder / name).write_text("".join(lines[::step]))
    return folder


@pytest.mark.parametrize("layout", LAYOUTS)
def test_images_are_found_in_every_layout(
    official_splits: Path, short_lists: Path, tmp_path: Path, layout: str
) -> None:
    present = {
        "val": rows(official_splits, "Places_LT_val")[::97],
        "test": rows(official_splits, "Places_LT_test")[::662],
    }
    for split, template in zip(("val", "test"), LAYOUTS[layout], strict=True):
        for path, _ in present[split]:
            dash = path.split("/")[1]
            folder = tmp_path / template.format(dash=dash, slash=dash.replace("-", "/"), letter=dash[0])
            folder.mkdir(parents=True, exist_ok=True)
            (folder / Path(path).name).write_bytes(path.encode())
    source = PlacesLT(images=tmp_path, lists=short_lists)
    for split, expected in present.items():
        found = [sample for sample in source.samples(split) if sample.problem is None]
        assert [sample.image.read().decode() for sample in found] == [path for path, _ in expected]
        for sample in found:
            again = source.image(sample.image.locator)
            assert again == sample.image
            assert again.read() == sample.image.read()
    findings = source.check(("val",))
    assert [finding.level for finding in findings] == ["ok", "error"]
    assert f"val: {len(present['val'])} of 7,300 images found under {tmp_path}" in findings[1].what
    readable = LAYOUTS[layout][0]
    for field, shown in (("dash", "class"), ("slash", "class"), ("letter", "letter")):
        readable = readable.replace(f"{{{field}}}", f"<{shown}>")
    assert readable in findings[1].what
    assert "--allow-missing" in findings[1].remedy


def test_the_open_set_has_its_own_root(official_splits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [path for path, _ in rows(official_splits, "Places_LT_open")[::500]]
    for folder in ("images/Places_LT_open", "elsewhere", "root/Places_LT_open"):
        (tmp_path / folder).mkdir(parents=True)
        for name in names:
            (tmp_path / folder / name).write_bytes(folder.encode())
    beside = PlacesLT(images=tmp_path / "images", lists=official_splits)
    named = PlacesLT(images=tmp_path / "images", lists=official_splits, open_images=tmp_path / "elsewhere")
    monkeypatch.setenv("OPENMMLO_DATA", str(tmp_path / "root"))
    default = PlacesLT(lists=official_splits)
    locators = set()
    for source, folder in (
        (beside, b"images/Places_LT_open"),
        (named, b"elsewhere"),
        (default, b"root/Places_LT_open"),
    ):
        found = [sample for sample in source.samples("open") if sample.problem is None]
        assert [sample.image.read() for sample in found] == [folder] * len(names)
        assert [source.image(sample.image.locator).read() for sample in found] == [folder] * len(names)
        locators.add(tuple(sample.image.locator for sample in found))
    assert locators == {tuple(f"open/{name}" for name in names)}


def test_lists_and_images_are_found_under_the_data_root(
    official_splits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENMMLO_DATA", str(tmp_path))
    (tmp_path / "places365/train/airfield").mkdir(parents=True)
    (tmp_path / "places365/train/airfield/1.jpg").write_bytes(b"")
    for folder in ("lists", "lists/places-lt", "Places_LT", "places365", "places365/Places_LT"):
        small(tmp_path / folder, train="train/airfield/1.jpg 0\n")
        assert [sample.problem for sample in PlacesLT().samples("train")] == [None]
        (tmp_path / folder / "Places_LT_train.txt").unlink()


def test_the_source_opens_by_name_and_pickles_small(official_splits: Path) -> None:
    source = open_source("places-lt", {"lists": str(official_splits), "follow-links": True})
    assert source == PlacesLT(lists=official_splits, follow_links=True)
    list(source.samples("open"))
    assert len(pickle.dumps(source)) < 1000
    with pytest.raises(UnknownName, match="Did you mean 'train'"):
        source.samples("trian")


def test_a_missing_list_says_where_it_was_looked_for_and_what_to_do(tmp_path: Path) -> None:
    source = small(tmp_path / "lists", val="train/airfield/1.jpg 0\n")
    with pytest.raises(DataError) as error:
        source.samples("train")
    for part in ("Places_LT_train.txt", str(tmp_path / "lists"), "openmmlo lists get places-lt", "--split"):
        assert part in str(error.value)
    assert [sample.sample_id for sample in source.samples("val")] == ["airfield/1"]
    assert source.info().train_counts is None
    found = source.check(("train", "val"))
    assert [finding.level for finding in found] == ["error", "warning", "error"]
    assert "7,300" in found[1].what


def test_nothing_given_is_an_error_that_says_so() -> None:
    with pytest.raises(DataError, match="OPENMMLO_DATA is not set"):
        PlacesLT().info()
    assert {finding.level for finding in PlacesLT().check()} == {"error"}


def test_open_alone_still_needs_a_class_table_for_its_info(tmp_path: Path) -> None:
    source = small(tmp_path, open="7_extra_test_00000001.jpg -1\n")
    assert [sample.label for sample in source.samples("open")] == [-1]
    with pytest.raises(DataError, match=r"Places_LT_train\.txt"):
        source.info()
    flat = small(tmp_path, test="val_256/Places365_val_00000001.jpg 0\n", train="1.jpg 0\n")
    with pytest.raises(DataError, match="no list with class folders"):
        flat.info()


@pytest.mark.parametrize(
    ("lists", "split", "where", "message"),
    [
        ({"train": TRAIN + "train/beach/3.jpg 1\n"}, "train", "train.txt:5", "two orders are mixed"),
        ({"train": TRAIN + "train/cliff/3.jpg 2\n"}, "train", "train.txt:5", "two orders are mixed"),
        ({"train": TRAIN + "train/cliff/3.jpg 7\n"}, "train", "train.txt", "no row has label 3"),
        ({"train": TRAIN + "data_256/b/beach/1.jpg 2\n"}, "train", "train.txt:5", "repeats the image 'beach/1'"),
        ({"train": TRAIN + "train/beach/3.jpg -1\n"}, "train", "train.txt:5", "known classes"),
        ({"train": TRAIN, "val": "train/beach/9.jpg 2\ntrain/beach/8.jpg 0\n"}, "val", "val.txt:2", "label orders"),
        ({"train": TRAIN, "val": "train/beach/9.jpg 2\ntrain/cliff/8.jpg 0\n"}, "val", "val.txt:2", "not in the class"),
        ({"train": TRAIN, "test": "val/beach/9.jpg 3\n"}, "test", "test.txt:1", "outside the class table"),
        ({"train": TRAIN, "test": "val_256/9.jpg 3\n"}, "test", "test.txt:1", "outside the class table"),
        ({"train": TRAIN, "open": "1.jpg -1\n2.jpg 4\n"}, "open", "open.txt:2", "expected -1"),
        ({"train": TRAIN, "open": "1.jpg -1\n1.jpg -1\n"}, "open", "open.txt:2", "repeats"),
        ({"train": TRAIN, "test": "../val/beach/9.jpg 2\n"}, "test", "test.txt:1", "leaves the image root"),
    ],
)
def test_wrong_lists_are_refused_before_any_work(
    tmp_path: Path, lists: dict[str, str], split: str, where: str, message: str
) -> None:
    source = small(tmp_path, **lists)
    with pytest.raises(DataError) as error:
        source.samples(split)
    assert f"{tmp_path / 'Places_LT_'}{where}" in str(error.value)
    assert message in str(error.value)
    assert any(finding.level == "error" and finding.what == str(error.value) for finding in source.check((split,)))


def test_an_image_in_two_splits_is_an_error(tmp_path: Path) -> None:
    source = small(tmp_path, train=TRAIN, val="train/beach/2.jpg 2\n")
    errors = [finding.what for finding in source.check(("train", "val")) if finding.level == "error"]
    assert any("1 images are also in 'train', for example 'beach/2'" in what for what in errors)


def test_found_missing_and_linked_images_are_counted(tmp_path: Path) -> None:
    source = small(tmp_path / "lists", train=TRAIN)
    root = tmp_path / "images"
    (root / "train/beach").mkdir(parents=True)
    (tmp_path / "outside.jpg").write_bytes(b"")
    (root / "train/beach/1.jpg").write_bytes(b"")
    (root / "train/beach/2.jpg").symlink_to(tmp_path / "outside.jpg")
    source = PlacesLT(images=root, lists=source.lists)
    problems = [sample.problem for sample in source.samples("train")]
    assert problems == [Status.MISSING, Status.MISSING, None, Status.LINK]
    whats = " | ".join(finding.what for finding in source.check(("train",)))
    assert f"train: 1 of 4 images found under {root} in train/<class>/; 2 missing" in whats
    assert f"1 images are reached by links that leave {root}" in whats
    follow = PlacesLT(images=root, lists=source.lists, follow_links=True)
    assert [sample.problem for sample in follow.samples("train")] == [Status.MISSING, Status.MISSING, None, None]
    empty = PlacesLT(images=tmp_path / "nowhere", lists=source.lists).check(("train",))
    assert empty[-1].level == "error"
    assert "there is no folder" in empty[-1].what
    assert "places365standard_easyformat.tar" in empty[-1].remedy


@pytest.mark.parametrize(
    "folder",
    [
        "train/apartment_building-outdoor",
        "train/apartment_building/outdoor",
        "data_256/a/apartment_building/outdoor",
        "data_large/a/apartment_building/outdoor",
        "data_256/a/apartment_building-outdoor",
        "places365_standard/train/apartment_building-outdoor",
        "my/own/places365/train/apartment_building/outdoor",
    ],
)
def test_one_class_in_every_spelling(folder: str) -> None:
    assert class_key(folder) == "apartment_building-outdoor"


def test_folders_that_name_no_class() -> None:
    assert class_key("val_256") == class_key("") == class_key("places365_standard/val") == ""
    assert class_key("train/train_interior") == "train_interior"


def test_every_class_of_the_real_lists_keeps_one_key_in_all_spellings(official_splits: Path) -> None:
    for path, _ in rows(official_splits, "Places_LT_val")[::20]:
        key = path.split("/")[1]
        assert class_key(f"data_256/{key[0]}/{key.replace('-', '/')}") == class_key(f"val/{key}") == key


def test_names_and_synonyms() -> None:
    assert class_info("airplane_cabin").synonyms == ("airplane cabin",)
    outdoor = class_info("apartment_building-outdoor")
    assert outdoor.name == "apartment building outdoor"
    assert outdoor.synonyms == ("apartment building outdoor", "outdoor apartment building", "apartment building")
    assert class_info("stadium-baseball").synonyms == ("stadium baseball", "baseball stadium")
    assert "kindergarten classroom" in class_info("kindergarden_classroom").synonyms


def test_every_respelled_class_exists(official_splits: Path) -> None:
    from openmmlo.sources.places_lt import SPELLINGS

    assert set(SPELLINGS) <= {info.key for info in PlacesLT(lists=official_splits).info().classes}
