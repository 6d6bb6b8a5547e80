"""A class name as a source writes it in; the phrases a caption may say for it out, as tuples of words.

"apartment_building-outdoor" gives apartment building outdoor, apartment building, outdoor apartment building;
"crane (bird)" gives crane and crane bird; "SeaLion" gives Sea Lion.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from openmmlo.building.masking.folding import unspaced
from openmmlo.building.masking.lexicon import Naming

MAX_NAME = 200
"""Longest name, in characters, that is looked for. No caption holds a longer one, and a lexicon stays bounded."""

MAX_WORDS = 12

_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_PARENTHESES = re.compile(r"\s*[(\[]([^()\[\]]*)[)\]]\s*")
_WNID = re.compile(r"[\s_\-]*\bn\d{8}\b")
_BETWEEN_WORDS = re.compile(r"[\s_\-\u00ad\u2010-\u2015\u2212/\u200b]+")
_EDGES = '"“”«»()[]{}<>,;:!?*|\\~^='
_QUOTES = "'‘’ "
SETTINGS = frozenset({"indoor", "outdoor", "indoors", "outdoors", "interior", "exterior"})
"""What may be left out behind a hyphen in the names of any source."""

Words = tuple[str, ...]


def phrases(name: str, naming: Naming) -> list[Words]:
    """Every phrase a name stands for, without repeats, the full name first. Letter case is kept.

    Empty for a name of fewer than two letters or digits (one, in a script written without spaces) and for a name
    beyond MAX_NAME characters or MAX_WORDS words.
    """
    found: dict[Words, None] = {}
    for base, setting in _parts(name, naming):
        for words in (base + setting, base, setting + base):
            found[words] = None
    return [words for words in found if _is_sayable(words)]


def bases(name: str, naming: Naming) -> list[Words]:
    """What :func:`phrases` gives, without what may be left out: of "crane (bird)" crane alone."""
    found = dict.fromkeys(base for base, _ in _parts(name, naming))
    return [words for words in found if _is_sayable(words)]


def qualifiers(name: str) -> list[Words]:
    """What stands in parentheses: of "crane (bird)" bird."""
    if len(name) > MAX_NAME:
        return []
    found = (_words(text) for text in _PARENTHESES.findall(_WNID.sub("", unicodedata.normalize("NFC", name))))
    return [words for words in found if words]


def _parts(name: str, naming: Naming) -> Iterator[tuple[Words, Words]]:
    """(base, what may be left out) for each name in a list of names; nothing for one beyond MAX_NAME characters."""
    if len(name) > MAX_NAME:
        return
    name = _WNID.sub("", unicodedata.normalize("NFC", name))
    for part in (name, *re.split(r"[,;]\s+|[\n\r]+", name)):
        if part == name and re.search(r"[,;]\s", part):
            continue
        yield from _settings(part, naming)


def _settings(part: str, naming: Naming) -> list[tuple[Words, Words]]:
    """(base, what may be left out) for one name: parentheses, a slash, or a known word behind a hyphen."""
    qualifiers = [text for text in _PARENTHESES.findall(part) if text.strip()]
    if qualifiers and (base := _words(_PARENTHESES.sub(" ", part))):
        return [(base, _words(" ".join(qualifiers)))]
    first, slash, rest = part.partition("/")
    if slash and _words(first) and _words(rest):
        return [(_words(first), _words(rest))]
    first, hyphen, rest = part.rpartition("-")
    if hyphen and _words(first) and (naming.settings or rest.strip(" _").casefold() in SETTINGS):
        return [(_words(first), _words(rest))]
    words = _words(part)
    if len(words) > 1 and words[-1].casefold() in SETTINGS:
        return [(words[:-1], words[-1:])]
    return [(words, ())]


def _words(text: str) -> Words:
    pieces = _BETWEEN_WORDS.split(_CAMEL.sub(" ", text.strip(_QUOTES)))
    words = (piece.strip(_EDGES) for piece in pieces)
    return tuple(word for word in words if word == "&" or any(map(str.isalnum, word)))


def _is_sayable(words: Words) -> bool:
    text = "".join(words)
    letters = sum(map(str.isalnum, text))
    return len(words) <= MAX_WORDS and (letters >= 2 or any(map(unspaced, text)))
