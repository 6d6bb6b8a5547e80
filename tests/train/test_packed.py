"""Packed images: the parquet's bytes in any order, made once, whole at every moment."""

from __future__ import annotations

import json
import pickle
import random
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pictured_sets import Pictured, write_pictured
from stubs import jpeg
from training import processes

from openmmlo.data import BuiltDataset, open_dataset
from openmmlo.data.built_source import BuiltSource
from openmmlo.errors import DataError
from openmmlo.progress import Silent
from openmmlo.records import ClassInfo, DatasetInfo
from openmmlo.train.packed import cache_root, pack

INFO = DatasetInfo("pictures", "1", "cc0-1.0", (ClassInfo("a", "ant"), ClassInfo("b", "bee")), (7, 3))


class Told(Silent):
    def __init__(self) -> None:
        self.messages: list[str] = []

    def say(self, message: str) -> None:
        self.messages.append(message)


@pytest.fixture
def built(tmp_path: Path) -> BuiltDataset:
    rows = [
        Pictured(f"train/{n:04d}", n % 2, "ab"[n % 2], f"caption {n}", jpeg(n, 20 + n % 5, 10 + n % 3))
        for n in range(31)
    ]
    return write_pictured(tmp_path / "built", INFO, {"train": rows, "val": rows[:2]}, rows_a_file=13, rows_a_group=4)


def test_bytes_are_the_parquets_in_any_order(built: BuiltDataset, tmp_path: Path) -> None:
    packed = pack(built, "train", tmp_path / "cache", Silent())
    expected = [sample.image.read() for sample in BuiltSource(built.folder).samples("train")]
    assert packed.rows == len(expected) == 31
    order = list(range(31))
    random.Random(0).shuffle(order)
    assert [packed.read(row) for row in order] == [expected[row] for row in order]
    travelled = pickle.loads(pickle.dumps(packed))  # noqa: S301 - our own bytes
    assert len(pickle.dumps(packed)) < 1000
    assert travelled.read(30) == expected[30]


def test_a_pack_is_made_once_and_belongs_to_one_split_of_one_data_set(built: BuiltDataset, tmp_path: Path) -> None:
    told = Told()
    first = pack(built, "train", tmp_path / "cache", told)
    assert pack(built, "train", tmp_path / "cache", told).folder == first.folder
    assert len(told.messages) == 1
    assert "Packing 31 images of split train" in told.messages[0]
    assert pack(built, "val", tmp_path / "cache", told).folder != first.folder
    manifest = json.loads((built.folder / "manifest.json").read_text())
    manifest["files"][0]["sha256"] = "0" * 64
    (built.folder / "manifest.json").write_text(json.dumps(manifest))
    assert pack(open_dataset(built.folder), "train", tmp_path / "cache", told).folder != first.folder


@pytest.mark.parametrize("damage", ["images.bin", "starts.npy", "meta.json"])
def test_a_damaged_pack_is_made_again(built: BuiltDataset, tmp_path: Path, damage: str) -> None:
    first = pack(built, "train", tmp_path / "cache", Silent())
    before = first.read(5)
    path = first.folder / damage
    path.write_bytes(path.read_bytes()[:-9])
    again = pack(built, "train", tmp_path / "cache", Silent())
    assert again.folder == first.folder
    assert again.read(5) == before


def test_what_a_kill_left_aside_is_removed(built: BuiltDataset, tmp_path: Path) -> None:
    first = pack(built, "train", tmp_path / "cache", Silent())
    left = tmp_path / "other" / f"{first.folder.name}.abc.tmp"
    left.mkdir(parents=True)
    (left / "images.bin").write_bytes(b"half")
    pack(built, "train", tmp_path / "other", Silent())
    assert sorted(path.name for path in (tmp_path / "other").iterdir() if path.suffix != ".lock") == [first.folder.name]


def packing(folder: Path, cache: Path, answers: Any) -> None:
    told = Told()
    packed = pack(open_dataset(folder), "train", cache, told)
    answers.put((packed.read(30), len(told.messages)))


@pytest.mark.slow
def test_two_processes_make_it_once(built: BuiltDataset, tmp_path: Path) -> None:
    context = processes()
    answers = context.Queue()
    workers = [context.Process(target=packing, args=(built.folder, tmp_path / "cache", answers)) for _ in range(2)]
    for worker in workers:
        worker.start()
    found = [answers.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join()
    assert found[0][0] == found[1][0]
    assert sum(count for _, count in found) == 1


def test_a_row_without_an_image_is_refused(built: BuiltDataset, tmp_path: Path) -> None:
    path = built.files("train")[1]
    table = pq.read_table(path)
    images = table["image"].to_pylist()
    images[4] = None
    place = table.schema.get_field_index("image")
    pq.write_table(table.set_column(place, table.schema.field(place), [images]), path)
    with pytest.raises(DataError, match=r"row 17 of split 'train' \(data/train-00001.parquet\) has no image"):
        pack(built, "train", tmp_path / "cache", Silent())
    assert not list((tmp_path / "cache").glob("*.tmp"))


def test_a_damaged_file_is_refused(built: BuiltDataset, tmp_path: Path) -> None:
    built.files("train")[0].write_bytes(b"PAR1 no more")
    with pytest.raises(DataError, match=r"no readable data/train-00000\.parquet"):
        pack(built, "train", tmp_path / "cache", Silent())


def test_the_cache_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPENMMLO_CACHE", str(tmp_path))
    assert cache_root() == tmp_path / "packed"
    assert cache_root(tmp_path / "named") == tmp_path / "named"
    monkeypatch.delenv("OPENMMLO_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_root() == tmp_path / "xdg" / "openmmlo" / "packed"
