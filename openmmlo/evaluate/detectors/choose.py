"""Hyper-parameters chosen on validation sets, and never on the sets that are reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from openmmlo.errors import DataError
from openmmlo.evaluate.benchmark import Benchmark
from openmmlo.evaluate.detectors import Detector
from openmmlo.evaluate.detectors.inspection import inspect
from openmmlo.evaluate.detectors.rows import BLOCK_VALUES
from openmmlo.evaluate.detectors.run import depths, with_value
from openmmlo.evaluate.detectors.scoring import Setting, score_bank
from openmmlo.evaluate.detectors.training import Training
from openmmlo.evaluate.features.bank import FeatureBank
from openmmlo.evaluate.head import Head
from openmmlo.evaluate.metrics.ood import auroc

GRIDS: dict[str, tuple[str, tuple[float, ...]]] = {
    "knn": ("k", (1, 2, 5, 10, 20, 50, 100, 200, 300, 500, 1000)),
    "thp-knn": ("k", (1, 2, 5, 10, 20, 50, 100, 200, 300, 500, 1000)),
    "react": ("percentile", (80.0, 85.0, 90.0, 95.0, 99.0)),
    "ash-s": ("percentile", (65.0, 80.0, 85.0, 90.0, 95.0, 99.0)),
    "ash-b": ("percentile", (65.0, 80.0, 85.0, 90.0, 95.0, 99.0)),
}
"""Detector -> the field that is chosen, and among which values."""


@dataclass(frozen=True)
class Choice:
    """What was chosen for a detector, and on what.

    Attributes:
        field: the hyper-parameter.
        value: the chosen one.
        auroc: (value, AUROC) of every candidate that could be scored, the mean over the OOD sets.
        id_set: the in-distribution validation set.
        ood_sets: the OOD validation sets.
    """

    field: str
    value: float
    auroc: tuple[tuple[float, float], ...]
    id_set: str
    ood_sets: tuple[str, ...]


def validation_banks(
    benchmark: Benchmark, banks: Sequence[FeatureBank]
) -> tuple[FeatureBank, tuple[FeatureBank, ...]] | None:
    """The bank of the role ``validation`` and those of ``ood-validation``; None where one of the two is not at hand."""
    by_name = {bank.name: bank for bank in banks}
    inside = [by_name[item.name] for item in benchmark.with_role("validation") if item.name in by_name]
    outside = [by_name[item.name] for item in benchmark.with_role("ood-validation") if item.name in by_name]
    return (inside[0], tuple(outside)) if inside and outside else None


def choose(
    detectors: Sequence[Detector],
    head: Head,
    train: FeatureBank | None,
    benchmark: Benchmark,
    inside: FeatureBank,
    outside: Sequence[FeatureBank],
    *,
    grids: dict[str, tuple[str, tuple[float, ...]]] | None = None,
    block_values: int = BLOCK_VALUES,
) -> tuple[tuple[Detector, ...], dict[str, Choice]]:
    """The detectors with the values of GRIDS that part the validation sets best, by AUROC; of equals, the first.

    Detectors without a grid, and those that cannot be applied, come back as they are. Where an OOD validation set has
    several parts, the mean of their AUROCs decides.

    Args:
        benchmark: whose roles are kept: ``inside`` must be a ``validation`` set of it, ``outside`` of
            ``ood-validation``.

    Raises:
        DataError: a set of another role, above all one that is reported.
    """
    _of_role(benchmark, [inside], "validation")
    _of_role(benchmark, outside, "ood-validation")
    if not outside:
        raise DataError("No OOD validation set given; expected one at least. Leave the hyper-parameters as they are.")
    table = GRIDS if grids is None else grids
    banks = (inside, *outside)
    for bank in banks:
        inspect(bank, head, block_values)
    tried: dict[Setting, Detector] = {}
    for detector in detectors:
        field, values = table.get(detector.name, ("", ()))
        for value in values:
            variant = with_value(detector, field, value)
            if not variant.unfit(head, train, banks):
                tried[detector.name, value] = variant
    training = None if train is None else Training(train, head, depths(tried.values()), block_values=block_values)
    fitted = {setting: variant.fit(training, head) for setting, variant in tried.items()}
    scores = [score_bank(fitted, bank, head, block_values=block_values, lenient=True) for bank in banks]
    tried = {setting: item for setting, item in tried.items() if all(setting in found for found in scores)}
    chosen: dict[str, Detector] = {detector.name: detector for detector in detectors}
    choices: dict[str, Choice] = {}
    for detector in detectors:
        parted = tuple(
            (value, float(np.mean([auroc(scores[0][name, value], far[name, value]) for far in scores[1:]])))
            for name, value in tried
            if name == detector.name and value is not None
        )
        if parted:
            best = max(parted, key=lambda pair: pair[1])[0]
            chosen[detector.name] = tried[detector.name, best]
            choices[detector.name] = Choice(
                table[detector.name][0], best, parted, inside.name, tuple(bank.name for bank in outside)
            )
    return tuple(chosen.values()), choices


def _of_role(benchmark: Benchmark, banks: Sequence[FeatureBank], role: str) -> None:
    roles = {item.name: item.role for item in benchmark.sets}
    for bank in banks:
        if roles.get(bank.name) != role:
            raise DataError(
                f"{bank.name!r} has the role {roles.get(bank.name, 'of none of the sets')!r} in {benchmark.name}; "
                f"hyper-parameters are chosen on sets of role {role!r}, never on what is reported."
            )
