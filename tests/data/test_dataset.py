"""A built folder opened: what it says of itself, and what it says where it cannot be opened."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from stubs import Generated
from written_sets import Row, write_set

from openmmlo.building import BuildConfig, build
from openmmlo.data import open_dataset
from openmmlo.errors import DataError
from openmmlo.records import ClassInfo, DatasetInfo

INFO = DatasetInfo(
    "own",
    "1",
    "licence",
    (ClassInfo("c0", "red fox", ("red fox", "fox"), ("animal",)), ClassInfo("c1", "teapot", ("teapot",))),
    ood_classes=(ClassInfo("x", "=1+1", ("</script>",)),),
)


@pytest.fixture(scope="module")
def built_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data") / "out"
    build(BuildConfig("stubs:Generated", out, {"images_per_split": 9}, "stubs:Describing", shard_size=4, prefetch=0,
                      batch_size=4, measure=False))  # fmt: skip
    return out


@pytest.fixture
def out(tmp_path: Path, built_once: Path) -> Path:
    return Path(shutil.copytree(built_once, tmp_path / "out"))


def test_rows_come_split_by_split_in_order(built_once: Path) -> None:
    dataset = open_dataset(str(built_once))
    assert dataset.splits == ("train", "test", "open")
    assert dataset.info == Generated().info()
    for split in dataset.splits:
        files = dataset.files(split)
        assert [path.name for path in files] == [f"{split}-{number:05d}-of-00003.parquet" for number in range(3)]
        expected = [row for path in files for row in pq.read_table(path).to_pylist()]
        assert dataset.rows(split) == len(expected) == 9
        batches = list(dataset.batches(split, ["sample_id", "label"], size=3))
        assert [batch.schema.names for batch in batches] == [["sample_id", "label"]] * len(batches)
        assert max(map(len, batches)) <= 3
        assert [row["sample_id"] for batch in batches for row in batch.to_pylist()] == [
            row["sample_id"] for row in expected
        ]
        assert dataset.label_counts(split) == Counter(row["label"] for row in expected)
    assert [dataset.is_ood(split) for split in dataset.splits] == [False, False, True]


def test_class_counts_are_the_lists_or_else_the_training_rows(tmp_path: Path) -> None:
    rows = [Row(0, "c0", "a", "a"), Row(0, "c0", "b", "b"), Row(-1, "x", "c", "c")]
    assert write_set(tmp_path / "a", {"train": rows, "test": rows[:1]}, INFO).class_counts == (2, 0)
    listed = DatasetInfo("own", "1", "licence", INFO.classes, (70, 30))
    assert write_set(tmp_path / "b", {"train": rows}, listed).class_counts == (70, 30)
    assert write_set(tmp_path / "c", {"test": rows}, INFO).class_counts == (0, 0)


def test_splits_without_a_row_and_of_both_kinds_are_not_ood(tmp_path: Path) -> None:
    rows = [Row(0, "c0", "a", "a"), Row(-1, "x", "c", "c")]
    dataset = write_set(tmp_path / "a", {"none": [], "mixed": rows, "open": rows[1:]}, INFO)
    assert [dataset.is_ood(split) for split in dataset.splits] == [False, False, True]
    assert (dataset.rows("none"), dataset.label_counts("none")) == (0, {})
    assert [len(batch) for batch in dataset.batches("none", ["label"])] in ([], [0])
    assert not dataset.is_ood("unknown")


def test_a_digest_is_of_everything_that_can_be_measured(tmp_path: Path) -> None:
    rows = [Row(0, "c0", "a", "a"), Row(1, "c1", "b", "b")]

    def digest(name: str, splits: dict[str, list[Row]], info: DatasetInfo = INFO, **manifest: Any) -> str:
        folder = tmp_path / name
        dataset = write_set(folder, splits, info)
        (folder / "manifest.json").write_text(json.dumps({**dataset.manifest, **manifest}), encoding="utf-8")
        return open_dataset(folder).digest

    first = digest("a", {"train": rows})
    assert digest("b", {"train": rows}) == first
    assert digest("c", {"train": rows}, run={"seconds": 7}) == first, "timings are no content"
    others = {
        digest("d", {"train": rows[:1]}),
        digest("e", {"test": rows}),
        digest("f", {"train": rows, "test": []}),
        digest("g", {"train": rows}, DatasetInfo("own", "1", "licence", INFO.classes)),
        digest("h", {"train": rows}, captioner={"prompt": "what?"}),
        digest("i", {"train": rows}, masking={"level": "head"}),
        digest("j", {"train": [Row(0, "c0", "a", "[mask]", ((0, 1),)), rows[1]]}),
    }
    assert first not in others
    assert len(others) == 7


def test_what_is_no_folder_of_a_build_is_told(tmp_path: Path, out: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere is no folder.*--out"):
        open_dataset(tmp_path / "nowhere")
    with pytest.raises(DataError, match="is no folder"):
        open_dataset(out / "README.md")
    (tmp_path / "thesis").mkdir()
    with pytest.raises(DataError, match=r"holds no manifest\.json: not a data set that openmmlo built"):
        open_dataset(tmp_path / "thesis")


def test_a_build_that_is_not_finished_is_told_from_a_foreign_folder(out: Path) -> None:
    (out / "manifest.json").unlink()
    with pytest.raises(DataError, match=r"not finished \(no manifest\.json\)\. Run its build command again"):
        open_dataset(out)
    shutil.rmtree(out / ".openmmlo")
    with pytest.raises(DataError, match="not a data set that openmmlo built"):
        open_dataset(out)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("manifest.json", "{", r"manifest\.json cannot be read as JSON"),
        ("manifest.json", "\udcff", r"manifest\.json cannot be read as JSON"),
        ("manifest.json", "[]", r"manifest\.json does not hold what openmmlo build writes"),
        ("classes.json", "", r"classes\.json cannot be read as JSON"),
        ("classes.json", "{}", r"classes\.json does not hold what openmmlo build writes \(KeyError"),
        ("classes.json", '{"classes": 5}', r"classes\.json does not hold what openmmlo build writes"),
    ],
)
def test_damaged_descriptions_are_told(out: Path, name: str, content: str, message: str) -> None:
    (out / name).write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=message):
        open_dataset(out)


def test_a_missing_table_of_classes_is_told(out: Path) -> None:
    (out / "classes.json").unlink()
    with pytest.raises(DataError, match=r"no classes\.json"):
        open_dataset(out)


@pytest.mark.parametrize("damage", ["gone", "empty", "cut", "foreign"])
def test_damaged_rows_are_told_when_they_are_read(out: Path, damage: str) -> None:
    path = out / "data" / "test-00001-of-00003.parquet"
    data = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes({"empty": b"", "cut": data[:-100], "foreign": b"not parquet at all, for sure"}[damage])
    dataset = open_dataset(out)
    assert sum(map(len, dataset.batches("train", ["label"]))) == 9
    with pytest.raises(DataError, match=r"no readable data/test-00001-of-00003\.parquet .*openmmlo verify"):
        list(dataset.batches("test", ["label"]))
    with pytest.raises(DataError, match="no readable"):
        dataset.is_ood("train")


@pytest.mark.parametrize(
    "info",
    [
        Generated().info(),
        INFO,
        DatasetInfo("none", "1", "x", ()),
        DatasetInfo("counted", "1", "", (ClassInfo("a", "ä\n\u2028</script>"),), (0,), homepage="h", citation="@c{}",
                    notes=("one", "two")),
    ],
)  # fmt: skip
def test_a_class_table_survives_json(info: DatasetInfo) -> None:
    again = DatasetInfo.from_json(json.loads(json.dumps(info.to_json())))
    assert again == info
    assert again.label_map_hash == info.label_map_hash
    assert again.to_json() == info.to_json()


@pytest.mark.parametrize("change", [{"classes": None}, {"ood_classes": [{}]}, {"notes": 3}])
def test_what_is_no_class_table_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        DatasetInfo.from_json({**INFO.to_json(), **change})
