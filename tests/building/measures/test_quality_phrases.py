"""What a caption gives away by its text alone: what is found, and what must not be."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from openmmlo.building.captioners import PAPER_PROMPT
from openmmlo.building.measures.quality import phrases
from openmmlo.building.measures.quality.facts import COLUMNS, Look, look, prompt_echo
from openmmlo.building.schema import COLUMNS as TYPES

FOUND = {
    "refusals": [
        "I'm sorry, but I can't help with that.",
        "I’m sorry, I cannot see the image.",
        "Sorry, no image was provided.",
        "I am unable to view the image.",
        "As an AI language model, I do not have eyes.",
        "as a large language model I cannot describe people",
        "I cannot describe this picture.",
        "Unfortunately, I can't see any picture here.",
        "The assistant says: I'm just an AI.",
        "I don't have access to the image.",
        "I do not see an image in your message.",
        "Please upload the image you want described.",
        "I apologize for the confusion.",
        "The picture is dark, but I cannot identify the person.",
        "That is against my guidelines.",
    ],
    "addresses": [
        "see https://example.org/a",
        "a logo of WWW.example.com.",
        "write to someone@mail.example.com now",
    ],
    "special_tokens": ["a dog</s>", "<unk> cat", "<|im_end|>", "a [PAD] [pad]", "<image> A dog.", "<|endoftext|> x"],
    "broken_characters": ["a \ufffd dog", "a\x00b", "bell\x07", "\x9f"],
}

NOT_FOUND = {
    "refusals": [
        "A sign says sorry in red letters.",
        "A person who cannot see the road is walking with a dog.",
        "A T-shirt with the words I can't even.",
        "The bird is sorry to see it go.",
        "A man provides an image of calm.",
        "The animals are unable to see the water.",
        "An artificial flower as an ornament.",
        "Two dogs that we see in the image are brown.",
        "There are no pictures on the wall.",
        "an air-plane as an aid",
    ],
    "addresses": ["1:2 mix @ night", "a www sign", "the site is http", "name@host", "e.g. a.b", "a@b"],
    "special_tokens": ["a < b and c > d", "[mask] on a table", "</ s>", "[a]", "<3", "<|", "pad", "a <b> bold"],
    "broken_characters": ["tab\there", "line\nbreak\r\n", "naïve café 日本 \u0085 \U0001f600", ""],
}


@pytest.mark.parametrize("kind", list(phrases.PATTERNS))
def test_kinds_are_found_and_nothing_else(kind: str) -> None:
    good, bad = NOT_FOUND[kind], FOUND[kind]
    found = phrases.matches(pa.array([*bad, *good]), kind)
    assert [text for text, hit in zip(bad, found[: len(bad)], strict=True) if not hit] == []
    assert [text for text, hit in zip(good, found[len(bad) :], strict=True) if hit] == []


def test_empty_means_without_letter_and_digit() -> None:
    texts = ["", "  \n", "...", "—!?", "\u200b", "a", "7", "日", "é", "²"]
    assert phrases.empty(pa.array(texts)).tolist() == [True] * 5 + [False] * 5


def test_sentences_end_with_a_mark_whatever_closes_behind_it() -> None:
    ends = ["A dog.", "Why?", 'He says "stop!"', "(A dog.)", "犬。", "so…", "A dog. \n", "It’s ‘new.’"]
    goes_on = ["A dog", "A dog,", "", "the", "A dog: ", "3.5", "a dog. and"]
    assert phrases.ended(pa.array(ends + goes_on)).tolist() == [True] * len(ends) + [False] * len(goes_on)


def test_other_scripts_are_those_of_most_letters() -> None:
    texts = ["A café ÅÄÖ", "日本の犬", "a 犬", "собака на траве", "dog собака", "12 — ☃", "ﬁ ａ", "अच्छा कुत्ता"]
    expected = [False, True, False, True, True, False, False, True]
    assert phrases.other_script(pa.array(texts)).tolist() == expected


def echoes(captions: list[str], prompt: str) -> list[bool]:
    values = {"label": [0], "class_key": ["c"], "caption": [""], "masked_caption": [""]}
    values = {name: value * len(captions) for name, value in values.items()} | {"caption": captions}
    batch = pa.record_batch({name: pa.array(values[name], TYPES[name]) for name in COLUMNS})
    return look(batch, Look({}, prompt)).defects["prompt_echoes"].tolist()


def test_echoes_share_five_words_in_a_row_with_the_prompt() -> None:
    captions = [
        PAPER_PROMPT,
        "What does this picture describe?",
        "what does this  picture, DESCRIBE: a dog",
        "A dog. Its size, location, color, and its relationship to others.",
        "what does this picture show",
        "a dog in its relationship to the house",
        "describe picture this does what",
        "",
    ]
    assert echoes(captions, PAPER_PROMPT) == [True] * 4 + [False] * 4
    assert not any(echoes(captions, "Describe this picture."))
    assert prompt_echo(PAPER_PROMPT)
    assert not prompt_echo("Describe this picture.")
    assert not prompt_echo("")


def test_only_the_mask_is_left() -> None:
    masked = ["[mask]", "[mask]s!", "[mask], [mask]'s 2.", "a [mask]", "", "12"]
    values = {"label": [0] * 6, "class_key": ["c"] * 6, "caption": ["x"] * 6, "masked_caption": masked}
    batch = pa.record_batch({name: pa.array(values[name], TYPES[name]) for name in COLUMNS})
    assert look(batch, Look({})).defects["only_mask"].tolist() == [True, True, True, False, False, False]


def test_every_pattern_is_linear_in_what_it_reads() -> None:
    hostile = ["as a " * 50_000, "<|" * 100_000, "a@" * 100_000, "i am " * 50_000, "sorry " * 50_000 + "\ufffd"]
    for kind in phrases.PATTERNS:
        assert phrases.matches(pa.array(hostile), kind).dtype == np.bool_
