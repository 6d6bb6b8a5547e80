"""The prompts of zero-shot classification: class names in templates, or with descriptors, and the record of both."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from openmmlo.errors import ConfigError, DataError, UnknownName
from openmmlo.models.labels import is_number
from openmmlo.records import ClassInfo, digest_of

ClassNames = Literal["own", "openai"]
"""``own``: the benchmark's names (ImageNet: WordNet's first lemma). ``openai``: CLIP's curated names of ImageNet."""

ROOT = Path(__file__).parent
TEMPLATE_SETS = ("photo", "imagenet-80")
"""``photo``: "a photo of a {}.". ``imagenet-80``: the ensemble of CLIP's ImageNet evaluation."""


@dataclass(frozen=True)
class Prompts:
    """What is read for each class.

    Attributes:
        names: (C,) class names as they stand in the texts.
        texts: (C,) one or more texts for each class.
        renormalise: the mean of a class's unit embeddings is brought to unit length (template ensemble), or left as
            it is, so that its inner product is the mean similarity (descriptors).
        record: JSON value of all that decides the texts.
    """

    names: tuple[str, ...]
    texts: tuple[tuple[str, ...], ...]
    renormalise: bool
    record: dict[str, Any]


def write_prompts(
    classes: Sequence[ClassInfo],
    templates: str = "photo",
    descriptors: Mapping[str, Sequence[str]] | Path | None = None,
    class_names: ClassNames = "own",
) -> Prompts:
    """Texts for every class.

    Names are put into templates as they are, and articles stay as the template has them ("a photo of a apple."), as
    CLIP's own evaluation does. Underscores become spaces, and the key that made two equal names unique is left out.

    Args:
        templates: ``photo``, ``imagenet-80``, or a template of one's own that holds ``{}``.
        descriptors: class key or name -> descriptors, or a JSON or YAML file of them. Each text then reads
            "NAME, which has DESCRIPTOR" as in DCLIP (Menon and Vondrick, ICLR 2023, arXiv:2210.07183), and
            ``templates`` is not used.

    Raises:
        UnknownName: no such template set.
        ConfigError: no such class names.
        DataError: a class without descriptors or curated name.
    """
    names = _class_names(classes, class_names)
    record: dict[str, Any] = {"class_names": class_names, "names": digest_of(names)}
    if descriptors is not None:
        table = read_descriptors(descriptors) if isinstance(descriptors, Path) else descriptors
        texts = tuple(
            tuple(_described(name, item) for item in own)
            for name, own in zip(names, _of_classes(table, classes), strict=True)
        )
        record |= {"templates": None, "combine": "mean similarity", "descriptors": digest_of(texts)}
    else:
        patterns = read_templates(templates)
        texts = tuple(tuple(pattern.replace("{}", name) for pattern in patterns) for name in names)
        record |= {"templates": templates, "combine": "renormalised mean of unit embeddings", "count": len(patterns)}
    return Prompts(names, texts, descriptors is None, record)


def unnamed(classes: Sequence[ClassInfo]) -> str | None:
    """Why no prompt can be written, where the class table has numbers in place of names; None where it has names."""
    if not all(is_number(info.name) for info in classes):
        return None
    return (
        f"The {len(classes):,} classes have no names here, only numbers, so there is nothing to write into prompts. "
        "Fetch the class table: openmmlo lists get NAME."
    )


def read_templates(name: str) -> tuple[str, ...]:
    """The templates of a set, or the one template that is given. Raises UnknownName."""
    if "{}" in name:
        return (name,)
    if name == "photo":
        return ("a photo of a {}.",)
    if name not in TEMPLATE_SETS:
        raise UnknownName("template set", name, TEMPLATE_SETS, ' A template of your own holds {}: "a sketch of a {}."')
    return tuple(_lines(ROOT / f"{name}.txt"))


def read_descriptors(path: Path) -> dict[str, tuple[str, ...]]:
    """Read {class key or name: [descriptors]} from JSON or YAML.

    Raises:
        DataError: not such a file.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))  # JSON is YAML
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"Descriptors {path.name}: cannot be read as JSON or YAML ({type(error).__name__}).") from error
    wrong = not isinstance(values, dict) or any(
        not isinstance(items, list) or not all(isinstance(item, str) for item in items) for items in values.values()
    )
    if wrong:
        raise DataError(f"Descriptors {path.name}: expected {{class key or name: [text, text, ...]}}.")
    return {str(key): tuple(items) for key, items in values.items()}


def _class_names(classes: Sequence[ClassInfo], which: str) -> tuple[str, ...]:
    if which == "own":
        return tuple(info.name.removesuffix(f" ({info.key})").replace("_", " ") for info in classes)
    if which != "openai":
        raise ConfigError(f"class_names is {which!r}; expected one of {', '.join(get_args(ClassNames))}.")
    curated = dict(line.split("\t") for line in _lines(ROOT / "openai-imagenet.tsv"))
    missing = [info.name for info in classes if info.key not in curated]
    if missing:
        raise DataError(
            f"The curated names are of ImageNet's 1,000 classes; {len(missing):,} of {len(classes):,} classes are none "
            f"of them ({missing[0]!r}). Use class_names own."
        )
    return tuple(curated[info.key] for info in classes)


def _of_classes(table: Mapping[str, Sequence[str]], classes: Sequence[ClassInfo]) -> list[Sequence[str]]:
    """Descriptors of each class, by key, then by name without regard to case."""
    spoken = {key.casefold(): items for key, items in table.items()}
    found = []
    missing = []
    for info in classes:
        items = table.get(info.key) or table.get(info.name) or spoken.get(info.name.casefold())
        if items:
            found.append(items)
        else:
            missing.append(info.name)
    if missing:
        raise DataError(
            f"{len(missing):,} of {len(classes):,} classes have no descriptors ({', '.join(map(repr, missing[:3]))}). "
            "Name every class by its key or name, with at least one descriptor."
        )
    return found


def _described(name: str, descriptor: str) -> str:
    """A class name with one descriptor, joined as its first word asks for."""
    text = descriptor.strip()
    first = re.split(r"\s", text, maxsplit=1)[0].casefold()
    if first in ("a", "an", "used"):
        return f"{name}, which is {text}"
    if first in ("has", "often", "typically", "may", "can"):
        return f"{name}, which {text}"
    return f"{name}, which has {text}"


def _lines(path: Path) -> list[str]:
    """Lines of a data file; the first says where they are from."""
    return path.read_text(encoding="utf-8").splitlines()[1:]
