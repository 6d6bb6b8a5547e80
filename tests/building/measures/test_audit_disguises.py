"""Names in disguise: one edit against the distance by dynamic programming; what is seen, and what is no leak."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmmlo.building.masking import Form, Lexicon, build_lexicon
from openmmlo.building.measures.audit.disguises import Disguises, Seen
from openmmlo.building.measures.audit.plain import deletions, letters, unaccented, within_one_edit
from openmmlo.building.measures.audit.sightings import Sightings
from openmmlo.building.word_counts import words
from openmmlo.records import ClassInfo, DatasetInfo

NAMES = {
    "panda": ("panda",),
    "frog": ("tree frog",),
    "umbrella": ("umbrella", "brolly"),
    "shark": ("great white shark", "Carcharodon carcharias"),
    "cat": ("cat",),
    "setter": ("Irish setter",),
    "butterfly": ("butterfly",),
    "cafe": ("Café Noir",),
    "letter": ("letter",),
}
INFO = DatasetInfo("imagefolder", "1", "", tuple(ClassInfo(key, names[0], names) for key, names in NAMES.items()))
DISGUISES = Disguises(build_lexicon(INFO))


def see(key: str, text: str) -> list[Seen]:
    return DISGUISES.see(key, text, set(words(text)))


def distance(one: str, two: str) -> int:
    """Edits with swaps of neighbours (optimal string alignment), by its table."""
    table = [[max(i, j) if 0 in (i, j) else 0 for j in range(len(two) + 1)] for i in range(len(one) + 1)]
    for i in range(1, len(one) + 1):
        for j in range(1, len(two) + 1):
            table[i][j] = min(
                table[i - 1][j] + 1, table[i][j - 1] + 1, table[i - 1][j - 1] + (one[i - 1] != two[j - 1])
            )
            if i > 1 and j > 1 and one[i - 1] == two[j - 2] and one[i - 2] == two[j - 1]:
                table[i][j] = min(table[i][j], table[i - 2][j - 2] + 1)
    return table[-1][-1]


@settings(max_examples=1000, deadline=None)
@given(st.text("abc", max_size=6), st.text("abc", max_size=6))
def test_one_edit_is_that_of_the_distance(one: str, two: str) -> None:
    assert within_one_edit(one, two) is (distance(one, two) <= 1)
    if distance(one, two) <= 1:
        assert {one, *deletions(one)} & {two, *deletions(two)}


def test_plain_text_has_no_accents_and_no_width() -> None:
    assert unaccented("Pokémon ｐａｎｄａ ﬁsh") == "pokemon panda fish"
    assert letters("St. Bernard's \u2013 no_1") == "stbernardsno1"


@pytest.mark.parametrize(
    ("key", "text", "kind", "found"),
    [
        ("panda", "A pandalike toy.", "compound", "pandalike"),
        ("panda", "The SUPERPANDA sits.", "compound", "superpanda"),
        ("panda", "It is pandaesque, they say.", "compound", "pandaesque"),
        ("frog", "A treefroglike thing", "compound", "treefroglike"),
        ("umbrella", "many miniumbrellalike things", "compound", "miniumbrellalike"),
        ("umbrella", "An umbrela is open.", "misspelling", "umbrela"),
        ("umbrella", "Two umbrellla.", "misspelling", "umbrellla"),
        ("umbrella", "An umbrlela is open.", "misspelling", "umbrlela"),
        ("umbrella", "An umbrellq is open.", "misspelling", "umbrellq"),
        ("umbrella", "An umb-rella is open.", "misspelling", "umb-rella"),
        ("umbrella", "An UMBRÉLLA is open.", "misspelling", "umbrélla"),
        ("frog", "A Tree Forg in green", "misspelling", "Tree Forg"),
        ("frog", "A tee frog in green", "misspelling", "tee frog"),
        ("frog", "A treeforg in green", "misspelling", "treeforg"),
        ("frog", "A tree.frog in green", "misspelling", "tree.frog"),
        ("shark", "a great white shrak swims", "misspelling", "great white shrak"),
        ("shark", "a great wite shark swims", "misspelling", "great wite shark"),
        ("shark", "Carcharodon carcarias it is", "misspelling", "Carcharodon carcarias"),
        ("panda", "a pan-da here", "misspelling", "pan-da"),
        ("panda", "a pan\u200bda here", "misspelling", "pan\u200bda"),
        ("panda", "a pan\u00adda here", "misspelling", "panda"),
        ("panda", "a ｐａｎｄａ here", "misspelling", "ｐａｎｄａ"),
        ("butterfly", "one butter fly", "misspelling", "butter fly"),
        ("cafe", "the Cafe Noir sign", "misspelling", "Cafe Noir"),
    ],
)
def test_disguised_names_are_seen(key: str, text: str, kind: str, found: str) -> None:
    seen = see(key, text)
    assert {(one.kind, one.found) for one in seen} >= {(kind, found)}
    assert not [one for other in NAMES if other != key for one in see(other, text) if one.found == found]


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("panda", "A [mask]like toy beside [mask]s and [mask]-like ones; it expands."),
        ("panda", "A pan. Da capo."),
        ("panda", "the pan da Vinci had"),
        ("umbrella", "An [mask] and a black-and-white umber bell."),
        ("shark", "The great black sheep, the white wall and a shack."),
        ("frog", "Frogs on a tree; a frog's tree."),
        ("cat", "The elegant delicate advocate."),
        ("butterfly", "butter, fly"),
        ("setter", "a setter and two setters"),
    ],
)
def test_what_only_looks_alike_is_not_seen(key: str, text: str) -> None:
    assert see(key, text) == []


def test_a_word_that_is_a_name_counts_for_its_own_classes_alone() -> None:
    info = DatasetInfo(
        "imagefolder",
        "1",
        "",
        (
            ClassInfo("a", "setter", ("setter",)),
            ClassInfo("b", "settler", ("settler",)),
            ClassInfo("c", "set", ("set",)),
        ),
    )
    disguises = Disguises(build_lexicon(info))
    for key in "bc":
        assert disguises.see(key, "a setter here", {"a", "setter", "here"}) == []


def test_a_class_of_masks_is_not_seen_in_its_masks() -> None:
    info = DatasetInfo("imagefolder", "1", "", (ClassInfo("m", "gas mask", ("gas mask", "mask", "masks")),))
    disguises = Disguises(build_lexicon(info))
    text = "a [mask] and two [mask]s of gas"
    assert disguises.see("m", text, set(words(text))) == []
    text = "an unmask and a gasmaskk"
    assert [one.found for one in disguises.see("m", text, set(words(text)))] == ["unmask", "gasmaskk"]


def test_names_of_one_letter_case_are_no_names_in_another() -> None:
    lexicon = Lexicon(("strict",), "1", {"it": (Form("IT", cased=True), Form("ITEMS", cased=True))})
    assert Disguises(lexicon).see("it", "itemss of it in its bits", {"itemss", "of", "it", "in", "its", "bits"}) == []


def leaks_of(key: str, own: list[str], others: list[str]) -> list[str]:
    """What counts as a leak where these are the captions of a class and of the others."""
    sightings = Sightings()
    for row, text in enumerate([*own, *others]):
        owner = key if row < len(own) else "other"
        sightings.classes[owner] += 1
        sightings.words.update(set(words(text)))
        if owner == key:
            sightings.seen += [(row, key, one) for one in see(key, text)]
    return [seen.found for _, _, seen in sightings.leaks(DISGUISES.owners)]


@pytest.mark.parametrize(
    ("key", "own", "others", "leaks"),
    [
        # the same word in one caption of 20 of the class and in none, in one and in 40 of 400 others
        ("panda", ["a pandalike toy"] + ["a toy"] * 19, ["a toy"] * 400, ["pandalike"]),
        ("panda", ["a pandalike toy"] + ["a toy"] * 19, ["a pandalike toy"] + ["a toy"] * 399, ["pandalike"]),
        ("panda", ["a pandalike toy"] + ["a toy"] * 19, ["a pandalike toy"] * 40 + ["a toy"] * 360, []),
        ("frog", ["three frogs"] + ["three eggs"] * 19, ["three eggs"] * 40 + ["a toy"] * 360, []),
        ("frog", ["free frogs"] + ["three eggs"] * 19, ["three eggs"] * 400, ["free frogs"]),
        ("letter", ["a litter"] + ["a toy"] * 19, ["a litter"] * 20 + ["a toy"] * 380, []),
        ("letter", ["a lettre"] + ["a toy"] * 19, ["a litter"] * 20 + ["a toy"] * 380, ["lettre"]),
        # short names: only with an affix, or with what is a word itself
        ("cat", ["a catalogue"] * 3, ["a toy"] * 30, []),
        ("cat", ["a catlike toy"] * 3, ["a toy"] * 30, ["catlike"] * 3),
        ("cat", ["a catfish"], ["some fish"], ["catfish"]),
        ("cat", ["a catfish"], ["some meat"], []),
        ("panda", ["a pandaxyz"], [], ["pandaxyz"]),
    ],
)
def test_ordinary_words_are_no_leaks(key: str, own: list[str], others: list[str], leaks: list[str]) -> None:
    assert leaks_of(key, own, others) == leaks
