"""Captions come in; which classes they name is counted, and held against how many images those classes have.

A caption names a class where it holds one of the class's names or an inflection of one: the ``strict`` level of the
mask lexicon, searched for all classes at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

LEVEL = "strict"
"""The level of the lexicon that names a class."""


class _Hit(Protocol):
    @property
    def class_key(self) -> str: ...


class Finder(Protocol):
    """Finds the names of all classes in a caption."""

    def find(self, text: str) -> Sequence[_Hit]: ...


@dataclass
class Named:
    """Captions that name classes; a caption counts once for a class, however often it names it.

    Attributes:
        per_class: (C,) captions that name the class.
        any_class: captions that name some class.
        own: captions that name the class of their image.
        another: captions that name a class other than that of their image.
    """

    per_class: NDArray[np.int64]
    any_class: int = 0
    own: int = 0
    another: int = 0

    @classmethod
    def of(cls, classes: int) -> Named:
        return cls(np.zeros(classes, np.int64))

    def add(self, found: Iterable[int], own: int | None) -> None:
        """Count one caption that names the classes at these places; ``own`` is the place of its image's class."""
        places = set(found)
        if places:
            self.any_class += 1
            self.own += own in places
            self.another += len(places) > (own in places)
            for place in places:
                self.per_class[place] += 1

    def merge(self, other: Named) -> None:
        self.per_class += other.per_class
        self.any_class += other.any_class
        self.own += other.own
        self.another += other.another


@dataclass
class Naming:
    """Names counted in captions as written and as masked."""

    raw: Named
    masked: Named

    def count(
        self, finder: Finder, places: Mapping[str, int], texts: Any, masked: Any, keys: Sequence[str], changed: Any
    ) -> None:
        """Count captions: as written, masked, their images' class keys, and whether the mask changed them."""
        for text, hidden, key, differs in zip(texts, masked, keys, changed, strict=True):
            own = places.get(key)
            found = [places[hit.class_key] for hit in finder.find(text)]
            self.raw.add(found, own)
            self.masked.add([places[hit.class_key] for hit in finder.find(hidden)] if differs else found, own)

    def merge(self, other: Naming) -> None:
        self.raw.merge(other.raw)
        self.masked.merge(other.masked)
