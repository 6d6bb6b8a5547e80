"""Words and phrases of captions come in; names that are hidden in them out of the masker's sight come out.

A name may stand inside a longer word (``compound``: "pandalike"), or be spelt at one edit from a spelling of the
lexicon, or with gaps, accents or characters in it that no spelling has (``misspelling``: "umbrela", "pan-da"). Whether
what looks like that is a leak or an ordinary word is decided at the end, by :mod:`.sightings`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

from openmmlo.building.masking import KINDS, Form, Lexicon
from openmmlo.building.measures.audit.plain import deletions, letters, unaccented, within_one_edit
from openmmlo.building.word_counts import MASK_WORD

SHORTEST_INSIDE = 3
"""Names of fewer letters are not looked for inside longer words."""

SHORTEST_ANYWHERE = 6
"""Names of so many letters are found in the middle of a word too; shorter ones at its beginning or end."""

SHORTEST_MISSPELT = 6
"""Names of fewer letters have too many ordinary words at one edit."""

SHORTEST_PIECE = 3
"""Of a name cut up by spaces each piece has so many letters; "a corn" is no acorn."""

_SHORTEST_CUT = 4  # of names cut up without a space ("pan-da")

Disguise = Literal["compound", "misspelling"]


class Candidate(NamedTuple):
    """A name that may be hidden in a word; ``rest`` is what the word has before and behind it."""

    kind: Disguise
    name: str
    rest: tuple[str, str]


class Seen(NamedTuple):
    """A possible disguise of a class's name in a caption.

    Attributes:
        name: letters of the name.
        rest: of a compound, what the word has before and behind the name.
        evidence: the words that are unlike the name's own; none where only what stands between them is.
        found: how the caption writes it, as far as that is known.
    """

    kind: Disguise
    name: str
    rest: tuple[str, str]
    evidence: tuple[str, ...]
    found: str


@dataclass(frozen=True)
class _Phrases:
    """Names of one class, for the search in whole captions.

    Attributes:
        joined: letters of each name, for names that are cut up.
        several: words and letters of each name of several words.
        anchors: words of which a misspelt name of several words keeps one.
        longest: most words of a name.
        broader: letters of its head nouns and broader terms, which are found as such.
    """

    joined: frozenset[str]
    several: tuple[tuple[tuple[str, ...], str], ...]
    anchors: frozenset[str]
    longest: int
    broader: frozenset[str]


class Disguises:
    """Looks for the names and inflections of all classes of a lexicon.

    Names that count in one letter case only ("IT") are left out: in any other they are other words. So are those with a
    word of one letter ("E. setter"), which are at one edit from what they shorten.
    """

    def __init__(self, lexicon: Lexicon) -> None:
        from ahocorasick_rs import AhoCorasick

        self._lexicon = lexicon
        owners: dict[str, set[str]] = {}
        for key in lexicon.entries:
            for form in _searched(lexicon, key):
                owners.setdefault(letters(form.text), set()).add(key)
        self.owners: Mapping[str, frozenset[str]] = {name: frozenset(keys) for name, keys in owners.items()}
        self._inside = [name for name in owners if len(name) >= SHORTEST_INSIDE]
        self._automaton = AhoCorasick(self._inside, store_patterns=False)
        near: dict[str, list[str]] = {}
        for name in owners:
            if len(name) >= SHORTEST_MISSPELT:
                for key in {name, *deletions(name)}:
                    near.setdefault(key, []).append(name)
        self._near = {key: tuple(names) for key, names in near.items()}
        self._words: dict[str, Mapping[str, Candidate]] = {}
        self._innocent = {MASK_WORD}
        self._phrases: dict[str, _Phrases] = {}

    def see(self, key: str, text: str, words: set[str]) -> list[Seen]:
        """Possible disguises of a class's names in a caption whose visible names are masked.

        Args:
            words: the words of ``text`` (:func:`openmmlo.building.word_counts.words`).
        """
        phrases = self._phrases.get(key)
        if phrases is None:
            phrases = self._phrases[key] = self._of_class(key)
        seen = []
        for word in words - self._innocent:
            candidates = self._words.get(word)
            if candidates is None:
                candidates = self._words[word] = self._candidates(word)
                if not candidates:
                    self._innocent.add(word)
            if key in candidates and letters(word) not in phrases.broader:
                kind, name, rest = candidates[key]
                seen.append(Seen(kind, name, rest, (word,), word))
        if not phrases.anchors.isdisjoint(words) or (phrases.joined and _any_inside(phrases.joined, text)):
            seen += _in_phrases(phrases, text)
        return sorted(seen)

    def _candidates(self, word: str) -> dict[str, Candidate]:
        """Class key -> the name that may be hidden in a word, for every class."""
        found: dict[str, Candidate] = {}
        pieces = re.findall(r"[^\W_]+", unaccented(word))
        for piece in dict.fromkeys((*pieces, "".join(pieces))):
            for candidate in self._in_piece(piece, whole=piece in pieces):
                for key in self.owners[candidate.name]:
                    before = found.get(key)
                    if before is None or _strength(candidate) > _strength(before):
                        found[key] = candidate
        return found

    def _in_piece(self, piece: str, whole: bool) -> Iterator[Candidate]:
        if piece in self.owners:  # a name; of which class it is one says whether it is a leak
            yield Candidate("misspelling", piece, ("", ""))
            return
        if len(piece) >= SHORTEST_MISSPELT - 1:
            for key in (piece, *deletions(piece)):
                for name in self._near.get(key, ()):
                    if within_one_edit(name, piece):
                        yield Candidate("misspelling", name, ("", ""))
        if not whole or len(piece) <= SHORTEST_INSIDE:
            return
        for number, start, end in self._automaton.find_matches_as_indexes(piece, overlapping=True):
            name = self._inside[number]
            if start == 0 or end == len(piece) or len(name) >= SHORTEST_ANYWHERE:
                yield Candidate("compound", name, (piece[:start], piece[end:]))

    def _of_class(self, key: str) -> _Phrases:
        joined: set[str] = set()
        several: dict[tuple[str, ...], str] = {}
        anchors: set[str] = set()
        longest = 1
        for form in _searched(self._lexicon, key):
            name = letters(form.text)
            if len(name) < _SHORTEST_CUT:
                continue
            joined.add(name)
            words = tuple(unaccented(word) for word in form.text.split())
            longest = max(longest, len(words))
            if len(words) > 1 and len(name) >= SHORTEST_MISSPELT:
                several[words] = name
                anchors.update(sorted(set(words), key=lambda word: (-len(word), word))[:2])
        every = {letters(form.text): form.kind in KINDS["strict"] for form in self._lexicon.entries[key]}
        broader = frozenset(name for name, strict in every.items() if not strict)
        return _Phrases(frozenset(joined), tuple(sorted(several.items())), frozenset(anchors), longest, broader)


def _searched(lexicon: Lexicon, key: str) -> Iterator[Form]:
    """The names and inflections of a class that are looked for."""
    for form in lexicon.forms(key, "strict"):
        if not form.cased and all(len(letters(word)) > 1 for word in form.text.split()) and letters(form.text):
            yield form


def _strength(candidate: Candidate) -> tuple[bool, int, str]:
    return candidate.kind == "misspelling", len(candidate.name), candidate.name


_MASK = re.compile(r"\[mask\]s?", re.IGNORECASE)
_TOKEN = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_THROUGH = re.compile(r"[ \t\r\n\f\v\u00a0_\-\u00ad\u200b-\u200d\u2060\ufeff\u2010-\u2015]+|[.\u00b7/']")
"""What may stand between the pieces of a name: spaces and hyphens of any number and kind, or one mark without space."""

_BREAK = "\0"
_BARE = {code: None for code in range(128) if not chr(code).isalnum()}
del _BARE[ord(_BREAK)]


def _any_inside(joined: frozenset[str], text: str) -> bool:
    """Whether one of the names stands in the letters and digits of a text; a mask ends what is before it."""
    if text.isascii():
        bare = text.lower().replace(_BREAK, "").replace("[mask]", _BREAK).translate(_BARE)
    else:
        bare = _BREAK.join(map(letters, _MASK.split(text)))
    return any(name in bare for name in joined)


class _Token(NamedTuple):
    text: str
    start: int
    end: int


def _runs(plain: str) -> Iterator[list[_Token]]:
    """Words of a text in runs that nothing parts but spaces and hyphens."""
    run: list[_Token] = []
    for found in _TOKEN.finditer(plain):
        if run and not _THROUGH.fullmatch(plain, run[-1].end, found.start()):
            yield run
            run = []
        run.append(_Token(found.group(), found.start(), found.end()))
    if run:
        yield run


def _in_phrases(phrases: _Phrases, text: str) -> Iterator[Seen]:
    """Names that are cut up, and names of several words with one edit."""
    plain = _MASK.sub(lambda found: _BREAK * len(found.group()), text)
    plain = plain.lower() if text.isascii() else unaccented(plain)
    source = text if text.isascii() else plain
    for run in _runs(plain):
        for window, anchored in _windows(run, phrases):
            said = tuple(token.text for token in window)
            found = source[window[0].start : window[-1].end]
            joined = letters("".join(said))
            if len(window) > 1 and joined in phrases.joined and _cut_up(window, plain):
                yield Seen("misspelling", joined, ("", ""), _unlike(said, _words_of(phrases, joined)), found)
            elif anchored:
                for words, name in phrases.several:
                    if abs(len(name) - len(joined)) <= 1 and name != joined and within_one_edit(name, joined):
                        yield Seen("misspelling", name, ("", ""), _unlike(said, words), found)


def _windows(run: list[_Token], phrases: _Phrases) -> Iterator[tuple[list[_Token], bool]]:
    """Words side by side that may be a name with one gap too many, and whether an anchor is among them."""
    longest = max(map(len, phrases.joined)) + 1
    for start in range(len(run)):
        length, anchored = 0, False
        for end in range(start, min(start + phrases.longest + 1, len(run))):
            length += len(run[end].text)
            if length > longest + 2:  # an apostrophe or two
                break
            anchored = anchored or run[end].text in phrases.anchors
            yield run[start : end + 1], anchored


def _words_of(phrases: _Phrases, joined: str) -> tuple[str, ...]:
    return next((words for words, name in phrases.several if name == joined), (joined,))


def _unlike(said: tuple[str, ...], words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word for word in said if word not in words)


def _cut_up(window: list[_Token], plain: str) -> bool:
    """Whether pieces that give a name are one word cut up: long enough where spaces part them."""
    gaps = [plain[one.end : two.start] for one, two in pairwise(window)]
    if not any(map(str.isspace, "".join(gaps))):
        return True
    return sum(len(token.text) for token in window) >= SHORTEST_MISSPELT and all(
        len(token.text) >= SHORTEST_PIECE for token in window
    )
