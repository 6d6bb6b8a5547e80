"""Places that no predictions may lie in are refused before anything is asked for."""

from __future__ import annotations

from typing import Any

import pytest
from hub import Hub

COMMIT, DIGEST = "ab" * 20, "cd" * 32
GOOD = {"repo": "owner/name", "revision": COMMIT, "path": "a/b.parquet", "sha256": DIGEST, "size": 10}

HOSTILE = [
    {"repo": "name"},
    {"repo": "a/b/c"},
    {"repo": "../../etc"},
    {"repo": "owner/.."},
    {"repo": "owner/na--me"},
    {"repo": "http://evil.example/x"},
    {"repo": "evil.example:80/x"},
    {"repo": "owner/name?x"},
    {"repo": "owner/name\n"},
    {"repo": "owner/n%2e%2e"},
    {"revision": "main"},
    {"revision": "refs/pr/1"},
    {"revision": COMMIT[:39]},
    {"revision": COMMIT.upper()},
    {"revision": f"{COMMIT}\n"},
    {"revision": f"../{COMMIT[3:]}"},
    {"path": "/etc/passwd.parquet"},
    {"path": "../a.parquet"},
    {"path": "a/../../b.parquet"},
    {"path": "a/..parquet/../b.parquet"},
    {"path": "http://evil.example/a.parquet"},
    {"path": "//evil.example/a.parquet"},
    {"path": "a\\b.parquet"},
    {"path": "a.parquet?download=true"},
    {"path": "a%2f..%2fb.parquet"},
    {"path": ".git/a.parquet"},
    {"path": "model.pkl"},
    {"path": "a" * 300 + ".parquet"},
    {"path": ""},
    {"sha256": DIGEST[:63]},
    {"sha256": f"../{DIGEST[3:]}"},
    {"size": 0},
    {"size": -1},
    {"size": 10**12},
]


@pytest.mark.parametrize("changed", HOSTILE, ids=lambda item: next(iter(item)))
def test_hostile_places_are_refused_before_any_request(changed: dict[str, Any], client: Any, hub: Hub) -> None:
    answer = client("fetch_predictions", **{**GOOD, **changed})
    assert answer["kind"] == "SubmissionRefused"
    assert hub.log == []
    assert not client.cache.exists()


def test_the_place_they_differ_from_is_asked_for(client: Any, hub: Hub) -> None:
    answer = client("fetch_predictions", **GOOD)
    assert answer["kind"] == "HubError"
    assert [line.path for line in hub.log] == [f"/api/datasets/owner/name/paths-info/{COMMIT}"]


@pytest.mark.parametrize("name", ["a", "a/b/c", "../x", "a/b c"])
def test_names_of_boards_and_targets_are_refused_before_any_request(name: str, client: Any, hub: Hub) -> None:
    for call in (
        lambda: client("open_published", name),
        lambda: client("upload_predictions", [], name, title="x"),
        lambda: client("propose", name, "submissions/miniature/x.json", b"{}"),
        lambda: client("push_board", client.home, name, {}),
        lambda: client("push_site", client.home, name),
    ):
        assert call()["kind"] == "ConfigError"
    assert hub.log == []


@pytest.mark.parametrize(
    "path", ["marks/" + "a" * 64 + ".json", "submissions/x.json", "submissions/a/../b.json", "README.md", "/x.json",
             "submissions/miniature/X.json"],
)  # fmt: skip
def test_a_pull_request_touches_submissions_alone(path: str, client: Any, hub: Hub) -> None:
    answer = client("propose", "lab/board", path, b"{}")
    assert (answer["kind"], hub.log) == ("DataError", [])
    assert "submissions/BENCHMARK/ENTRY.json" in answer["error"]
