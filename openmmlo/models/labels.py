"""Which output of a classifier is which class of a benchmark, by names alone, or why that cannot be told."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from openmmlo.models.encoder import Classifier
from openmmlo.records import ClassInfo

if TYPE_CHECKING:
    import numpy as np

_AGREEING = 990
"""Of 1,000 labels: circulating lists of ImageNet's names differ in a few spellings, never in order alone."""


class LabelMatch(NamedTuple):
    """``columns`` (C,) int64: the output of each class; None with the ``reason``."""

    columns: np.ndarray[Any, np.dtype[np.int64]] | None
    reason: str = ""


def label_columns(classifier: Classifier | None, classes: Sequence[ClassInfo]) -> LabelMatch:
    """Map the classes of a benchmark, in their order, to the outputs of a model's own classifier.

    A class is matched by its key (a wnid); where no output bears it, by its name and synonyms without regard to case,
    hyphens and underscores. Only one-to-one maps that cover every class count. A bare number is no name: it is a place
    in somebody's order, and iNaturalist's labels circulate in three of them.
    """
    import numpy as np

    if classifier is None:
        return LabelMatch(None, "the model has no classifier of its own")
    exact, spoken = defaultdict(set), defaultdict(set)
    numbered = 0
    for column, names in enumerate(classifier.names):
        for name in names:
            if is_number(name) and not classifier.keyed:
                numbered += 1
                continue
            exact[name].add(column)
            spoken[normalised(name)].add(column)
    if not exact:
        outputs = f"its {len(classifier.names):,} outputs"
        lack = f"names {outputs} by numbers alone, which tell no order" if numbered else f"does not name {outputs}"
        return LabelMatch(None, f"the model {lack}")
    found: list[int] = []
    lost: list[str] = []
    for info in classes:
        columns = exact.get(info.key) or _by_names(info, spoken)
        if len(columns) > 1:
            return LabelMatch(None, f"class {info.name!r} fits {len(columns)} outputs of the model")
        found += columns
        lost += [] if columns else [info.name]
    if lost:
        some = ", ".join(map(repr, lost[:3])) + (" ..." if len(lost) > 3 else "")
        return LabelMatch(None, f"{len(lost):,} of {len(classes):,} classes are no output of the model: {some}")
    owners: dict[int, str] = {}
    for info, column in zip(classes, found, strict=True):
        if column in owners:
            return LabelMatch(None, f"classes {owners[column]!r} and {info.name!r} fit one output of the model")
        owners[column] = info.name
    return LabelMatch(np.asarray(found, dtype=np.int64))


def normalised(name: str) -> str:
    """A name without regard to case, hyphens, underscores, slashes and double spaces."""
    return " ".join(re.sub(r"[-_/\s]+", " ", unicodedata.normalize("NFKC", name).casefold()).split())


def is_number(name: str) -> bool:
    """Whether a name is digits alone."""
    return re.fullmatch(r"\s*\d+\s*", name) is not None


def label_names(labels: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """What each output goes by, from one label each: the whole label, and its parts where commas divide synonyms.

    Names that a library made up (``LABEL_3``) count as none. Where the labels are ImageNet's thousand, in its order,
    each output gets its wnid too, so that the two cranes are told apart.
    """
    found = []
    for label in labels:
        parts = [part.strip() for part in str(label).split(",")]
        made_up = re.fullmatch(r"LABEL_\d+", str(label)) is not None
        found.append(() if made_up else tuple(dict.fromkeys([str(label), *filter(None, parts)])))
    return _with_wnids(found)


def imagenet_names(subset: str = "imagenet-1k") -> tuple[tuple[str, ...], ...]:
    """(C,) wnid and WordNet names of each class of an ImageNet subset, as timm orders its classifiers' outputs."""
    from timm.data import ImageNetInfo

    info = ImageNetInfo(subset)
    names = []
    for wnid in info.label_names():
        lemmas = info.label_name_to_description(wnid)
        names.append((wnid, *dict.fromkeys(part.strip() for part in lemmas.split(","))))
    return tuple(names)


def _with_wnids(names: Sequence[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    if len(names) != 1000 or not all(names):
        return tuple(names)
    table = imagenet_names()
    agree = [
        not {normalised(name) for name in own}.isdisjoint(map(normalised, known))
        for own, known in zip(names, table, strict=True)
    ]
    if sum(agree) < _AGREEING:
        return tuple(names)
    return tuple((known[0], *own) if known[0] not in own else own for own, known in zip(names, table, strict=True))


def _by_names(info: ClassInfo, spoken: Mapping[str, set[int]]) -> set[int]:
    columns: set[int] = set()
    for name in (info.name, *info.synonyms):
        columns |= spoken.get(normalised(name), set())
    return columns
