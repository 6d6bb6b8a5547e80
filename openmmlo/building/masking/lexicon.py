"""Class names come in, the frozen lexicon of their surface forms goes out: what a level hides, before any caption."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, cast

from openmmlo.catalog import Catalog
from openmmlo.errors import DataError
from openmmlo.records import ClassInfo, DatasetInfo, digest_of

MaskLevel = Literal["strict"]

LEVELS = Catalog("mask level", {"strict": "openmmlo.building.masking.strict:forms"})
"""Level -> ``level(class info, naming) -> forms``."""

VERSION = "1"
"""Version of the rules that expand and match names; any change that can alter a mask raises it."""


@dataclass(frozen=True, slots=True)
class Form:
    """One way to write a class in a caption.

    Attributes:
        text: case-folded words; a space stands for a space, a hyphen, an underscore or nothing.
        plural: masked as ``[mask]s``.
        cased: found only in exactly this letter case ("IT", never "it").
    """

    text: str
    plural: bool = False
    cased: bool = False


@dataclass(frozen=True)
class Naming:
    """How a source writes its class names.

    Attributes:
        taxa: two- and three-word names are binomials; the genus alone names the class.
        settings: what follows a name's last hyphen may be left out ("church-outdoor").
        dictionary: names are a dictionary's headwords, so a name that is a plural ("shades") has no other number.
    """

    taxa: bool = False
    settings: bool = False
    dictionary: bool = False


NAMINGS: Mapping[str, Naming] = {
    "imagenet-lt": Naming(dictionary=True),
    "inaturalist2018": Naming(taxa=True),
    "places-lt": Naming(settings=True),
}
"""Sources whose names follow a convention; others are plain names."""


@dataclass(frozen=True)
class Lexicon:
    """Surface forms per class key, frozen: equal content has an equal hash whatever the order it was made in."""

    level: str
    version: str
    entries: Mapping[str, tuple[Form, ...]]

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON."""
        return digest_of(self._value())

    def _value(self) -> dict[str, Any]:
        flags = {(False, False): "", (True, False): "p", (False, True): "c", (True, True): "pc"}
        return {
            "level": self.level,
            "version": self.version,
            "entries": {
                key: sorted([form.text, flags[form.plural, form.cased]] for form in forms)
                for key, forms in sorted(self.entries.items())
            },
        }

    def to_json(self) -> str:
        """The lexicon as one JSON text; a form is [text, flags], flags "p" for plural and "c" for cased."""
        return json.dumps(self._value(), sort_keys=True, indent=0) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Lexicon:
        """Read what :meth:`to_json` wrote.

        Raises:
            DataError: not a lexicon.
        """
        try:
            value = json.loads(text)
            entries = {
                str(key): tuple(Form(str(words), "p" in flags, "c" in flags) for words, flags in forms)
                for key, forms in value["entries"].items()
            }
            return cls(str(value["level"]), str(value["version"]), entries)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"Not a mask lexicon: {error}. Expected the lexicon.json that a build wrote.") from error


def build_lexicon(info: DatasetInfo, level: MaskLevel = "strict") -> Lexicon:
    """Expand the names of every class of a data set, in and out of distribution, to their surface forms.

    A class whose names hold fewer than two letters or digits gets no form, and nothing of it is masked.

    Raises:
        UnknownName: no such level.
    """
    expand = cast("Callable[[ClassInfo, Naming], Iterable[Form]]", LEVELS.load(level))
    naming = NAMINGS.get(info.name, Naming())
    forms: dict[str, dict[str, Form]] = {}
    for item in (*info.classes, *info.ood_classes):
        found = forms.setdefault(item.key, {})
        for form in expand(item, naming):
            # A spelling that is singular as well as plural (fish) counts as singular.
            if form.text not in found or not form.plural:
                found[form.text] = form
    entries = {key: tuple(found[text] for text in sorted(found)) for key, found in forms.items()}
    return Lexicon(level, VERSION, entries)
