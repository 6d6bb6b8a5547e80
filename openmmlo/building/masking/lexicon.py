"""Class names come in, the frozen lexicon of their surface forms goes out: what each level hides, decided once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, cast, get_args

from openmmlo.building.masking import senses
from openmmlo.building.wordnet import VERSION as WORDNET_VERSION
from openmmlo.catalog import Catalog
from openmmlo.errors import DataError
from openmmlo.records import ClassInfo, DatasetInfo, canonical_json, digest_of

MaskLevel = Literal["strict", "head", "hypernym"]

LEVELS = Catalog(
    "mask level",
    {
        "strict": "openmmlo.building.masking.strict:forms",
        "head": "openmmlo.building.masking.head:forms",
        "hypernym": "openmmlo.building.masking.hypernym:forms",
    },
)
"""Level -> ``level(class info, naming) -> forms`` that it adds to those of the levels before it."""

Kind = Literal["name", "inflection", "head", "hypernym"]

KINDS: Mapping[str, frozenset[Kind]] = {
    "strict": frozenset({"name", "inflection"}),
    "head": frozenset({"name", "inflection", "head"}),
    "hypernym": frozenset({"name", "inflection", "head", "hypernym"}),
}
"""Level -> the kinds of form that it hides. Levels nest."""

VERSION = "2"
"""Version of the rules that expand and match names; any change that can alter a mask raises it."""


@dataclass(frozen=True, slots=True)
class Form:
    """One way to write a class in a caption.

    Attributes:
        text: case-folded words; a space stands for a space, a hyphen, an underscore or nothing.
        plural: masked as ``[mask]s``.
        cased: found only in exactly this letter case ("IT", never "it").
        kind: ``name`` (a name or synonym, in any of its spellings), ``inflection`` (its other number), ``head`` (a
            head noun, in either number) or ``hypernym`` (a broader term, in either number).
    """

    text: str
    plural: bool = False
    cased: bool = False
    kind: Kind = "name"


@dataclass(frozen=True)
class Naming:
    """How a source writes its class names.

    Attributes:
        taxa: two- and three-word names are binomials; the genus alone names the class.
        settings: what follows a name's last hyphen may be left out ("church-outdoor").
        dictionary: names are a dictionary's headwords, so a name that is a plural ("shades") has no other number.
        synsets: class keys are WordNet 3.0 noun offsets ("n02510455").
        senses: class key -> WordNet 3.0 noun offset, where the likeliest sense of the name is not the one meant.
    """

    taxa: bool = False
    settings: bool = False
    dictionary: bool = False
    synsets: bool = False
    senses: Mapping[str, str] = field(default_factory=dict, hash=False)


NAMINGS: Mapping[str, Naming] = {
    "imagenet-lt": Naming(dictionary=True, synsets=True),
    "inaturalist2018": Naming(taxa=True),
    "cifar100-lt": Naming(senses=senses.CIFAR100),
    "miniature": Naming(senses=senses.MINIATURE),
    "places-lt": Naming(settings=True, senses=senses.PLACES),
}
"""Sources whose names follow a convention; others are plain names."""


_FLAGS: Mapping[Kind, str] = {"name": "", "inflection": "i", "head": "h", "hypernym": "y"}
_KINDS: Mapping[str, Kind] = {flag: kind for kind, flag in _FLAGS.items()}


@dataclass(frozen=True)
class Lexicon:
    """Surface forms per class key, frozen: equal content has an equal hash whatever the order it was made in.

    Attributes:
        levels: the mask levels that it has been expanded for.
        version: VERSION of the rules that expanded it.
        entries: class key -> forms of every kind that these levels hide.
        names: :func:`names_digest` of the class table that it was expanded from; empty where that is not known.
        wordnet: version of the WordNet that the hypernyms are from; empty where there are none.
    """

    levels: tuple[str, ...]
    version: str
    entries: Mapping[str, tuple[Form, ...]]
    names: str = ""
    wordnet: str = ""

    def forms(self, key: str, level: str) -> tuple[Form, ...]:
        """What a level hides of a class.

        Raises:
            DataError: a class or a level that the lexicon does not hold.
        """
        self.levels_up_to(level)
        if key not in self.entries:
            raise DataError(
                f"The mask lexicon has no class {key!r}; expected one of its {len(self.entries)} keys. "
                "Build the lexicon from the class table that the samples come from."
            )
        return tuple(form for form in self.entries[key] if form.kind in KINDS[level])

    def levels_up_to(self, level: str) -> tuple[str, ...]:
        """This level and the narrower ones.

        Raises:
            DataError: the lexicon has not been expanded for it.
        """
        if level not in self.levels:
            raise DataError(
                f"This mask lexicon has been expanded for {', '.join(self.levels)}; the level {level!r} needs one that "
                "holds it. Make one: openmmlo lexicon build SOURCE --level hypernym, where WordNet is at hand "
                "(openmmlo wordnet setup)."
            )
        return self.levels[: self.levels.index(level) + 1]

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON of every form of every level."""
        value = self._value()
        return digest_of({key: value[key] for key in ("levels", "version", "entries")})

    def level_hash(self, level: str) -> str:
        """SHA-256 of what one level hides: the same whether or not broader levels have been expanded too.

        Raises:
            DataError: a level that the lexicon does not hold.
        """
        entries = {
            key: sorted([form.text, form.plural, form.cased] for form in self.forms(key, level))
            for key in sorted(self.entries)
        }
        return digest_of({"level": level, "version": self.version, "entries": entries})

    def classes_without(self, kind: Kind) -> tuple[str, ...]:
        """Keys of the classes that have no form of a kind."""
        return tuple(key for key, forms in sorted(self.entries.items()) if all(form.kind != kind for form in forms))

    def _value(self) -> dict[str, Any]:
        return {
            "levels": list(self.levels),
            "version": self.version,
            "names": self.names,
            "wordnet": self.wordnet,
            "entries": {
                key: sorted([form.text, _flags(form)] for form in forms) for key, forms in sorted(self.entries.items())
            },
        }

    def to_json(self) -> str:
        """The lexicon as one JSON text; a form is [text, flags].

        Flags: ``p`` plural, ``c`` cased; ``i`` inflection, ``h`` head or ``y`` hypernym, a name without them.
        """
        return json.dumps(self._value(), sort_keys=True, indent=0) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Lexicon:
        """Read what :meth:`to_json` wrote.

        Raises:
            DataError: not a lexicon.
        """
        try:
            value = json.loads(text)
            entries = {str(key): tuple(map(_form, forms)) for key, forms in value["entries"].items()}
            levels = tuple(level for level in KINDS if level in value["levels"])
            if not levels:
                raise ValueError("it names no mask level")
            return cls(levels, str(value["version"]), entries, str(value["names"]), str(value["wordnet"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"Not a mask lexicon of this version ({error}). Expected what openmmlo lexicon build or a build wrote."
            ) from error


def _flags(form: Form) -> str:
    return "p" * form.plural + "c" * form.cased + _FLAGS[form.kind]


def _form(value: tuple[str, str]) -> Form:
    text, flags = value
    if not isinstance(text, str):
        raise TypeError(f"{text!r} is no text")
    return Form(text, "p" in flags, "c" in flags, _KINDS[flags.strip("pc")])


def names_digest(info: DatasetInfo) -> str:
    """SHA-256 of everything in a class table that decides its lexicon."""
    names = [asdict(item) for item in (*info.classes, *info.ood_classes)]
    return digest_of([info.name, sorted(names, key=canonical_json)])


def up_to(level: str) -> tuple[MaskLevel, ...]:
    """A level and those that it contains, the narrowest first.

    Raises:
        UnknownName: no such level.
    """
    LEVELS.load(level)
    names: tuple[MaskLevel, ...] = get_args(MaskLevel)
    return tuple(name for place, name in enumerate(names) if place <= list(LEVELS).index(level))


def build_lexicon(info: DatasetInfo, levels: str | Sequence[str] = ("strict", "head")) -> Lexicon:
    """Expand the names of every class of a data set, in and out of distribution, to their surface forms.

    Levels contain each other: the broadest of ``levels`` decides. A class whose names hold fewer than two letters or
    digits gets no form, and nothing of it is masked.

    Raises:
        UnknownName: no such level.
        DataError: hypernyms are asked for, and WordNet is not at hand.
    """
    chosen = max(map(up_to, (levels,) if isinstance(levels, str) else levels), key=len)
    naming = NAMINGS.get(info.name, Naming())
    entries: dict[str, tuple[Form, ...]] = {}
    for item in (*info.classes, *info.ood_classes):
        found: dict[str, Form] = {form.text: form for form in entries.get(item.key, ())}
        for level in chosen:
            expand = cast("Callable[[ClassInfo, Naming], Iterable[Form]]", LEVELS.load(level))
            # What a narrower level holds stays as it is there: masks of a level must not depend on broader ones.
            found = _merged(form for form in expand(item, naming) if form.text not in found) | found
        entries[item.key] = tuple(found[text] for text in sorted(found))
    wordnet = WORDNET_VERSION if "hypernym" in chosen else ""
    return Lexicon(chosen, VERSION, entries, names_digest(info), wordnet)


def _merged(forms: Iterable[Form]) -> dict[str, Form]:
    """Forms by text: a spelling that is singular as well as plural (fish) is singular, a name as well is a name."""
    found: dict[str, Form] = {}
    for form in forms:
        before = found.get(form.text)
        if before is None:
            found[form.text] = form
            continue
        kinds = sorted((before.kind, form.kind), key=list(_FLAGS).index)
        found[form.text] = replace(form, plural=before.plural and form.plural, kind=kinds[0])
    return found
