"""Captions in pieces read as the caption written and as the masked one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmmlo.building.masking import Masker, build_lexicon
from openmmlo.building.report.captions import Piece, pieces, segments
from openmmlo.records import ClassInfo, DatasetInfo


def raw_of(found: list[Piece]) -> str:
    return "".join(piece if isinstance(piece, str) else piece[0] for piece in found)


def masked_of(found: list[Piece]) -> str:
    return "".join(piece if isinstance(piece, str) else piece[1] for piece in found)


@given(
    st.lists(
        st.tuples(st.text("s [mask]fox😀\u2028é", max_size=6), st.text("fox s", min_size=1, max_size=5), st.booleans()),
        max_size=8,
    ),
    st.text("s [mask]fox😀", max_size=6),
)
def test_pieces_join_to_both_versions(parts: list[tuple[str, str, bool]], tail: str) -> None:
    raw = masked = ""
    spans = []
    for shared, hidden, plural in parts:
        raw, masked = raw + shared, masked + shared
        spans.append((len(raw), len(raw) + len(hidden)))
        raw += hidden
        masked += "[mask]s" if plural else "[mask]"
    found = pieces(raw + tail, masked + tail, spans, 10**6)
    assert raw_of(found) == raw + tail
    assert masked_of(found) == masked + tail
    assert sum(isinstance(piece, list) for piece in found) == len(parts)
    assert [piece[0] for piece in found if isinstance(piece, list)] == [hidden for _, hidden, _ in parts]


def test_pieces_of_what_the_masker_gives() -> None:
    info = DatasetInfo("one", "1", "", (ClassInfo("f", "red fox", ("red fox",)),))
    text = "Two red foxes, one red fox’s den. Red-fox!"
    caption = Masker(build_lexicon(info, "strict"), ("f",)).mask("id", text, "f", ood=False)
    found = pieces(caption.text, caption.masked, caption.spans, 10**6)
    assert (raw_of(found), masked_of(found)) == (text, caption.masked)
    assert next(piece for piece in found if isinstance(piece, list)) == ["red foxes", "[mask]s"]


@pytest.mark.parametrize(
    ("raw", "masked", "spans"),
    [
        ("A fox.", "Something else.", [(2, 5)]),
        ("A fox.", "A [mask]. More", [(2, 5)]),
        ("A fox.", "A [mask].", [(2, 50)]),
        ("A fox.", "A [mask].", [(4, 2)]),
        ("A fox.", "A [mask].", [(2, 4), (3, 5)]),
        ("A fox.", "A [mask].", [(-3, 1)]),
        ("A fox.", "A [mask].", []),
    ],
)
def test_what_does_not_fit_is_shown_as_wholes(raw: str, masked: str, spans: list[tuple[int, int]]) -> None:
    assert pieces(raw, masked, spans, 100) == [[raw, masked]]


def test_long_captions_are_cut_with_an_ellipsis() -> None:
    found = pieces("word " * 100 + "fox", "word " * 100 + "[mask]", [(500, 503)], longest=52)
    assert found == ["word " * 10 + "wo…"]
    assert pieces("x" * 50 + "a long name", "x" * 50 + "[mask]", [(50, 61)], longest=52) == ["x" * 50, "…"]
    assert pieces("", "", [], 10) == []


def test_many_masks_are_read_in_no_time() -> None:
    """Where "s" follows every mask, trying all readings would take 2 to the power of 400."""
    count = 400
    raw = "foxs" * count
    spans = [(4 * place, 4 * place + 3) for place in range(count)]
    found = pieces(raw, "[mask]s" * count, spans, longest=10**6)
    assert (raw_of(found), masked_of(found)) == (raw, "[mask]s" * count)


def test_segments_mark_masks_and_words_whatever_their_case() -> None:
    found = segments("A [mask] and a Frog. [mask]s of frogs (a+b)", ["frog", "(a+b)", ""])
    assert [item for item in found if item[1]] == [
        ("[mask]", "mask"), ("Frog", "found"), ("[mask]s", "mask"), ("frog", "found"), ("(a+b)", "found"),
    ]  # fmt: skip
    assert "".join(text for text, _ in found) == "A [mask] and a Frog. [mask]s of frogs (a+b)"
    assert segments("plain", []) == [("plain", "")]
