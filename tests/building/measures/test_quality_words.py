"""Pieces, words and repetition of captions against plain Python."""

from __future__ import annotations

import random
import unicodedata
from collections import Counter
from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from openmmlo.building.measures.quality.pieces import Pieces, Ragged, grams, hash_of, starts_of
from openmmlo.building.measures.quality.repetition import repeats
from openmmlo.building.word_counts import words

TEXTS = st.lists(
    st.text(st.sampled_from("abZ é\u0301ß'’-[]mask012.,!\n\t\u2028\u00a0\x1c\u0130日"), max_size=30),
    min_size=1,
    max_size=8,
)


def hashed(texts: list[str]) -> list[list[int]]:
    return [[hash_of(word) for word in words(text)] for text in texts]


def rows_of(found: Ragged) -> list[list[int]]:
    return [found.values[start:end].tolist() for start, end in zip(found.starts, found.starts[1:], strict=False)]


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_words_of_pieces_are_the_words_of_captions(texts: list[str]) -> None:
    assert rows_of(Pieces.split(pa.array(texts)).words()) == hashed(texts)


@settings(max_examples=300, deadline=None)
@given(TEXTS)
@example([" Z\x1c\u0130\t\n, "])
@example(["\u00df\u2028\xa0s\u65e5s\t"])
@example(["\x1c", "\x1d\x1e\x1f", "\u0130", "i\u0307"])
def test_hashes_are_equal_where_normalised_texts_are(texts: list[str]) -> None:
    def normalised(text: str) -> tuple[str, ...]:
        return tuple(unicodedata.normalize("NFC", piece).casefold() for piece in text.split())

    texts = [*texts, *(f"  {text.upper()} " for text in texts), *(text.replace(" ", "\n\n") for text in texts)]
    found = Pieces.split(pa.array(texts)).hashes().tolist()
    expected = list(map(normalised, texts))
    for i, j in combinations(range(len(texts)), 2):
        assert (found[i] == found[j]) == (expected[i] == expected[j]), (texts[i], texts[j])


@pytest.mark.parametrize("space", [" ", "\t", "\x1c", "\x85", "\u00a0", "\u2028", "\u3000", " \t", "\u3000 "])
def test_white_space_at_the_end_of_a_full_buffer_is_split_off(space: str) -> None:
    """Arrow rounds its buffers up to 64 bytes, and reads past the end of the last text."""
    for length in range(1, 130):
        column = pa.array(["a" * length + space])
        assert Pieces.split(column).texts[0] == "a" * length, (length, space)


def test_every_white_space_of_python_parts_pieces() -> None:
    characters = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    found = Pieces.split(pa.array([f"a{character}b" for character in characters])).of_captions.lengths
    assert found.tolist() == [len(f"a{character}b".split()) for character in characters]


def test_hashes_do_not_depend_on_the_neighbours() -> None:
    texts = ["one two", "", "two one", "three", "one  two"]
    together = Pieces.split(pa.array(texts)).hashes().tolist()
    assert together == [Pieces.split(pa.array([text])).hashes()[0] for text in texts]
    assert Pieces.split(pa.array(["x", *texts])[1:]).hashes().tolist() == together, "a slice of an array"
    assert len(set(together)) == 4


def test_tokens_are_words_and_what_holds_none() -> None:
    (found,) = rows_of(Pieces.split(pa.array(["A dog, 12 - cats' 3x"])).tokens())
    assert found == [hash_of(token) for token in ("a", "dog", "12", "-", "cats", "x")]


def test_taking_rows_by_number_repeats_and_reorders_them() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(0, 5, 20)
    table = Ragged(rng.integers(0, 100, lengths.sum()), starts_of(lengths))
    which = rng.integers(0, 20, 50)
    rows = rows_of(table)
    assert rows_of(table.take(which)) == [rows[place] for place in which]
    assert table.sums().tolist() == list(map(sum, rows))


def test_grams_stay_inside_a_caption() -> None:
    texts = ["a b c d", "a b c", "", "b c d", "c b a"]
    found, rows = grams(Pieces.split(pa.array(texts)).words(), 3)
    assert rows.tolist() == [0, 0, 1, 3, 4]
    assert found[0] == found[2]
    assert found[1] == found[3]
    assert len(set(found.tolist())) == 3


def plain_repeats(tokens: list[str]) -> tuple[bool, int, int]:
    """What the page on quality says, word for word."""
    four = Counter(tuple(tokens[place : place + 4]) for place in range(len(tokens) - 3))
    found = any(count >= 3 for count in four.values())
    for length, times in ((1, 4), (2, 3), (3, 3)):
        for place in range(len(tokens) - length * times + 1):
            phrases = {tuple(tokens[place + turn * length :][:length]) for turn in range(times)}
            found = found or len(phrases) == 1
    return found, sum(four.values()), sum(four.values()) - len(four)


def test_repetition_agrees_with_a_plain_loop() -> None:
    rng = random.Random(1)
    texts = [" ".join(rng.choices("abc"[: rng.randint(1, 3)] + "d" * 2, k=rng.randint(0, 16))) for _ in range(3000)]
    found = repeats(Pieces.split(pa.array(texts)).tokens())
    expected = [plain_repeats(text.split()) for text in texts]
    assert list(zip(found.found.tolist(), found.grams.tolist(), found.again.tolist(), strict=True)) == expected
    assert 0.2 < found.found.mean() < 0.9, "both outcomes are tested"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("very very very big dog", False),
        ("very, very very Very big dog", True),
        ("a dog and a dog and a cat", False),
        ("a dog and a dog and a dog and", True),
        ("red car red car Red car.", True),
        ("0 0 0 0", True),
        (". . . .", True),
        ("a man on a horse in the rain, and then a man on a horse, a man on a horse", True),
        ("there is a dog in the middle of the picture; the cat is in the middle of the picture", False),
        ("", False),
    ],
)
def test_what_repeats_itself(text: str, expected: bool) -> None:
    assert repeats(Pieces.split(pa.array([text])).tokens()).found.tolist() == [expected]
