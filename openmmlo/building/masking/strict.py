"""Mask level strict: every name and synonym of the class with its inflections and spellings, nothing broader."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from math import prod

from openmmlo.building.function_words import FUNCTION_WORDS, NAMES_TOO
from openmmlo.building.masking.folding import fold
from openmmlo.building.masking.inflections import plurals, singular
from openmmlo.building.masking.lexicon import Form, Kind, Naming
from openmmlo.building.masking.names import SETTINGS, Words, phrases
from openmmlo.records import ClassInfo

_MOST_SPELLINGS = 64
"""A name of more spellings than this, which none of a real class table has, is looked for as it is written."""

PREPOSITIONS = frozenset({"of", "in", "on", "at", "with", "for", "from", "to", "by", "under"})

BINOMIAL = re.compile(r"[A-Z][a-z]+(-[a-z]+)?(?: [×x] | ×| )[a-z]+(-[a-z]+)*( [a-z]+(-[a-z]+)*)?")


def forms(item: ClassInfo, naming: Naming) -> Iterator[Form]:
    """Surface forms of one class, in no order and possibly repeated."""
    keys = (item.key,) if naming.settings else ()
    for name in dict.fromkeys((item.name, *item.synonyms, *keys)):
        if naming.taxa and BINOMIAL.fullmatch(name.strip()):
            yield from _taxon_forms(re.sub(r"[×]|\bx\b", " ", name).split())
            continue
        if naming.taxa and name == item.key and name.isdecimal():
            continue  # a category id in place of a name that is not at hand
        for words in phrases(name, naming):
            yield from phrase_forms(words, naming)
            if BINOMIAL.fullmatch(" ".join(words)):
                # Also "E. setter" for "English setter", which harms nothing; the genus alone would hide "English".
                yield Form(f"{fold(words[0]).text[0]}. {fold(' '.join(words[1:])).text}")


def phrase_forms(words: Words, naming: Naming) -> Iterator[Form]:
    """A phrase in the number it has and in the other."""
    if len(words) == 1 and words[0].casefold() in FUNCTION_WORDS - NAMES_TOO:
        capitals = words[0].upper()
        yield Form(capitals, cased=True)
        yield Form(capitals + "s", plural=True, cased=True, kind="inflection")
        return
    head, last = _counted(words)
    scientific = naming.dictionary and BINOMIAL.fullmatch(" ".join(words))
    single = None if scientific else singular(words[head])
    yield from _spellings(words, single is not None, "name")
    if single is not None and not naming.dictionary:
        yield from _spellings(_with(words, head, single), False, "inflection")
    for place in {head, last}:
        for other in plurals(single if single and place == head else words[place]):
            if other != words[place].casefold():
                yield from _spellings(_with(words, place, other), True, "inflection")


def _counted(words: Words) -> tuple[int, int]:
    """Places of the words that take the plural: of "bird of prey" the first and the last, else the last twice.

    "outdoor" and its like take none: of "church outdoor" it is the word before.
    """
    last = len(words) - 1
    if last and words[last].casefold() in SETTINGS:
        last -= 1
    prepositions = (place for place, word in enumerate(words) if place and word.casefold() in PREPOSITIONS)
    return next(prepositions, last + 1) - 1, last


def _with(words: Words, place: int, word: str) -> Words:
    return (*words[:place], word, *words[place + 1 :])


def _spellings(words: Words, plural: bool, kind: Kind) -> Iterator[Form]:
    """One phrase with and without its apostrophes and full stops, with & or and; the gaps are the masker's."""
    choices = []
    for place, word in enumerate(words):
        text = fold(word).text
        options = {text, text.replace("'", "") or text}
        if len(text) > 2:
            options |= {option.replace(".", "") or text for option in options}
        if text in ("&", "and", "'n'", "n"):
            options |= {"&", "and"}
        if place < len(words) - 1 and text.endswith("s") and not text.endswith(("ss", "us", "is")) and len(text) > 3:
            options |= {text[:-1] + "'s", text + "'"}
        choices.append(sorted(options))
    if prod(map(len, choices)) > _MOST_SPELLINGS:
        choices = [[fold(word).text] for word in words]
    for chosen in product(*choices):
        yield Form(" ".join(chosen), plural, kind=kind)


def _taxon_forms(parts: list[str]) -> Iterator[Form]:
    """Binomial, abbreviated genus, genus alone; a subspecies also without its third word.

    The full stop of "Q. alba" is required: without it "a minor" would be Acalypha minor.
    """
    genus, *epithets = (fold(part).text for part in parts)
    for count in range(1, len(epithets) + 1):
        species = " ".join(epithets[:count])
        yield Form(f"{genus} {species}")
        yield Form(f"{genus} × {species}")
        yield Form(f"{genus[0]}. {species}")
    if len(epithets) == 2:
        yield Form(f"{genus[0]}. {epithets[0][0]}. {epithets[1]}")
    yield Form(genus)
    for plural in plurals(genus):
        if plural != genus:
            yield Form(plural, plural=True, kind="inflection")
