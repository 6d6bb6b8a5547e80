"""Any folder that a build wrote is a benchmark: splits by name and labels, lists pinned as built."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pictured_sets import Pictured, write_pictured
from stubs import jpeg

from openmmlo.errors import DataError
from openmmlo.evaluate.benchmark import Role, load_benchmark
from openmmlo.evaluate.built import benchmark_of_folder
from openmmlo.evaluate.image_sets import resolve
from openmmlo.evaluate.run import open_benchmark
from openmmlo.records import ClassInfo, DatasetInfo, list_hash

INFO = DatasetInfo("pictures", "1", "cc0-1.0", (ClassInfo("a", "ant"), ClassInfo("b", "bee")), (7, 3))


def rows(split: str, count: int = 4, ood: bool = False) -> list[Pictured]:
    keys = ["moth"] * count if ood else ["ab"[number % 2] for number in range(count)]
    return [
        Pictured(
            f"{split}/{number}", -1 if ood else number % 2, key, f"the {key} of {split} {number}", jpeg(number, 8, 8),
            (f" {key} ",),
        )
        for number, key in enumerate(keys)
    ]  # fmt: skip


SPLITS: dict[str, tuple[bool, Role | None, str]] = {
    "train": (False, "train", ""),
    "train_balanced": (False, None, ""),
    "val": (False, "validation", ""),
    "test": (False, "test", ""),
    "near_ood": (True, "ood", "near"),
    "far_ood": (True, "ood", "far"),
    "open": (True, "ood", "open"),
    "val_ood": (True, "ood-validation", ""),
    "other": (True, "ood", ""),
    "sketch": (False, "shifted", ""),
}


def test_splits_are_known_by_their_names_and_labels(tmp_path: Path) -> None:
    folder = write_pictured(
        tmp_path / "x", INFO, {split: rows(split, ood=ood) for split, (ood, _, _) in SPLITS.items()}
    )
    found = benchmark_of_folder(folder.folder)
    assert {item.split: (item.role, item.group) for item in found.sets} == {
        split: (role, group) for split, (_, role, group) in SPLITS.items() if role is not None
    }
    assert [item.name for item in found.with_role("ood")] == ["near-ood", "far-ood", "open", "other"]
    assert found.label_map_hash == INFO.label_map_hash
    for item in found.sets:
        ood = SPLITS[item.split][0]
        assert item.rows == 4
        assert item.list_hash == list_hash((row.sample_id, row.class_key) for row in rows(item.split, ood=ood))


def test_it_resolves_with_images_and_captions_wherever_it_lies(tmp_path: Path) -> None:
    splits = {"train": rows("train", 9), "test": rows("test"), "near_ood": rows("near_ood", ood=True)}
    built = write_pictured(tmp_path / "one", INFO, splits)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    found, moved = (resolve(benchmark_of_folder(tmp_path / name)) for name in ("one", "two"))
    assert found.benchmark.digest == moved.benchmark.digest
    assert found.benchmark.name == "pictures-built"
    assert found.info.train_counts == (5, 4)  # what is in the folder, not what its source once listed
    for item in found.sets:
        assert item.reason is None
        assert [sample.image.read() for sample in item.samples] == [row.image for row in splits[item.definition.split]]
        assert item.captions("raw", item.samples) == [row.caption for row in splits[item.definition.split]]
        assert item.caption_digest == built.digest
    assert found.test.captions("masked", found.test.samples[2:]) == ["the[mask]of test 2", "the[mask]of test 3"]
    assert {sample.label for sample in found.sets[2].samples} == {-1}


def test_without_a_test_split_validation_is_tested_on(tmp_path: Path) -> None:
    write_pictured(tmp_path / "x", INFO, {"train": rows("train"), "val": rows("val"), "test": []})
    assert [(item.split, item.role) for item in benchmark_of_folder(tmp_path / "x").sets] == [
        ("train", "train"),
        ("val", "test"),
    ]


def test_what_cannot_be_evaluated_says_why(tmp_path: Path) -> None:
    write_pictured(tmp_path / "a", INFO, {"train": rows("train"), "test": rows("test", ood=True)})
    with pytest.raises(DataError, match="no split to test on: it has train, test"):
        benchmark_of_folder(tmp_path / "a")
    write_pictured(tmp_path / "b", INFO, {"test": rows("test")}, with_images=False)
    with pytest.raises(DataError, match="published without images"):
        benchmark_of_folder(tmp_path / "b")
    with pytest.raises(DataError, match="is no folder"):
        benchmark_of_folder(tmp_path / "c")


def test_a_known_name_is_the_benchmark_whatever_folder_lies_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "miniature").mkdir()
    monkeypatch.chdir(tmp_path)
    assert open_benchmark("miniature").digest == load_benchmark("miniature").digest
    with pytest.raises(DataError, match="not a data set that openmmlo built"):
        open_benchmark("./miniature")
