"""Find the names of all classes in a caption at once, and say which classes each of them may stand for.

A name is found where the masker would find it if it masked that class alone. An automaton of every spelling of every
name reads a caption once. Aho and Corasick, Efficient String Matching, CACM 1975.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import product
from typing import NamedTuple, get_args

from openmmlo.building.masking.folding import Folded, fold, is_mark, stands_alone
from openmmlo.building.masking.lexicon import KINDS, Form, Kind, Lexicon

SPELT_WORDS = 5
"""The first words of a name stand in the automaton in every spelling, with and without gaps; further words are
compared where those were found. A name of twelve words would have 2,048 spellings."""

_NARROWEST_FIRST: Mapping[Kind, int] = {kind: place for place, kind in enumerate(get_args(Kind))}
_SPACES = str.maketrans({chr(code): " " for code in range(0x3001) if chr(code).isspace() or chr(code) in "_-"})
_RUN = re.compile(r" {2,}")
_WIDEST_GAP = 3
_BREAK = "\0"  # ends a word, and stands in no name
_MASK = re.compile(r"\[mask\]s?")
_SURROGATES = re.compile("[\ud800-\udfff]")


class Hit(NamedTuple):
    """A name of a class in a caption: which kind of name it is of that class, and where it stands."""

    class_key: str
    kind: Kind
    start: int
    end: int
    text: str


class Spot(NamedTuple):
    """A spelling in a caption, and where it stands.

    Attributes:
        owners: class key -> kind, for the classes it may stand for.
        named: those of them whose name or inflection it is.
        joined: its letters, folded, without gaps: the same for all spellings of one name.
    """

    owners: Mapping[str, Kind]
    named: frozenset[str]
    joined: str
    start: int
    end: int


class _Spelling(NamedTuple):
    """What a string of the automaton stands for.

    Attributes:
        left, right: whether a word must begin and end there.
        tail: what must follow, for names of many words.
        owners, named, joined: as of a :class:`Spot`.
        cased: class key -> the only letter case in which this is its name.
    """

    left: bool
    right: bool
    tail: re.Pattern[str] | None
    owners: Mapping[str, Kind]
    named: frozenset[str]
    joined: str
    cased: Mapping[str, str]


class ClassFinder:
    """Finds the names of many classes in captions.

    Names are those of the lexicon, compared as the masker compares them. What stands in a ``[mask]`` is no name.

    Args:
        lexicon: surface forms per class key.
        keys: the classes to look for; all of the lexicon's where None.
        level: the mask level whose forms are looked for.

    Raises:
        DataError: a class or a level that the lexicon does not hold.
    """

    def __init__(self, lexicon: Lexicon, keys: Collection[str] | None = None, level: str = "hypernym") -> None:
        from ahocorasick_rs import AhoCorasick

        spellings: dict[str, list[_Spelling]] = {}
        for (start, tail), (owners, cased) in _owned(lexicon, keys, level).items():
            last = tail[-1] if tail else start[-1]
            rest = re.compile("".join(f" ?{re.escape(word)}" for word in tail.split(" "))) if tail else None
            named = frozenset(key for key, kind in owners.items() if kind in KINDS["strict"])
            edges = not stands_alone(start[0]), not stands_alone(last)
            spelling = _Spelling(*edges, rest, owners, named, (start + tail).replace(" ", ""), cased)
            spellings.setdefault(_encodable(start), []).append(spelling)
        self._spellings = list(spellings.values())
        self._automaton = AhoCorasick(list(spellings), store_patterns=False)

    def find(self, text: str) -> list[Hit]:
        """Names of every class in a caption, in order of place; those of one class do not overlap.

        Of the names of one class the leftmost counts, then the longest, as in masking.
        """
        per_class: dict[str, list[tuple[int, int, Kind]]] = {}
        for owners, _, _, start, end in self.spots(text):
            for key, kind in owners.items():
                per_class.setdefault(key, []).append((start, end, kind))
        hits = [
            Hit(key, kind, start, end, text[start:end])
            for key, found in per_class.items()
            for start, end, kind in (found if len(found) == 1 else _leftmost_longest(found))
        ]
        return sorted(hits, key=lambda hit: (hit.start, hit.end, hit.class_key)) if len(hits) > 1 else hits

    def spots(self, text: str) -> list[Spot]:
        """Every spelling of every name in a caption, those inside others included, in no order."""
        folded = Folded(text.lower(), None) if text.isascii() else fold(_encodable(text))
        plain, places = folded.text.translate(_SPACES), None
        if _BREAK in plain:
            plain = plain.replace(_BREAK, "\1")
        if "[mask]" in plain:
            plain = _MASK.sub(lambda found: _BREAK * len(found.group()), plain)
        if "  " in plain:
            plain, places = _narrowed(plain)
        found = self._automaton.find_matches_as_indexes(plain, overlapping=True)
        if not found:
            return []
        spots = []
        length = len(plain)
        for number, start, begin_end in found:
            for left, right, tail, owners, named, name, cased in self._spellings[number]:
                end = begin_end
                if left and start and plain[start - 1].isalnum():
                    continue
                if tail is not None:
                    followed = tail.match(plain, end)
                    if followed is None:
                        continue
                    end = followed.end()
                if end < length and ((right and plain[end].isalnum()) or is_mark(plain[end])):
                    continue
                span = (start, end) if places is None else (places[start], places[end - 1] + 1)
                if folded.origins is not None:
                    span = folded.span(*span)
                if cased:
                    said = text[slice(*span)]
                    owners = {key: kind for key, kind in owners.items() if cased.get(key, said) == said}
                    if not owners:
                        continue
                    named = named & owners.keys()
                spots.append(Spot(owners, named, name, *span))
        return spots


def joined(form: Form) -> str:
    """What :attr:`Spot.joined` is for a form: its letters, folded, without gaps."""
    return "".join(fold(form.text).text.translate(_SPACES).split())


def _leftmost_longest(found: list[tuple[int, int, Kind]]) -> Iterator[tuple[int, int, Kind]]:
    done = 0
    for start, end, kind in sorted(found, key=lambda item: (item[0], -item[1], _NARROWEST_FIRST[item[2]])):
        if start >= done:
            yield start, end, kind
            done = end


_Owned = dict[tuple[str, str], tuple[dict[str, Kind], dict[str, str]]]


def _owned(lexicon: Lexicon, keys: Collection[str] | None, level: str) -> _Owned:
    """(start, tail) of every spelling -> its owners with the kind of name, and the letter case where that matters."""
    owned: _Owned = {}
    for key in sorted(lexicon.entries if keys is None else set(keys)):
        for text, kind, case in _names(lexicon.forms(key, level)):
            for spelling in _spelt(text):
                owners, cased = owned.setdefault(spelling, ({}, {}))
                if key not in owners or _NARROWEST_FIRST[kind] < _NARROWEST_FIRST[owners[key]]:
                    owners[key] = kind
                if case is not None:
                    cased[key] = case
    return owned


def _names(forms: Iterable[Form]) -> Iterator[tuple[str, Kind, str | None]]:
    """Folded text, kind and required letter case of each form of one class.

    Letter case is required of a spelling only where no form of the class allows it in any.
    """
    kinds: dict[str, Kind] = {}
    cased: dict[str, str] = {}
    seen: set[str] = set()
    for form in forms:
        text = " ".join(fold(form.text).text.translate(_SPACES).split())
        if not text:
            continue
        key = text.replace(" ", "")
        if form.cased and key not in seen:
            cased[key] = form.text
        elif not form.cased:
            cased.pop(key, None)
        seen.add(key)
        if text not in kinds or _NARROWEST_FIRST[form.kind] < _NARROWEST_FIRST[kinds[text]]:
            kinds[text] = form.kind
    for text, kind in kinds.items():
        yield text, kind, cased.get(text.replace(" ", ""))


def _spelt(text: str) -> Iterator[tuple[str, str]]:
    """(start, tail) for every way to write a name with and without the gaps between its first words."""
    words = text.split(" ")
    first, tail = words[:SPELT_WORDS], " ".join(words[SPELT_WORDS:])
    for gaps in product(("", " "), repeat=len(first) - 1):
        yield first[0] + "".join(gap + word for gap, word in zip(gaps, first[1:], strict=True)), tail


def _narrowed(plain: str) -> tuple[str, list[int]]:
    """Every gap as one space, gaps too wide for a name as none; and the place where each character came from."""
    pieces: list[str] = []
    places: list[int] = []
    done = 0
    for run in _RUN.finditer(plain):
        start, end = run.span()
        pieces += plain[done:start], " " if end - start <= _WIDEST_GAP else _BREAK
        places += range(done, start + 1)
        done = end
    pieces.append(plain[done:])
    places += range(done, len(plain))
    return "".join(pieces), places


def _encodable(text: str) -> str:
    """Lone surrogates, which no UTF-8 holds, as the character for what cannot be shown."""
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)
