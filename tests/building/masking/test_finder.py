"""The finder of all classes at once finds for each class what the masker's own search finds for it alone."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmmlo.building.masking import Form, Lexicon, build_lexicon
from openmmlo.building.masking.finder import ClassFinder, Hit, joined
from openmmlo.building.masking.folding import fold
from openmmlo.building.masking.masker import Names, find_all
from openmmlo.errors import DataError
from openmmlo.records import ClassInfo, DatasetInfo

KINDS = st.sampled_from(["name", "inflection", "head", "hypernym"])
WORDS = st.sampled_from(
    ["a", "b", "ab", "ba", "sea", "lion", "seal", "s", "é", "o'b", "it", "st.", "&", "猫", "大", "กา", "i̇", "ñ"]
)
NAMES = st.lists(WORDS, min_size=1, max_size=7).map(" ".join)
FORMS = st.lists(st.builds(Form, NAMES, st.booleans(), st.just(False), KINDS), max_size=5)
CASED = st.lists(st.sampled_from(["IT", "It", "US", "Sea Lion"]).map(lambda text: Form(text, cased=True)), max_size=2)
CLASSES = st.lists(st.builds(lambda some, cased: [*cased, *some], FORMS, CASED), min_size=1, max_size=4)
PIECES = st.sampled_from(
    [
        *" -_.,'\n\u00a0\u2011\u200b\u00ad\0", "  ", "   ", "    ", "- ", "a", "b", "A", "B", "é", "e\u0301", "É",
        "sea", "Lion", "SEAL", "lions", "ß", "1", "İ", "IT", "It", "it", "us", "US", "St.", "&", "猫", "大", "กา", "ñ",
        "n\u0303", "x", "\u0301",
    ]
)  # fmt: skip
TEXTS = st.one_of(st.lists(PIECES, max_size=16).map("".join), st.text(max_size=30))


def names(lexicon: Lexicon, key: str, text: str, level: str) -> list[tuple[int, int]]:
    """What the masker's search finds for one class alone."""
    forms = lexicon.forms(key, level)
    return [(match.start, match.end) for match in find_all(text, [Names(forms)])] if forms else []


def marked_names(text: str) -> bool:
    """Whether a combining mark stands in the folded text: there the masker gives up a start, the finder a name."""
    return any(unicodedata.category(letter).startswith("M") for letter in unicodedata.normalize("NFC", text))


@settings(max_examples=600, deadline=None)
@given(TEXTS, CLASSES, st.sampled_from(["strict", "head", "hypernym"]))
def test_each_class_is_found_as_the_masker_finds_it_alone(text: str, classes: list[list[Form]], level: str) -> None:
    lexicon = Lexicon(("strict", "head", "hypernym"), "1", {f"c{key}": tuple(item) for key, item in enumerate(classes)})
    hits = ClassFinder(lexicon, level=level).find(text)
    assert [hit.text for hit in hits] == [text[hit.start : hit.end] for hit in hits]
    assert hits == sorted(hits, key=lambda hit: (hit.start, hit.end, hit.class_key))
    for key in lexicon.entries:
        if not marked_names(text):
            mine = [(hit.start, hit.end) for hit in hits if hit.class_key == key]
            assert mine == names(lexicon, key, text, level)


def all_spots(lexicon: Lexicon, text: str, level: str) -> set[tuple[str, int, int]]:
    """(class, start, end) of every form at every place, each form searched for alone from each place on."""
    folded = fold(text)
    found = set()
    for key in lexicon.entries:
        for form in lexicon.forms(key, level):
            alone = Names([form])
            for expression in alone.expressions(folded.text):
                for start in range(len(folded.text)):
                    hit = alone.find(expression, text, folded, start)
                    if hit is not None:
                        found.add((key, hit[2].start, hit[2].end))
    return found


@settings(max_examples=250, deadline=None)
@given(TEXTS, st.lists(FORMS, min_size=1, max_size=3), st.sampled_from(["strict", "hypernym"]))
def test_spots_are_all_that_any_form_finds_at_any_place(text: str, classes: list[list[Form]], level: str) -> None:
    lexicon = Lexicon(("strict", "head", "hypernym"), "1", {f"c{key}": tuple(item) for key, item in enumerate(classes)})
    spots = ClassFinder(lexicon, level=level).spots(text)
    found = {(key, spot.start, spot.end) for spot in spots for key in spot.owners}
    if not marked_names(text):
        assert found == all_spots(lexicon, text, level)
    for spot in spots:
        for key, kind in spot.owners.items():
            assert kind in {form.kind for form in lexicon.forms(key, level) if joined(form) == spot.joined}
        assert spot.named == {key for key, kind in spot.owners.items() if kind in ("name", "inflection")}


LEXICON = build_lexicon(
    DatasetInfo(
        "imagefolder",
        "1",
        "",
        (
            ClassInfo("crane", "crane", ("crane",)),
            ClassInfo("machine", "tower crane", ("tower crane", "crane")),
            ClassInfo("shark", "great white shark", ("great white shark",)),
            ClassInfo("mask", "mask", ("mask",)),
        ),
    )
)


def test_a_form_of_several_classes_is_a_hit_for_each_with_its_kind() -> None:
    hits = ClassFinder(LEXICON, level="head").find("Two Cranes, a great-white shark and a tower  crane; a Shark.")
    assert hits == [
        Hit("crane", "inflection", 4, 10, "Cranes"),
        Hit("machine", "inflection", 4, 10, "Cranes"),
        Hit("shark", "name", 14, 31, "great-white shark"),
        Hit("machine", "name", 38, 50, "tower  crane"),
        Hit("crane", "name", 45, 50, "crane"),
        Hit("shark", "head", 54, 59, "Shark"),
    ]


def test_what_stands_in_a_mask_is_no_name() -> None:
    finder = ClassFinder(LEXICON, level="strict")
    assert finder.find("[mask] and [MASK]s, a [mask]'s") == []
    assert [hit.text for hit in finder.find("[mask]s a mask [mask]mask")] == ["mask", "mask"]


def test_only_the_classes_and_the_level_asked_for_are_found() -> None:
    text = "a crane, a shark, a mask"
    assert {hit.class_key for hit in ClassFinder(LEXICON, ["mask", "shark"], "strict").find(text)} == {"mask"}
    assert {hit.class_key for hit in ClassFinder(LEXICON, ["mask", "shark"], "head").find(text)} == {"mask", "shark"}
    assert ClassFinder(LEXICON, [], "strict").find(text) == []
    for wrong in ((["lion"], "strict"), (["mask"], "hypernym")):
        with pytest.raises(DataError):
            ClassFinder(LEXICON, *wrong)


def test_long_names_with_every_gap_and_gaps_that_are_too_wide() -> None:
    name = "one two three four five six seven eight"
    finder = ClassFinder(Lexicon(("strict",), "1", {"c": (Form(name),)}), level="strict")
    for text in (name, name.replace(" ", ""), name.replace(" ", "-"), name.replace(" ", " _ "), name.upper()):
        assert [hit.text for hit in finder.find(f"<{text}>")] == [text]
    for text in (name.replace(" ", "    "), f"{name}s", f"x{name}", name[:-1], name.replace(" ", ".")):
        assert finder.find(text) == []


def test_the_letters_of_a_name_before_a_combining_mark_are_another_name() -> None:
    finder = ClassFinder(Lexicon(("strict",), "1", {"c": (Form("sea"), Form("sea lion"))}), level="strict")
    assert [hit.text for hit in finder.find("a sea lion\u0323 and sea")] == ["sea", "sea"]
    assert finder.find("seaq\u0303") == []
    assert finder.find("se\u0303a") == []
