"""A built data set as a source: rows in order, images read row group by row group, captions by sample id."""

from __future__ import annotations

import pickle
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pictured_sets import Pictured, write_pictured
from stubs import jpeg

from openmmlo.data import BuiltDataset, stored_images
from openmmlo.data.built_source import BuiltSource
from openmmlo.data.stored_images import StoredImage
from openmmlo.errors import DataError, UnknownName
from openmmlo.records import ClassInfo, DatasetInfo, Source
from openmmlo.sources import open_source

INFO = DatasetInfo("pictures", "1", "cc0-1.0", (ClassInfo("a", "ant"), ClassInfo("b", "bee")), (7, 3))


def rows(split: str, count: int, label: int | None = None) -> list[Pictured]:
    return [
        Pictured(
            f"{split}/{number:04d}",
            number % 2 if label is None else label,
            ("ab"[number % 2]) if label is None else "moth",
            f"the ant of {split} {number}",
            jpeg(number, 20, 10),
            ("ant",),
        )
        for number in range(count)
    ]


@pytest.fixture
def built(tmp_path: Path) -> BuiltDataset:
    """Split train in two files of several row groups, and an empty split."""
    splits = {"train": rows("train", 23), "test": rows("test", 5), "val": []}
    return write_pictured(tmp_path / "built", INFO, splits, rows_a_file=15, rows_a_group=4)


def test_every_row_is_a_sample_with_the_bytes_built_in(built: BuiltDataset) -> None:
    source = open_source("openmmlo.data.built_source:BuiltSource", {"folder": str(built.folder)})
    assert isinstance(source, Source)
    samples = list(source.samples("train"))
    expected = rows("train", 23)
    assert [(item.sample_id, item.label, item.class_key) for item in samples] == [
        (row.sample_id, row.label, row.class_key) for row in expected
    ]
    assert [item.image.read() for item in samples] == [row.image for row in expected]
    assert [item.image.read() for item in reversed(samples)] == [row.image for row in reversed(expected)]
    assert source.image(samples[20].image.locator).read() == expected[20].image
    assert pickle.loads(pickle.dumps(samples)) == samples  # noqa: S301 - our own bytes
    assert hash(source) == hash(pickle.loads(pickle.dumps(source)))  # noqa: S301 - our own bytes
    assert {item.source for item in samples} == {"pictures"}
    assert list(source.samples("val")) == []
    assert [finding.level for finding in source.check()] == ["ok"] * 3


def test_reading_in_order_opens_each_row_group_once(built: BuiltDataset) -> None:
    stored_images._images.cache_clear()
    for sample in BuiltSource(built.folder).samples("train"):
        sample.image.read()
    found = stored_images._images.cache_info()
    assert (found.misses, found.hits) == (6, 17)  # 15 rows in groups of 4, then 8 rows in groups of 4
    assert found.currsize <= stored_images.KEPT_GROUPS


def test_captions_come_by_sample_id_masked_and_as_written(built: BuiltDataset) -> None:
    source = BuiltSource(built.folder)
    assert source.texts("test", "raw")["test/0003"] == "the ant of test 3"
    assert source.texts("test", "masked")["test/0003"] == "the [mask] of test 3"
    assert list(source.texts("train", "masked")) == [sample.sample_id for sample in source.samples("train")]
    assert source.caption_digest == built.digest
    with pytest.raises(UnknownName, match="Known: masked, raw"):
        source.texts("test", "spans")
    with pytest.raises(UnknownName, match="Known: test, train, val"):
        source.texts("open", "raw")


def test_a_data_set_without_images_says_so(tmp_path: Path) -> None:
    built = write_pictured(tmp_path / "built", INFO, {"test": rows("test", 5)}, with_images=False)
    source = BuiltSource(built.folder)
    with pytest.raises(DataError, match="published without images, so split 'test' has captions alone"):
        source.samples("test")
    (finding,) = source.check()
    assert finding.level == "error"
    assert source.texts("test", "raw")["test/0000"] == "the ant of test 0"


def test_locators_reach_no_other_file_and_no_other_row(built: BuiltDataset, tmp_path: Path) -> None:
    source = BuiltSource(built.folder)
    pq.write_table(pq.read_table(built.files("test")[0]), tmp_path / "other.parquet")
    for locator in ("../other.parquet#0:0", "/etc/passwd#0:0", "data/test-00000.parquet", "manifest.json#0:0"):
        with pytest.raises(DataError, match="stands for no image"):
            source.image(locator)
    file = built.files("test")[0]
    for place in ("9:0", "0:99", "x:y", "-1:0", "0", ""):
        with pytest.raises(OSError, match="is not in the data set"):
            StoredImage(file, f"data/test-00000.parquet#{place}").read()
    with pytest.raises(FileNotFoundError):
        StoredImage(tmp_path / "none.parquet", "none.parquet#0:0").read()


def test_damaged_files_are_named(built: BuiltDataset, tmp_path: Path) -> None:
    file = built.files("test")[0]
    (sample, *_) = BuiltSource(built.folder).samples("test")
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(DataError, match=r"no readable data/test-00000\.parquet"):
        BuiltSource(built.folder).samples("test")
    with pytest.raises(OSError, match="damaged"):
        sample.image.read()
    (finding,) = BuiltSource(tmp_path / "nowhere").check()
    assert "is no folder" in finding.what
