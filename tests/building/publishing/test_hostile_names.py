"""A folder whose class and file names attack YAML, Markdown, spreadsheets, terminals and paths goes there and back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import hub_card_rules
import pytest
from hub import Hub
from stubs import jpeg

from openmmlo.building import BuildConfig, build
from openmmlo.building.publishing import verify
from openmmlo.cli import main

CLASSES = [
    "a: b", "- x", "#c", "<script>alert(1)<", "{{ x }}", "=1+1", "@me",
    "'q", '"dq"', "null", "| pipe |", "`b`", "[a](b)",
    "\u202eevil", "nel\x85", "ls\u2028x", "tab\t", "\x1b[31mred", "\U0001f600", "日本", "%00", "back\\slash", "*",
]  # fmt: skip
FILES = ["a b.jpg", "<img src=x>.jpg", "=cmd|'x'!A1.jpg", "\u202egpj.jpg", "new\nline.jpg", "--flag.jpg"]

LOAD = """
import json
import datasets
data = datasets.load_dataset("tester/lt", "raw")
rows = [row for split in data.values() for row in split]
print(json.dumps({"names": data["train"].features["label"].names, "ids": sorted(row["sample_id"] for row in rows)}))
"""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    images = tmp_path_factory.mktemp("hostile") / "images"
    for number, name in enumerate(CLASSES):
        for place, file in enumerate(FILES):
            path = images / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(jpeg(len(FILES) * number + place, 24, 16))
    out = images.parent / "built"
    build(BuildConfig(str(images), out, captioner="stubs:Describing", prefetch=0, measure=False))
    return out


def test_card_and_data_keep_their_form(hostile: Path) -> None:
    assert verify(hostile, deep=True).problems == ()
    card = (hostile / "README.md").read_text(encoding="utf-8")
    assert hub_card_rules.problems(card, "dataset") == ([], [])
    body = card.split("\n---\n", 1)[1]
    assert "<script" not in body
    assert "\x1b" not in card
    assert (hostile / "class_counts.csv").read_text(encoding="utf-8").count("\n=") == 0


def test_the_terminal_is_not_driven(hostile: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(hostile, tmp_path / "built")
    path = next((tmp_path / "built" / "data").iterdir())
    path.write_bytes(path.read_bytes()[:-5])
    (tmp_path / "built" / "class_counts.csv").write_text("label\n\x1b[31m,\x07\n")
    assert main(["verify", str(tmp_path / "built"), "--quiet"]) == 4
    assert not {"\x1b", "\x07"} & set(capsys.readouterr().out)


@pytest.mark.slow
def test_it_loads_by_name(hostile: Path, client: Any, hub: Hub, tmp_path: Path) -> None:
    shutil.copytree(hostile, tmp_path / "built")
    assert client.push(tmp_path / "built", with_images=True)["code"] == 0
    pulled = client.pull(tmp_path / "got", deep=True)
    assert pulled["verification"]["problems"] == []
    out, errors = client.python(LOAD).communicate(timeout=120)
    assert out, errors
    loaded = json.loads(out)
    listed = json.loads((hostile / "classes.json").read_text())["classes"]
    assert loaded["names"] == [item["name"] for item in listed]
    assert len(loaded["ids"]) == sum(1 for _ in hostile.parent.glob("images/*/*"))
