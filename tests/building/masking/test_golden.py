"""Masked captions that must come out exactly so: golden.jsonl, a case a line, each with its reason.

A case names the source whose conventions hold, the level, and the class: by its names, or by its key in the lexicon
that ships for that source.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from openmmlo.building.masking import LEVELS, Lexicon, Masker, build_lexicon, read_lexicon
from openmmlo.building.masking.frozen import bundled_path
from openmmlo.records import ClassInfo, DatasetInfo

CASES: list[dict[str, Any]] = [
    json.loads(line) for line in (Path(__file__).parent / "golden.jsonl").read_text(encoding="utf-8").splitlines()
]


@cache
def shipped(source: str) -> Lexicon:
    return read_lexicon(bundled_path(source))


def named(source: str, names: list[str], level: str) -> tuple[Lexicon, str]:
    key = names[0] if source == "places-lt" else "key"
    info = DatasetInfo(source, "1", "", (ClassInfo(key, names[0], tuple(names)),))
    return build_lexicon(info, level), key


def test_there_are_enough_cases_of_every_level() -> None:
    counts = Counter(case["level"] for case in CASES)
    assert sum(counts.values()) >= 150
    assert set(counts) == set(LEVELS)
    assert min(counts.values()) >= 20
    assert all(case["why"] for case in CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['level']}: {case['why']}")
def test_caption_is_masked_as_written_there(case: dict[str, Any]) -> None:
    if "key" in case:
        lexicon, key = shipped(case["source"]), case["key"]
    else:
        lexicon, key = named(case["source"], case["names"], case["level"])
    masker = Masker(lexicon, [key], case["level"])
    for ood in (False, True):
        caption = masker.mask("sample", case["caption"], key, ood)
        assert caption.masked == case["masked"]
        assert (caption.sample_id, caption.text) == ("sample", case["caption"])


def test_spans_are_where_the_names_stood() -> None:
    text = "İ a cafe\u0301's CAFÉS"
    lexicon, key = named("imagefolder", ["café"], "strict")
    caption = Masker(lexicon, [key]).mask("s", text, key, False)
    assert [text[start:end] for start, end in caption.spans] == ["cafe\u0301", "CAFÉS"]
    assert caption.spans == ((4, 9), (12, 17))
