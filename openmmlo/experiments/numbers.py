"""Finished jobs come in; per run and seed their results and predictions go out, each held to its own digest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from openmmlo.errors import DataError
from openmmlo.evaluate.compare import flat
from openmmlo.evaluate.metrics.bootstrap import resampled_weights
from openmmlo.evaluate.predictions import Predictions, digest, read_predictions
from openmmlo.evaluate.resampling import Key, aligned, resampled_metrics
from openmmlo.evaluate.result import read_result
from openmmlo.experiments.jobs import Job
from openmmlo.experiments.plan import Run
from openmmlo.models.thp.training import read_training

Array = np.ndarray[Any, np.dtype[Any]]

RESAMPLES = 1000
SEED = 0
"""Of the bootstrap."""


@dataclass(frozen=True)
class Difference:
    """One value less another, with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def told_apart(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0 or self.high < 0

    @property
    def none(self) -> bool:
        """Whether there is no difference at all, as between the features of a model and the same features."""
        return self.low == self.value == self.high == 0


@dataclass(frozen=True, eq=False)
class Seeded:
    """One run with one seed.

    Attributes:
        job: what was run.
        record: its ``done.json``.
        results: ``images`` and ``captions`` -> result.json.
        predictions: of ``images``, by ascending sample id; None for a run that is not scored.
        training: its ``training.json``.
    """

    job: Job
    record: Mapping[str, Any]
    results: Mapping[str, Mapping[str, Any]]
    predictions: Predictions | None
    training: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Measured:
    """A run with the seeds that are finished."""

    run: Run
    seeds: tuple[Seeded, ...]

    def values(self, key: Key) -> list[float]:
        """A metric of the ``scored`` block, a value a seed; empty where some seed has none."""
        found = [flat(item.results["images"]["scored"]).get(key) for item in self.seeds if "images" in item.results]
        return [] if None in found else [float(value) for value in found if value is not None]


@dataclass(frozen=True, eq=False)
class Numbers:
    """Everything that tables and plots are made of.

    Attributes:
        measured: run name -> run with its finished seeds; runs without any are absent.
        missing: names of jobs that are not finished.
        drawn: (run name, seed) -> metric -> (R,) values on resampled test sets, the same sets for all.
    """

    measured: Mapping[str, Measured]
    missing: tuple[str, ...]
    drawn: Mapping[tuple[str, int], Mapping[Key, Array]] = field(default_factory=dict)

    def difference(self, run: Run, other: Run, key: Key) -> Difference | None:
        """A metric of one run less that of another, over the seeds that both have; None where either has none.

        Test images are drawn anew, the same for both, and seeds are paired: what either is to both cancels.
        """
        if run.name not in self.measured or other.name not in self.measured:
            return None
        ours, theirs = ({item.job.seed: item for item in self.measured[name].seeds} for name in (run.name, other.name))
        seeds = [seed for seed in ours if seed in theirs]
        pairs = [(self.drawn.get((run.name, seed), {}), self.drawn.get((other.name, seed), {})) for seed in seeds]
        if not pairs or not all(key in one and key in another for one, another in pairs):
            return None
        plain = [
            flat(ours[seed].results["images"]["scored"])[key] - flat(theirs[seed].results["images"]["scored"])[key]
            for seed in seeds
        ]
        return over_seeds(plain, np.stack([one[key] - another[key] for one, another in pairs]))


def over_seeds(values: Sequence[float], drawn: Array) -> Difference:
    """The mean over seeds with its 95 % interval, which speaks of seeds and of what was resampled within them.

    By Student's t: the variance is that of the mean over seeds, s² / S, plus that of its resampled values, the degrees
    of freedom S - 1 for the first part and many for the second (Satterthwaite, Biometrics Bulletin 1946). Resampling
    three seeds instead would give an interval from the least to the greatest of them, which holds the truth three
    times in four. What images and seeds do together is in both parts: the interval is rather too wide. A single seed
    says nothing of others.

    Args:
        values: (S,) one a seed.
        drawn: (S, R) their resampled values.
    """
    from scipy.special import stdtrit

    mean, seeds = float(np.mean(values)), len(values)
    of_seeds = float(np.var(values, ddof=1)) / seeds if seeds > 1 else 0.0
    variance = of_seeds + float(drawn.mean(axis=0).var(ddof=1))
    freedom = (seeds - 1) * (variance / of_seeds) ** 2 if of_seeds else np.inf
    half = float(stdtrit(freedom, 0.975)) * variance**0.5
    return Difference(mean, mean - half, mean + half)


def over_classes(ours: Mapping[int, Array], theirs: Mapping[int, Array]) -> Difference | None:
    """Mean difference of a value that classes have, with an interval over classes and seeds; None without a common one.

    Args:
        ours, theirs: seed -> (C,) values, NaN for a class that has none.
    """
    seeds = [seed for seed in ours if seed in theirs]
    if not seeds:
        return None
    gaps = np.stack([ours[seed] - theirs[seed] for seed in seeds])
    gaps = gaps[:, ~np.isnan(gaps).any(axis=0)]
    count = gaps.shape[1]
    if not count:
        return None
    weights = resampled_weights(np.zeros(count, int), RESAMPLES, np.random.default_rng([SEED, *b"classes"])) / count
    return over_seeds(gaps.mean(axis=1).tolist(), gaps @ weights)


def read_numbers(jobs: Sequence[Job], resamples: int = RESAMPLES) -> Numbers:
    """Read all that is finished, and resample it.

    Raises:
        DataError: results that are damaged, or not of the predictions beside them.
    """
    found: dict[str, list[Seeded]] = {}
    missing = []
    for job in jobs:
        record = job.done()
        if record is None:
            missing.append(job.name)
        else:
            found.setdefault(job.run.name, []).append(_read(job, record))
    measured = {name: Measured(items[0].job.run, tuple(items)) for name, items in found.items()}
    scored = [item for items in found.values() for item in items if item.predictions is not None]
    drawn: dict[tuple[str, int], Mapping[Key, Array]] = {}
    if scored:
        everyone = [item.predictions for item in scored if item.predictions is not None]
        values = resampled_metrics(everyone, resamples, SEED)
        drawn = {(item.job.run.name, item.job.seed): own for item, own in zip(scored, values, strict=True)}
    return Numbers(measured, tuple(missing), drawn)


def _read(job: Job, record: Mapping[str, Any]) -> Seeded:
    folders = {name: job.folder / place for name, place in record["results"].items()}
    results = {name: read_result(folder) for name, folder in folders.items()}
    predictions = None
    if "images" in folders:
        predictions = read_predictions(folders["images"])
        if results["images"]["digests"]["predictions"] != digest(predictions):
            raise DataError(
                f"{folders['images']}: the predictions are not of the run that wrote its result (their digests "
                f"differ). Delete {job.folder} and run the experiments again."
            )
        sets = [item.name for item in predictions.by_role("test", "shifted", "ood")]
        predictions = aligned(predictions, sets)
    training = read_training(job.checkpoint)
    if training is None or training["digests"] != record["digests"]:
        what = "holds no training.json" if training is None else "is not the one that was evaluated (digests differ)"
        raise DataError(f"{job.checkpoint} {what}. Delete {job.folder} and run the experiments again.")
    return Seeded(job, record, results, predictions, training)


def spread(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and standard deviation (N - 1) over seeds; None for one."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None
