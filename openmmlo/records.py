"""The types that travel between rooms. Standard library only: importing this never loads torch.

Letters: C classes. Label -1 is out-of-distribution.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

OOD_LABEL = -1

MASK = "[mask]"
"""What a name becomes in a masked caption; a plural becomes ``[mask]s``, as the paper writes it (figure 4)."""

ShotRule = Literal["paper", "oltr"]


class Status(StrEnum):
    """How a sample ended: ``ok`` is a row, everything else an error row."""

    OK = "ok"
    MISSING = "missing"
    LINK = "link"
    NAME = "name"
    UNREADABLE = "unreadable"
    TOO_LARGE = "too-large"
    CHANGED = "changed"
    CAPTIONER = "captioner"
    NO_CAPTION = "no-caption"


@runtime_checkable
class ImageReference(Protocol):
    """Where the bytes of one image are.

    ``locator`` is relative to the source's roots (it never holds a local root), and the source that made it
    turns it back into a reference with ``image(locator)``.
    """

    @property
    def locator(self) -> str: ...

    def read(self) -> bytes:
        """Return the original encoded bytes. Raises OSError where they cannot be had."""
        ...


@dataclass(frozen=True, slots=True)
class Sample:
    """One image and what is known of it before captioning.

    ``class_key`` names the class independently of label order (wnid, folder, category id); for an
    out-of-distribution sample it is its own class where that is known, else empty. ``problem`` is set by the
    source when the image cannot be read for a reason known while listing (missing, a link that leaves the root).
    """

    sample_id: str
    image: ImageReference
    label: int
    split: str
    source: str
    class_key: str = ""
    problem: Status | None = None


@dataclass(frozen=True, slots=True)
class ClassInfo:
    """A class: its key, its unique readable name and every name a caption may call it by (``name`` included).

    ``groups`` are broader kinds that the source itself names, as it names them ("Aves" for a species of bird).
    """

    key: str
    name: str
    synonyms: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class DatasetInfo:
    """What holds for a whole data set.

    Attributes:
        name: kebab-case name of the source.
        version: version of the lists or of the class table.
        licence: licence of the images as their publishers state it.
        classes: (C,) in label order, with unique names.
        train_counts: (C,) training images per class, or None where no training list is at hand.
        ood_classes: names of classes that occur only with label -1, where they are known.
    """

    name: str
    version: str
    licence: str
    classes: tuple[ClassInfo, ...]
    train_counts: tuple[int, ...] | None = None
    ood_classes: tuple[ClassInfo, ...] = ()
    homepage: str = ""
    citation: str = ""
    notes: tuple[str, ...] = field(default=())

    @cached_property
    def label_map_hash(self) -> str:
        """SHA-256 of the class keys in label order; results with different hashes do not compare."""
        text = "\n".join(info.key for info in self.classes)
        return hashlib.sha256(text.encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """JSON value of everything here; :meth:`from_json` reads it back."""
        counts = self.train_counts or (None,) * len(self.classes)
        return {
            "name": self.name,
            "version": self.version,
            "licence": self.licence,
            "homepage": self.homepage,
            "citation": self.citation,
            "notes": list(self.notes),
            "classes": [
                {**_class_json(item), "train_count": count} for item, count in zip(self.classes, counts, strict=True)
            ],
            "ood_classes": list(map(_class_json, self.ood_classes)),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> DatasetInfo:
        """Read what :meth:`to_json` gave. Raises KeyError, TypeError or ValueError for anything else."""
        counts = [item["train_count"] for item in value["classes"]]
        return cls(
            name=str(value["name"]),
            version=str(value["version"]),
            licence=str(value["licence"]),
            classes=tuple(map(_class_info, value["classes"])),
            train_counts=tuple(map(int, counts)) if counts and None not in counts else None,
            ood_classes=tuple(map(_class_info, value["ood_classes"])),
            homepage=str(value["homepage"]),
            citation=str(value["citation"]),
            notes=tuple(map(str, value["notes"])),
        )

    def shot_groups(self, rule: ShotRule = "paper") -> tuple[str, ...]:
        """(C,) 'many', 'medium' or 'few' for each class; empty where the training counts are unknown."""
        return tuple(shot_group(count, rule) for count in self.train_counts or ())


def _class_json(item: ClassInfo) -> dict[str, Any]:
    value: dict[str, Any] = {"key": item.key, "name": item.name, "synonyms": list(item.synonyms)}
    return value | {"groups": list(item.groups)} if item.groups else value


def _class_info(value: Mapping[str, Any]) -> ClassInfo:
    names = (tuple(map(str, value.get(key, ()))) for key in ("synonyms", "groups"))
    return ClassInfo(str(value["key"]), str(value["name"]), *names)


def shot_group(count: int, rule: ShotRule = "paper") -> str:
    """Shot group of a class with ``count`` training images.

    ``paper``: many > 100, medium 20 to 100, few < 20. ``oltr`` (Liu et al., CVPR 2019, their code):
    many >= 100, few <= 20.
    """
    many, few = (count > 100, count < 20) if rule == "paper" else (count >= 100, count <= 20)
    return "many" if many else "few" if few else "medium"


def list_hash(pairs: Iterable[tuple[str, str]]) -> str:
    """SHA-256 over the sorted (sample_id, class key) pairs: equal for every path variant of one list."""
    digest = hashlib.sha256()
    for sample_id, class_key in sorted(pairs):
        digest.update(f"{sample_id}\t{class_key}\n".encode())
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Caption:
    """A caption with its masked copy.

    ``spans`` are (start, end) character offsets into ``text`` that the mask replaced.
    """

    sample_id: str
    text: str
    masked: str
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing a check saw, and what to do about it.

    ``error`` findings stop a build before any work; ``allowable`` ones (some images are missing) only where the user
    does not allow that.
    """

    level: Literal["ok", "warning", "error"]
    what: str
    remedy: str = ""
    allowable: bool = False


@runtime_checkable
class Source(Protocol):
    """A collection of images with labels, read where the user has it.

    A source is a frozen dataclass whose fields are its options. It opens nothing on construction, is cheap to
    pickle, and lists its samples in the same order every time.
    """

    name: str

    def info(self) -> DatasetInfo: ...

    def splits(self) -> tuple[str, ...]:
        """Every split this source has, in building order, whether or not its files are at hand."""
        ...

    def samples(self, split: str) -> Iterator[Sample]:
        """Raises DataError, naming file and line, for a list that cannot be used."""
        ...

    def image(self, locator: str) -> ImageReference: ...

    def check(self, splits: tuple[str, ...] = (), look: bool = True) -> list[Finding]:
        """What was found and what is missing for these splits (all by default), before any work.

        Without ``look`` no image is looked for: a build lists its samples right after, and learns it from them.
        """
        ...


def canonical_json(value: object) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text, so that it can be hashed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest_of(value: object) -> str:
    """SHA-256 of a JSON value."""
    return hashlib.sha256(canonical_json(value).encode("utf-8", "surrogatepass")).hexdigest()
