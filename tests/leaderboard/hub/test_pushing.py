"""A board goes to the Hub whole, in one commit, and takes nobody's work away; a site goes to a static Space."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml
from hub import Hub
from hub_card_rules import problems
from hub_repos import TOKEN, Repo

MARK = f"marks/{'ab' * 32}.json"
STORED = f"predictions/{sha256(b'PAR1').hexdigest()}.parquet"
FILES = {
    "submissions/miniature/tiny-ce.json": b'{"a": 1}',
    MARK: b'{"mark": "re-scored"}',
    "reported/table-1.json": b'{"d": 1}',
    STORED: b"PAR1",
    "SUBMITTING.md": b"# How",
}
MADE = {"README.md": b"---\nlicense: cc-by-4.0\n---\n", "tables/rows.jsonl": b'{"a": 1}\n'}


@pytest.fixture
def board(tmp_path: Path) -> Path:
    root = tmp_path / "leaderboard"
    for path, content in {**FILES, "notes.txt": b"mine", "README.md": b"of the repository"}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    return root


def push(client: Any, board: Path, **more: Any) -> dict[str, Any]:
    generated = more.pop("generated", MADE)
    answer: dict[str, Any] = client("push_board", board, "lab/board", generated, **more)
    return answer


def published(hub: Hub, kind: str = "datasets") -> dict[str, bytes]:
    files = hub.repos[kind, "lab/board"].at("main").files
    return {path: file.content for path, file in files.items() if path != ".gitattributes"}


class TestBoard:
    def test_all_of_it_in_one_commit(self, client: Any, hub: Hub, board: Path) -> None:
        found = push(client, board)["result"]
        assert published(hub) == {**FILES, **MADE}
        assert len(hub.requests("POST .*/commit/")) == 1
        assert (found["files"], found["sent_files"], found["left_here"]) == (7, 7, ["notes.txt"])
        assert found["commit"] == hub.dataset("lab/board").branches["main"]

    def test_again_sends_nothing(self, client: Any, hub: Hub, board: Path) -> None:
        push(client, board)
        again = push(client, board)["result"]
        assert (again["sent_files"], again["deleted"]) == (0, [])
        assert len(hub.requests("POST .*/commit/")) == 1
        assert set(hub.uploads.values()) == {1}

    def test_only_what_changed_is_sent_and_old_tables_go(self, client: Any, hub: Hub, board: Path) -> None:
        push(client, board)
        (board / "reported" / "table-2.json").write_bytes(b"{}")
        fewer = {"README.md": MADE["README.md"], "tables/marks.jsonl": b"{}\n"}
        again = push(client, board, generated=fewer)["result"]
        assert (again["sent_files"], again["deleted"]) == (2, ["tables/rows.jsonl"])
        assert published(hub) == {**FILES, **fewer, "reported/table-2.json": b"{}"}

    @pytest.mark.parametrize(
        "added", [f"marks/{'cd' * 32}.json", "submissions/miniature/theirs.json", "reported/table-9.json"]
    )
    def test_what_others_added_is_not_lost_without_a_word(
        self, client: Any, hub: Hub, board: Path, put: Any, added: str
    ) -> None:
        push(client, board)
        put("lab/board", {added: b'{"of": "others"}'})
        (board / "reported" / "table-1.json").write_bytes(b'{"d": 2}')
        before = published(hub)
        refused = push(client, board)
        assert refused["kind"] == "PublishRefused"
        assert added in refused["error"]
        assert "openmmlo leaderboard fetch lab/board" in refused["error"]
        assert published(hub) == before
        client.result("fetch_board", "lab/board", board, replace=True)
        assert push(client, board)["result"]["deleted"] == []
        assert published(hub)[added] == b'{"of": "others"}'
        (board / added).unlink()
        assert push(client, board, replace=True)["result"]["deleted"] == [added]
        assert added not in published(hub)

    def test_another_mark_of_the_same_submission_is_not_overwritten(
        self, client: Any, hub: Hub, board: Path, put: Any
    ) -> None:
        push(client, board)
        put("lab/board", {MARK: b'{"mark": "reproduced"}'})
        refused = push(client, board)
        assert refused["kind"] == "PublishRefused"
        assert MARK in refused["error"]
        assert published(hub)[MARK] == b'{"mark": "reproduced"}'
        push(client, board, replace=True)
        assert published(hub)[MARK] == FILES[MARK]

    def test_predictions_and_files_of_others_stay(self, client: Any, hub: Hub, board: Path, put: Any) -> None:
        push(client, board)
        others = {f"predictions/{'12' * 32}.parquet": b"PAR1 theirs", "notes/LICENSE.txt": b"x"}
        put("lab/board", others)
        (board / STORED).unlink()
        push(client, board)
        assert published(hub) == {**FILES, **MADE, **others}

    def test_a_mark_that_arrives_meanwhile_is_seen(self, client: Any, hub: Hub, board: Path, put: Any) -> None:
        """Somebody's commit comes between the look and ours: ours is not taken, and the next look finds the mark."""
        put("lab/board", {"SUBMITTING.md": b"old"})
        added = f"marks/{'cd' * 32}.json"
        hub.fail("POST .*/preupload", action=lambda: put("lab/board", {added: b"{}"}))
        refused = push(client, board)
        assert refused["kind"] == "PublishRefused"
        assert added in refused["error"]
        assert set(published(hub)) == {"SUBMITTING.md", added}

    @pytest.mark.parametrize(
        ("match", "how"),
        [
            ("POST .*/commit/", {"lose_answer": True}),
            ("POST .*/commit/", {"status": 503, "times": 2}),
            ("PUT /storage", {"request_bytes": 1}),
            ("GET .*/tree/", {"status": 502}),
        ],
        ids=str,
    )
    def test_faults_are_ridden_out(self, client: Any, hub: Hub, board: Path, match: str, how: dict[str, Any]) -> None:
        fault = hub.fail(match, **how)
        assert push(client, board)["result"]["sent_files"] == 7
        assert fault.times == 0
        assert published(hub) == {**FILES, **MADE}
        assert len(hub.dataset("lab/board").commits) == 2

    def test_a_dry_run_contacts_nobody(self, client: Any, hub: Hub, board: Path) -> None:
        found = push(client, board, dry_run=True)["result"]
        assert (found["files"], found["commit"], found["dry_run"]) == (7, None, True)
        assert hub.log == []

    def test_no_board(self, client: Any, hub: Hub, tmp_path: Path) -> None:
        assert push(client, tmp_path / "none")["kind"] == "DataError"
        assert "holds no board" in push(client, tmp_path)["error"]
        assert hub.log == []

    def test_links_and_keys_stay_here(self, client: Any, hub: Hub, board: Path, tmp_path: Path) -> None:
        (tmp_path / "secret.json").write_text("secret")
        (board / "reported" / "table-2.json").symlink_to(tmp_path / "secret.json")
        assert "reported/table-2.json" in push(client, board)["result"]["left_here"]
        assert b"secret" not in published(hub).values()
        (board / "SUBMITTING.md").write_text(f"my key is {TOKEN}")
        answer = push(client, board)
        assert answer["kind"] == "PublishRefused"
        assert TOKEN not in json.dumps(answer)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    root = tmp_path / "site"
    for path in (*PAGES, "private.txt"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(f"<p>{path}")
    _write_contents(root, PAGES)
    return root


PAGES = ("index.html", "data/miniature.csv", "entries/miniature/a.html")


def _write_contents(site: Path, pages: tuple[str, ...]) -> None:
    (site / "site.json").write_text(json.dumps({"openmmlo": "1", "files": list(pages)}))


def push_site(client: Any, site: Path, **more: Any) -> dict[str, Any]:
    answer: dict[str, Any] = client("push_site", site, "lab/board", **more)
    return answer


class TestSite:
    def test_a_static_space(self, client: Any, hub: Hub, site: Path) -> None:
        found = push_site(client, site, dataset="lab/board")["result"]
        assert found["url"].endswith("/spaces/lab/board")
        there = published(hub, "spaces")
        assert there["index.html"] == b"<p>index.html"
        assert set(there) == {*PAGES, "README.md", "site.json"}
        front = yaml.safe_load(there["README.md"].decode().split("---\n")[1])
        assert (front["sdk"], front["app_file"], front["datasets"]) == ("static", "index.html", ["lab/board"])
        assert problems(there["README.md"].decode(), "space") == ([], [])
        assert len(front["short_description"]) <= 60
        again = push_site(client, site, dataset="lab/board")["result"]
        assert (again["sent_files"], len(hub.requests("POST .*/commit/"))) == (0, 1)

    def test_pages_that_are_gone_go_and_files_of_others_stay(self, client: Any, hub: Hub, site: Path, put: Any) -> None:
        push_site(client, site)
        put("lab/board", {"theirs.txt": b"x"}, "spaces")
        _write_contents(site, PAGES[:2])
        assert push_site(client, site)["result"]["deleted"] == ["entries/miniature/a.html"]
        assert "theirs.txt" in published(hub, "spaces")

    def test_a_space_of_something_else_is_not_written_into(self, client: Any, hub: Hub, site: Path, put: Any) -> None:
        put("lab/board", {"app.py": b"print()", "README.md": b"---\nsdk: gradio\n---\n"}, "spaces")
        refused = push_site(client, site)
        assert refused["kind"] == "PublishRefused"
        assert "app.py" in refused["error"]
        assert set(published(hub, "spaces")) == {"app.py", "README.md"}
        assert push_site(client, site, replace=True)["result"]["sent_files"] == 5

    def test_a_new_space_with_its_template_is_written_into(self, client: Any, hub: Hub, site: Path, put: Any) -> None:
        put("lab/board", {"index.html": b"hello", "style.css": b"", "README.md": b"---\nsdk: static\n---\n"}, "spaces")
        push_site(client, site)
        assert published(hub, "spaces")["index.html"] == b"<p>index.html"

    def test_no_site(self, client: Any, hub: Hub, tmp_path: Path) -> None:
        assert "holds no site" in push_site(client, tmp_path)["error"]
        assert hub.log == []


def test_no_permission(client: Any, hub: Hub, board: Path) -> None:
    hub.repos["datasets", "stranger/board"] = Repo("datasets", "stranger/board", "stranger", False)
    answer = client("push_board", board, "stranger/board", MADE)
    assert answer["kind"] == "HubError"
    assert "You may not write" in answer["error"]
