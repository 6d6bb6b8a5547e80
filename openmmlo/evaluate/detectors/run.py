"""All detectors on all banks: fitted once, every block of rows read once, shared work done once."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from openmmlo.errors import ConfigError
from openmmlo.evaluate.detectors import Detector, Fitted, Unfit
from openmmlo.evaluate.detectors.inspection import Inspected, inspect
from openmmlo.evaluate.detectors.rows import BLOCK_VALUES
from openmmlo.evaluate.detectors.scoring import Setting, score_bank
from openmmlo.evaluate.detectors.stopwatch import Stopwatch
from openmmlo.evaluate.detectors.training import Training
from openmmlo.evaluate.features.bank import FeatureBank
from openmmlo.evaluate.head import Head
from openmmlo.progress import Progress, Silent

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, eq=False)
class Detections:
    """What the detectors said.

    Attributes:
        scores: detector -> set -> (N,) float64, larger = more out of distribution.
        sweep: detector -> k -> set -> (N,) float64.
        not_run: detector -> why it could not be applied.
        cautions: detector -> what a reader of its numbers should know.
        remarks: sentences on the banks themselves.
        choices: detector -> hyper-parameters, and what the training data decided.
        seconds: wall time by detector; work that several share has names of its own.
    """

    scores: dict[str, dict[str, Array]] = field(default_factory=dict)
    sweep: dict[str, dict[int, dict[str, Array]]] = field(default_factory=dict)
    not_run: dict[str, str] = field(default_factory=dict)
    cautions: dict[str, tuple[str, ...]] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    choices: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def detect(
    detectors: Sequence[Detector],
    head: Head,
    train: FeatureBank | None,
    banks: Sequence[FeatureBank],
    *,
    sweep: Sequence[int] = (),
    progress: Progress | None = None,
    block_values: int = BLOCK_VALUES,
    approximate: bool = False,
) -> Detections:
    """Fit detectors on training data and score every bank.

    Args:
        detectors: with their hyper-parameters; each name once.
        head: of the model.
        train: bank of in-distribution training images; without it the detectors that need none are run.
        banks: what is scored; each name once. Where the training bank is among them, a row is its own neighbour.
        sweep: the detectors that have a ``k`` are scored for each of these too, out of the same search. Those above
            the number of training images are left out, and said to be.
        progress: rows of the banks.
        block_values: numbers of one array of a block; decides memory, not scores.
        approximate: search neighbours in an index; the remarks say with which recall.

    Raises:
        DataError: an empty bank, features or logits or scores that are NaN or infinite, a bank of nothing but zeros,
            features of another width than the head, training labels that are no class.
    """
    _distinct("detector", [detector.name for detector in detectors])
    _distinct("bank", [bank.name for bank in banks])
    progress = progress or Silent()
    watch = Stopwatch()
    inspected = {}
    with watch.of("inspection"):
        for bank in [*([train] if train is not None else []), *banks]:
            if id(bank) not in inspected:
                inspected[id(bank)] = inspect(bank, head, block_values)
    found = Detections(remarks=tuple(item.remark for item in inspected.values() if item.remark), seconds=watch.seconds)
    able = []
    for detector in detectors:
        reason = detector.unfit(head, train, banks)
        if reason:
            found.not_run[detector.name] = reason
        else:
            able.append(detector)

    settings: dict[Setting, Detector] = {(detector.name, None): detector for detector in able}
    for detector in able:
        for k in dict.fromkeys(sweep):
            swept = with_k(detector, k)
            if swept is not None and not swept.unfit(head, train, banks):
                settings[detector.name, k] = swept
    training = (
        None if train is None else Training(train, head, depths(settings.values()), watch, block_values, approximate)
    )
    fitted: dict[Setting, Fitted] = {}
    for setting, detector in settings.items():
        try:
            with watch.of(detector.name):
                fitted[setting] = detector.fit(training, head)
        except Unfit as error:
            found.not_run[detector.name] = str(error)
    looked = inspected.get(id(train)) or next(iter(inspected.values()), None)
    for (name, value), fit in fitted.items():
        if value is None:
            found.choices[name] = {**hyper_parameters(settings[name, None]), **fit.learned}
            found.cautions[name] = tuple(cautions(settings[name, None], looked, training, sweep))

    progress.start(sum(map(len, banks)), 0)
    try:
        for bank in banks:
            for (name, value), scores in score_bank(fitted, bank, head, watch, block_values, progress).items():
                if value is None:
                    found.scores.setdefault(name, {})[bank.name] = scores
                else:
                    found.sweep.setdefault(name, {}).setdefault(int(value), {})[bank.name] = scores
    finally:
        progress.close()
    if training is not None and training.neighbourhood.remarks:
        found = dataclasses.replace(found, remarks=(*found.remarks, *training.neighbourhood.remarks))
    return found


def depths(detectors: Iterable[Detector]) -> set[int]:
    """Every k that the detectors will ask neighbours for."""
    return {int(hyper_parameters(detector).get("k", 0)) for detector in detectors} - {0}


def with_k(detector: Detector, k: int) -> Detector | None:
    """The detector with another k; None where it has none."""
    return with_value(detector, "k", k) if "k" in hyper_parameters(detector) else None


def with_value(detector: Detector, field_name: str, value: float) -> Detector:
    """The detector with one hyper-parameter changed."""
    changed: Any = detector
    made: Detector = dataclasses.replace(changed, **{field_name: value})
    return made


def hyper_parameters(detector: Detector) -> dict[str, Any]:
    """Field -> value, without the name."""
    made: Any = detector
    return {item.name: getattr(made, item.name) for item in dataclasses.fields(made) if item.init}


def cautions(
    detector: Detector, inspected: Inspected | None, training: Training | None, sweep: Sequence[int]
) -> list[str]:
    """What a reader of a detector's numbers should know, a sentence each."""
    found = []
    if detector.post_relu and inspected is not None and inspected.negative:
        found.append(
            f"It presumes features after a ReLU; {100 * inspected.negative:.0f} % of those of "
            f"{inspected.name!r} are negative."
        )
    k = hyper_parameters(detector).get("k")
    if k is not None and training is not None:
        short = int(np.count_nonzero(training.class_counts < k))
        if short:
            found.append(
                f"k = {k:,} is more than the training images of {short:,} of {len(training.class_counts):,} classes, "
                "so test images of these count as far from their own class; see the sweep."
            )
        left = [str(item) for item in sweep if item > len(training)]
        if left:
            found.append(f"Not swept: k = {', '.join(left)}; the training bank holds {len(training):,} images.")
    return found


def _distinct(kind: str, names: Sequence[str]) -> None:
    twice = [name for place, name in enumerate(names) if name in names[:place]]
    if twice:
        raise ConfigError(f"Two {kind}s are called {twice[0]!r}; expected each once.")
