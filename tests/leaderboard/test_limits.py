"""Bytes of a stranger are measured before they are parsed, and no text of theirs steers anything."""

from __future__ import annotations

import json
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmmlo.errors import SubmissionRefused
from openmmlo.leaderboard import limits
from openmmlo.leaderboard.limits import address, day, line, printable, read_file, read_json, record, slug


def refused(data: bytes, match: str) -> None:
    with pytest.raises(SubmissionRefused, match=match):
        read_json(data, "The file")


def peak(work: Any) -> float:
    """Megabytes allocated at most while it runs."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def test_a_file_of_200_mb_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    with path.open("wb") as file:
        file.truncate(200_000_000)

    def read() -> None:
        with pytest.raises(SubmissionRefused, match="200,000,000 bytes; at most 20,000,000"):
            read_file(path)

    assert peak(read) < 1


def test_ten_thousand_levels_are_refused_before_parsing() -> None:
    refused(b"[" * 10_000 + b"]" * 10_000, "deeper than 60 levels")
    refused(b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "deeper than 60 levels")
    assert read_json(b"[" * 60 + b"]" * 60, "The file") is not None
    refused(b"[" * 61 + b"]" * 61, "deeper than 60 levels")


def test_brackets_in_text_are_no_levels() -> None:
    text = '"\\[{' * 100
    assert read_json(json.dumps([text, "\\", '\\"', text]).encode(), "The file") == [text, "\\", '\\"', text]


def depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


VALUES = st.recursive(
    st.text(alphabet='ab"\\[]{}, ', max_size=8) | st.integers(-9, 9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='"\\[{', max_size=3), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(VALUES)
def test_levels_are_counted_as_the_parser_makes_them(value: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "NESTING", 2)
        data = json.dumps(value).encode()
        if depth(value) > 2:
            with pytest.raises(SubmissionRefused, match="deeper than 2 levels"):
                read_json(data, "The file")
        else:
            assert read_json(data, "The file") == value


@pytest.mark.parametrize(
    "data", [b"[" + b"{}," * 6_600_000 + b"0]", b"[" + b'"",' * 6_600_000 + b"0]", b"[0" * 6_600_000]
)
def test_many_small_values_are_refused_in_little_memory(data: bytes) -> None:
    assert len(data) <= 20_000_000

    def read() -> None:
        with pytest.raises(SubmissionRefused, match=r"values; at most|texts|levels"):
            read_json(data, "The file")

    assert peak(read) < 100  # of dicts alone there would be 1.2 GB


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("NaN", "NaN is no number"),
        ("[-Infinity]", "-Infinity is no number"),
        ("1e999", "more digits"),
        ("[1E+400]", "more digits"),
        ("1" * 5_000, "more digits"),
        ('{"a": 1, "a": 2}', "'a' stands twice"),
        ('{"mark": 1, "b": {"c": 1, "c": 1}}', "'c' stands twice"),
        ('"\\u001b[2J"', "control character"),
        ('"\\u202egnp.exe"', "cannot be shown"),
        ('"\\ud800"', "cannot be shown"),
        ('{"\\u0000": 1}', "cannot be printed"),
        ('"a\tb"', "cannot be read as JSON"),
        ("", "cannot be read as JSON"),
        ("{'a': 1}", "cannot be read as JSON"),
        ("[1,]", "cannot be read as JSON"),
        ('"' + "x" * 30_000 + '"', "30,000 bytes"),
    ],
)
def test_what_is_no_plain_json_is_refused(text: str, match: str) -> None:
    refused(text.encode(), match)


def test_a_key_that_stands_twice_among_many_is_found_at_once() -> None:
    """Looking each key up among all others would take hours."""
    keys = ",".join(f'"{number:x}":1' for number in range(300_000))
    began = time.process_time()
    refused(f'{{{keys},"last":1,"last":1}}'.encode(), "'last' stands twice")
    assert time.process_time() - began < 10


def test_other_encodings_and_del_are_refused() -> None:
    refused('"ä"'.encode("latin-1"), "UTF-8")
    refused('{"a": 1}'.encode("utf-16"), "UTF-8")
    refused(b'"\x7f"', "control character")
    refused('"\x9b31m"'.encode(), "control character")  # the C1 form of the escape that colours a terminal


def test_names_of_people_are_read() -> None:
    value = {"name": "T-hp (κ = 16) — Łukasz Kaiser, 王小明", "script": "<script>alert('x')</script>", "lines": "a\nb"}
    for ascii_only in (True, False):
        assert read_json(json.dumps(value, ensure_ascii=ascii_only).encode(), "The file") == value


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text("{}")
    (tmp_path / "link.json").symlink_to(tmp_path / "secret.json")
    with pytest.raises(SubmissionRefused, match="is a link"):
        read_file(tmp_path / "link.json")
    with pytest.raises(SubmissionRefused, match="no file"):
        read_file(tmp_path)


@pytest.mark.parametrize(
    "text",
    ["=HYPERLINK(\"http://x\")", "+1", "-2+3", "@SUM(A1)", "＝1+1", "＠x", " name", "name ", "", "a\tb", "a\u202eb",
     "x" * 121],
)  # fmt: skip
def test_a_line_is_no_formula_and_steers_nothing(text: str) -> None:
    with pytest.raises(SubmissionRefused, match="The name"):
        line(text, "The name", 120)


@pytest.mark.parametrize("text", ["<b>Focal</b>", "Focal<script>alert(1)</script>", "x</td>", "a <!-- b", "＜script＞"])
def test_a_line_is_no_html(text: str) -> None:
    with pytest.raises(SubmissionRefused, match="could be taken for HTML"):
        line(text, "The name", 120)


@pytest.mark.parametrize("text", ["κ < 16", "1<2", "k < K", "T-hp & co.", '"quoted"', "a=b", "κ-shot", "1 - x"])
def test_a_line_may_hold_what_pages_escape(text: str) -> None:
    assert line(text, "The name", 120) == text


@pytest.mark.parametrize(
    "text",
    ["../etc/passwd", "a/b", "a\\b", "..", ".", ".hidden", "a..b", "A", "é", "", "a" * 81, "a\n", "con", "nul.txt",
     "com1", "x.", "-x", "a b", "a%2fb", 7, None],
)  # fmt: skip
def test_entry_names_are_one_plain_file_name(text: Any) -> None:
    with pytest.raises(SubmissionRefused, match="entry"):
        slug(text, "entry")


@pytest.mark.parametrize("text", ["focal", "t-hp-0.5", "9", "a" * 80, "console"])
def test_plain_entry_names(text: str) -> None:
    assert slug(text, "entry") == text


@pytest.mark.parametrize(
    "text",
    ["javascript:alert(1)", "data:text/html,x", "ftp://x", "http://", "https://x/\"onclick=", "https://x/<b>",
     "https://x y", "https://a@b/", "file:///etc/passwd", "//x", "https://x/\n", 3],
)  # fmt: skip
def test_addresses_that_are_none(text: Any) -> None:
    with pytest.raises(SubmissionRefused, match="paper"):
        address(text, "paper")


@pytest.mark.parametrize(
    "text", ["https://arxiv.org/abs/1708.02002", "http://x.org:8080/a_(b)?c=d&e=f#g", "https://openreview.net/forum?id=x-Y"]
)  # fmt: skip
def test_addresses(text: str) -> None:
    assert address(text, "paper") == text


@pytest.mark.parametrize("text", ["::error::x", "  ::stop-commands::x", "\n::notice::x", "a ##[add-mask]b", "a\n::x::"])
def test_what_is_printed_commands_no_workflow(text: str) -> None:
    """GitHub's runner takes commands from lines that begin with two colons, and from ``##[`` anywhere."""
    shown = printable(text)
    assert not shown.lstrip().startswith("::")
    assert "##[" not in shown
    assert shown.replace(" ", "") == text.replace(" ", "").replace("\n", "")


def test_days_records_and_what_is_printed() -> None:
    assert day("2026-02-28", "date") == "2026-02-28"
    for text in ("2026-02-30", "20260228", "yesterday", "2026-2-3", 20260228):
        with pytest.raises(SubmissionRefused, match="date"):
            day(text, "date")
    with pytest.raises(SubmissionRefused, match=r"takes no 'nam'\. Did you mean 'name'"):
        record({"nam": 1}, "x", ("name",))
    with pytest.raises(SubmissionRefused, match="lacks 'name'"):
        record({}, "x", ("name",))
    assert printable("a\x1b[31m\u202eb\n::stop-commands::c") == "a?[31m?b ::stop-commands::c"
    assert len(printable("x" * 10_000)) == 2_001
