"""iNaturalist 2018: real lists, label orders, the competition's own JSON, and a list of full size."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from openmmlo.errors import DataError
from openmmlo.records import Source, list_hash
from openmmlo.sources.inaturalist2018 import INaturalist2018

Row = tuple[str, int]


@pytest.fixture(scope="module")
def val_rows(official_splits: Path) -> list[Row]:
    """A plain parse of the real list."""
    lines = gzip.decompress((official_splits / "iNaturalist18_val.txt.gz").read_bytes()).decode().splitlines()
    return [(line.split()[0], int(line.split()[1])) for line in lines]


@pytest.fixture(scope="module")
def categories(official_splits: Path) -> list[dict[str, Any]]:
    table = json.loads(gzip.decompress((official_splits / "iNaturalist18_categories.json.gz").read_bytes()))
    return sorted(table, key=lambda row: row["id"])


def write_list(folder: Path, rows: list[Row], split: str = "val") -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"iNaturalist18_{split}.txt").write_text("".join(f"{path} {label}\n" for path, label in rows))


def reordered(rows: list[Row], order: list[str]) -> list[Row]:
    """The same list with the label of each category replaced by its place in another order."""
    places = {key: place for place, key in enumerate(order)}
    return [(path, places[path.split("/")[2]]) for path, _ in rows]


@pytest.fixture(scope="module")
def orders(categories: list[dict[str, Any]]) -> dict[str, list[str]]:
    ids = [str(row["id"]) for row in categories]
    return {
        "category-id": ids,
        "species": [str(row["id"]) for row in sorted(categories, key=lambda row: row["name"])],
        "folder": sorted(ids),
        "path": [key.split("/")[1] for key in sorted(f"{row['supercategory']}/{row['id']}" for row in categories)],
    }


def test_the_real_list(official_splits: Path, val_rows: list[Row], categories: list[dict[str, Any]]) -> None:
    source = INaturalist2018(lists=official_splits)
    assert isinstance(source, Source)
    assert source.splits() == ("train", "val")
    info = source.info()
    assert info.train_counts is None
    assert [info.name for info in info.classes] == [row["name"] for row in categories]
    assert [info.key for info in info.classes] == [str(number) for number in range(8142)]
    assert info.classes[0].synonyms == ("Hermodice carunculata", "H. carunculata")
    assert "category-id" in info.version
    samples = list(source.samples("val"))
    assert [sample.sample_id for sample in samples] == [Path(path).stem for path, _ in val_rows]
    assert [sample.label for sample in samples] == [label for _, label in val_rows]
    assert [sample.class_key for sample in samples] == [path.split("/")[2] for path, _ in val_rows]
    assert [sample.image.locator for sample in samples] == [path for path, _ in val_rows]
    assert len({sample.sample_id for sample in samples}) == len(samples) == 24_426
    assert set(Counter(sample.label for sample in samples).values()) == {3}


def test_every_label_order_is_recognised(
    official_splits: Path,
    tmp_path: Path,
    val_rows: list[Row],
    categories: list[dict[str, Any]],
    orders: dict[str, list[str]],
) -> None:
    hashes: dict[str, str] = {}
    lists: set[str] = set()
    names = {str(row["id"]): row["name"] for row in categories}
    (tmp_path / "categories.json").write_text(json.dumps(categories))
    for order, keys in orders.items():
        write_list(tmp_path, reordered(val_rows[::9], keys))
        source = INaturalist2018(lists=tmp_path)
        info, samples = source.info(), list(source.samples("val"))
        assert order in info.version
        assert [item.key for item in info.classes] == keys
        assert all(item.name == names[item.key] for item in info.classes)
        assert all(info.classes[sample.label].key == sample.class_key for sample in samples)
        assert any(order in finding.what for finding in source.check(("val",)))
        assert INaturalist2018(lists=tmp_path, label_order=order).info() == info  # type: ignore[arg-type]
        hashes[order] = info.label_map_hash
        lists.add(list_hash((sample.sample_id, sample.class_key) for sample in samples))
    assert len(set(hashes.values())) == 4
    assert len(lists) == 1
    assert hashes["category-id"] == INaturalist2018(lists=official_splits).info().label_map_hash


def test_lists_of_two_orders_are_refused(
    tmp_path: Path, val_rows: list[Row], categories: list[dict[str, Any]], orders: dict[str, list[str]]
) -> None:
    (tmp_path / "categories.json").write_text(json.dumps(categories))
    other = [(path.replace(".jpg", "0.jpg"), label) for path, label in reordered(val_rows, orders["species"])]
    write_list(tmp_path, val_rows)
    write_list(tmp_path, other, "train")
    for split in ("train", "val"):
        with pytest.raises(DataError, match="expected one order"):
            INaturalist2018(lists=tmp_path).samples(split)
    with pytest.raises(DataError, match="expected one order"):
        INaturalist2018(lists=tmp_path).info()
    half = len(val_rows) // 2
    write_list(tmp_path, val_rows[:half] + reordered(val_rows, orders["folder"])[half:])
    (tmp_path / "iNaturalist18_train.txt").unlink()
    with pytest.raises(DataError, match=rf"iNaturalist18_val\.txt:{half + 1}: .*No label order fits"):
        INaturalist2018(lists=tmp_path).samples("val")
    write_list(tmp_path, val_rows)
    with pytest.raises(DataError, match=r"iNaturalist18_val\.txt:1: label 7291 for category 7291; expected .*species"):
        INaturalist2018(lists=tmp_path, label_order="species").samples("val")


def test_orders_that_need_the_class_table_say_so(
    tmp_path: Path, val_rows: list[Row], orders: dict[str, list[str]]
) -> None:
    write_list(tmp_path, reordered(val_rows, orders["species"]))
    with pytest.raises(DataError, match=r"categories\.json"):
        INaturalist2018(lists=tmp_path).samples("val")
    with pytest.raises(DataError, match=r"categories\.json"):
        INaturalist2018(lists=tmp_path, label_order="species").samples("val")
    write_list(tmp_path, reordered(val_rows, orders["folder"]))
    info = INaturalist2018(lists=tmp_path).info()
    assert [item.key for item in info.classes] == orders["folder"]
    assert all(item.name == item.key for item in info.classes)
    warnings = [item.what for item in INaturalist2018(lists=tmp_path).check(("val",)) if item.level == "warning"]
    assert any("cannot be masked" in what for what in warnings)


@pytest.mark.parametrize(
    ("rows", "line", "message"),
    [
        ([("train_val2018/Aves/1/a.jpg", 1), ("train_val2018/Aves/2/a.jpg", 2)], 2, "repeats the image 'a'"),
        ([("train_val2018/Aves/9000/a.jpg", 1)], 1, "folder '9000' is no category id"),
        ([("train_val2018/Aves/Corvus/a.jpg", 1)], 1, "folder 'Corvus' is no category id"),
        ([("a.jpg", 1)], 1, "is no category id"),
        ([("train_val2018/Aves/1/a.jpg", 8142)], 1, "outside the class table; expected 0 to 8141"),
        ([("train_val2018/Aves/1/a.jpg", -1)], 1, "known classes"),
        ([("train_val2018/../Aves/1/a.jpg", 1)], 1, "leaves the image root"),
    ],
)
def test_wrong_lists_are_refused(tmp_path: Path, rows: list[Row], line: int, message: str) -> None:
    write_list(tmp_path, rows)
    with pytest.raises(DataError) as error:
        INaturalist2018(lists=tmp_path).samples("val")
    assert str(error.value).startswith(f"{tmp_path / 'iNaturalist18_val.txt'}:{line}: ")
    assert message in str(error.value)


@pytest.mark.parametrize("prefix", ["train_val2018/", "", "2018/", "train_val2018/train_val2018/"])
def test_images_are_found_in_every_layout(tmp_path: Path, val_rows: list[Row], prefix: str) -> None:
    rows = val_rows[:400]
    write_list(tmp_path / "lists", rows)
    for path, _ in rows[::7]:
        file = tmp_path / "images" / prefix / path.removeprefix("train_val2018/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(path.encode())
    source = INaturalist2018(images=tmp_path / "images", lists=tmp_path / "lists")
    found = [sample for sample in source.samples("val") if sample.problem is None]
    assert [sample.image.read().decode() for sample in found] == [path for path, _ in rows[::7]]
    assert [source.image(sample.image.locator) for sample in found] == [sample.image for sample in found]


def competition_json(rows: list[Row], names: list[dict[str, Any]]) -> bytes:
    """The competition's annotation file for these rows; its annotations are in another order than its images."""
    return json.dumps(
        {
            "info": {"year": 2018},
            "images": [{"id": 1000 + index, "file_name": path} for index, (path, _) in enumerate(rows)],
            "annotations": [
                {"id": index, "image_id": 1000 + index, "category_id": label} for index, (_, label) in enumerate(rows)
            ][::-1],
            "categories": names,
        }
    ).encode()


def archived(data: bytes, name: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


@pytest.mark.parametrize("ending", ["", ".gz", ".tar.gz"])
def test_the_competition_files_equal_the_list(
    tmp_path: Path, official_splits: Path, val_rows: list[Row], categories: list[dict[str, Any]], ending: str
) -> None:
    numbered = [{"id": row["id"], "name": str(row["id"]), "supercategory": row["supercategory"]} for row in categories]
    pack = {"": lambda data, name: data, ".gz": lambda data, name: gzip.compress(data), ".tar.gz": archived}[ending]
    rows = val_rows[::9]
    (tmp_path / f"val2018.json{ending}").write_bytes(pack(competition_json(rows, numbered), "val2018.json"))
    write_list(tmp_path / "text", rows)
    source = INaturalist2018(lists=tmp_path)
    assert list(source.samples("val")) == list(INaturalist2018(lists=tmp_path / "text").samples("val"))
    assert source.info().classes[0].name == "0"
    (tmp_path / f"categories.json{ending}").write_bytes(pack(json.dumps(categories).encode(), "categories.json"))
    assert source.info().classes == INaturalist2018(lists=official_splits).info().classes
    by_species = INaturalist2018(lists=tmp_path, label_order="species")
    classes = by_species.info().classes
    assert [item.name for item in classes] == sorted(row["name"] for row in categories)
    assert all(classes[sample.label].key == sample.class_key for sample in by_species.samples("val"))


def test_wrong_json_is_refused(tmp_path: Path) -> None:
    image = {"id": 1, "file_name": "train_val2018/Aves/1/a.jpg"}
    note = {"id": 1, "image_id": 1, "category_id": 1}
    table = [{"id": 0, "name": "Genus prima"}, {"id": 1, "name": "Genus secunda"}]
    for value, message in (
        (b"{", "not valid JSON"),
        (b"[]", "'images' and 'annotations'"),
        ({"images": [image], "annotations": []}, "lacks"),
        ({"images": [image], "annotations": [note, note]}, "annotated twice"),
        ({"images": [image | {"file_name": "../a.jpg"}], "annotations": [note]}, "not a plain path"),
        ({"images": [image, image], "annotations": [note]}, "image 2: repeats the image 'a'"),
        ({"images": [image], "annotations": [note | {"category_id": 0}]}, "image 1: label 0 for category 1"),
        ({"images": [image], "annotations": [note | {"category_id": "x"}]}, "lacks"),
    ):
        (tmp_path / "categories.json").write_text(json.dumps(table))
        (tmp_path / "val2018.json").write_bytes(value if isinstance(value, bytes) else json.dumps(value).encode())
        with pytest.raises(DataError, match=message):
            INaturalist2018(lists=tmp_path).samples("val")
    for rows, message in (
        ([{"id": 0, "name": "Genus prima"}, {"id": 0, "name": "Genus secunda"}], "has id 0; expected each"),
        ([{"id": 0, "name": "Genus prima"}, {"id": 2, "name": "Genus secunda"}], "no gaps"),
        ([{"id": 0, "name": "Genus prima"}, {"id": 1, "name": "Genus prima"}], "both named"),
        ([{"name": "Genus prima"}], "has id None"),
        ({}, "list of categories"),
    ):
        (tmp_path / "categories.json").write_text(json.dumps(rows))
        with pytest.raises(DataError, match=message):
            INaturalist2018(lists=tmp_path).info()


def test_common_names(official_splits: Path, tmp_path: Path) -> None:
    file = tmp_path / "names.csv"
    file.write_text('species,common\nHermodice carunculata,bearded fireworm,"fireworm, bearded"\n1,sandcastle worm\n')
    source = INaturalist2018(lists=official_splits, common_names=file)
    classes = source.info().classes
    assert classes[0].name == "Hermodice carunculata"
    assert classes[0].synonyms[1:] == ("H. carunculata", "bearded fireworm", "fireworm, bearded")
    assert classes[1].synonyms[-1] == "sandcastle worm"
    file.write_text("Hermodice carunculta,bearded fireworm\n")
    with pytest.raises(DataError, match=r"names\.csv:1: .* Did you mean 'Hermodice carunculata'"):
        source.info()
    assert any("names.csv:1" in finding.what for finding in source.check(("val",)) if finding.level == "error")


@pytest.mark.slow
def test_a_list_of_full_size(tmp_path: Path, categories: list[dict[str, Any]]) -> None:
    """437,513 rows in the shuffled order of the real list, equal row by row to a plain parse."""
    (tmp_path / "categories.json").write_text(json.dumps(categories))
    rows = [
        (f"train_val2018/{row['supercategory']}/{row['id']}/{number:032x}.jpg", row["id"])
        for number in range(437_513)
        for row in (categories[number * 7919 % 8142],)
    ]
    write_list(tmp_path, rows, "train")
    source = INaturalist2018(lists=tmp_path)
    count = 0
    for sample, (path, label) in zip(source.samples("train"), rows, strict=True):
        assert (sample.image.locator, sample.label) == (path, label)
        assert (sample.sample_id, sample.class_key) == (Path(path).stem, str(label))
        count += 1
    assert count == 437_513
    expected = Counter(label for _, label in rows)
    assert source.info().train_counts == tuple(expected[label] for label in range(8142))
