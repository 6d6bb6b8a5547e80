"""Find the names of classes in a caption and put ``[mask]`` in their place."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from openmmlo.building.masking.folding import Folded, fold, is_mark, stands_alone, unspaced
from openmmlo.building.masking.lexicon import Form, Lexicon
from openmmlo.records import MASK, Caption

_GAP = r"[\s_\-]{0,3}"
_SEPARATORS = re.compile(r"[\s_\-]+")
_TOKEN = re.compile(r"[^\W_]+")
_ALREADY = re.compile(r"\[mask\]s?", re.IGNORECASE)


class Match(NamedTuple):
    """A name found in a caption: character offsets into the caption, and whether it was a plural."""

    start: int
    end: int
    plural: bool


class Names:
    """Surface forms compiled for search: the leftmost match wins, then the longest.

    A space in a form stands for nothing, or for up to three of white space, hyphen and underscore. A name that begins
    or ends with a letter or digit is found only at a word boundary there.

    Args:
        forms: of one class or of many.
        by_word: for many. One expression of thousands of names is slow; instead the words of a caption are looked up,
            and only names that begin with one of them are searched for.
    """

    def __init__(self, forms: Iterable[Form], by_word: bool = False) -> None:
        self._plural: dict[str, bool] = {}
        self._cased: dict[str, str] = {}
        texts: set[str] = set()
        for form in forms:
            text = fold(form.text).text
            key = _SEPARATORS.sub("", text)
            if form.cased and key not in self._plural:
                self._cased[key] = form.text
            elif not form.cased:
                self._cased.pop(key, None)
            # The same spelling as singular and plural (fish) counts as singular.
            self._plural[key] = self._plural.get(key, True) and form.plural
            texts.add(text)
        # Longest first: of the alternatives at one place the first that matches is then the longest.
        ordered = sorted(texts, key=lambda text: (-len(_SEPARATORS.sub("", text)), text))
        self._alternatives: dict[str, list[str]] = defaultdict(list)
        anywhere: list[str] = []
        for text in ordered:
            by_token = _after_first_token(text) if by_word else {}
            for token, rest in by_token.items():
                self._alternatives[token].append(rest)
            if not by_token:
                anywhere.append(text)
        self._tokens = frozenset(self._alternatives)
        self._by_token: dict[str, re.Pattern[str]] = {}
        self._anywhere = _expression(anywhere)
        self.alone = None if self._tokens or self._cased else self._anywhere

    def expressions(self, folded: str) -> list[re.Pattern[str]]:
        """The expressions that may match somewhere in this caption."""
        found = [self._anywhere] if self._anywhere else []
        if self._tokens:
            for token in self._tokens.intersection(_TOKEN.findall(folded)):
                if token not in self._by_token:
                    rests = "|".join(self._alternatives[token])
                    self._by_token[token] = re.compile(rf"{token}(?<![^\W_]{token})(?:{rests})", re.DOTALL)
                found.append(self._by_token[token])
        return found

    def is_plural(self, found: str) -> bool:
        return self._plural[_SEPARATORS.sub("", found)]

    def find(self, expression: re.Pattern[str], text: str, folded: Folded, start: int) -> Found | None:
        """The first match of one of the expressions at or after ``start``.

        What an expression over folded text cannot see is looked at here: the letter case of "IT", and a combining
        mark behind the match that makes its last letter another one.
        """
        while found := expression.search(folded.text, start):
            start, end = found.span()
            match = Match(*folded.span(start, end), self.is_plural(found.group()))
            case = self._cased.get(_SEPARATORS.sub("", found.group())) if self._cased else None
            if (case is None or case == text[match.start : match.end]) and not is_mark(folded.text[end : end + 1]):
                return start, end, match
            start += 1
        return None


Found = tuple[int, int, Match]
"""Start and end in the folded text, and the match."""


def find_all(text: str, lexicons: Sequence[Names]) -> list[Match]:
    """Matches of all these names as if they were one lexicon, in order and without overlap."""
    if len(lexicons) == 1 and text.isascii() and (alone := lexicons[0].alone):
        # The common case, three times as fast: one expression, and nothing that it cannot see.
        is_plural = lexicons[0].is_plural
        return [Match(*found.span(), is_plural(found.group())) for found in alone.finditer(text.lower())]
    folded = fold(text)
    ahead = [
        (found, names, expression)
        for names in lexicons
        for expression in names.expressions(folded.text)
        if (found := names.find(expression, text, folded, 0))
    ]
    matches = []
    while ahead:
        _, done, match = min((found for found, _, _ in ahead), key=lambda item: (item[0], -item[1], item[2].plural))
        matches.append(match)
        ahead = [
            (found, names, expression)
            for last, names, expression in ahead
            if (found := last if last[0] >= done else names.find(expression, text, folded, done))
        ]
    return matches


def _after_first_token(text: str) -> dict[str, str]:
    """First token -> expression for the rest, for each token with which a spelling of this name can begin.

    "sea lion" begins with the token "sea" or, joined, "sealion". Empty where the name may begin inside a token.
    """
    if stands_alone(text[0]) or any(map(unspaced, text)):
        return {}
    words = text.split(" ")
    rests: dict[str, str] = {}
    for count in range(1, len(words) + 1):
        joined = "".join(words[:count])
        found = _TOKEN.match(joined)
        if found and found.group() not in rests:
            rests[found.group()] = _pattern(" ".join((joined[found.end() :], *words[count:])), text[-1])
    return rests


def _expression(texts: Sequence[str]) -> re.Pattern[str] | None:
    """One expression for these forms, given longest first.

    The set of first characters stands at its head: the engine then scans for those alone and tries nothing elsewhere,
    which doubles the captions per second.
    """
    by_first: dict[str, list[str]] = defaultdict(list)
    for text in texts:
        by_first[text[0]].append(_pattern(text[1:], text[-1]))
    heads = []
    for alone in (False, True):
        firsts = sorted(first for first in by_first if stands_alone(first) is alone)
        if firsts:
            branches = "|".join(f"(?<={re.escape(first)})(?:{'|'.join(by_first[first])})" for first in firsts)
            boundary = "" if alone else r"(?<![^\W_].)"
            heads.append(f"[{''.join(map(re.escape, firsts))}]{boundary}(?:{branches})")
    return re.compile("|".join(heads), re.DOTALL) if heads else None


def _pattern(rest: str, last: str) -> str:
    """Expression for the rest of a form, and for the boundary behind its last character."""
    pattern = _GAP.join(re.escape(word) for word in rest.split(" "))
    return pattern if stands_alone(last) else pattern + r"(?![^\W_])"


class Masker:
    """Masks captions with a frozen lexicon.

    Args:
        lexicon: surface forms per class key.
        id_keys: keys of the in-distribution classes; their names are masked in every out-of-distribution caption.
        level: how much of a class's vocabulary is hidden. What a level hides in a caption, every broader one hides too.

    Raises:
        DataError: a level that the lexicon has not been expanded for.
    """

    def __init__(self, lexicon: Lexicon, id_keys: Collection[str], level: str = "strict") -> None:
        self.lexicon = lexicon
        self.level = level
        self._levels = lexicon.levels_up_to(level)
        self._id_keys = tuple(id_keys)
        self._classes: dict[str, Layers] = {}
        self._all: Layers | None = None

    def mask(self, sample_id: str, text: str, class_key: str, ood: bool) -> Caption:
        """Mask a caption's own class and, where it is out of distribution, every in-distribution class too.

        Raises:
            DataError: an in-distribution class that the lexicon does not hold.
        """
        matches = _not_masked(text, self._find(text, class_key, ood))
        if not matches:
            return Caption(sample_id, text, text, ())
        pieces: list[str] = []
        done = 0
        for start, end, plural in matches:
            pieces += text[done:start], MASK + "s" if plural else MASK
            done = end
        pieces.append(text[done:])
        return Caption(sample_id, text, "".join(pieces), tuple((start, end) for start, end, _ in matches))

    def _find(self, text: str, class_key: str, ood: bool) -> list[Match]:
        own = self._classes.get(class_key)
        if own is None:
            known = not ood or class_key in self.lexicon.entries
            own = self._classes[class_key] = self._layers((class_key,) if known else (), by_word=False)
        if not ood:
            return _united([find_all(text, [names]) for names in own])
        if self._all is None:
            self._all = self._layers(self._id_keys, by_word=True)
        if len(own) < len(self._all):
            own = own * len(self._all)  # one layer that stands for all
        return _united([find_all(text, [one, every]) for one, every in zip(own, self._all, strict=True)])

    def _layers(self, keys: Sequence[str], by_word: bool) -> Layers:
        """The forms of these classes at each level up to this one; at this one alone where that finds the same."""
        layers = [tuple(form for key in keys for form in self.lexicon.forms(key, level)) for level in self._levels]
        if not by_word and not any(map(_may_cut, layers[1:], layers)):
            layers = layers[-1:]
        return tuple(Names(forms, by_word) for forms in layers)


Layers = tuple[Names, ...]
"""Names of each level, the narrowest first, or of the broadest alone."""


def _may_cut(broad: Sequence[Form], narrow: Sequence[Form]) -> bool:
    """Whether a form of the broad level may take the beginning of a narrow one's match and leave its end.

    "red bear", broad, would leave "cat" of "bear cat": then both levels are searched and what they find is united.
    """
    known = {_SEPARATORS.sub("", form.text) for form in narrow}
    beginnings = {text[:end] for text in known for end in range(1, len(text))}
    for form in broad:
        words = [word for word in re.split(r"(?<=\W)|[\s_\-]+", form.text) if word]
        text = "".join(words)
        if text in known:
            continue
        place = 0
        for word in words[:-1]:
            place += len(word)
            if text[place:] in beginnings:
                return True
    return False


def _united(found: list[list[Match]]) -> list[Match]:
    """Matches of several levels as one list; those that overlap become one, in the number of the one that ends last."""
    if len(found) == 1:
        return found[0]
    united: list[Match] = []
    for match in sorted({match for matches in found for match in matches}, key=lambda item: (item.start, -item.end)):
        if united and match.start < united[-1].end:
            if match.end > united[-1].end:
                united[-1] = Match(united[-1].start, match.end, match.plural)
        else:
            united.append(match)
    return united


def _not_masked(text: str, matches: list[Match]) -> list[Match]:
    """Without matches inside a ``[mask]`` that the text holds already: masking twice changes nothing."""
    if not matches or "[" not in text:
        return matches
    kept = [found.span() for found in _ALREADY.finditer(text)]
    return [match for match in matches if not any(match.start < end and start < match.end for start, end in kept)]
