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
from hub_card_rules import problems
from PIL import Image

from openmmlo.building.card import DEFAULT_LICENCE, hub_split, refuse_invalid_card, render_card
from openmmlo.building.schema import COLUMNS, CONFIGS, arrow_schema, config_columns
from openmmlo.errors import PublishRefused
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


FILES = [{"path": "data/train-00000-of-00001.parquet", "bytes": 7}, {"path": "data/near-ood-0.parquet", "bytes": 5}]


@pytest.mark.parametrize(
    ("captioner", "names", "source"),
    [
        ("scene", ["cat", "dog"], "miniature"),
        ("instructblip", ["cat", "dog"], "my photos: 2024 | <b>"),
        ("existing", HOSTILE, "imagefolder"),
        ("package.module:Own", NAMES, "\u2028---\n" + "x" * 300),
    ],
)
def test_front_matter_keeps_the_rules_of_the_hub(captioner: str, names: list[str], source: str) -> None:
    info = _info(names)
    info = DatasetInfo(source, "1", "mit", info.classes)
    card = render_card(_manifest(info, FILES, captioner={"captioner": captioner}), info)
    assert problems(card, "dataset") == ([], [])
    refuse_invalid_card(card)
    front = _front_matter(card)
    assert ("language" in front) == (captioner != "existing")
    names_there = front["dataset_info"][0]["features"][2]["dtype"]["class_label"]["names"]
    assert list(names_there.values()) == names


def test_the_rules_of_the_hub_can_be_broken() -> None:
    """What the test above holds cards to does refuse something."""
    info = _info(["cat"])
    card = render_card(_manifest(info, FILES), info)
    for good, bad in (
        ("apache-2.0", "my own"),
        ("- en", "- English!"),
        ("n<1K", "small"),
        ("config_name: raw", "config_name: masked"),
        ("split: near_ood", "split: near-ood"),
        ("- machine-generated", "- me"),
    ):
        assert problems(card.replace(good, bad, 1), "dataset")[0], bad
    assert problems("# no metadata", "dataset")[1]


@pytest.mark.parametrize(
    "card", ["# no front matter", "---\n- a\n- b\n---\n", "---\na: [\n---\n", "---\nlicense: mit\n---\n"]
)
def test_a_card_without_what_the_hub_needs_is_refused(card: str) -> None:
    with pytest.raises(PublishRefused, match="front matter"):
        refuse_invalid_card(card)


STATS = {
    "training": {"classes": 50, "images": 5499, "imbalance_factor": 100.0, "gini": 0.4731, "pareto": {"images": 0.613}},
    "splits": {
        "all": {
            "raw": {"tokens": 123456, "types": 789, "gini": 0.8123, "pareto": {"tokens": 0.9},
                    "zipf": {"slope": -1.07}, "nouns": {"tokens": 4321, "types": 99, "gini": 0.7,
                                                          "pareto": {"tokens": 0.8}, "zipf": {"slope": None}}},
            "masked": {"tokens": 120000, "types": 700, "gini": None, "pareto": None, "zipf": None, "nouns": None},
        },
        "train": {"naming": {"spearman": {"rho": 0.91, "p": 0.0, "classes": 48}}},
    },
}  # fmt: skip
AUDIT = {
    "level": "strict",
    "counted": ["name", "inflection"],
    "masks": {"id": {"rate": 0.999}, "ood": {"rate": 0.25}},
    "leaks": {"all": {"any": {"rate": 0.0123}, "kinds": {"head": {"rate": 0.0111}, "hypernym": {"rate": None}}}},
    "unmasked": {"all": {"any": {"rate": 1.0}, "kinds": {"name": {"rate": 0.987}}}},
    "over_masking": {"rate": 0.031},
    "other_classes": {"rate": 0.22},
    "classifier": {
        "trained_on": "train", "tested_on": "test",
        "results": {"raw": {"all": 0.95, "many": 0.99, "few": 0.5}, "masked": {"all": 0.313, "many": 0.4, "few": None},
                    "majority": {"all": 0.09}, "chance": {"all": 0.02}},
    },
    "shortcuts": {"caption_length": {"auroc": 0.6123}, "mask_count": {"auroc": None}},
}  # fmt: skip
QUALITY = {
    "limits": [{"encoder": "CLIP", "tokenizer": "x", "tokens": 77}],
    "groups": {
        "all": {"captions": 15498, "words": {"median": 41.0, "p95": 60}, "truncated": {"CLIP": {"rate": 0.077}},
                "refusals": {"rate": 0.0}, "repeated_ngrams": {"rate": 0.002}},
        "ood": {"captions": 1500, "words": {"median": 39, "p95": None}, "truncated": {"CLIP": None}},
    },
}  # fmt: skip


def test_measures_stand_in_the_card() -> None:
    info = _info(["cat"])
    card = render_card(_manifest(info, FILES), info, {"stats": STATS, "audit": AUDIT, "quality": QUALITY})
    for row in (
        "| training images a class | 5,499 | 50 | 100.00 | 0.473 | 61.3% | – |",
        "| words, raw | 123,456 | 789 | – | 0.812 | 90.0% | -1.07 |",
        "| nouns, raw | 4,321 | 99 | – | 0.700 | 80.0% | – |",
        "| words, masked | 120,000 | 700 | – | – | – | – |",
        "rank correlation is 0.91 over 48 classes",
        "in distribution: 99.9%, out of distribution: 25.0%",
        "| anything that this level hides | 100.0% | 1.2% |",
        "| name or synonym | 98.7% | – |",
        "| head noun (left by the level) | – | 1.1% |",
        "Masked without need: 3.1%. Captions that name another class: 22.0%.",
        "| reads | all | many | few |",
        "| masked captions | 31.3% | 40.0% | – |",
        "| nothing: at random | 2.0% | – | – |",
        "the length of the caption 0.612.",
        "| captions | 15,498 | 1,500 |",
        "| longer than CLIP reads (77 tokens) | 7.7% | – |",
        "| refuse or apologise | 0.0% | – |",
    ):
        assert row in card, row
    assert "Not measured" not in card
    assert "None" not in card.split("\n---\n", 1)[1]
    assert "nan" not in card.split("\n---\n", 1)[1]


def test_what_was_not_measured_is_said_to_be_so() -> None:
    info = _info(["cat"])
    assert render_card(_manifest(info, FILES), info).count("Not measured") == 3
    reasons = {
        "audit": {"level": "head", "classifier": {"reason": "one <class>"}, "shortcuts": {"reason": "no OOD split"}}
    }
    card = render_card(_manifest(info, FILES), info, reasons)
    assert "No classifier from caption to class: one &lt;class&gt;." in card
    assert "No shortcut out of distribution was measured: no OOD split." in card
    assert card.count("Not measured") == 2


@pytest.mark.parametrize(
    ("with_images", "images", "words"),
    [(False, "", "No image is part of it"), (True, "", "is still in them"), (True, "stripped", "were taken out")],
)
def test_the_card_says_what_images_give_away(with_images: bool, images: str, words: str) -> None:
    info = _info(["cat"])
    changes = {"images": images} if images else {}
    card = render_card(_manifest(info, FILES, with_images, **changes), info)
    assert words in card


def test_the_example_names_the_repository() -> None:
    info = _info(["cat"])
    assert 'load_dataset("lab/lt", "masked")' in render_card(_manifest(info, FILES), info, repo="lab/lt")
