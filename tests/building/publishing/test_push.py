"""Pushing with the real client to a Hub that fails, dies in between, and counts what arrives."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hub import Hub
from hub_repos import TOKEN

Files = Callable[[Path], dict[str, bytes]]


def _published(hub: Hub, revision: str = "main", repo: str = "tester/lt") -> dict[str, bytes]:
    files = hub.dataset(repo).at(revision).files
    return {path: file.content for path, file in files.items() if path != ".gitattributes"}


def _manifest(files: dict[str, bytes]) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(files["manifest.json"])
    return value


def test_without_images_and_back(built: Path, client: Any, hub: Hub, tmp_path: Path, relative_files: Files) -> None:
    (built / "my-notes.txt").write_text("private")
    result = client.push(built)
    assert result["code"] == 0
    assert (result["sent_files"], result["left_here"]) == (result["files"], ["my-notes.txt"])
    there = _published(hub)
    assert sorted(path for path in there if "/" not in path) == [
        "README.md", "class_counts.csv", "classes.json", "errors.jsonl", "lexicon.json", "manifest.json",
        "word_counts.csv",
    ]  # fmt: skip
    assert _manifest(there)["with_images"] is False
    assert "No image is part of it" in there["README.md"].decode()
    assert 'load_dataset("tester/lt", "masked")' in there["README.md"].decode()
    assert b"\xff\xd8\xff" not in b"".join(there.values())  # where a JPEG begins
    pulled = client.pull(tmp_path / "got")
    assert pulled["verification"]["problems"] == []
    assert (pulled["verification"]["rows"], pulled["code"]) == (180, 0)
    assert relative_files(tmp_path / "got") == there
    again = client.push(built)
    assert (again["sent_files"], again["commits"]) == (0, 0)
    assert set(hub.uploads.values()) == {1}


def test_with_images_the_original_bytes_go(built: Path, client: Any, hub: Hub, tmp_path: Path) -> None:
    (built / "report.html").write_text("<p>thumbnails</p>")
    client.push(built, with_images=True)
    there = _published(hub)
    for path in (built / "data").iterdir():
        assert there[f"data/{path.name}"] == path.read_bytes()
    assert there["report.html"] == b"<p>thumbnails</p>"
    pulled = client.pull(tmp_path / "got", deep=True)
    assert pulled["verification"]["problems"] == []


POINTS: list[tuple[Any, ...]] = [
    ("PUT /storage", 0, False),
    ("PUT /storage", 6, True),
    ("objects/batch", 0, False),
    ("POST .*/commit/", 0, False),
    ("POST .*/commit/", 1, True),
    ("repos/create", 0, True),
]


def _first_fast(cases: list[tuple[Any, ...]], count: int) -> list[Any]:
    return [*cases[:count], *(pytest.param(*case, marks=pytest.mark.slow) for case in cases[count:])]


@pytest.mark.parametrize(("match", "skip", "after"), _first_fast(POINTS, 2))
def test_killed_and_pushed_again(
    built: Path, client: Any, hub: Hub, match: str, skip: int, after: bool, tmp_path: Path
) -> None:
    settings = {"_COMMIT_FILES": 4, "_GROUP_FILES": 2}
    client.killed_at(match, skip, "push", after, folder=built, repo="tester/lt", settings=settings)
    assert "tester/lt" not in hub.repos or "manifest.json" not in hub.dataset("tester/lt").at("main").files
    result = client.push(built)
    assert result["code"] == 0
    assert set(hub.uploads.values()) == {1}
    pulled = client.pull(tmp_path / "got")
    assert (pulled["verification"]["problems"], pulled["verification"]["rows"]) == ([], 180)


FAULTS: list[tuple[Any, ...]] = [
    ("PUT /storage", {"status": 503, "times": 2}),
    ("PUT /storage", {"status": 429, "headers": {"Retry-After": "0"}}),
    ("PUT /storage", {"request_bytes": 1000}),
    ("PUT /storage", {"lose_answer": True}),
    ("POST .*/commit/", {"status": 503}),
    ("POST .*/commit/", {"status": 429, "headers": {"Retry-After": "1"}}),
    ("POST .*/commit/", {"lose_answer": True}),
    ("POST .*/commit/", {"request_bytes": 100}),
    ("POST .*/preupload", {"status": 502}),
    ("GET .*/tree/", {"answer_bytes": 1}),
    ("repos/create", {"lose_answer": True}),
    ("validate-yaml", {"status": 500, "times": 2}),
    ("GET /api/datasets/tester/lt", {"status": 504, "times": 3}),
]


@pytest.mark.parametrize(("match", "how"), _first_fast(FAULTS, 2), ids=str)
def test_faults_are_ridden_out(built: Path, client: Any, hub: Hub, match: str, how: dict[str, Any]) -> None:
    fault = hub.fail(match, **how)
    result = client.push(built)
    assert result["code"] == 0, result
    assert fault.times == 0
    there = _published(hub)
    for entry in _manifest(there)["files"]:
        assert len(there[entry["path"]]) == entry["bytes"]
    lost = how.get("lose_answer") and match == "PUT /storage"  # it arrived, and the client cannot know
    assert sorted(set(hub.uploads.values())) == ([1, 2] if lost else [1])


@pytest.mark.slow
def test_a_hub_that_stays_down_is_given_up_with_advice(built: Path, client: Any, hub: Hub) -> None:
    hub.fail("POST .*/commit/", status=503, times=99)
    result = client.push(built)
    assert (result["code"], result["kind"]) == (2, "HubError")
    assert "Gave up after 8 attempts" in result["error"]
    assert "Run the same command to go on" in result["error"]
    hub.faults.clear()
    assert client.push(built)["code"] == 0
    assert set(hub.uploads.values()) == {1}


@pytest.mark.slow
def test_a_wait_that_the_hub_asks_for_is_kept(built: Path, client: Any, hub: Hub) -> None:
    """Commits an hour: the rate-limit headers say when the next one may come."""
    hub.commits_an_hour = 2
    result = client.push(built, settings={"_COMMIT_FILES": 4})
    assert (result["code"], result["commits"]) == (0, 4)
    assert "Trying again in 2 s" in result["said"]
    assert len(hub.requests("POST .*/commit/")) == 5
    longer = {"Retry-After": "7200"}
    hub.fail("GET .*/tree/", status=429, headers=longer, times=99)
    hub.fail("GET /api/datasets/tester/lt$", status=400)
    assert client.push(built)["kind"] == "HubError"


@pytest.mark.slow
def test_large_files_go_in_parts_where_the_hub_asks(built: Path, client: Any, hub: Hub, tmp_path: Path) -> None:
    hub.part_size = 10_000
    hub.fail("PUT /parts/.*/2", status=503)
    client.push(built, with_images=True)
    assert len(hub.requests("PUT /parts/")) > 9
    assert client.pull(tmp_path / "got")["verification"]["problems"] == []


class TestPullRequest:
    def test_one_is_opened_and_found_again(self, built: Path, client: Any, hub: Hub, tmp_path: Path) -> None:
        settings = {"_COMMIT_FILES": 4, "_GROUP_FILES": 2}
        values = {"folder": built, "repo": "tester/lt", "create_pr": True, "settings": settings}
        client.killed_at("POST .*/commit/refs/pr/1", 1, "push", False, **values)
        assert [item.status for item in hub.dataset("tester/lt").discussions] == ["draft"]
        result = client.push(built, create_pr=True)
        assert result["pull_request"].endswith("/datasets/tester/lt/discussions/1")
        repo = hub.dataset("tester/lt")
        assert [item.status for item in repo.discussions] == ["open"]
        assert set(repo.at("main").files) == {".gitattributes"}
        assert set(hub.uploads.values()) == {1}
        pulled = client.pull(tmp_path / "got", revision="refs/pr/1")
        assert pulled["verification"]["problems"] == []
        repo.merge(repo.discussions[0])
        merged = client.push(built, create_pr=True)
        assert (merged["pull_request"], merged["sent_files"]) == (None, 0)
        assert len(repo.discussions) == 1

    @pytest.mark.slow
    @pytest.mark.parametrize("noted", [True, False])
    def test_it_is_found_without_its_note(self, built: Path, client: Any, hub: Hub, noted: bool) -> None:
        client.push(built, create_pr=True)
        if not noted:
            (built / ".openmmlo/publish/pull-requests.json").unlink()
        (built / "word_counts.csv").write_text("changed")
        assert client.push(built, create_pr=True)["sent_files"] == 1
        assert len(hub.dataset("tester/lt").discussions) == 1

    def test_a_lost_answer_opens_no_second_one(self, built: Path, client: Any, hub: Hub) -> None:
        hub.fail("POST .*/discussions$", lose_answer=True)
        assert client.push(built, create_pr=True)["code"] == 0
        assert len(hub.dataset("tester/lt").discussions) == 1

    @pytest.mark.slow
    def test_a_closed_one_is_left_alone(self, built: Path, client: Any, hub: Hub) -> None:
        client.push(built, create_pr=True)
        hub.dataset("tester/lt").discussions[0].status = "closed"
        assert client.push(built, create_pr=True)["pull_request"].endswith("/2")


class TestRefusals:
    def test_another_data_set_is_not_overwritten(self, built: Path, client: Any, hub: Hub, tmp_path: Path) -> None:
        client.push(built)
        manifest = json.loads((built / "manifest.json").read_text())
        manifest["fingerprint"] = "0" * 64
        manifest["files"] = manifest["files"][:-3]
        manifest["splits"]["open"] |= {"rows": 0, "planned": 0, "masked_rows": 0}
        (built / "manifest.json").write_text(json.dumps(manifest))
        before = _published(hub)
        refused = client.push(built)
        assert refused["kind"] == "PublishRefused"
        assert "0000" in refused["error"]
        assert "--replace" in refused["error"]
        assert _published(hub) == before
        result = client.push(built, replace=True)
        assert result["deleted_files"] == 3
        there = _published(hub)
        assert _manifest(there)["fingerprint"] == "0" * 64
        assert {path for path in there if path.startswith("data/")} == {item["path"] for item in manifest["files"]}

    @pytest.mark.slow
    def test_data_of_somebody_else_is_not_overwritten(self, built: Path, client: Any, hub: Hub) -> None:
        client.push(built)
        repo = hub.dataset("tester/lt")
        deletion = [{"key": "deletedFile", "value": {"path": "manifest.json"}}]
        mine = [{"key": "file", "value": {"path": "data/mine.parquet", "content": "eHg="}}]
        repo.commit("main", [{"key": "header", "value": {"summary": "x"}}, *deletion, *mine], "somebody", False)
        refused = client.push(built)
        assert "data/mine.parquet" in refused["error"]

    @pytest.mark.slow
    def test_what_others_put_there_stays(self, built: Path, client: Any, hub: Hub) -> None:
        client.push(built)
        notes = [{"key": "file", "value": {"path": "notes/LICENSE.txt", "content": "eHg="}}]
        hub.dataset("tester/lt").commit("main", [{"key": "header", "value": {"summary": "x"}}, *notes], "tester", False)
        (built / "word_counts.csv").write_text("changed")
        client.push(built)
        assert _published(hub)["notes/LICENSE.txt"] == b"xx"

    @pytest.mark.slow
    def test_public_is_not_private(self, built: Path, client: Any, hub: Hub) -> None:
        client.push(built)
        assert "is public" in client.push(built, private=True)["error"]
        client.push(built, repo="tester/hidden", private=True)
        assert hub.dataset("tester/hidden").private
        assert client.push(built, repo="tester/hidden", private=True)["code"] == 0

    @pytest.mark.parametrize(
        ("values", "word"),
        [
            ({"repo": "no-owner"}, "Expected owner/name"),
            ({"repo": "a/b/c"}, "Expected owner/name"),
            ({"repo": "tester/sp ace"}, "Expected owner/name"),
            ({"repo": "stranger/lt"}, "You may not write"),
            ({"strip_exif": True}, "only with --with-images"),
            ({"create_pr": True, "revision": "next"}, "takes no --revision"),
        ],
    )
    def test_what_cannot_be(self, built: Path, client: Any, hub: Hub, values: dict[str, Any], word: str) -> None:
        result = client.push(built, **values)
        assert result["code"] == 2
        assert word in result["error"]
        assert not hub.repos

    def test_an_unfinished_build(self, built: Path, client: Any) -> None:
        (built / "manifest.json").unlink()
        assert "not finished" in client.push(built)["error"]

    @pytest.mark.parametrize("with_images", [True, False])
    def test_a_damaged_file(self, built: Path, client: Any, hub: Hub, with_images: bool) -> None:
        with next((built / "data").iterdir()).open("ab") as file:
            file.write(b"x")
        assert "openmmlo verify" in client.push(built, with_images=with_images)["error"]
        assert not hub.repos

    @pytest.mark.slow
    def test_keys_and_paths_stay_here(self, built: Path, client: Any, hub: Hub) -> None:
        manifest = json.loads((built / "manifest.json").read_text())
        for secret, word in ((TOKEN, "HF_TOKEN"), (f"{Path.home()}/x", "home folder"), (f"{built}/data", "folder")):
            manifest["captioner"]["note"] = secret
            (built / "manifest.json").write_text(json.dumps(manifest))
            result = client.push(built)
            assert result["kind"] == "PublishRefused"
            assert word in result["error"]
            assert TOKEN not in json.dumps(result)
        assert not hub.repos


@pytest.mark.slow
def test_no_token_and_a_wrong_one(built: Path, client: Any, hub: Hub) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from openmmlo.cli import main\n"
        "sys.exit(main(['push', sys.argv[1], 'tester/lt', '--quiet']))\n"
    )
    for token, words in ((None, "hf auth login"), ("hf_wrongwrongwrong", "does not accept your token")):
        process = client.python(script, str(built), token=token)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 2
        assert words in errors
        assert "hf_wrong" not in errors
    assert not hub.repos


def test_no_token_goes_to_the_storage_or_into_texts(built: Path, client: Any, hub: Hub) -> None:
    result = client.push(built)
    assert not any(line.token for line in hub.requests("/storage/"))
    assert all(line.token for line in hub.requests("/commit/"))
    assert TOKEN not in json.dumps(result)
    assert not any(TOKEN.encode() in content for content in _published(hub).values())


@pytest.mark.slow
def test_a_branch_is_made(built: Path, client: Any, hub: Hub) -> None:
    client.push(built, revision="v2")
    assert "manifest.json" in _published(hub, "v2")
    assert set(_published(hub)) == set()


def test_a_dry_run_contacts_nobody(built: Path, client: Any, hub: Hub) -> None:
    result = client.push(built, dry_run=True)
    assert (result["code"], result["files"]) == (0, 16)
    assert hub.log == []


@pytest.mark.slow
def test_two_pushes_of_one_folder_do_not_mix(built: Path, client: Any, hub: Hub) -> None:
    over = threading.Event()  # the first one stands still until the second one has spoken, however slow the machine is
    hub.fail("PUT /storage", action=lambda: over.wait(120))
    first = client.start("push", folder=built, repo="tester/lt")
    while not hub.requests("objects/batch"):
        os.sched_yield()
    second = client.push(built)
    over.set()
    assert "Another process publishes" in second["error"]
    first.communicate(timeout=60)
    assert first.returncode == 0


def test_a_file_that_changes_while_it_is_sent_ends_the_push(built: Path, client: Any, hub: Hub) -> None:
    path = built / "data" / "open-00000-of-00003.parquet"

    def change() -> None:
        with path.open("ab") as file:
            file.write(b"x")

    hub.fail("POST .*/preupload", action=change)
    result = client.push(built, with_images=True)
    assert result["kind"] == "PublishRefused"
    assert "changed while it was sent" in result["error"]
