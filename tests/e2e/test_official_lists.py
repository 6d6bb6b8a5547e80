"""The real official lists with placeholder JPEGs, built whole: counts, groups and ids as published."""

from __future__ import annotations

import gzip
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from stubs import jpeg

from openmmlo.building import BuildConfig, build

pytestmark = pytest.mark.slow

# SHA-256 over "stem<TAB>wnid<NEWLINE>" of the sorted rows, computed with sort and sha256sum from the wnid variant.
IMAGENET_TEST_HASH = "499071858a2693a1afe39ade112e703772e21d84544712ea44c1cb75c02f5bf8"


class Placeholders:
    """Hard links to small JPEGs, made where a list says; a fresh original now and then, for links are limited."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.made = 0

    def fill(self, root: Path, lines: list[str]) -> None:
        folders: set[str] = set()
        for line in lines:
            name = line.split()[0]
            original = self.folder / f"{self.made // 10_000}.jpg"
            if not original.exists():
                original.write_bytes(jpeg(self.made // 10_000, 32, 24))
            target = f"{root}/{name}"
            parent = target.rpartition("/")[0]
            if parent not in folders:
                Path(parent).mkdir(parents=True, exist_ok=True)
                folders.add(parent)
            os.link(original, target)
            self.made += 1


def lines_of(splits: Path, name: str) -> list[str]:
    return gzip.decompress((splits / name).read_bytes()).decode().splitlines()


def put(folder: Path, name: str, lines: list[str]) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def run(tmp_path: Path, source: str, splits: tuple[str, ...], **options: Any) -> tuple[dict[str, Any], Path]:
    out = tmp_path / "out"
    values = {"images": tmp_path / "images", "lists": tmp_path / "lists", **options}
    config = BuildConfig(source, out, values, "stubs:Describing", splits=splits, batch_size=64, with_images=False,
                         measure=False)  # fmt: skip
    result = build(config)
    assert result.complete
    assert result.errors == {}
    manifest: dict[str, Any] = json.loads((out / "manifest.json").read_bytes())
    assert {name: entry["rows"] for name, entry in manifest["splits"].items()} == result.rows
    return manifest, out


def column(out: Path, split: str, name: str) -> list[Any]:
    return [
        value
        for path in sorted(out.glob(f"data/{split}-*.parquet"))
        for value in pq.read_table(path, columns=[name])[name].to_pylist()
    ]


def test_places_lt_whole(tmp_path: Path, official_splits: Path) -> None:
    make = Placeholders(tmp_path / "originals")
    for split in ("train", "val", "test", "open"):
        lines = lines_of(official_splits, f"Places_LT_{split}.txt.gz")
        put(tmp_path / "lists", f"Places_LT_{split}.txt", lines)
        make.fill(tmp_path / "images" / ("Places_LT_open" if split == "open" else ""), lines)
    manifest, out = run(tmp_path, "places-lt", ())
    assert {name: entry["rows"] for name, entry in manifest["splits"].items()} == {
        "train": 62_500,
        "val": 7_300,
        "test": 36_500,
        "open": 6_600,
    }
    classes = manifest["classes"]
    assert classes["shot_groups"] == {"many": 131, "medium": 163, "few": 71}
    assert (classes["train_max"], classes["train_min"], classes["train_total"]) == (4_980, 5, 62_500)
    labels = Counter(column(out, "train", "label"))
    assert (max(labels.values()), min(labels.values()), len(labels)) == (4_980, 5, 365)
    assert set(column(out, "open", "label")) == {-1}
    assert Counter(Counter(column(out, "test", "label")).values()) == {100: 365}


@pytest.mark.parametrize("variant", ["ImageNet_LT_test.txt.gz", "ImageNet_LT_test.flat.txt.gz"])
def test_imagenet_lt_val_test_and_open_in_both_path_variants(
    tmp_path: Path, official_splits: Path, variant: str
) -> None:
    make = Placeholders(tmp_path / "originals")
    for split, name in (("val", "ImageNet_LT_val.txt.gz"), ("test", variant), ("open", "ImageNet_LT_open.txt.gz")):
        lines = lines_of(official_splits, name)
        put(tmp_path / "lists", f"ImageNet_LT_{split}.txt", lines)
        make.fill(tmp_path / "images" / ("ImageNet_LT_open" if split == "open" else ""), lines)
    manifest, out = run(tmp_path, "imagenet-lt", ("val", "test", "open"))
    rows = {name: entry["rows"] for name, entry in manifest["splits"].items()}
    assert rows == {"val": 20_000, "test": 50_000, "open": 18_000}
    ids = column(out, "test", "sample_id")
    assert sorted(ids) == sorted(Path(line.split()[0]).stem for line in lines_of(official_splits, variant))
    assert Counter(Counter(column(out, "val", "label")).values()) == {20: 1000}
    # The list hash is the same number for every path variant of one list.
    assert manifest["splits"]["test"]["list_hash"] == IMAGENET_TEST_HASH


def test_inaturalist2018_val(tmp_path: Path, official_splits: Path) -> None:
    make = Placeholders(tmp_path / "originals")
    lines = lines_of(official_splits, "iNaturalist18_val.txt.gz")
    put(tmp_path / "lists", "iNaturalist18_val.txt", lines)
    make.fill(tmp_path / "images", lines)
    manifest, out = run(tmp_path, "inaturalist2018", ("val",))
    assert manifest["splits"]["val"]["rows"] == 24_426
    assert Counter(Counter(column(out, "val", "label")).values()) == {3: 8_142}
