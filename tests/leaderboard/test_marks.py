"""Marks are read strictly, and two marks say the same where their numbers do."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from openmmlo.errors import SubmissionRefused
from openmmlo.leaderboard.marks import Mark, Reproduction, ScoredRun, read_mark

MADE = Mark("re-scored", "focal", "miniature", "ab" * 32, "0.1.0", "2026-11-25",
            (ScoredRun(0, "cd" * 32, {"classification.test.top1_samples": 0.5, "x": 1}, ("svhn",)),))  # fmt: skip
AGAIN = Reproduction(0, "ef" * 32, 0.9998, 0.0004, "classification.test.top1_samples", "0.1.0", "cpu", "2026-11-26")


def test_it_is_read_back_as_it_was_written() -> None:
    for mark in (MADE, replace(MADE, mark="reproduced", reproductions=(AGAIN,))):
        found = read_mark(mark.to_bytes())
        assert found.to_bytes() == mark.to_bytes()
        assert found.runs[0].scored == {"classification.test.top1_samples": 0.5, "x": 1}
        assert found.runs[0].unpinned == ("svhn",)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"format": 2}, "format 2"),
        ({"mark": "reported"}, "mark 'reported'"),
        ({"mark": "reproduced"}, "'reproduced' with 0 reproductions"),
        ({"reproductions": [AGAIN.to_json()]}, "'re-scored' with 1 reproductions"),
        ({"by": "me"}, "takes no 'by'"),
        ({"submission": "x"}, "SHA-256"),
        ({"entry": "../x"}, "entry is"),
        ({"runs": {}}, "expected lists"),
        ({"runs": [{"seed": 0}]}, "lacks 'predictions'"),
        ({"runs": [MADE.runs[0].to_json() | {"scored": {}}]}, "expected 1 to 100,000 metrics"),
        ({"runs": [MADE.runs[0].to_json() | {"scored": {"a": "0.5"}}]}, "expected a number"),
        ({"runs": [MADE.runs[0].to_json() | {"scored": {"a": True}}]}, "expected a number"),
        ({"runs": [MADE.runs[0].to_json() | {"unpinned": "svhn"}]}, "expected a list of sets"),
    ],
)
def test_what_is_no_mark(change: dict[str, Any], match: str) -> None:
    with pytest.raises(SubmissionRefused, match=match):
        read_mark(json.dumps(MADE.to_json() | change).encode())


def run(**scored: float) -> Mark:
    return replace(MADE, runs=(replace(MADE.runs[0], scored=scored),))


def test_same_numbers() -> None:
    assert MADE.same_numbers(replace(MADE, date="2027-01-01", openmmlo="9", mark="reproduced", reproductions=(AGAIN,)))
    assert run(a=0.5).same_numbers(run(a=0.5 + 1e-12))
    assert not run(a=0.5).same_numbers(run(a=0.5 + 1e-8))
    assert not run(a=0.5).same_numbers(run(a=0.5, b=0.1))
    assert not run(a=0.5).same_numbers(run(b=0.5))
    assert run(a=0.5, b=1.0).runs[0].other_metrics(run(a=0.6, c=1.0).runs[0]) == ["a", "b", "c"]
    assert not MADE.same_numbers(replace(MADE, submission="cd" * 32))
    assert not MADE.same_numbers(replace(MADE, entry="other"))
    assert not MADE.same_numbers(replace(MADE, runs=()))
    assert not MADE.same_numbers(replace(MADE, runs=(replace(MADE.runs[0], predictions="ef" * 32),)))
