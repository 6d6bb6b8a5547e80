"""The page: whole, self-contained, within its budget, the same each time, and true to data and measures."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hand_measures import measures
from pictured_sets import ZOO, Pictured, open_rows, write_pictured, zoo, zoo_rows
from read_pages import NO_MEASURES, drawn
from stubs import jpeg

from openmmlo.building.report import write_report
from openmmlo.cli import main
from openmmlo.data import BuiltDataset, open_dataset
from openmmlo.errors import DataError
from openmmlo.records import ClassInfo, DatasetInfo


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> BuiltDataset:
    errors = [
        {
            "sample_id": f"train/x{place}",
            "split": "train",
            "class_key": "n1",
            "status": "unreadable",
            "reason": "the file is empty",
        }
        for place in range(7)
    ] + [{"sample_id": "test/y", "split": "test", "class_key": "n2", "status": "missing", "reason": "no such file"}]
    return zoo(tmp_path_factory.mktemp("page") / "zoo", errors=errors)


def test_same_data_give_the_same_bytes_whatever_a_build_took(dataset: BuiltDataset, tmp_path: Path) -> None:
    first = write_report(dataset, measures(), tmp_path / "a.html").read_bytes()
    copy = tmp_path / "elsewhere" / "zoo"
    shutil.copytree(dataset.folder, copy)
    manifest = json.loads((copy / "manifest.json").read_bytes())
    manifest["run"] = {"caption_seconds": 99.0}
    (copy / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert write_report(open_dataset(copy), measures(), tmp_path / "b.html").read_bytes() == first
    assert str(tmp_path).encode() not in first


def test_the_policy_lets_nothing_in_but_what_is_there(dataset: BuiltDataset, tmp_path: Path) -> None:
    page = drawn(dataset, tmp_path / "page.html", measures())
    (policy,) = (
        found["content"] for tag, found in page.elements if found.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"

    def source(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    _, script = page.raw["script"]
    (style,) = page.raw["style"]
    assert rules["script-src"] == source(script)
    assert rules["style-src"] == source(style)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", script)
    for tag, found in page.elements:
        assert not [name for name in found if name.startswith("on") or name in ("style", "srcset")], tag
        for name in ("href", "src"):
            assert (found.get(name) or "#").startswith(("#", "data:")), (tag, found)
    assert "@import" not in style
    assert "url(" not in style


def test_sections_without_a_measure_say_what_makes_it(dataset: BuiltDataset, tmp_path: Path) -> None:
    bare, full = drawn(dataset, tmp_path / "a.html"), drawn(dataset, tmp_path / "b.html", measures())
    for section, name in (("words", "stats"), ("audit", "audit"), ("quality", "quality")):
        assert f"not measured yet. openmmlo {name} DIR makes it, and openmmlo report DIR" in bare.text(section)
        assert "not measured yet" not in full.text(section)


def test_numbers_of_the_measures_are_shown(dataset: BuiltDataset, tmp_path: Path) -> None:
    page = drawn(dataset, tmp_path / "page.html", measures())
    expected = {
        "top": [
            "rows 244",
            "classes 5 1 many, 2 medium, 2 few",
            "imbalance factor 43.3",
            "still name their class 4.2% 81.2% as written",
            "failed images 8",
        ],
        "tail": [
            "201 training images of 5 classes",
            "from red fox with 130 to frog with 3",
            "1 many",
            "2 medium",
            "2 few",
            "Gini coefficient 0.562",
            "20.0% of the classes hold 64.7%",
        ],
        "words": ["Zipf slope −1.250 −1.250", "in all", "ρ = 0.938 over 5 classes", "at least 5 times"],
        "audit": [
            "level hypernym",
            "any that the level hides 81.2% 4.2%",
            "a broader word 20.3% 1.1%",
            "OOD 13 81.2% 4.2%",
            "99.57%",
            "69.2%",
            "0.613",
            "0.887",
            "tree frog 27 9 33.3%",
            "93.8% 18.8%",
            "5.8% of masked captions",
        ],
        "quality": [
            "cut off by clip (77 tokens) 3.2%",
            "nearly equal another caption 17.2%",
            "strange new rate 4.8%",
            "0% in every group: hold no word; refuse to describe",
            "9 to 14",
            "Not counted for want of a tokenizer: bert",
            "7 captions, 2 of them different",
        ],
        "failures": [
            "7 unreadable not an image, or a damaged one",
            "train/x4",
            "the file is empty",
            "1 missing",
            "no such file",
        ],
        "making": ["captioner written", "f" * 64, dataset.digest, "pillow 13"],
        "licence": ["apache-2.0", "A note on the source."],
    }
    for section, texts in expected.items():
        for text in texts:
            assert text in page.text(section), (section, text)
    assert "train/x5" not in page.text("failures")


def test_the_gallery_counts_and_shows_what_the_rows_hold(dataset: BuiltDataset, tmp_path: Path) -> None:
    data = drawn(dataset, tmp_path / "page.html").data
    rows = {
        row["sample_id"]: (split, row)
        for split in dataset.splits
        for batch in dataset.batches(split, ["sample_id", "label", "class_key", "caption", "masked_caption"])
        for row in batch.to_pylist()
    }
    counted = Counter((row["label"], row["class_key"], split) for split, row in rows.values())
    for place, (key, name, group, counts) in enumerate(data["classes"]):
        label = place if place < len(ZOO.classes) else -1
        assert counts == [counted[label, key, split] for split in data["splits"]]
        expected = ["many", "medium", "medium", "few", "few"][place] if label >= 0 else "ood"
        assert data["groups"][group] == expected
        assert name == {**{item.key: item.name for item in (*ZOO.classes, *ZOO.ood_classes)}, "": ""}[key]
    shown = set()
    for own, split, sample_id, pieces, width, height, image in data["cards"]:
        where, row = rows[sample_id]
        assert (data["splits"][split], data["classes"][own][0]) == (where, row["class_key"])
        assert "".join(piece if isinstance(piece, str) else piece[0] for piece in pieces) == row["caption"]
        assert "".join(piece if isinstance(piece, str) else piece[1] for piece in pieces) == row["masked_caption"]
        assert (width, height) == (48, 32)
        assert base64.b64decode(image)[8:12] == b"WEBP"
        shown.add((row["label"], row["class_key"], where))
    assert shown == set(counted)
    assert data["trained"] == [130, 40, 21, 7, 3]


def test_a_set_without_images_shows_captions(tmp_path: Path) -> None:
    page = drawn(zoo(tmp_path / "zoo", with_images=False), tmp_path / "page.html")
    assert {card[6] for card in page.data["cards"]} == {""}
    assert "The data set was built without its images." in page.text("gallery")


def test_a_broken_image_is_told_from_one_left_out(tmp_path: Path) -> None:
    rows = [
        Pictured(f"train/{place}", 0, "n1", "A red fox.", b"broken" if place else jpeg(1, 40, 40)) for place in range(3)
    ]
    cards = drawn(write_pictured(tmp_path / "set", ZOO, {"train": rows}), tmp_path / "page.html").data["cards"]
    assert {card[2]: card[6] is None for card in cards} == {"train/0": False, "train/1": True, "train/2": True}


@pytest.mark.parametrize("budget", [150_000, 250_000, 400_000])
def test_the_budget_holds_and_every_cell_is_seen_while_it_can_be(tmp_path: Path, budget: int) -> None:
    info = DatasetInfo("wide", "1", "", tuple(ClassInfo(f"c{place:04d}", f"class {place}") for place in range(150)))

    def rows(split: str) -> Iterator[Pictured]:
        for place in range(600):
            label = place % 150
            image = jpeg(place % 50, 320, 240)
            yield Pictured(
                f"{split}/{place}", label, f"c{label:04d}", f"A class {label} of {place} things. " * 4, image
            )

    dataset = write_pictured(tmp_path / "set", info, {"train": rows("train"), "test": rows("test")})
    to = tmp_path / "page.html"
    data = drawn(dataset, to, budget=budget).data
    assert budget * 0.7 < to.stat().st_size <= budget * 1.02
    pictured = [card for card in data["cards"] if card[6]]
    assert pictured
    if budget == 400_000:
        assert {(card[0], card[1]) for card in data["cards"]} == {
            (own, split) for own in range(150) for split in range(2)
        }
    assert len({card[0] for card in pictured}) == min(150, len(pictured))  # one of each class before a second of any
    assert data["cards"][: len(pictured)] == pictured


def test_long_captions_are_cut_before_a_class_is_left_out(tmp_path: Path) -> None:
    info = DatasetInfo("wide", "1", "", tuple(ClassInfo(f"c{place:03d}", f"class {place}") for place in range(200)))
    rows = (
        Pictured(f"train/{label}", label, f"c{label:03d}", f"Class {label:03d}. " * 150, b"") for label in range(200)
    )
    dataset = write_pictured(tmp_path / "set", info, {"train": rows}, with_images=False)
    bare = len(write_report(dataset, NO_MEASURES, tmp_path / "page.html", budget=0).read_bytes())
    for room, longest in ((400_000, 1600), (120_000, 300)):
        cards = drawn(dataset, tmp_path / "page.html", budget=bare + room).data["cards"]
        assert {card[0] for card in cards} == set(range(200))
        assert {len(card[3][0]) for card in cards} <= {longest - 1, longest, longest + 1}


def test_a_source_without_training_counts_has_no_tail(tmp_path: Path) -> None:
    info = DatasetInfo("plain", "1", "", ZOO.classes)
    page = drawn(write_pictured(tmp_path / "set", info, {"test": zoo_rows("test", [3] * 5)}), tmp_path / "page.html")
    assert "is not known" in page.text("tail")
    assert {item[2] for item in page.data["classes"]} == {-1}
    assert page.data["trained"] == []


def test_a_set_without_a_row_has_a_page(tmp_path: Path) -> None:
    page = drawn(write_pictured(tmp_path / "set", ZOO, {"train": []}), tmp_path / "page.html")
    assert page.data["cards"] == []
    assert "0 captions" in page.text("gallery")


def test_memory_does_not_grow_with_rows(tmp_path: Path) -> None:
    import tracemalloc

    def rows(count: int) -> Iterator[Pictured]:
        image = jpeg(3, 200, 150)
        for place in range(count):
            yield Pictured(f"train/{place}", place % 5, f"n{place % 5 + 1}", "A red fox by a river. " * 20, image)

    peaks = []
    for count in (1_000, 8_000):
        dataset = write_pictured(tmp_path / str(count), ZOO, {"train": rows(count)})
        tracemalloc.start()
        write_report(dataset, NO_MEASURES, tmp_path / "page.html")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


@pytest.mark.parametrize("to", ["", "missing/page.html"])
def test_no_place_for_a_file(dataset: BuiltDataset, tmp_path: Path, to: str) -> None:
    with pytest.raises(DataError, match="no place for a file"):
        write_report(dataset, NO_MEASURES, tmp_path / to)


def test_the_command_writes_it_beside_the_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_pictured(
        tmp_path / "set", ZOO, {"train": zoo_rows("train", [2] * 5), "open": open_rows(1, 1)}
    ).folder
    assert main(["report", str(folder), "--quiet"]) == 0
    said = capsys.readouterr().out
    assert "openmmlo audit" in said
    assert str(folder / "report.html") in said
    assert main(["report", str(folder), "--quiet", "--json", "--out", str(tmp_path / "other.html")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["missing"], found["bytes"]) == (
        ["stats", "quality", "audit"],
        (tmp_path / "other.html").stat().st_size,
    )
    assert (tmp_path / "other.html").read_bytes() == (folder / "report.html").read_bytes()
    assert main(["report", str(tmp_path / "nothing")]) == 2
