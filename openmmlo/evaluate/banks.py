"""The feature banks of one evaluation: of every set that is run, of its captions, and perturbed for ODIN."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from openmmlo.errors import DataError, ModelError
from openmmlo.evaluate.captions import WORDINGS, CaptionBanks, Wording
from openmmlo.evaluate.configuration import EvalConfig
from openmmlo.evaluate.detectors.odin import ODIN
from openmmlo.evaluate.features.bank import FeatureBank
from openmmlo.evaluate.features.extract import extract
from openmmlo.evaluate.features.identity import Perturbation
from openmmlo.evaluate.features.overlap import overlap
from openmmlo.evaluate.head import Head
from openmmlo.evaluate.image_sets import Resolved, ResolvedSet
from openmmlo.evaluate.result import Notes
from openmmlo.models.encoder import Encoder, Reads, Remarks, Transform
from openmmlo.models.launch import launched
from openmmlo.progress import Progress
from openmmlo.records import Sample
from openmmlo.sources.longtail import seeded_order

_READ_IN_PAIRS = ("train", "validation", "test")
"""Roles of the sets that the caption ablation reads; no other number is made from an image with its caption."""


class Banks:
    """Banks by set, extracted as far as the cache does not hold them.

    Under ``accelerate launch`` every process extracts its share; ``is_main`` goes on with the numbers.
    """

    def __init__(
        self,
        config: EvalConfig,
        encoder: Encoder,
        resolved: Resolved,
        notes: Notes,
        progress: Progress,
        transform: Transform | None = None,
    ) -> None:
        self.config = config
        self.encoder = encoder
        self.resolved = resolved
        self.notes = notes
        self.progress = progress
        self.transform = transform
        self.log: dict[str, str] = {}
        self.is_main = launched()[0] == 0
        if isinstance(encoder, Remarks):
            notes.warnings.extend(encoder.remarks)
        self._banks: dict[str, FeatureBank] = {}
        self._captions: dict[tuple[str, Wording], FeatureBank] = {}
        self._pairs: dict[tuple[str, Wording], FeatureBank] = {}
        self._samples: dict[str, list[Sample]] = {}
        self.mode: Reads = "image" if "image" in encoder.reads else "text"

    @property
    def transform_record(self) -> dict[str, Any] | None:
        """What decides a pixel; None for a model that reads no images."""
        return (self.transform or self.encoder.transform).record if self.mode == "image" else None

    def extract(self) -> None:
        """Every bank that does not depend on a classifier.

        Raises:
            ModelError: the model reads texts alone, and the benchmark has no captions.
        """
        for item in self.resolved.sets:
            if item.reason is not None:
                continue
            self._samples[item.name] = spread(item.samples, self.config.limit)
            captions = item.captions(self.config.captions, self._samples[item.name])
            if self.mode == "text" and captions is None:
                raise ModelError(
                    f"{self.encoder.name} reads texts alone, and {self.resolved.benchmark.name} has no captions. "
                    "Evaluate it on a folder that openmmlo build wrote."
                )
            self._banks[item.name] = self._take(item, self.mode, captions)
            if "text" in self.encoder.reads and self.mode == "image":
                self._extract_captions(item)
        failed = {bank.name: len(bank.failed) for bank in self._banks.values() if bank.failed}
        for name, count in failed.items():
            status = self._banks[name].failed[0]
            self.notes.warnings.append(
                f"set {name}: {count:,} images could not be read, for example {status[0]!r} ({status[1]}: {status[2]})"
            )
        if failed:
            self.notes.departures.append(f"{sum(failed.values()):,} images could not be read")

    def _extract_captions(self, item: ResolvedSet) -> None:
        for wording in WORDINGS:
            texts = item.captions(wording, self._samples[item.name])
            if texts is None:
                continue
            cut = self.encoder.count_truncated(texts)
            if cut:
                self.notes.warnings.append(
                    f"set {item.name}: {cut:,} of {len(texts):,} {wording} captions are longer than the model reads"
                )
            rows = self._take(item, "text", texts, wording)
            self._captions[item.name, wording] = _rows_of(rows, self._banks[item.name])
            if "pair" in self.encoder.reads and item.role in _READ_IN_PAIRS:
                self._pairs[item.name, wording] = self._take(item, "pair", texts, wording)

    def _take(
        self, item: ResolvedSet, mode: Reads, captions: list[str] | None, wording: str = "",
        step: Perturbation | None = None,
    ) -> FeatureBank:  # fmt: skip
        kind = {"image": "perturbed" if step else "", "text": "captions", "pair": "with captions"}[mode]
        what = " ".join(filter(None, (item.name, wording, kind)))
        self.progress.say(f"Features of {what}: {len(self._samples[item.name]):,} rows")
        bank = extract(
            self.encoder,
            item.name,
            self._samples[item.name],
            cache=self.config.cache_root,
            mode=mode,
            captions=captions,
            caption_digest=item.caption_digest,
            transform=self.transform,
            precision=self.config.precision,
            dtype=self.config.dtype,
            batch_size=self.config.batch_size,
            workers=self.config.workers,
            perturb=step,
            progress=self.progress,
        )
        self.log[what] = bank.extraction.line if bank.extraction is not None else ""
        return bank

    def perturb(self, head: Head, odin: ODIN) -> None:
        """Hang the perturbed bank that this ODIN reads under every bank that is scored."""
        step = Perturbation(head, odin.temperature, odin.eta)
        for item in self.resolved.with_role("test", "shifted", "ood", "ood-validation"):
            if self.mode == "image":
                moved = self._take(item, "image", None, step=step)
                self._banks[item.name] = replace(self._banks[item.name], perturbed=moved)

    def refuse_overlap(self) -> None:
        """Refuse images that are both in and out of distribution, unless that is allowed.

        Raises:
            DataError: how many, of which sets, with an example.
        """
        inside = self.with_role("train", "validation", "test", "shifted")
        lines = [item.line for item in overlap(inside, self.with_role("ood", "ood-validation"))]
        if lines and not self.config.allow_overlap:
            raise DataError(
                f"{'; '.join(lines)}. An image cannot be in and out of distribution: mend the lists, or go on with "
                "--allow-overlap."
            )
        self.notes.warnings.extend(lines)
        if lines:
            self.notes.departures.append("images that are both in and out of distribution were allowed")
        tested = self.with_role("test", "shifted")
        for item in overlap(self.with_role("train"), tested):
            self.notes.warnings.append(item.line)

    def with_role(self, *roles: str) -> list[FeatureBank]:
        """Banks of the sets with one of these roles, in the order of the definition."""
        return [self._banks[item.name] for item in self.resolved.with_role(*roles) if item.name in self._banks]

    @property
    def test(self) -> FeatureBank:
        return self.with_role("test")[0]

    @property
    def train(self) -> FeatureBank | None:
        return next(iter(self.with_role("train")), None)

    @property
    def validation(self) -> FeatureBank | None:
        return next(iter(self.with_role("validation")), None)

    @property
    def texts_apart(self) -> bool:
        """Whether the model reads images and texts into spaces of their own, between which nothing is compared."""
        return {"image", "text"} <= self.encoder.reads and self.encoder.logit_scale is None

    @property
    def has_captions(self) -> bool:
        """Whether training and test set have captions that this model reads."""
        return all((bank.name, "masked") in self._captions for bank in (self.train, self.test) if bank is not None)

    def caption_features(self, name: str) -> np.ndarray | None:
        """(N, D) features of the captions of a set's images, row by row."""
        bank = self._captions.get((name, self.config.captions))
        return None if bank is None else bank.features

    def ood_caption_features(self) -> list[np.ndarray]:
        """Caption features of every OOD set that has captions."""
        found = (self.caption_features(bank.name) for bank in self.with_role("ood"))
        return [features for features in found if features is not None]

    def caption_banks(self, bank: FeatureBank) -> CaptionBanks:
        """One set as the model reads it in each way."""
        captions, pairs = (
            {wording: banks[bank.name, wording] for wording in WORDINGS if (bank.name, wording) in banks}
            for banks in (self._captions, self._pairs)
        )
        return CaptionBanks(bank, captions, pairs)

    def records(self) -> list[dict[str, Any]]:
        """What a result says of every set."""
        found = []
        for item in self.resolved.sets:
            bank = self._banks.get(item.name)
            failed = [] if bank is None else [list(row) for row in bank.failed[:100]]
            scored = None if bank is None else len(bank)
            found.append(item.to_json() | {"scored_rows": scored, "failed": failed})
        return found

    def fingerprints(self) -> dict[str, str]:
        """Bank -> digest of everything that decides its rows: of images, after ODIN's step, of captions, of both."""
        banks = dict(self._banks)
        banks |= {f"{name} perturbed": bank.perturbed for name, bank in self._banks.items() if bank.perturbed}
        for kind, found in (("captions", self._captions), ("with captions", self._pairs)):
            banks |= {f"{name} {wording} {kind}": bank for (name, wording), bank in found.items()}
        return {name: bank.fingerprint for name, bank in banks.items()}


def spread(samples: tuple[Sample, ...], limit: int | None) -> list[Sample]:
    """At most ``limit`` samples, those of least SHA-256 of their ids, in the order of the list.

    A stride would meet the order of the classes, and leave most of them out.
    """
    if limit is None or len(samples) <= limit:
        return list(samples)
    kept = set(seeded_order([sample.sample_id for sample in samples], 0)[:limit])
    return [sample for sample in samples if sample.sample_id in kept]


def _rows_of(texts: FeatureBank, images: FeatureBank) -> FeatureBank:
    """The rows of a bank of captions whose images have a row, in their order."""
    if np.array_equal(texts.sample_ids, images.sample_ids):
        return texts
    place = {sample_id: row for row, sample_id in enumerate(texts.sample_ids)}
    rows = np.array([place[sample_id] for sample_id in images.sample_ids])
    return replace(
        texts, sample_ids=images.sample_ids, class_keys=images.class_keys, labels=images.labels,
        features=texts.features[rows],
    )  # fmt: skip
