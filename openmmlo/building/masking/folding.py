"""Text as the masker compares it: case, typographic dashes and apostrophes, and composed accents count as equal.

``str.lower`` and Unicode normalisation change lengths (İ becomes two characters, é may be one or two), so that a place
in the folded text is not a place in the caption. A :class:`Folded` keeps the way back.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u00ad"
_APOSTROPHES = "\u2018\u2019\u201b\u02bc\u2032\uff07"
_ALIKE = str.maketrans(
    dict.fromkeys(_DASHES, "-")
    | dict.fromkeys(_APOSTROPHES, "'")
    # Turkish dotted and dotless i count as i: otherwise İ folds to two characters of which one is a bare dot.
    | {"\u0130": "i", "\u0131": "i", "\u200b": " ", "\u2060": " ", "\ufeff": " "}
)


_NOT_ASCII = re.compile(r"[^\x00-\x7f]")


class Folded(NamedTuple):
    """Folded text, and for each of its characters the (start, end) it came from; None where the two agree."""

    text: str
    origins: list[tuple[int, int]] | None

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Where ``text[start:end]``, not empty, lies in the original."""
        if self.origins is None:
            return start, end
        return self.origins[start][0], self.origins[end - 1][1]


def fold(text: str) -> Folded:
    """Fold a caption or a name. ASCII costs one ``lower``; only text that changes length is folded by character."""
    if text.isascii():
        return Folded(text.lower(), None)
    if unicodedata.is_normalized("NFC", text):
        folded = _NOT_ASCII.sub(_fold_one, text).lower()
        if len(folded) == len(text):
            return Folded(folded, None)
    pieces: list[str] = []
    origins: list[tuple[int, int]] = []
    for start, end in _clusters(text):
        piece = unicodedata.normalize("NFC", text[start:end]).translate(_ALIKE).casefold().lower()
        pieces.append(piece)
        origins.extend([(start, end)] * len(piece))
    return Folded("".join(pieces), origins)


def _fold_one(found: re.Match[str]) -> str:
    return found.group().translate(_ALIKE).casefold()


def _clusters(text: str) -> list[tuple[int, int]]:
    """(start, end) of each character with the combining marks and conjoining Hangul letters that follow it."""
    starts = [
        index
        for index, character in enumerate(text)
        if index == 0 or not (unicodedata.combining(character) or "\u1160" <= character <= "\u11ff")
    ]
    return list(zip(starts, [*starts[1:], len(text)], strict=True))


def is_mark(character: str) -> bool:
    """Whether a character belongs to the letter before it: a combining accent, a vowel sign. False for no character."""
    return not character.isascii() and unicodedata.category(character).startswith("M")


def unspaced(character: str) -> bool:
    """Whether a character is of a script written without spaces: Chinese, Japanese, Thai, Lao, Burmese, Khmer."""
    return any(first <= character <= last for first, last in _UNSPACED)


def stands_alone(character: str) -> bool:
    """Whether a name may begin or end at this character without a word boundary: punctuation, unspaced scripts."""
    return unspaced(character) or not (character.isalnum() or is_mark(character))


_UNSPACED = (
    ("\u0e00", "\u0eff"),
    ("\u1000", "\u109f"),
    ("\u1780", "\u17ff"),
    ("\u3040", "\u30ff"),
    ("\u3400", "\u9fff"),
    ("\uf900", "\ufaff"),
    ("\U00020000", "\U0003ffff"),
)
