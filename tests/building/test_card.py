"""The card and the schema as datasets and the Hub's client read them, hostile names and empty files included."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from openmmlo.building.card import DEFAULT_LICENCE, hub_split, render_card
from openmmlo.building.schema import COLUMNS, CONFIGS, arrow_schema, config_columns
from openmmlo.records import ClassInfo, DatasetInfo

HOSTILE = [
    "a: b", "- x", "'q'", '"dq"', "new\nline", "<script>alert(1)</script>", "{x}", "#c", "null", "0", "true", "~",
    "---", "x" * 5000, "tab\t", "é", "日本", "|pipe|", "@a", "`b`", "%d", "&amp", "*s", "!t", "\x85nel",
    "\u2028ls\n---\nx", "\x07", "a\\b", " lead", "trail ", "1e3", "2020-01-01", "[mask]", "\ud800lone", "",
]  # fmt: skip
NAMES = [*(f"class {number}" for number in range(1000)), *HOSTILE]
SPLITS = {"train": [9, 0, 3], "near-ood": [5], "train-extra": [2], "none-left": [0]}


def _info(names: list[str], licence: str = "Apache-2.0") -> DatasetInfo:
    classes = tuple(ClassInfo(f"k{label}", name, (name,)) for label, name in enumerate(names))
    return DatasetInfo(
        "miniature", "1", licence, classes, notes=("184.5K | <img src=x> [a](b)",), homepage="https://x.org"
    )


def _manifest(
    info: DatasetInfo, files: list[dict[str, Any]], with_images: bool = True, **changes: Any
) -> dict[str, Any]:
    splits = {
        split: {
            "planned": sum(rows) + 1,
            "rows": sum(rows),
            "errors": {"missing": 1},
            "list_hash": "c0ffee",
            "masked_rows": sum(rows) // 2,
        }
        for split, rows in SPLITS.items()
    }
    return {
        "format": 1,
        "openmmlo": "0.1.0",
        "fingerprint": "f1f2",
        "source": {
            "name": info.name,
            "version": info.version,
            "licence": info.licence,
            "label_map_hash": info.label_map_hash,
            "homepage": info.homepage,
            "citation": "",
            "notes": list(info.notes),
        },
        "splits": splits,
        "classes": {"count": len(info.classes)},
        "captioner": {"captioner": "scene", "version": "1"},
        "masking": {"level": "strict", "lexicon_hash": "abcd", "mask": "[mask]"},
        "files": files,
        "with_images": with_images,
        "versions": {"python": "3.12"},
        "run": {},
        **changes,
    }


def _png(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), (shade, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def _row(split: str, number: int, label: int) -> dict[str, Any]:
    return {
        "sample_id": f"{split}-{number}",
        "image": {"bytes": _png(number), "path": f"{number}.png"},
        "label": label,
        "class_key": "",
        "caption": "two lions",
        "masked_caption": "two [mask]s",
        "spans": [{"start": 4, "end": 9}] if number % 2 else [],
        "path": f"train/{number}.png",
        "sha256": "00",
        "width": 8,
        "height": 6,
    }


def _write(folder: Path, info: DatasetInfo, with_images: bool) -> None:
    schema = arrow_schema(info, with_images)
    files = []
    for split, shards in SPLITS.items():
        for shard, rows in enumerate(shards):
            path = folder / "data" / f"{split}-{shard:05d}-of-{len(shards):05d}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            labels = [-1 if split == "near-ood" else 1000 + number for number in range(rows)]
            table = [_row(split, 10 * shard + number, label) for number, label in enumerate(labels)]
            with pq.ParquetWriter(path, schema, write_page_index=True) as writer:
                if table:
                    writer.write_table(pa.Table.from_pylist(table, schema=schema), row_group_size=4)
            relative = path.relative_to(folder).as_posix()
            files.append({"path": relative, "rows": rows, "bytes": path.stat().st_size, "sha256": ""})
    (folder / "README.md").write_text(render_card(_manifest(info, files, with_images), info), encoding="utf-8")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    _write(folder, _info(NAMES), with_images=True)
    return folder


@pytest.fixture(scope="module")
def built_without_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built-without-images")
    _write(folder, _info([f"c{label}" for label in range(1100)]), with_images=False)
    return folder


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("config", [None, "masked", "raw"])
def test_datasets_loads_each_config(built: Path, tmp_path: Path, config: str | None, streaming: bool) -> None:
    datasets = pytest.importorskip("datasets")
    loaded = datasets.load_dataset(str(built), config, streaming=streaming, cache_dir=str(tmp_path))
    assert set(loaded) == {"train", "near_ood", "train_extra"}
    for split, data in loaded.items():
        assert list(data.features) == config_columns(config or "masked", with_images=True)
        assert data.features["label"].names == NAMES
        rows = list(data)
        assert len(rows) == sum(SPLITS[split.replace("_", "-")])
        name = split.replace("_", "-")
        assert all(row["image"].size == (8, 6) and row["sample_id"].startswith(f"{name}-") for row in rows)
        assert {row["label"] for row in rows} <= ({-1} if split == "near_ood" else set(range(1000, 1010)))
        if config == "raw":
            assert {row["caption"] for row in rows} == {"two lions"}
        else:
            assert {row["masked_caption"] for row in rows} == {"two [mask]s"}
            assert [{"start": 4, "end": 9}] in [row["spans"] for row in rows]


@pytest.mark.parametrize("streaming", [False, True])
def test_datasets_loads_a_build_without_images(built_without_images: Path, tmp_path: Path, streaming: bool) -> None:
    datasets = pytest.importorskip("datasets")
    loaded = datasets.load_dataset(str(built_without_images), "raw", streaming=streaming, cache_dir=str(tmp_path))
    rows = list(loaded["train"])
    assert list(rows[0]) == config_columns("raw", with_images=False)
    assert "image" not in rows[0]
    assert rows[0]["path"] == "train/0.png"


@pytest.mark.parametrize("with_images", [True, False])
def test_schema_is_what_datasets_itself_would_write(with_images: bool) -> None:
    datasets = pytest.importorskip("datasets")
    schema = arrow_schema(_info(NAMES), with_images)
    features = datasets.Features.from_arrow_schema(schema)
    assert isinstance(features["label"], datasets.ClassLabel)
    assert features["label"].names == NAMES
    assert features.arrow_schema.equals(schema.with_metadata(features.arrow_schema.metadata), check_metadata=True)
    assert with_images == ("image" in features and isinstance(features["image"], datasets.Image))


def test_configs_hold_every_column_once() -> None:
    assert {name for columns in CONFIGS.values() for name in columns} == set(COLUMNS)
    assert "caption" not in CONFIGS["masked"]
    assert not {"masked_caption", "spans"} & set(CONFIGS["raw"])
    assert next(iter(CONFIGS)) == "masked"


def _front_matter(card: str) -> dict[str, Any]:
    _, front, _ = card.split("---\n", 2)
    value: dict[str, Any] = yaml.safe_load(front)
    return value


def test_front_matter_is_read_by_the_hub_client(built: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    card = hub.DatasetCard.load(built / "README.md")
    assert card.data.license == "apache-2.0"
    assert card.data.language == ["en"]
    assert card.data.size_categories == ["n<1K"]
    assert card.data.task_categories
    assert card.data.pretty_name
    front = card.data.to_dict()
    assert [config["config_name"] for config in front["configs"]] == ["masked", "raw"]
    assert [config.get("default", False) for config in front["configs"]] == [True, False]
    splits = front["dataset_info"][0]["splits"]
    assert {split["name"]: split["num_examples"] for split in splits} == {"train": 12, "near_ood": 5, "train_extra": 2}
    sizes = {path.name: path.stat().st_size for path in (built / "data").iterdir()}
    train = sum(size for name, size in sizes.items() if re.match(r"train-0", name))
    assert splits[0]["num_bytes"] == train


def test_front_matter_repeats_rather_than_refers() -> None:
    card = render_card(
        _manifest(_info(["a"]), [{"path": "data/train-00000-of-00001.parquet", "bytes": 1}]), _info(["a"])
    )
    front = card.split("---\n", 2)[1]
    assert "&id" not in front
    assert "*id" not in front


def test_readable_names_stay_readable() -> None:
    info = _info(["日本", "é"])
    assert "日本" in render_card(_manifest(info, []), info)


@pytest.mark.parametrize(
    ("captioner", "licence", "expected"),
    [
        ("scene", "Apache-2.0", "apache-2.0"),
        ("scene", "my own words", DEFAULT_LICENCE),
        ("instructblip", "Apache-2.0", DEFAULT_LICENCE),
        ("existing", "CC-BY-4.0", "unknown"),
    ],
)
def test_licence_follows_captioner_and_images(captioner: str, licence: str, expected: str) -> None:
    info = _info(["a"], licence)
    card = render_card(_manifest(info, [], captioner={"captioner": captioner}), info)
    assert _front_matter(card)["license"] == expected


def test_body_says_what_the_manifest_says() -> None:
    info = _info(["cat"])
    classes = {
        "count": 365,
        "train_total": 62500,
        "train_max": 4980,
        "train_min": 5,
        "shot_groups": {"many": 131, "medium": 163, "few": 71},
    }
    captioner = {"captioner": "instructblip", "preset": "lavis", "prompt": "What is it? ``` <b>", "beams": 5}
    card = render_card(_manifest(info, [], False, classes=classes, captioner=captioner), info)
    for fact in (
        "62,500",
        "4,980",
        "131 many-shot",
        "163 medium-shot",
        "71 few-shot",
        "abcd",
        "f1f2",
        "lavis",
        "yang2025",
    ):
        assert fact in card
    assert "| train | 13 | 12 | 1 missing | 50.0% |" in card
    assert "````\nWhat is it? ``` <b>\n````" in card
    assert "images are not part" in card
    assert "CC-BY-NC" in card


def test_foreign_text_adds_no_markup() -> None:
    evil = "<script>x</script> | [a](http://b) `c` **d**\n# e\n---\n| f |"
    info = _info([evil])
    changes: dict[str, Any] = {
        "captioner": {"captioner": evil, "prompt": evil, evil: {evil: evil}},
        "versions": {evil: evil},
        "fingerprint": evil,
    }
    manifest = _manifest(info, [], **changes)
    manifest["source"] |= {"name": evil, "version": evil, "licence": evil, "notes": [evil], "homepage": evil}
    manifest["splits"] = {evil: {**manifest["splits"]["train"], "errors": {evil: 3}}}
    card = render_card(manifest, info)
    body = card.split("\n---\n", 1)[1]
    prose = re.sub(r"(?ms)^(`{3,})\w*\n.*?\n\1$", "", body)
    assert "<" not in prose
    assert "[a]" not in prose
    assert "**d" not in prose
    assert not re.search(r"(?m)^(# e|---|\| f \|)", prose)
    header = [line for line in prose.splitlines() if line.startswith("| split")]
    rows = [line for line in prose.splitlines() if line.startswith("| &lt;script")]
    cells = len(re.findall(r"(?<!\\)\|", header[0]))
    assert cells in {len(re.findall(r"(?<!\\)\|", row)) for row in rows}


@pytest.mark.parametrize(("split", "name"), [("train", "train"), ("near-ood", "near_ood"), ("a b.c", "a_b_c")])
def test_split_names_become_identifiers(split: str, name: str) -> None:
    assert hub_split(split) == name
