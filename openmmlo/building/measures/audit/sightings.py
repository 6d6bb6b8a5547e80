"""Possible disguises come in; those that are leaks, and no ordinary words, are told apart by where else they occur.

"Catalogue" holds "cat" and "three frogs" is one letter from "tree frogs". What tells them from "catlike" and "free
frog" without a dictionary is who uses them: a word that gives the class away is found in the captions of that class.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from openmmlo.building.measures.audit.disguises import Seen

TYPICAL = 5.0
"""A word counts where it is so many times as frequent in captions of the classes that bear the name as in others."""

SHORT = 4
"""Inside longer words, names of so many letters or fewer count only beside an affix or a word."""

AFFIXES = {
    "anti", "colored", "coloured", "dom", "ess", "esses", "esque", "folk", "ful", "hood", "ish", "kin", "kins", "less",
    "let", "lets", "like", "likes", "ling", "lings", "man", "mega", "men", "micro", "mini", "non", "oid", "oids",
    "proto", "pseudo", "semi", "shaped", "sized", "sub", "super", "ultra", "un", "wise",
}  # fmt: skip
"""What makes a word of a noun; "y", "er", "ed" and "ing" make as many by accident (busy, ruler)."""

LONGER_AFFIXES = AFFIXES | {"y", "er", "ers", "ed", "ing", "ings", "ie", "ies"}
"""For names of four letters and more."""

_SHORTEST_WORD = 3


@dataclass
class Sightings:
    """Possible disguises in captions of one kind (as written or masked), and how common the words are.

    Attributes:
        words: word -> captions that hold it.
        seen: (row, class key, what was seen).
        classes: class key -> captions.
    """

    words: Counter[str] = field(default_factory=Counter)
    seen: list[tuple[int, str, Seen]] = field(default_factory=list)
    classes: Counter[str] = field(default_factory=Counter)

    def leaks(self, owners: Mapping[str, frozenset[str]]) -> list[tuple[int, str, Seen]]:
        """Those of ``seen`` that give their class away.

        Args:
            owners: letters of a name -> the classes whose name it is.
        """
        pairs = {(row, one.name, word) for row, _, one in self.seen for word in one.evidence}
        rows = Counter((name, word) for _, name, word in pairs)
        typical = {pair: self._typical(count, pair[1], owners[pair[0]]) for pair, count in rows.items()}
        return [
            (row, key, one)
            for row, key, one in self.seen
            if (not one.evidence or any(typical[one.name, word] for word in one.evidence)) and self._is_made_of(one)
        ]

    def _typical(self, inside: int, word: str, owners: Iterable[str]) -> bool:
        outside = self.words[word] - inside
        own = sum(self.classes[key] for key in owners)
        others = self.classes.total() - own
        return outside <= 0 or others <= 0 or inside / own >= TYPICAL * outside / others

    def _is_made_of(self, one: Seen) -> bool:
        """Whether what a short name leaves of a longer word is an affix or a word."""
        if one.kind != "compound" or len(one.name) > SHORT:
            return True
        affixes = LONGER_AFFIXES if len(one.name) >= SHORT else AFFIXES
        return all(
            not part or part in affixes or (len(part) >= _SHORTEST_WORD and self.words[part] > 0) for part in one.rest
        )
