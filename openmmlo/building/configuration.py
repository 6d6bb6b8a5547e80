"""What a build is asked for, how it reports, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from openmmlo.building.masking import MaskLevel
from openmmlo.building.plan import Slice
from openmmlo.data.images import MAX_PIXELS
from openmmlo.errors import ConfigError, UnknownName
from openmmlo.records import Finding, Status


@dataclass(frozen=True)
class BuildConfig:
    """What to build, how, and where to.

    Attributes:
        source: a name in SOURCES, ``package.module:Class``, or a folder of images.
        out: the output folder: new, empty, or begun by the same build.
        source_options: fields of the source's dataclass (images, lists, seed ...).
        captioner: a name in CAPTIONERS, ``package.module:Class``, or ``auto``: the source's own.
        captioner_options: fields of the captioner's dataclass (model, preset, dtype ...).
        splits: which splits; all of the source's where empty.
        mask_level: how much of a class's vocabulary the mask hides.
        lexicon: a frozen mask lexicon; the one that ships with openmmlo, or one expanded from the names, where None.
        batch_size: images a batch; cut by position in the plan.
        workers: processes on this machine; worker i takes accelerator i.
        prefetch: processes a worker that read and decode ahead; chosen from the cores where None.
        shard: ``i/n``: build the i-th of n slices, so that n machines share one output folder.
        shard_size: most samples a shard; less where images are large.
        limit: only this many samples, spread evenly over all splits, for a try-out.
        retry: statuses of error rows to try again; ``failed`` means all of them.
        recaption: change captioner, mask level or lexicon of what is built in ``out``; until that is whole, what is
            there stays.
        measure: take the measures of a whole data set and draw its report.
        allow_missing: images that are not there become error rows; without it they stop the build before any work.
        with_images: store the original image bytes in the data set.
        max_pixels: larger images become error rows.
    """

    source: str
    out: Path
    source_options: dict[str, Any] = field(default_factory=dict)
    captioner: str = "auto"
    captioner_options: dict[str, Any] = field(default_factory=dict)
    splits: tuple[str, ...] = ()
    mask_level: MaskLevel = "strict"
    lexicon: Path | None = None
    batch_size: int = 16
    workers: int = 1
    prefetch: int | None = None
    shard: str = "1/1"
    shard_size: int = 1000
    limit: int | None = None
    retry: tuple[str, ...] = ()
    recaption: bool = False
    measure: bool = True
    allow_missing: bool = False
    with_images: bool = True
    max_pixels: int = MAX_PIXELS

    def __post_init__(self) -> None:
        for name in ("batch_size", "workers", "shard_size", "limit", "max_pixels"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} is {value}; expected at least 1.")
        if self.prefetch is not None and self.prefetch < 0:
            raise ConfigError(f"prefetch is {self.prefetch}; expected 0 or more processes.")
        Slice.parse(self.shard)
        known = {"failed", *(status.value for status in Status if status is not Status.OK)}
        for status in self.retry:
            if status not in known:
                raise UnknownName("status of error rows", status, known)


@dataclass(frozen=True)
class Measured:
    """What came of measuring a data set.

    Attributes:
        leak_rate: share of masked captions that still give their class away, of all that were looked at; None where
            no audit is at hand.
        report: the page that shows everything; None where it could not be drawn.
        failed: measure -> why it could not be taken.
    """

    leak_rate: float | None = None
    report: Path | None = None
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class BuildResult:
    """How a build ended.

    ``rows`` is per split, ``errors`` per status; both over all finished shards. ``warnings`` are what the check found.
    ``masks`` is for ``id`` and ``ood`` the number of ``rows`` and of those that are ``masked``, once the data set is
    whole; ``measured`` is what came of measuring it, None where that was not asked for.
    """

    out: Path
    complete: bool
    planned: int
    rows: dict[str, int]
    errors: dict[str, int]
    seconds: float
    images_per_second: float
    remaining_shards: int
    fingerprint: str
    halved_batches: int
    warnings: list[str] = field(default_factory=list)
    masks: dict[str, dict[str, int]] = field(default_factory=dict)
    measured: Measured | None = None


@dataclass(frozen=True)
class PlanSummary:
    """What a build would do."""

    source: str
    splits: dict[str, int]
    samples: int
    shards: int
    done_shards: int
    fingerprint: str
    findings: list[Finding]
