"""Text reduced to bare letters and digits, and words at one edit from each other.

Independent of how the masker folds text: here accents, width variants and whatever stands between letters are dropped.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

_NOT_ALNUM = re.compile(r"[\W_]+")


def unaccented(text: str) -> str:
    """Lower case without accents, ligatures and width variants (NFKD, nonspacing marks dropped); length may change."""
    if text.isascii():
        return text.lower()
    parts = unicodedata.normalize("NFKD", text)
    return "".join(part for part in parts if unicodedata.category(part) != "Mn").casefold()


def letters(text: str) -> str:
    """The letters and digits of a text alone: ``Pokémon-Center`` gives ``pokemoncenter``."""
    return _NOT_ALNUM.sub("", unaccented(text))


def deletions(word: str) -> Iterator[str]:
    """The word with each of its characters left out in turn."""
    for place in range(len(word)):
        yield word[:place] + word[place + 1 :]


def within_one_edit(one: str, two: str) -> bool:
    """Whether one insertion, deletion, substitution or swap of neighbours at most makes one word the other."""
    if one == two:
        return True
    if len(one) > len(two):
        one, two = two, one
    if len(two) - len(one) > 1:
        return False
    start = 0
    while start < len(one) and one[start] == two[start]:
        start += 1
    if len(one) < len(two):
        return one[start:] == two[start + 1 :]
    if one[start + 1 :] == two[start + 1 :]:
        return True
    return one[start : start + 2] == two[start : start + 2][::-1] and one[start + 2 :] == two[start + 2 :]
