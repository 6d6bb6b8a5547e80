"""Predictions from the Hub: the announced file or a refusal, whatever the connection or the server does."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from hub import Hub
from hub_repos import File

CONTENT = bytes(range(256)) * 4000  # about a megabyte
DIGEST = hashlib.sha256(CONTENT).hexdigest()
PATH = f"predictions/{DIGEST}.parquet"


@pytest.fixture
def commit(put: Any) -> str:
    found: str = put("strange/predictions", {PATH: CONTENT})
    return found


def fetch(client: Any, commit: str, **changed: Any) -> dict[str, Any]:
    values = {"repo": "strange/predictions", "revision": commit, "path": PATH, "sha256": DIGEST, "size": len(CONTENT)}
    answer: dict[str, Any] = client("fetch_predictions", **{**values, **changed})
    return answer


def test_the_announced_file_arrives_once(client: Any, hub: Hub, commit: str) -> None:
    path = Path(fetch(client, commit)["result"])
    assert path == client.cache / "predictions" / f"{DIGEST}.parquet"
    assert path.read_bytes() == CONTENT
    assert [item.name for item in path.parent.iterdir()] == [path.name]
    asked = len(hub.log)
    assert fetch(client, commit)["result"] == str(path)
    assert len(hub.log) == asked
    assert not any(line.token for line in hub.log)  # what only a token sees nobody else could score again


def test_a_damaged_cache_is_fetched_anew(client: Any, hub: Hub, commit: str) -> None:
    path = Path(fetch(client, commit)["result"])
    path.write_bytes(b"damaged")
    assert fetch(client, commit)["result"] == str(path)
    assert path.read_bytes() == CONTENT


FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("GET /cdn/", {"status": 503, "times": 3}),
    ("GET /cdn/", {"answer_bytes": 300_000, "times": 3}),
    ("GET /cdn/", {"status": 429, "headers": {"Retry-After": "0"}}),
    ("GET .*/resolve/", {"status": 502, "times": 2}),
    ("POST .*/paths-info/", {"status": 503, "times": 2}),
    ("POST .*/paths-info/", {"answer_bytes": 3}),
]


@pytest.mark.parametrize(("match", "how"), FAULTS, ids=str)
def test_faults_are_ridden_out(client: Any, hub: Hub, commit: str, match: str, how: dict[str, Any]) -> None:
    fault = hub.fail(match, **how)
    assert Path(fetch(client, commit)["result"]).read_bytes() == CONTENT
    assert fault.times == 0


def test_a_hub_that_stays_away_leaves_nothing(client: Any, hub: Hub, commit: str) -> None:
    hub.fail("GET /cdn/", answer_bytes=300_000)
    hub.fail("GET /cdn/", status=503, times=99)
    answer = fetch(client, commit)
    assert answer["kind"] == "HubError"
    assert "Run the same command to go on" in answer["error"]
    assert list((client.cache / "predictions").iterdir()) == []


def refused(client: Any, hub: Hub, answer: dict[str, Any], word: str, fetched: bool) -> None:
    """Refused for this reason; nothing is kept, and content was asked for only where it had to be."""
    assert answer["kind"] == "SubmissionRefused", answer
    assert word in answer["error"]
    assert bool(hub.requests("GET /cdn/|GET .*/resolve/")) == fetched
    folder = client.cache / "predictions"
    assert not folder.exists() or list(folder.iterdir()) == []


def test_larger_than_announced_is_not_fetched(client: Any, hub: Hub, commit: str) -> None:
    refused(client, hub, fetch(client, commit, size=len(CONTENT) - 1), "It was not fetched", fetched=False)


def test_another_digest_is_not_fetched(client: Any, hub: Hub, commit: str) -> None:
    refused(client, hub, fetch(client, commit, sha256="ab" * 32), "It was not fetched", fetched=False)


def test_a_file_that_git_keeps_must_have_the_digest_too(client: Any, hub: Hub, put: Any) -> None:
    put("strange/predictions", {})
    repo = hub.dataset("strange/predictions")
    header = {"key": "header", "value": {"summary": "x"}}
    line = {"key": "file", "value": {"path": "a.parquet", "content": "eHg="}}
    small = repo.commit("main", [header, line], "somebody", False)["commitOid"]
    own = hashlib.sha256(b"xx").hexdigest()
    fine = fetch(client, small, path="a.parquet", sha256=own, size=2)
    assert Path(fine["result"]).read_bytes() == b"xx"
    Path(fine["result"]).unlink()
    refused(client, hub, fetch(client, small, path="a.parquet", sha256="ab" * 32, size=2), "digest", fetched=True)


def test_content_that_does_not_end_is_cut(client: Any, hub: Hub, commit: str) -> None:
    """The list says a megabyte, the storage sends more: no byte beyond is written."""
    hub.dataset("strange/predictions").objects[DIGEST] = CONTENT + b"x" * 10_000_000
    refused(client, hub, fetch(client, commit), "longer than", fetched=True)


def test_content_that_is_another_is_refused(client: Any, hub: Hub, commit: str) -> None:
    hub.dataset("strange/predictions").objects[DIGEST] = b"x" + CONTENT[1:]
    refused(client, hub, fetch(client, commit), "Nothing was kept", fetched=True)


def test_content_that_is_shorter_never_counts_as_whole(client: Any, hub: Hub, commit: str) -> None:
    hub.dataset("strange/predictions").objects[DIGEST] = CONTENT[:1000]
    assert fetch(client, commit)["kind"] == "HubError"
    assert list((client.cache / "predictions").iterdir()) == []


def test_a_broken_connection_goes_on_where_it_broke(client: Any, hub: Hub, commit: str) -> None:
    objects = hub.dataset("strange/predictions").objects
    objects[DIGEST] = CONTENT[:1000]
    hub.fail("GET /cdn/", skip=1, action=lambda: objects.update({DIGEST: CONTENT}))
    assert Path(fetch(client, commit)["result"]).read_bytes() == CONTENT
    assert [line.status for line in hub.requests("GET /cdn/")] == [200, 206]


def test_a_list_that_lies_about_the_digest_is_found_out(client: Any, hub: Hub, put: Any) -> None:
    """The Hub lists the announced digest and sends another file: what arrives is hashed here."""
    other = put("strange/predictions", {PATH: b"z" * len(CONTENT)})
    repo = hub.dataset("strange/predictions")
    listed = File(CONTENT, True)
    repo.commits[other] = type(repo.commits[other])({PATH: listed}, None, "x", "", "x", 9)
    repo.objects[DIGEST] = b"z" * len(CONTENT)
    refused(client, hub, fetch(client, other), "Nothing was kept", fetched=True)


def test_what_changed_since_under_the_same_name_does_not_count(client: Any, hub: Hub, commit: str, put: Any) -> None:
    later = put("strange/predictions", {PATH: b"another"})
    assert later != commit
    assert Path(fetch(client, commit)["result"]).read_bytes() == CONTENT
    Path(client.cache / "predictions" / f"{DIGEST}.parquet").unlink()
    hub.log.clear()
    refused(client, hub, fetch(client, later), "bytes", fetched=False)


@pytest.mark.parametrize(("changed", "word"), [({"revision": "ab" * 20}, "no such revision"),
                                               ({"path": "other.parquet"}, "holds no other.parquet"),
                                               ({"repo": "strange/none"}, "has no data set")])  # fmt: skip
def test_what_is_not_there(client: Any, hub: Hub, commit: str, changed: dict[str, str], word: str) -> None:
    answer = fetch(client, commit, **changed)
    assert answer["kind"] == "HubError"
    assert word in answer["error"]


def test_a_folder_is_no_file(client: Any, hub: Hub, put: Any) -> None:
    commit = put("strange/predictions", {"a.parquet/b.txt": b"x"})
    assert "holds no a.parquet" in fetch(client, commit, path="a.parquet")["error"]


def test_storage_does_not_send_on(client: Any, hub: Hub, commit: str) -> None:
    """The Hub sends to its storage; from there nobody sends anywhere, least of all into the reader's own network."""
    hub.fail("GET /cdn/", status=302, headers={"Location": f"http://127.0.0.1:{hub.port}/api/whoami-v2"})
    answer = fetch(client, commit)
    assert answer["kind"] == "HubError"
    assert "not followed" in answer["error"]
    assert hub.requests("whoami") == []


def test_a_private_data_set_is_not_read_with_the_token(client: Any, hub: Hub, put: Any) -> None:
    commit = put("tester/predictions", {PATH: CONTENT})
    hub.dataset("tester/predictions").private = True
    answer = fetch(client, commit, repo="tester/predictions")
    assert answer["kind"] == "HubError"
    assert not any(line.token for line in hub.log)
