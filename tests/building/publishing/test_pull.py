"""Fetching what was published, through broken connections, into folders that may hold something."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hub import Hub

Files = Callable[[Path], dict[str, bytes]]


@pytest.fixture
def published(built: Path, client: Any) -> Path:
    assert client.push(built, with_images=True)["code"] == 0
    return built


def test_killed_and_pulled_again(published: Path, client: Any, hub: Hub, tmp_path: Path, relative_files: Files) -> None:
    hub.fail("GET /cdn/", skip=2, answer_bytes=10_000)
    client.killed_at("GET /cdn/", 4, "pull", repo="tester/lt", to=tmp_path / "got")
    before = len(hub.requests("GET /cdn/"))
    result = client.pull(tmp_path / "got")
    assert (result["code"], result["verification"]["problems"]) == (0, [])
    assert len(hub.requests("GET /cdn/")) - before < 9  # what was whole is not fetched again
    there = hub.dataset("tester/lt").at("main").files
    assert relative_files(tmp_path / "got") == {path: file.content for path, file in there.items() if path[0] != "."}
    before = len(hub.requests("GET /cdn/"))
    assert client.pull(tmp_path / "got")["code"] == 0
    assert len(hub.requests("GET /cdn/")) == before


FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("GET /cdn/", {"answer_bytes": 5000, "times": 3}),
    ("GET /cdn/", {"status": 503, "times": 3}),
    ("GET /cdn/", {"status": 429, "headers": {"Retry-After": "0"}}),
    ("HEAD .*/resolve/", {"status": 500, "times": 2}),
    ("GET .*/tree/", {"status": 503, "times": 2}),
    ("GET /api/datasets/tester/lt", {"answer_bytes": 3}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("match", "how"), FAULTS, ids=str)
def test_faults_are_ridden_out(
    published: Path, client: Any, hub: Hub, match: str, how: dict[str, Any], tmp_path: Path
) -> None:
    fault = hub.fail(match, **how)
    result = client.pull(tmp_path / "got")
    assert (result["code"], result.get("verification", {}).get("problems")) == (0, []), result
    assert fault.times == 0


def test_damage_on_the_way_is_found(published: Path, client: Any, hub: Hub, tmp_path: Path) -> None:
    """Somebody changed a file on the Hub: the manifest says so."""
    header = {"key": "header", "value": {"summary": "x"}}
    line = {"key": "file", "value": {"path": "word_counts.csv", "content": "eHg="}}
    hub.dataset("tester/lt").commit("main", [header, line], "somebody", False)
    result = client.pull(tmp_path / "got")
    assert [problem["where"] for problem in result["verification"]["problems"]] == ["word_counts.csv"]


@pytest.mark.slow
def test_folders_that_hold_something_else_are_refused(published: Path, client: Any, hub: Hub, tmp_path: Path) -> None:
    assert "not empty" in client.pull(published)["error"]
    (tmp_path / "file").touch()
    assert "is a file" in client.pull(tmp_path / "file")["error"]
    client.pull(tmp_path / "got")
    client.push(published, repo="tester/other")
    assert "holds tester/lt, not tester/other" in client.pull(tmp_path / "got", repo="tester/other")["error"]


@pytest.mark.slow
def test_a_newer_version_replaces_what_is_gone(published: Path, client: Any, hub: Hub, tmp_path: Path) -> None:
    client.pull(tmp_path / "got")
    (tmp_path / "got" / "mine.txt").write_text("mine")
    manifest = json.loads((published / "manifest.json").read_text())
    manifest["files"] = manifest["files"][:-1]
    (published / "manifest.json").write_text(json.dumps(manifest))
    client.push(published, with_images=True)
    client.pull(tmp_path / "got")
    assert len(list((tmp_path / "got" / "data").iterdir())) == 8
    assert (tmp_path / "got" / "mine.txt").read_text() == "mine"


@pytest.mark.slow
def test_what_is_not_there(published: Path, client: Any, hub: Hub, tmp_path: Path) -> None:
    assert "no data set tester/none" in client.pull(tmp_path / "a", repo="tester/none")["error"]
    assert "no such revision" in client.pull(tmp_path / "a", revision="v9")["error"]
    hub.repos["datasets", "tester/empty"] = type(hub.dataset("tester/lt"))("datasets", "tester/empty", "tester", False)
    assert "no data set that openmmlo published" in client.pull(tmp_path / "a", repo="tester/empty")["error"]


LOAD = """
import json, sys
import datasets
answer = {}
for config in ("masked", "raw", None):
    whole = datasets.load_dataset("tester/lt", config)
    streamed = datasets.load_dataset("tester/lt", config, streaming=True)
    for split, data in whole.items():
        rows = [{**row, "image": row["image"].size} if "image" in row else row for row in data]
        stream = [{**row, "image": row["image"].size} if "image" in row else row for row in streamed[split]]
        assert rows == stream, (config, split)
        answer[f"{config} {split}"] = [list(rows[0]), len(rows), rows[0]["sample_id"]]
    assert whole["train"].features["label"].names == ["red fox", "umbrella", "tree frog", "teapot"]
print(json.dumps(answer))
"""


@pytest.mark.slow
@pytest.mark.parametrize("with_images", [True, False])
def test_datasets_loads_it_by_name(built: Path, client: Any, hub: Hub, with_images: bool) -> None:
    client.push(built, with_images=with_images)
    hub.fail("GET /cdn/", status=429, headers={"Retry-After": "0"}, times=2)
    out, errors = client.python(LOAD).communicate(timeout=120)
    assert out, errors
    answer = json.loads(out)
    image = ["image"] if with_images else []
    rest = ["path", "sha256", "width", "height"]
    for config, own in (("masked", ["masked_caption", "spans"]), ("raw", ["caption"])):
        columns = ["sample_id", *image, "label", "class_key", *own, *rest]
        for split in ("train", "test", "open"):
            assert answer[f"{config} {split}"] == [columns, 60, f"{split}/000000"]
    assert answer["None train"] == answer["masked train"]
