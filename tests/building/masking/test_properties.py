"""What holds for every lexicon and every caption, against a matcher that tries each name at each place."""

from __future__ import annotations

import re
from typing import get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from openmmlo.building.masking import KINDS, LEVELS, Form, Kind, Lexicon, Masker, build_lexicon
from openmmlo.building.masking.folding import fold
from openmmlo.records import Caption, ClassInfo, DatasetInfo

WORDS = st.sampled_from(["a", "b", "ab", "ba", "sea", "lion", "seal", "s", "é", "o'b"])
NAMES = st.lists(WORDS, min_size=1, max_size=3).map(" ".join)
FORMS = st.lists(st.builds(Form, NAMES, st.booleans()), max_size=6)
PIECES = st.sampled_from(
    [*" -_.'\n", "a", "b", "A", "B", "é", "sea", "Lion", "SEAL", "lions", "\u00df", "1", "ß", "  "]
)
TEXTS = st.lists(PIECES, max_size=14).map("".join)
ANY_TEXT = st.one_of(TEXTS, st.text(max_size=40), st.lists(st.one_of(PIECES, st.text(max_size=2))).map("".join))


@given(st.text(max_size=30))
def test_fold_maps_every_folded_character_to_a_place(text: str) -> None:
    folded = fold(text)
    if folded.origins is None:
        assert len(folded.text) == len(text)
    else:
        assert len(folded.origins) == len(folded.text)
        assert sorted(folded.origins) == folded.origins


def ends(words: list[str], text: str, start: int) -> list[int]:
    """Every end of a spelling of these words that begins at ``start``."""
    if not text.startswith(words[0], start):
        return []
    end = start + len(words[0])
    if len(words) == 1:
        return [end]
    found = []
    for gap in range(4):
        if all(letter in "-_" or letter.isspace() for letter in text[end : end + gap]) and end + gap <= len(text):
            found += ends(words[1:], text, end + gap)
    return found


def brute_force(text: str, forms: list[Form]) -> list[tuple[int, int]]:
    """Leftmost, then longest, by trying every form everywhere; for captions that folding keeps in length."""
    folded = text.casefold()
    assert len(folded) == len(text)
    spans: list[tuple[int, int]] = []
    start = 0
    while start < len(folded):
        best = -1
        for form in forms:
            for end in ends(form.text.split(" "), folded, start):
                left = start == 0 or not folded[start - 1].isalnum()
                right = end == len(folded) or not folded[end].isalnum()
                best = max(best, end) if left and right else best
        if best > start:
            spans.append((start, best))
            start = best
        else:
            start += 1
    return spans


@settings(max_examples=400, deadline=None)
@given(TEXTS.filter(lambda text: "ß" not in text), st.lists(FORMS, min_size=1, max_size=3))
def test_matches_are_those_of_brute_force(text: str, classes: list[list[Form]]) -> None:
    lexicon = Lexicon(("strict",), "1", {str(key): tuple(forms) for key, forms in enumerate(classes)})
    masker = Masker(lexicon, list(lexicon.entries))
    for key, forms in lexicon.entries.items():
        assert list(masker.mask("s", text, key, False).spans) == brute_force(text, list(forms))
    everything = [form for forms in classes for form in forms]
    for key in ("0", "", "unknown"):
        assert list(masker.mask("s", text, key, True).spans) == brute_force(text, everything)


def rebuilt(caption: Caption) -> bool:
    """Whether the spans are in order and the masked text is the text with each of them replaced."""
    pattern, done = "", 0
    for start, end in caption.spans:
        if not done <= start < end:
            return False
        pattern += re.escape(caption.text[done:start]) + r"\[mask\]s?"
        done = end
    return re.fullmatch(pattern + re.escape(caption.text[done:]), caption.masked) is not None


@settings(max_examples=250, deadline=None)
@given(ANY_TEXT, st.lists(ANY_TEXT, min_size=1, max_size=4), st.booleans())
def test_masking_keeps_all_else_and_masks_once(text: str, names: list[str], ood: bool) -> None:
    classes = tuple(ClassInfo(str(key), name, (name,)) for key, name in enumerate(names))
    masker = Masker(build_lexicon(DatasetInfo("imagefolder", "1", "", classes)), [item.key for item in classes])
    caption = masker.mask("s", text, "0", ood)
    assert rebuilt(caption)
    again = masker.mask("s", caption.masked, "0", ood)
    assert again.masked == caption.masked
    assert again.spans == ()


LEVELLED = st.lists(st.builds(Form, NAMES, st.booleans(), kind=st.sampled_from(get_args(Kind))), max_size=8)


@settings(max_examples=400, deadline=None)
@given(TEXTS, st.lists(LEVELLED, min_size=1, max_size=3), st.booleans())
def test_what_a_level_hides_every_broader_one_hides(text: str, classes: list[list[Form]], ood: bool) -> None:
    # One text has one kind in a lexicon: the narrowest.
    order = list(get_args(Kind))
    entries = {}
    for key, forms in enumerate(classes):
        kept = {form.text: form for form in sorted(forms, key=lambda form: order.index(form.kind), reverse=True)}
        entries[str(key)] = tuple(kept.values())
    lexicon = Lexicon(tuple(LEVELS), "1", entries)
    hidden: set[int] = set()
    for level in LEVELS:
        caption = Masker(lexicon, list(entries), level).mask("s", text, "0", ood)
        assert rebuilt(caption)
        now = {place for span in caption.spans for place in range(*span)}
        assert hidden <= now
        hidden = now


@settings(max_examples=200, deadline=None)
@given(TEXTS.filter(lambda text: "ß" not in text), LEVELLED)
def test_a_broader_level_hides_the_union_of_what_each_level_finds(text: str, forms: list[Form]) -> None:
    kept = {form.text: form for form in reversed(forms)}
    lexicon = Lexicon(tuple(LEVELS), "1", {"0": tuple(kept.values())})
    places: set[int] = set()
    for level in LEVELS:
        found = brute_force(text, [form for form in kept.values() if form.kind in KINDS[level]])
        places |= {place for span in found for place in range(*span)}
        spans = Masker(lexicon, ["0"], level).mask("s", text, "0", False).spans
        assert {place for span in spans for place in range(*span)} == places


@settings(max_examples=150, deadline=None)
@given(ANY_TEXT, st.lists(ANY_TEXT, min_size=1, max_size=4), st.booleans())
def test_heads_of_any_names_are_masked_once(text: str, names: list[str], ood: bool) -> None:
    classes = tuple(ClassInfo(str(key), name, (name,)) for key, name in enumerate(names))
    lexicon = build_lexicon(DatasetInfo("imagefolder", "1", "", classes), "head")
    assert Lexicon.from_json(lexicon.to_json()) == lexicon
    caption = Masker(lexicon, [item.key for item in classes], "head").mask("s", text, "0", ood)
    assert rebuilt(caption)
    again = Masker(lexicon, [item.key for item in classes], "head").mask("s", caption.masked, "0", ood)
    assert (again.masked, again.spans) == (caption.masked, ())


@settings(max_examples=50, deadline=None)
@given(st.lists(FORMS, max_size=4))
def test_lexicon_survives_json_and_any_order(classes: list[list[Form]]) -> None:
    entries = {str(key): tuple(forms) for key, forms in enumerate(classes)}
    lexicon = Lexicon(("strict",), "1", entries)
    shuffled = {key: tuple(reversed(forms)) for key, forms in reversed(entries.items())}
    assert Lexicon(("strict",), "1", shuffled).hash == lexicon.hash
    assert Lexicon.from_json(lexicon.to_json()).hash == lexicon.hash
    assert Lexicon(("head",), "1", entries).hash != lexicon.hash
