"""The miniature: 50 long-tailed classes of rendered scenes, made on the spot from code alone.

It is there to try, test and debug methods in minutes; the official data sets remain the point. Counts follow the
exponential profile of ``longtail.exponential_counts`` over the ranks of the class table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache

from openmmlo.errors import ConfigError, DataError, UnknownName
from openmmlo.records import OOD_LABEL, ClassInfo, DatasetInfo, Finding, Sample
from openmmlo.sources.longtail import exponential_counts
from openmmlo.sources.miniature_classes import CLASSES, FAR_OOD, LABELS, NEAR_OOD, VERSION, Pictograph
from openmmlo.sources.miniature_scenes import Picture, compose

SPLITS = ("train", "train_balanced", "test", "near_ood", "far_ood", "sketch")

_SMALL = 64
"""Side in pixels up to which images are remembered."""

_LOCATOR = re.compile(
    r"v(?P<version>\w+)/s(?P<size>\d+)/seed(?P<seed>-?\d+)/(?P<id>(?P<split>\w+)/(?P<key>[a-z-]+)-\d{6,})"
)


@dataclass(frozen=True, slots=True)
class RenderedImage:
    """A picture that is drawn when it is read; its locator alone decides every pixel."""

    locator: str

    def read(self) -> bytes:
        """Draw it and return it as PNG; small ones are remembered, for many models that are evaluated in turn."""
        small = int(_parse(self.locator)["size"]) <= _SMALL
        return _remembered(self.locator) if small else _drawn(self.locator)


def _drawn(locator: str) -> bytes:
    from openmmlo.sources.miniature_render import draw, png_bytes

    picture, size = picture_at(locator)
    return png_bytes(draw(picture, size))


@lru_cache(maxsize=12_288)
def _remembered(locator: str) -> bytes:
    """All images of the benchmark, some 20 MB."""
    return _drawn(locator)


def picture_at(locator: str) -> tuple[Picture, int]:
    """The picture a locator stands for, and its size in pixels.

    Raises:
        DataError: not a locator of this version of the miniature.
    """
    found = _parse(locator)
    return compose(found["key"], found["id"], int(found["seed"])), int(found["size"])


def _parse(locator: str) -> re.Match[str]:
    found = _LOCATOR.fullmatch(locator)
    if found is None or found["key"] not in _keys(found["split"]):
        raise DataError(
            f"{locator!r} is no picture of the miniature; expected something like "
            f"'v{VERSION}/s64/seed0/train/umbrella-000123'."
        )
    if found["version"] != VERSION:
        raise DataError(
            f"{locator!r} belongs to version {found['version']} of the miniature; this openmmlo draws version "
            f"{VERSION}. Build it again, or install the release it was built with."
        )
    return found


@cache
def _keys(split: str) -> frozenset[str]:
    kinds = {"near_ood": NEAR_OOD, "far_ood": FAR_OOD}.get(split, CLASSES if split in SPLITS else ())
    return frozenset(item.key for item in kinds)


@dataclass(frozen=True)
class Miniature:
    """Rendered scenes of 50 long-tailed classes, with near-OOD, far-OOD and sketches; needs no files.

    Args:
        seed: another seed gives other pictures of the same counts.
        size: side of the square images in pixels.
        ratio: training images of the largest class over those of the smallest.
        largest: training images of the largest class.
        total: this many training images altogether, a million for instance, whatever ``largest`` says; the profile
            keeps its shape, and no class is empty.
        test_per_class: test images a class.
        near_per_class: images of each of the 15 held-out pictographs.
        far_per_kind: images each of letters, textures and noise.
        sketch_per_class: sketches a class.
    """

    name: str = field(default="miniature", init=False)
    seed: int = 0
    size: int = 64
    ratio: float = 100
    largest: int = 500
    total: int | None = None
    test_per_class: int = 50
    near_per_class: int = 50
    far_per_kind: int = 250
    sketch_per_class: int = 10

    def __post_init__(self) -> None:
        least = {"size": 32, "ratio": 1, "largest": 1, "test_per_class": 0, "near_per_class": 0, "far_per_kind": 0}
        for option, bound in (least | {"sketch_per_class": 0}).items():
            if not bound <= getattr(self, option) < 10**9:
                raise ConfigError(f"miniature: {option} is {getattr(self, option)}; expected {bound} or more.")
        if self.size > 2048:
            raise ConfigError(f"miniature: size is {self.size}; expected at most 2048 pixels.")
        if self.total is None and self.ratio > self.largest:
            raise ConfigError(
                f"miniature: ratio {self.ratio:g} leaves the smallest class empty; largest is {self.largest}, "
                f"expected {self.ratio:g} or more."
            )
        if self.total is not None and self.total < len(CLASSES):
            raise ConfigError(f"miniature: total is {self.total}; expected at least one a class, {len(CLASSES)}.")

    @cached_property
    def train_counts(self) -> tuple[int, ...]:
        """(C,) training images per class in label order."""
        if self.total is None:
            by_rank = exponential_counts(self.largest, len(CLASSES), self.ratio)
        else:
            by_rank = _apportion(self.total, exponential_counts(10**12, len(CLASSES), self.ratio))
        return tuple(by_rank[item.rank] for item in CLASSES)

    def info(self) -> DatasetInfo:
        return DatasetInfo(
            name=self.name,
            version=f"{VERSION}/s{self.size}/seed{self.seed}",
            licence="Apache-2.0",
            classes=tuple(ClassInfo(item.key, item.nouns[0], item.names) for item in CLASSES),
            train_counts=self.train_counts,
            ood_classes=tuple(ClassInfo(item.key, item.nouns[0], item.names) for item in (*NEAR_OOD, *FAR_OOD)),
            notes=(
                f"Images and captions are generated by version {VERSION} of the class table, size {self.size}, "
                f"seed {self.seed}. Pictographs are drawn from DejaVu Sans (Bitstream Vera licence).",
                "Label order is alphabetical; how frequent a class is was drawn at random and is fixed.",
            ),
        )

    def splits(self) -> tuple[str, ...]:
        return SPLITS

    def counts(self, split: str) -> tuple[tuple[Pictograph, int], ...]:
        """Every kind of thing in a split with its number of images.

        Raises:
            UnknownName: no such split.
        """
        if split == "train":
            return tuple(zip(CLASSES, self.train_counts, strict=True))
        if split == "train_balanced":
            each, over = divmod(sum(self.train_counts), len(CLASSES))
            return tuple((item, each + (label < over)) for label, item in enumerate(CLASSES))
        if split == "test":
            return tuple((item, self.test_per_class) for item in CLASSES)
        if split == "near_ood":
            return tuple((item, self.near_per_class) for item in NEAR_OOD)
        if split == "far_ood":
            return tuple((item, self.far_per_kind) for item in FAR_OOD)
        if split == "sketch":
            return tuple((item, self.sketch_per_class) for item in CLASSES)
        raise UnknownName("split of the miniature", split, SPLITS)

    def samples(self, split: str) -> Iterator[Sample]:
        """List a split without drawing anything, classes interleaved so that its beginning resembles the whole."""
        return self._listed(split, self.counts(split))

    def _listed(self, split: str, counts: tuple[tuple[Pictograph, int], ...]) -> Iterator[Sample]:
        root = f"v{VERSION}/s{self.size}/seed{self.seed}/"
        rows = [(item.key, LABELS.get(item.key, OOD_LABEL), count) for item, count in counts]
        rounds = max((count for _, _, count in rows), default=0)
        half = rounds // 2
        for turn in range(rounds):
            for key, label, count in rows:
                index = (turn * count + half) // rounds
                if index < ((turn + 1) * count + half) // rounds:
                    sample_id = f"{split}/{key}-{index:06d}"
                    yield Sample(sample_id, RenderedImage(root + sample_id), label, split, self.name, key)

    def image(self, locator: str) -> RenderedImage:
        """The image a locator stands for, whatever this source's own options are.

        Raises:
            DataError: not a locator of this version of the miniature.
        """
        _parse(locator)
        return RenderedImage(locator)

    def check(self, splits: tuple[str, ...] = (), look: bool = True) -> list[Finding]:
        """Whether the font is at hand, and how many images each split has."""
        from openmmlo.sources.miniature_glyphs import font_is_known, missing_glyphs

        findings = []
        try:
            missing = missing_glyphs()
            known = font_is_known()
        except DataError as error:
            return [Finding("error", str(error), "pip install --force-reinstall matplotlib")]
        remedy = "pip install --force-reinstall matplotlib"
        if missing:
            findings.append(Finding("error", f"DejaVu Sans lacks the pictographs {', '.join(missing)}.", remedy))
        elif not known:
            findings.append(
                Finding(
                    "warning", "This DejaVu Sans differs from the one of matplotlib 3.10: pixels may differ.", remedy
                )
            )
        for split in splits or SPLITS:
            counts = [count for _, count in self.counts(split)]
            found = (
                f"{split}: {sum(counts):,} images of {len(counts)} classes, {max(counts):,} to {min(counts):,} a class"
            )
            findings.append(Finding("ok", found + f", drawn on demand at {self.size} x {self.size} pixels."))
        return findings


def _apportion(total: int, shares: list[int]) -> list[int]:
    """Split ``total`` in proportion to ``shares`` by largest remainders, after one for each."""
    spare, whole = total - len(shares), sum(shares)
    counts = [1 + spare * share // whole for share in shares]
    by_remainder = sorted(range(len(shares)), key=lambda rank: (-(spare * shares[rank] % whole), rank))
    for rank in by_remainder[: total - sum(counts)]:
        counts[rank] += 1
    return counts
