"""Mask level head: what the level strict hides, and the head noun of every name of several words.

"shark" for "great white shark", "bird" for "bird of prey", "scissors" for "pair of scissors". Names written as one word
have no head here ("goldfish" does not give "fish"): no rule without a dictionary tells it from "butterfly" or "carpet",
and with WordNet the level hypernym finds it where it is true.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from openmmlo.building.function_words import FUNCTION_WORDS, NAMES_TOO
from openmmlo.building.masking.folding import unspaced
from openmmlo.building.masking.lexicon import Form, Naming
from openmmlo.building.masking.names import SETTINGS, Words, bases
from openmmlo.building.masking.strict import BINOMIAL, PREPOSITIONS, phrase_forms
from openmmlo.records import ClassInfo

_QUANTITY_WORDS = """
assortment batch bit breed bunch chunk class cluster collection couple family genus group half handful heap item kind
load lot lump number order pack pair part patch piece pile portion row segment selection series set sheet slice sort
species stack strip style subspecies suit type variety version
"""

_QUANTITIES = frozenset(_QUANTITY_WORDS.split())
"""In "pair of scissors" the thing is what follows."""

_BEHIND = SETTINGS | frozenset(
    ["cultivated", "general", "natural", "private", "public", "rural", "snowy", "urban", "wild"]
)
"""Words that may stand behind the noun: "church outdoor", "mountain snowy", "attorney general"."""

_OTHER_LAST_WORDS = """
alive asleep big cold domestic exterior formal giant great hairless hot inner interior large little long major minor
mobile modern new old outer residential round short small soft tall tricolor upper wooden young
beige black blue brown crimson gold golden gray green grey maroon orange pink purple red scarlet silver tan turquoise
violet white yellow
zero one two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty hundred thousand million
first second third fourth fifth last
"""

_NOT_NOUNS = frozenset(_OTHER_LAST_WORDS.split())
"""Last words that are no head: "African grey", "Mexican hairless", "merry-go-round", "forty two"."""

_GENUS = re.compile(r".*(a|us|um|is|es|os|as|on|o|i|ix|ax|ex|yx|ys|ops)")
_EPITHET = re.compile(r".*(a|us|um|is|ii|ae|i|ens|ans|ix|ax|ex|os|as|es|major|minor)")


def forms(item: ClassInfo, naming: Naming) -> Iterator[Form]:
    """Head nouns of one class's names, in both numbers; possibly repeated."""
    for name in telling_names(item, naming):
        if naming.taxa and BINOMIAL.fullmatch(name.strip()):
            continue
        for words in bases(name, naming):
            head = head_of(words)
            if head is not None:
                for form in phrase_forms((head,), naming):
                    yield replace(form, kind="head")


def telling_names(item: ClassInfo, naming: Naming) -> list[str]:
    """The names that tell what is said of what: of settings the key, "lake-natural", and no "lake natural"."""
    names = dict.fromkeys((item.name, *item.synonyms))
    if not naming.settings:
        return list(names)
    return [item.key, *(name for name in names if not _same_words(name, item.key))]


def head_of(words: Words) -> str | None:
    """The head noun of a name; None for a name of one word, a scientific name, and where no noun is found.

    What may stand behind the noun ("church outdoor", "mountain snowy") is passed over. The head stands before the first
    preposition, or is the last word. Function words, numbers, colours and single letters are no heads.
    """
    if len(words) < 2 or is_scientific(words):
        return None
    while len(words) > 1 and words[-1].casefold() in _BEHIND:
        words = words[:-1]
    places = [place for place, word in enumerate(words) if place and word.casefold() in PREPOSITIONS]
    if places and places[0] < len(words) - 1:
        first, rest = words[places[0] - 1], _without_articles(words[places[0] + 1 :])
        if first.casefold() not in _QUANTITIES or not rest:
            return first if _is_noun_like(first) else None
        return rest[0] if len(rest) == 1 and _is_noun_like(rest[0]) else head_of(rest)
    return words[-1] if _is_noun_like(words[-1]) else None


def is_scientific(words: Words) -> bool:
    """Whether a name looks Latin: genus and epithet with Latin endings ("Felis catus"), or an initial ("F. catus")."""
    genus, *epithets = words
    if re.fullmatch(r"\w\.", genus):
        return True
    if not BINOMIAL.fullmatch(" ".join(words)) or not epithets:
        return False
    return bool(_GENUS.fullmatch(genus) and any(map(_EPITHET.fullmatch, epithets))) or genus.casefold() == epithets[0]


def _is_noun_like(word: str) -> bool:
    plain = word.casefold()
    if plain in FUNCTION_WORDS - NAMES_TOO or plain in _NOT_NOUNS or plain in PREPOSITIONS:
        return False
    if any(map(str.isdigit, word)):
        return False
    return sum(map(str.isalpha, word)) >= 2 or any(map(unspaced, word))


def _without_articles(words: Words) -> Words:
    while words and words[0].casefold() in ("a", "an", "the"):
        words = words[1:]
    return words


def _same_words(name: str, key: str) -> bool:
    return sorted(re.split(r"[\s_\-/]+", name.casefold())) == sorted(re.split(r"[\s_\-/]+", key.casefold()))
