"""The straight road: the miniature from rendered scene to a data set that `datasets` loads, by the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from openmmlo.records import DatasetInfo
from openmmlo.sources import open_source


def openmmlo(*words: str, code: int = 0) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "openmmlo", *words, "--json"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == code, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sixth of the miniature, built by the command line."""
    out = tmp_path_factory.mktemp("miniature") / "out"
    findings = openmmlo("check", "miniature")["findings"]
    assert all(finding["level"] == "ok" for finding in findings)
    result = openmmlo("build", "miniature", "--out", str(out), "--limit", "2400")
    assert result["complete"]
    assert sum(result["rows"].values()) == 2400
    assert result["errors"] == {}
    assert result["measured"]["failed"] == {}
    assert result["masks"]["ood"]["masked"] > 0
    assert {"stats.json", "quality.json", "audit.json", "report.html"} <= {path.name for path in out.iterdir()}
    return out


@pytest.fixture(scope="module")
def info() -> DatasetInfo:
    return open_source("miniature").info()


def test_every_split_is_there_with_labels_images_and_captions(built: Path, info: DatasetInfo, tmp_path: Path) -> None:
    from datasets import load_dataset

    loaded = load_dataset(str(built), "masked", cache_dir=str(tmp_path))
    assert set(loaded) == {"train", "train_balanced", "test", "near_ood", "far_ood", "sketch"}
    assert loaded["train"].features["label"].names == [item.name for item in info.classes]
    for split in loaded:
        row = loaded[split][0]
        assert row["image"].size == (64, 64)
        assert row["masked_caption"]
        assert (row["label"] == -1) == split.endswith("ood")


def test_the_own_class_is_hidden_wherever_it_is_named(built: Path, info: DatasetInfo, tmp_path: Path) -> None:
    from datasets import load_dataset

    raw = load_dataset(str(built), "raw", split="test", cache_dir=str(tmp_path))
    masked = load_dataset(str(built), "masked", split="test", cache_dir=str(tmp_path))
    named = 0
    for before, after in zip(raw, masked, strict=True):
        for name in info.classes[before["label"]].synonyms:
            named += name.lower() in before["caption"].lower()
            assert name.lower() not in after["masked_caption"].lower()
        assert ("[mask]" in after["masked_caption"]) == bool(after["spans"])
    assert named >= 0.9 * len(raw), "captions name their class, or masking them would show nothing"


def test_counts_show_the_long_tail(built: Path, info: DatasetInfo) -> None:
    manifest = json.loads((built / "manifest.json").read_bytes())
    assert info.train_counts is not None
    assert manifest["classes"]["train_max"] == max(info.train_counts) == 500
    assert manifest["classes"]["train_min"] == min(info.train_counts) == 5
    assert sum(manifest["classes"]["shot_groups"].values()) == 50
    words = (built / "word_counts.csv").read_text(encoding="utf-8").splitlines()
    assert words[0] == "word,raw,masked"
    assert len(words) > 100


def test_a_second_call_has_nothing_to_do(built: Path) -> None:
    before = (built / "manifest.json").stat().st_mtime_ns
    assert openmmlo("build", "miniature", "--out", str(built), "--limit", "2400")["complete"]
    assert (built / "manifest.json").stat().st_mtime_ns == before


def test_another_plan_on_the_same_folder_is_refused(built: Path) -> None:
    answer = openmmlo("build", "miniature", "--out", str(built), "--limit", "2401", code=2)
    assert "begun with other inputs" in answer["error"]
