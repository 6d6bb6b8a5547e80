"""A submission is read key by key; whatever is not exactly a submission is refused with its reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from openmmlo.errors import SubmissionRefused
from openmmlo.leaderboard.board import Board
from openmmlo.leaderboard.submission import Place, read_place, read_submission


@pytest.fixture
def value(board: Board) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(board.submission_path("miniature", "focal-loss").read_bytes())
    return found


def read(value: Any) -> Any:
    return read_submission(json.dumps(value).encode())


def test_it_is_read_back_as_it_was_written(board: Board) -> None:
    data = board.submission_path("miniature", "focal-loss").read_bytes()
    found = read_submission(data)
    assert found.to_bytes() == data
    assert (found.label, found.seeds, found.authors) == (
        "miniature/focal-loss", (0, 1), ("Ada Lovelace", "Emmy Noether"),
    )  # fmt: skip
    assert found.setting.from_scratch
    assert found.runs[0].predictions.place == Place("board")
    assert found.runs[1].scored["classification"]["test"]["rows"] == 2500


def at(*path: Any) -> Callable[[dict[str, Any], Any], None]:
    """Puts a value where the path leads; the marker ``gone`` removes it."""

    def put(value: dict[str, Any], new: Any) -> None:
        inner: Any = value
        for key in path[:-1]:
            inner = inner[key]
        if new == "gone":
            del inner[path[-1]]
        else:
            inner[path[-1]] = new

    return put


RUN = ("runs", 0)
BAD = [
    (("format",), 2, "format 2"),
    (("format",), True, "format True"),
    (("mark",), "reproduced", "takes no 'mark'"),
    (("nmae",), "x", "takes no 'nmae'. Did you mean 'name'"),
    (("name",), "gone", "lacks 'name'"),
    (("entry",), "table-1-crt-from-scratch", "as rows of papers are called"),
    (("name",), "=1+1", "formula"),
    (("name",), "-2+3+cmd|' /C calc'!A0", "formula"),
    (("name",), "a\u202eb", "cannot be shown"),
    (("name",), "\x1b]0;x\x07", "control character"),
    (("name",), ["x"], "expected text"),
    (("name",), "x" * 121, "121 characters"),
    (("note",), "x" * 1_001, "1,001 characters"),
    (("note",), "@SUM(A1)", "formula"),
    (("authors",), [], "list of 1 to 50"),
    (("authors",), ["A"] * 51, "list of 1 to 50"),
    (("authors",), ["A", "A"], "stands twice"),
    (("authors",), ["+A"], "formula"),
    (("authors",), "A", "expected a list"),
    (("paper",), "javascript:alert(1)", "expected an address"),
    (("code",), "https://x/\"><script>", "expected an address"),
    (("date",), "2026-13-01", "YYYY-MM-DD"),
    (("entry",), "../../../etc/cron.d/x", "entry is"),
    (("entry",), "a/b", "entry is"),
    (("entry",), "Focal", "entry is"),
    (("method",), "../x", "method is"),
    (("benchmark",), "../miniature", "expected one of"),
    (("benchmark",), ["miniature"], "expected one of"),
    (("benchmark",), "imagenet-lt", "on the board only those of miniature"),
    (("benchmark_version",), "1", "whole number"),
    (("benchmark_version",), 2, "benchmark's version 1; the submission says 2"),
    (("setting", "from_scratch"), False, "it is true where pretraining is 'none'"),
    (("setting", "captions"), "some", "none, masked or raw"),
    (("setting", "backbone"), None, "backbone is None"),
    (("setting", "more"), 1, "takes no 'more'"),
    (("runs",), [], "list of 1 to 50"),
    (("runs",), {"0": 1}, "expected a list"),
    ((*RUN, "seed"), 1, "is of seed 0; the submission says 1"),
    ((*RUN, "seed"), -1, "whole number"),
    ((*RUN, "seed"), False, "whole number"),
    ((*RUN, "predictions", "sha256"), "../" + "a" * 61, "SHA-256 of 64"),
    ((*RUN, "predictions", "sha256"), "A" * 64, "SHA-256 of 64"),
    ((*RUN, "predictions", "bytes"), 10**12, "whole number from 1 to 8,000,000"),
    ((*RUN, "predictions", "rows"), 10**12, "whole number from 1 to 2,000,000"),
    ((*RUN, "predictions", "place"), {"kind": "url", "url": "http://169.254.169.254/"}, "Nothing else is fetched"),
    ((*RUN, "predictions", "place"), "file:///etc/passwd", "Nothing else is fetched"),
    ((*RUN, "predictions", "place"), {"kind": "board", "path": "/etc/passwd"}, "takes no 'path'"),
    ((*RUN, "result"), [], "expected an object"),
    ((*RUN, "result", "__class__"), 1, "takes no '__class__'"),
    ((*RUN, "result", "scored"), [], "scored is"),
    ((*RUN, "result", "digests"), {}, "digest of the definition"),
    ((*RUN, "result", "departures"), ["at most 10 images of each set"], "departs from the benchmark's protocol"),
    ((*RUN, "result", "scored", "departures"), ["x"], "departs from the benchmark's protocol"),
    ((*RUN, "result", "benchmark", "name"), "places-lt", "is of benchmark 'places-lt'"),
    ((*RUN, "result", "benchmark", "version"), 1.0, "benchmark's version 1.0"),
    ((*RUN, "result", "model", "name"), "os:system\n", "model's name"),
    ((*RUN, "result", "warnings"), ["\x1b[2J"], "control character"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "new", "match"), BAD, ids=lambda item: repr(item)[:40])
def test_what_is_refused(value: dict[str, Any], path: tuple[Any, ...], new: Any, match: str) -> None:
    at(*path)(value, new)
    with pytest.raises(SubmissionRefused) as refused:
        read(value)
    assert match in str(refused.value)
    assert str(refused.value).isprintable()


def test_seeds_stand_once_and_in_order(value: dict[str, Any]) -> None:
    for runs in (value["runs"][::-1], [value["runs"][0]] * 2):
        with pytest.raises(SubmissionRefused, match="each once, in order"):
            read(value | {"runs": runs})


@pytest.mark.parametrize("name", ["T-hp & co. < b", "a=b", 'x" onmouseover="y', "Łukasz 王"])
def test_names_that_pages_escape_are_kept_letter_by_letter(value: dict[str, Any], name: str) -> None:
    found = read(value | {"name": name, "authors": [name]})
    assert (found.name, found.authors) == (name, (name,))


HUB = {"kind": "hub", "repo": "owner/name", "revision": "a" * 40, "path": "predictions/a.parquet"}


def test_a_place_on_the_hub() -> None:
    for benchmark in ("miniature", "imagenet-lt"):
        assert read_place(HUB, "place", benchmark) == Place("hub", "owner/name", "a" * 40, "predictions/a.parquet")


@pytest.mark.parametrize(
    ("key", "new"),
    [
        ("repo", "https://example.org/x"), ("repo", "owner"), ("repo", "../x"), ("repo", "a/b/c"), ("repo", "a/../b"),
        ("repo", "owner/na me"), ("repo", 3), ("revision", "main"), ("revision", "A" * 40), ("revision", "a" * 39),
        ("revision", "refs/pr/1"), ("path", "../x.parquet"), ("path", "/x.parquet"), ("path", "a/../x.parquet"),
        ("path", "x.pkl"), ("path", "x.parquet?download=1"), ("path", "http://x/y.parquet"), ("path", "x.parquet\n"),
        ("path", "a/" * 9 + "x.parquet"), ("path", ".x.parquet"),
    ],
)  # fmt: skip
def test_places_that_could_lead_elsewhere(key: str, new: Any) -> None:
    with pytest.raises(SubmissionRefused, match=f"{key} is"):
        read_place(HUB | {key: new}, "place", "imagenet-lt")
