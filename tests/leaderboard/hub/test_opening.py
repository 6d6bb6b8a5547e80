"""A board on the Hub is opened at one commit: its texts and nothing else, each once."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hub import Hub

TEXTS = {
    "submissions/miniature/tiny-ce.json": b'{"a": 1}',
    "submissions/imagenet-lt/thp.json": b'{"b": 1}',
    f"marks/{'ab' * 32}.json": b'{"c": 1}',
    "reported/table-1.json": b'{"d": 1}',
    "SUBMITTING.md": b"# How",
}
OTHERS = {
    f"predictions/{'ef' * 32}.parquet": b"parquet",
    "README.md": b"# card",
    "tables/rows.jsonl": b"{}\n",
    "submissions/miniature/.hidden.json": b"{}",
    "submissions/miniature/deep/er.json": b"{}",
    "submissions/miniature/EVIL.json": b"{}",
    "marks/short.json": b"{}",
    "marks/x.pkl": b"pickle",
    "evil.py": b"raise SystemExit",
}


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def commit(put: Any) -> str:
    found: str = put("lab/board", {**TEXTS, **OTHERS})
    return found


def test_texts_arrive_and_nothing_else(client: Any, hub: Hub, commit: str) -> None:
    found = client.result("open_published", "lab/board")
    assert (found["repo"], found["commit"]) == ("lab/board", commit)
    assert files(Path(found["folder"])) == TEXTS
    assert len(hub.requests("GET .*/resolve/")) == len(TEXTS)
    assert all(f"/resolve/{commit}/" in line.path for line in hub.requests("GET .*/resolve/"))
    again = client.result("open_published", "lab/board", commit)
    assert again == found
    assert len(hub.requests("GET .*/resolve/")) == len(TEXTS)


def test_of_a_new_commit_only_what_changed_is_fetched(client: Any, hub: Hub, commit: str, put: Any) -> None:
    first = client.result("open_published", "lab/board")
    later = put("lab/board", {"reported/table-1.json": b'{"d": 2}', "reported/table-2.json": b'{"a": 1}'})
    hub.log.clear()
    second = client.result("open_published", "lab/board")
    assert second["commit"] == later
    assert [line.path.rpartition("/")[2] for line in hub.requests("GET .*/resolve/")] == ["table-1.json"]
    changed = {"reported/table-1.json": b'{"d": 2}', "reported/table-2.json": b'{"a": 1}'}  # the latter was there
    assert files(Path(second["folder"])) == TEXTS | changed
    assert files(Path(first["folder"])) == TEXTS


@pytest.mark.parametrize(
    ("match", "how"),
    [
        ("GET .*/resolve/", {"status": 503, "times": 3}),
        ("GET .*/resolve/", {"answer_bytes": 1, "times": 2}),
        ("GET .*/tree/", {"status": 502}),
        ("GET /api/datasets/lab/board", {"answer_bytes": 2}),
    ],
    ids=str,
)
def test_faults_are_ridden_out(client: Any, hub: Hub, commit: str, match: str, how: dict[str, Any]) -> None:
    fault = hub.fail(match, **how)
    assert files(Path(client.result("open_published", "lab/board")["folder"])) == TEXTS
    assert fault.times == 0


def test_broken_off_it_leaves_no_board(client: Any, hub: Hub, commit: str) -> None:
    hub.fail("GET .*/resolve/.*table-1", status=404, times=99)
    assert client("open_published", "lab/board")["kind"] == "HubError"
    assert not (client.cache / "boards" / "lab--board" / commit).exists()
    hub.faults.clear()
    assert files(Path(client.result("open_published", "lab/board")["folder"])) == TEXTS


def test_a_text_that_is_another_than_listed_is_refused(client: Any, hub: Hub, commit: str) -> None:
    repo = hub.dataset("lab/board")
    at = repo.commits[commit]
    listed = at.files["reported/table-1.json"]
    hub.fail("GET .*/tree/", after=lambda: object.__setattr__(listed, "content", b'{"d": 9}'))
    answer = client("open_published", "lab/board")
    assert answer["kind"] == "SubmissionRefused"
    assert "table-1.json" in answer["error"]


def test_a_text_beyond_all_measure_is_not_fetched(client: Any, hub: Hub, commit: str, put: Any) -> None:
    put("lab/board", {"submissions/miniature/big.json": b" " * 20_000_001})
    answer = client("open_published", "lab/board")
    assert answer["kind"] == "DataError"
    assert "20,000,001 bytes" in answer["error"]
    assert hub.requests("GET .*/resolve/") == []


def test_no_board_and_the_one_that_awaits_publishing(client: Any, hub: Hub, put: Any) -> None:
    put("lab/other", {"README.md": b"x"})
    assert "holds no board" in client("open_published", "lab/other")["error"]
    awaited = client("open_published")
    assert awaited["kind"] == "HubError"
    assert "openmmlo/leaderboard" in awaited["error"]
    assert "not published yet" in awaited["error"]
    assert "--board DIR" in awaited["error"]
    assert "has no data set lab/none" in client("open_published", "lab/none")["error"]
    put("lab/board", TEXTS)
    assert "no such revision" in client("open_published", "lab/board", "v9")["error"]


class TestFetchingIntoAFolder:
    def test_texts_and_predictions_of_the_board_arrive(self, client: Any, put: Any, tmp_path: Path) -> None:
        content = b"PAR1" * 100
        stored = f"predictions/{sha256(content).hexdigest()}.parquet"
        put("lab/board", {**TEXTS, stored: content, "evil.py": b"x"})
        found = client.result("fetch_board", "lab/board", tmp_path / "board")
        assert files(tmp_path / "board") == {**TEXTS, stored: content}
        assert sorted(found["added"]) == sorted([*TEXTS, stored])
        again = client.result("fetch_board", "lab/board", tmp_path / "board")
        assert (again["added"], again["replaced"]) == ([], [])

    def test_what_reads_otherwise_here_is_not_overwritten(self, client: Any, put: Any, tmp_path: Path) -> None:
        put("lab/board", TEXTS)
        here = tmp_path / "board" / "reported" / "table-1.json"
        own = tmp_path / "board" / "submissions" / "miniature" / "mine.json"
        for path in (here, own):
            path.parent.mkdir(parents=True)
            path.write_bytes(b"mine")
        refused = client("fetch_board", "lab/board", tmp_path / "board")
        assert refused["kind"] == "PublishRefused"
        assert "reported/table-1.json" in refused["error"]
        assert set(files(tmp_path / "board").values()) == {b"mine"}
        found = client.result("fetch_board", "lab/board", tmp_path / "board", replace=True)
        assert found["replaced"] == ["reported/table-1.json"]
        assert found["only_here"] == ["submissions/miniature/mine.json"]
        assert (here.read_bytes(), own.read_bytes()) == (TEXTS["reported/table-1.json"], b"mine")

    @pytest.mark.parametrize("how", ["added", "changed", "removed", "reported"])
    def test_a_pull_request_sets_no_mark(self, client: Any, hub: Hub, put: Any, tmp_path: Path, how: str) -> None:
        """Scored again and pushed, "reproduced" in it would stand on the board as if a maintainer had said so."""
        put("lab/board", TEXTS)
        (mark,) = (path for path in TEXTS if path.startswith("marks/"))
        path = {"added": f"marks/{'cd' * 32}.json", "reported": "reported/table-9.json"}.get(how, mark)
        change = (
            {"key": "deletedFile", "value": {"path": path}}
            if how == "removed"
            else {"key": "file", "value": {"path": path, "content": b64encode(b'{"mark": "reproduced"}').decode()}}
        )
        header = {"key": "header", "value": {"summary": "Submit miniature/mine"}}
        repo = hub.dataset("lab/board")
        repo.commit("main", [header, change], "stranger", create_pr=True)
        head = repo.at("refs/pr/1").id
        put("lab/board", {"submissions/miniature/other.json": b"{}"})  # the board goes on
        for revision in ("refs/pr/1", head):
            refused = client("fetch_board", "lab/board", tmp_path / "board", revision)
            assert refused["kind"] == "SubmissionRefused", refused
            assert f"touches {path}" in refused["error"]
        assert not (tmp_path / "board").exists()

    def test_a_pull_request_of_an_entry_and_an_earlier_commit_are_fetched(
        self, client: Any, hub: Hub, put: Any, tmp_path: Path
    ) -> None:
        first = put("lab/board", TEXTS)
        entry = {"key": "file", "value": {"path": "submissions/miniature/mine.json", "content": "e30="}}
        header = {"key": "header", "value": {"summary": "Submit miniature/mine"}}
        hub.dataset("lab/board").commit("main", [header, entry], "stranger", create_pr=True)
        put("lab/board", {f"marks/{'cd' * 32}.json": b"{}"})  # a mark that the pull request began without
        client.result("fetch_board", "lab/board", tmp_path / "proposed", "refs/pr/1")
        assert files(tmp_path / "proposed") == {**TEXTS, "submissions/miniature/mine.json": b"{}"}
        client.result("fetch_board", "lab/board", tmp_path / "earlier", first)
        assert files(tmp_path / "earlier") == TEXTS

    def test_links_are_not_written_through(self, client: Any, put: Any, tmp_path: Path) -> None:
        put("lab/board", TEXTS)
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "board").mkdir()
        (tmp_path / "board" / "reported").symlink_to(tmp_path / "elsewhere")
        assert client("fetch_board", "lab/board", tmp_path / "board")["kind"] == "PublishRefused"
        assert list((tmp_path / "elsewhere").iterdir()) == []

    @pytest.mark.parametrize(("name", "size", "word"), [("ef" * 32, 10, "another SHA-256"), (None, 8_000_001, "takes")])
    def test_odd_predictions_are_not_fetched(
        self, name: str | None, size: int, word: str, client: Any, hub: Hub, put: Any, tmp_path: Path
    ) -> None:
        content = bytes(size)
        put("lab/board", {**TEXTS, f"predictions/{name or sha256(content).hexdigest()}.parquet": content})
        answer = client("fetch_board", "lab/board", tmp_path / "board")
        assert answer["kind"] == "DataError"
        assert word in answer["error"]
        assert hub.requests("/cdn/") == []
        assert not (tmp_path / "board").exists()
