"""A benchmark: which images are classified, which are out of distribution, and by which rules, as data.

Definitions are flat, complete, versioned YAML files in ``benchmarks/``; a folder that ``openmmlo build`` wrote is one
too. A definition holds what pins a number: lists by their hash, counts, the label map, the shot rule.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import yaml

from openmmlo.config import construct
from openmmlo.errors import ConfigError, DataError, UnknownName
from openmmlo.records import Sample, ShotRule, digest_of
from openmmlo.sources.longtail import seeded_order

Role = Literal["train", "validation", "test", "shifted", "ood", "ood-validation"]
"""What a set is for. ``shifted`` holds the benchmark's classes in another domain (sketches); ``ood-validation`` is
where hyper-parameters may be chosen, never on ``ood``."""

ROOT = Path(__file__).parent / "benchmarks"


@dataclass(frozen=True)
class ImageSet:
    """One set of images of a benchmark.

    Attributes:
        name: kebab-case, its name in results ("test", "svhn").
        role: what it is for.
        source: a name in SOURCES, with ``options`` for its fields, and the ``split`` that is read.
        group: ``near``, ``far``, ``open`` ... : how OOD sets are averaged; empty where they are not.
        per_class: keep this many images of each class, ranked by SHA-256 of (seed, id); None keeps all.
        count: keep this many images altogether, ranked likewise; None keeps all.
        seed: of that ranking.
        rows: images the set must hold; None where that is not known.
        list_hash: of the (sample_id, class key) pairs; None where the list was not at hand when it was written.
        origin: where to get it, for the message that it is missing.
    """

    name: str
    role: Role
    source: str
    split: str
    options: dict[str, Any] = field(default_factory=dict)
    group: str = ""
    per_class: int | None = None
    count: int | None = None
    seed: int = 0
    rows: int | None = None
    list_hash: str | None = None
    origin: str = ""

    def select(self, samples: Sequence[Sample]) -> list[Sample]:
        """The pinned subset, in the order of the list.

        Raises:
            DataError: fewer images than the subset holds; the class or the set is named.
        """
        kept = list(samples)
        if self.per_class is not None:
            by_class: dict[str, list[str]] = {}
            for sample in kept:
                by_class.setdefault(sample.class_key, []).append(sample.sample_id)
            chosen: set[str] = set()
            for key, ids in by_class.items():
                if len(ids) < self.per_class:
                    raise DataError(
                        f"{self.name}: class {key!r} has {len(ids):,} images; the benchmark takes {self.per_class:,}."
                    )
                chosen.update(seeded_order(ids, self.seed)[: self.per_class])
            kept = [sample for sample in kept if sample.sample_id in chosen]
        if self.count is not None:
            if len(kept) < self.count:
                raise DataError(f"{self.name}: {len(kept):,} images found; the benchmark takes {self.count:,}.")
            first = set(seeded_order([sample.sample_id for sample in kept], self.seed)[: self.count])
            kept = [sample for sample in kept if sample.sample_id in first]
        return kept


@dataclass(frozen=True)
class Benchmark:
    """A whole definition.

    Attributes:
        version: raised whenever a number could change.
        title: one sentence.
        shots: rule of the shot groups.
        classes: C.
        label_map_hash: of the class keys in label order; None for a folder of one's own.
        group_sizes: shot group -> classes under the paper's rule, where the training list is known.
        train_rows: images of the training list.
        image_size: side to which every image is brought before the model's own transform; None leaves them as they
            are. Where classes are images of 32 pixels, sharper ones would be told from them by that alone.
        templates: prompts for zero-shot classification: a name in zero_shot's table.
        detectors: which are run; all where empty.
        detector_options: hyper-parameters other than the papers' defaults, as ``NAME.FIELD``.
        neighbours: k of the k-nearest-neighbour scores reported as headline.
        neighbour_sweep: the k of the sweep.
        sets: every set of images; exactly one has role ``test``.
        papers: what it is compared with.
        folder: a built data set; empty for a definition.
    """

    name: str
    version: int
    title: str
    classes: int
    sets: tuple[ImageSet, ...]
    shots: ShotRule = "paper"
    label_map_hash: str | None = None
    group_sizes: dict[str, int] = field(default_factory=dict)
    train_rows: int | None = None
    image_size: int | None = None
    templates: str = "photo"
    detectors: tuple[str, ...] = ()
    detector_options: dict[str, float] = field(default_factory=dict)
    neighbours: int = 50
    neighbour_sweep: tuple[int, ...] = (1, 5, 10, 50, 100, 300, 1000)
    papers: tuple[str, ...] = ()
    folder: str = ""

    def __post_init__(self) -> None:
        names = Counter(item.name for item in self.sets)
        twice = [name for name, count in names.items() if count > 1]
        if twice:
            raise ConfigError(f"benchmark {self.name}: two sets are called {twice[0]!r}.")
        tests = [item.name for item in self.sets if item.role == "test"]
        if len(tests) != 1:
            raise ConfigError(f"benchmark {self.name}: {len(tests)} sets have role 'test'; expected one.")
        if self.image_size is not None and self.image_size < 1:
            raise ConfigError(f"benchmark {self.name}: image_size is {self.image_size}; expected 1 or more pixels.")

    def with_role(self, *roles: Role) -> tuple[ImageSet, ...]:
        """The sets with one of these roles, in order."""
        return tuple(item for item in self.sets if item.role in roles)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the definition; the folder of a built data set is no part of it."""
        value = dataclasses.asdict(self)
        del value["folder"]
        return digest_of(value)


def benchmark_names() -> tuple[str, ...]:
    """The definitions that ship with openmmlo."""
    return tuple(sorted(path.stem for path in ROOT.glob("*.yaml")))


def load_benchmark(name: str) -> Benchmark:
    """Read a definition by name, or from a YAML file.

    Raises:
        UnknownName: no such definition and no such file.
        ConfigError: an unknown key, or a value of another kind.
    """
    path = ROOT / f"{name}.yaml"
    if name not in benchmark_names():
        path = Path(name).expanduser()
        if path.suffix not in {".yaml", ".yml"} or not path.is_file():
            extra = " A folder that openmmlo build wrote, or a .yaml file of your own, works too."
            raise UnknownName("benchmark", name, benchmark_names(), extra)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"Benchmark {path.name} is not valid YAML: {error}") from error
    if not isinstance(values, dict) or not isinstance(values.get("sets"), list):
        raise ConfigError(f"Benchmark {path.name} must hold key: value lines, and a list of sets.")
    where = f"benchmark {path.stem}"
    sets = []
    for item in values["sets"]:
        if not isinstance(item, dict):
            raise ConfigError(f"{where}: a set is {item!r}; expected key: value lines.")
        sets.append(construct(ImageSet, item, f"{where}, set {item.get('name', '?')!r}"))
    return construct(Benchmark, values | {"sets": sets}, where)
