"""Predictions go to one's own data set once, and a submission to a board by one pull request."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from hub import Hub
from hub_repos import TOKEN, Repo

ENTRY = "submissions/miniature/tiny-ce.json"


@pytest.fixture
def seeds(tmp_path: Path) -> list[Path]:
    paths = []
    for seed in range(3):
        path = tmp_path / f"seed-{seed}" / "predictions.parquet"
        path.parent.mkdir()
        path.write_bytes(b"PAR1" + bytes([seed]) * 1000)
        paths.append(path)
    return paths


def upload(client: Any, files: list[Path], repo: str = "tester/predictions") -> dict[str, Any]:
    answer: dict[str, Any] = client("upload_predictions", files, repo, title="Predictions of miniature/tiny-ce")
    return answer


class TestUploading:
    def test_files_lie_under_their_digests_at_the_commit_that_is_named(
        self, client: Any, hub: Hub, seeds: list[Path]
    ) -> None:
        found = upload(client, seeds)["result"]
        repo = hub.dataset("tester/predictions")
        there = repo.commits[found["revision"]].files
        for path in seeds:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            assert there[found["paths"][digest]].content == path.read_bytes()
        assert set(there) == {".gitattributes", "README.md", *found["paths"].values()}
        assert found["sent_files"] == 4
        assert set(hub.uploads.values()) == {1}

    def test_the_same_again_sends_nothing_and_names_the_same_commit(
        self, client: Any, hub: Hub, seeds: list[Path]
    ) -> None:
        first = upload(client, seeds)["result"]
        other = seeds[0].with_name("other.parquet")
        other.write_bytes(b"PAR1 another method")
        moved = upload(client, [other])["result"]
        assert moved["revision"] != first["revision"]
        commits = len(hub.requests("POST .*/commit/"))
        again = upload(client, list(reversed(seeds)))["result"]
        assert (again["revision"], again["sent_files"]) == (first["revision"], 0)
        assert len(hub.requests("POST .*/commit/")) == commits
        assert set(hub.uploads.values()) == {1}

    def test_what_somebody_else_brought_is_found_too(self, client: Any, seeds: list[Path], put: Any) -> None:
        content = seeds[0].read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        commit = put("tester/predictions", {f"predictions/{digest}.parquet": content})
        found = upload(client, seeds[:1])["result"]
        assert (found["revision"], found["sent_files"]) == (commit, 0)

    @pytest.mark.parametrize(
        ("match", "how"),
        [
            ("POST .*/commit/", {"lose_answer": True}),
            ("POST .*/commit/", {"status": 503, "times": 2}),
            ("PUT /storage", {"status": 503}),
            ("PUT /storage", {"request_bytes": 100}),
            ("repos/create", {"lose_answer": True}),
        ],
        ids=str,
    )
    def test_faults_are_ridden_out(
        self, client: Any, hub: Hub, seeds: list[Path], match: str, how: dict[str, Any]
    ) -> None:
        fault = hub.fail(match, **how)
        found = upload(client, seeds)["result"]
        assert fault.times == 0
        assert found["sent_files"] == 4
        repo = hub.dataset("tester/predictions")
        assert repo.branches["main"] == found["revision"]
        assert len(repo.commits) == 2

    def test_a_commit_that_came_between_is_kept(self, client: Any, hub: Hub, seeds: list[Path], put: Any) -> None:
        put("tester/predictions", {"a.txt": b"a"})
        hub.fail("POST .*/preupload", action=lambda: put("tester/predictions", {"b.txt": b"b"}))
        found = upload(client, seeds)["result"]
        there = hub.dataset("tester/predictions").commits[found["revision"]].files
        assert {"a.txt", "b.txt", *found["paths"].values()} <= set(there)
        assert hub.requests("POST .*/commit/")[0].status == 412

    def test_where_nobody_could_score_again(self, client: Any, hub: Hub, seeds: list[Path]) -> None:
        hub.repos["datasets", "tester/predictions"] = Repo("datasets", "tester/predictions", "tester", True)
        answer = upload(client, seeds)
        assert answer["kind"] == "PublishRefused"
        assert "is private" in answer["error"]
        assert not hub.uploads

    def test_no_permission(self, client: Any, hub: Hub, seeds: list[Path]) -> None:
        answer = upload(client, seeds, "stranger/predictions")
        assert answer["kind"] == "HubError"
        assert TOKEN not in answer["error"]
        assert not hub.repos


def propose(client: Any, content: bytes = b'{"name": "CE"}\n', **more: Any) -> dict[str, Any]:
    answer: dict[str, Any] = client("propose", "lab/board", ENTRY, content, **more)
    return answer


@pytest.fixture
def board(hub: Hub, put: Any) -> Repo:
    put("lab/board", {"reported/table-1.json": b"{}"})
    return hub.dataset("lab/board")


class TestProposing:
    def test_a_pull_request_holds_the_submission_and_nothing_else(self, client: Any, board: Repo) -> None:
        before = dict(board.at("main").files)
        found = propose(client, description="An entry")["result"]
        assert found["url"].endswith("/datasets/lab/board/discussions/1")
        assert (found["number"], found["opened"], found["changed"]) == (1, True, True)
        assert dict(board.at("main").files) == before
        proposed = board.at("refs/pr/1").files
        assert set(proposed) - set(before) == {ENTRY}
        assert proposed[ENTRY].content == b'{"name": "CE"}\n'
        (opened,) = board.discussions
        assert (opened.title, opened.status) == ("Submit miniature/tiny-ce", "open")
        assert opened.events[0]["data"]["latest"]["raw"] == "An entry"

    def test_the_same_again_changes_nothing(self, client: Any, hub: Hub, board: Repo) -> None:
        propose(client)
        commits = len(hub.requests("POST .*/commit/"))
        again = propose(client)["result"]
        assert (again["number"], again["opened"], again["changed"]) == (1, False, False)
        assert len(hub.requests("POST .*/commit/")) == commits
        assert len(board.discussions) == 1

    def test_a_changed_entry_goes_to_its_pull_request(self, client: Any, board: Repo) -> None:
        propose(client)
        again = propose(client, b'{"name": "CE, longer"}\n')["result"]
        assert (again["number"], again["opened"], again["changed"]) == (1, False, True)
        assert board.at("refs/pr/1").files[ENTRY].content == b'{"name": "CE, longer"}\n'
        assert len(board.discussions) == 1

    def test_what_the_board_has_is_not_proposed(self, client: Any, board: Repo) -> None:
        propose(client)
        board.merge(board.discussions[0])
        merged = propose(client)["result"]
        assert (merged["number"], merged["changed"]) == (None, False)
        assert merged["url"].endswith("/datasets/lab/board")
        assert len(board.discussions) == 1
        assert propose(client, b'{"name": "new"}\n')["result"]["number"] == 2

    def test_a_closed_one_and_one_of_others_are_left_alone(self, client: Any, board: Repo) -> None:
        board.discuss("Submit miniature/tiny-ce", "", "stranger", pull_request=True, status="open")
        assert propose(client)["result"]["number"] == 2
        board.discussions[1].status = "closed"
        assert propose(client)["result"]["number"] == 3
        assert ENTRY not in board.at("refs/pr/1").files

    @pytest.mark.parametrize(
        ("match", "how"),
        [
            ("POST .*/commit/", {"lose_answer": True}),
            ("POST .*/commit/", {"status": 503, "times": 2}),
            ("GET .*/discussions", {"status": 500}),
            ("whoami", {"status": 503}),
        ],
        ids=str,
    )
    def test_faults_open_no_second_one(
        self, client: Any, hub: Hub, board: Repo, match: str, how: dict[str, Any]
    ) -> None:
        fault = hub.fail(match, **how)
        found = propose(client)["result"]
        assert fault.times == 0
        assert (found["number"], found["opened"]) == (1, True)
        assert len(board.discussions) == 1

    def test_keys_stay_here(self, client: Any, hub: Hub, board: Repo) -> None:
        answer = propose(client, f'{{"note": "{TOKEN}"}}\n'.encode())
        assert answer["kind"] == "PublishRefused"
        assert TOKEN not in answer["error"]
        assert not board.discussions
