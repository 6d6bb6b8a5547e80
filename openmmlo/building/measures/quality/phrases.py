"""What gives a bad caption away by its text alone: a table of RE2 expressions, matched without regard to case."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

_APOSTROPHE = "['’ʼ]?"
_I = rf"(?:i{_APOSTROPHE}m|i am|we are|i|we|this model)"
_NOT = rf"(?:cannot|can not|can{_APOSTROPHE}t|could not|couldn{_APOSTROPHE}t|do not|don{_APOSTROPHE}t)"
_UNABLE = r"(?:(?:am |are |is )?(?:unable|not able) to)"
_SEE = r"(?:see|view|access|open|load|process|display|describe|identify|analy[sz]e|interpret|determine)"
_SERVE = r"(?:provide|assist|help|comply|fulfill?|continue)"
_IMAGE = r"(?:(?:an?|any|the|this|that|your) )?(?:\w+ )?(?:image|picture|photo)s?"
_GIVE = r"(?:upload|re-?upload|provide|share|attach|send)"
_MODEL = r"(?:ai|artificial intelligence|(?:large )?(?:vision[ -])?language model|text-based \w+)"

REFUSALS = (
    rf"\bas an? {_MODEL}\b",
    rf"\bi(?:{_APOSTROPHE}m| am) (?:just |only )?an? {_MODEL}\b",
    rf"^\W*(?:{_I} )?(?:very |so |truly )?sorry\b",
    r"^\W*(?:my )?apologies\b|^\W*i apologi[sz]e\b",
    rf"(?:^|[.!?,;:]|\bbut|\bunfortunately|\bhowever)\W*\b{_I} (?:{_NOT}|{_UNABLE}) (?:\w+ )?(?:{_SEE}|{_SERVE})\b",
    rf"\b{_UNABLE} {_SEE} {_IMAGE}\b",
    rf"\bi {_NOT} (?:\w+ )?(?:have|see) (?:the ability|access|{_IMAGE})\b",
    r"\bno (?:image|picture|photo)s? (?:was |were |has been )?(?:provided|attached|uploaded|given)\b",
    rf"\bplease {_GIVE} (?:me )?{_IMAGE}\b",
    r"\bagainst my (?:guidelines|programming|polic(?:y|ies))\b",
)
"""How language models decline to describe an image, or say that they see none."""

PATTERNS: Mapping[str, str] = {
    "refusals": "|".join(f"(?:{pattern})" for pattern in REFUSALS),
    "addresses": r"https?://|\bwww\.[a-z0-9-]+\.|\b[a-z0-9._%+-]+@[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,}\b",
    "special_tokens": r"</?(?:s|unk|pad|image|bos|eos|mask)>|<\|[^|<>\s]{1,40}\|>|\[(?:PAD|UNK|CLS|SEP|INST|/INST)\]",
    "broken_characters": r"[\x{FFFD}\x00-\x08\x0E-\x1F\x7F-\x{84}\x{86}-\x{9F}]",
}
"""Kind -> expression; a caption in which it is found is of that kind."""

_WORDLIKE = r"[\pL\pN]"
_ENDED = r"[.!?…。！？।؟۔](?:[\"'”’»」』)\]*\s]|&quot;)*$"


def matches(texts: Any, kind: str) -> NDArray[np.bool_]:
    """(N,) which captions of an Arrow array are of a kind of :data:`PATTERNS`."""
    return _matches(texts, PATTERNS[kind], ignore_case=True)


def empty(texts: Any) -> NDArray[np.bool_]:
    """(N,) which captions hold neither a letter nor a digit."""
    return ~_matches(texts, _WORDLIKE)


def ended(texts: Any) -> NDArray[np.bool_]:
    """(N,) which captions end as a sentence does: with a full stop, question or exclamation mark, or dots."""
    return _matches(texts, _ENDED)


def other_script(texts: Any) -> NDArray[np.bool_]:
    """(N,) which captions are written in another script than the Latin: more than half of their letters are."""
    import pyarrow.compute as pc

    found = np.zeros(len(texts), bool)
    foreign = np.flatnonzero(~pc.string_is_ascii(texts).to_numpy(zero_copy_only=False))
    if len(foreign):
        rows = texts.take(foreign)
        letters = pc.count_substring_regex(rows, r"\pL").to_numpy(zero_copy_only=False)
        latin = pc.count_substring_regex(rows, r"\p{Latin}").to_numpy(zero_copy_only=False)
        found[foreign] = 2 * latin < letters
    return found


def _matches(texts: Any, pattern: str, ignore_case: bool = False) -> NDArray[np.bool_]:
    import pyarrow.compute as pc

    found = pc.match_substring_regex(texts, pattern, ignore_case=ignore_case)
    return np.asarray(found.to_numpy(zero_copy_only=False), bool)
