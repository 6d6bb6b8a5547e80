"""All OOD detectors, every k of the sweep and all OOD metrics from cached banks of a CIFAR-100-LT evaluation.

10,847 training, 10,000 ID and 5 × 10,000 OOD features of width 768 and half precision, memory-mapped as a cache has
them; a zero-shot head over 100 classes, to which all fourteen detectors apply. Features lie in clusters of 100 classes
after a ReLU; OOD features around means of their own. Reading the files is part of the time, making them is not. A
detector that does not run ends the measurement with an error.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from pathlib import Path

import numpy as np
from measure import Line, repeated

from openmmlo.evaluate.detectors import DETECTORS, open_detector
from openmmlo.evaluate.detectors.run import detect
from openmmlo.evaluate.features.bank import FeatureBank
from openmmlo.evaluate.head import Head
from openmmlo.evaluate.metrics.ood import ood_metrics

CLASSES, WIDTH = 100, 768
TRAIN, TEST, OOD_SETS = 10_847, 10_000, 5
SWEEP = (1, 5, 10, 50, 100, 300, 1000)


def measure(pairs: int) -> list[Line]:
    """One line: seconds for everything."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        means = np.random.default_rng(0).normal(size=(CLASSES, WIDTH))
        train = bank(folder, "train", TRAIN, means, 1)
        test = bank(folder, "test", TEST, means, 2)
        far = [
            bank(folder, f"ood-{seed}", TEST, np.random.default_rng(seed).normal(size=means.shape), seed, known=False)
            for seed in range(3, 3 + OOD_SETS)
        ]
        weight = means / np.linalg.norm(means, axis=1, keepdims=True)
        head = Head("zero-shot", CLASSES, weight.astype(np.float32), unit_features=True, scale=100.0)
        detectors = [open_detector(name) for name in DETECTORS]
        computed = 0

        def everything() -> float:
            nonlocal computed
            started = time.perf_counter()
            found = detect(detectors, head, train, [test, *far], sweep=SWEEP)
            told = [(name, sets) for name, sets in found.scores.items()]
            told += [(name, sets) for name, swept in found.sweep.items() for sets in swept.values()]
            metrics = [ood_metrics(sets["test"], sets[item.name], name) for name, sets in told for item in far]
            seconds = time.perf_counter() - started
            if found.not_run:
                raise RuntimeError(f"not all detectors were run: {found.not_run}")
            computed = sum(map(len, metrics))
            return seconds

        line = repeated(
            f"{len(DETECTORS)} OOD detectors, {len(SWEEP)} k and all metrics from cached banks",
            everything,
            unit="s",
            bar=60,
            pairs=pairs,
            peer_name="none",
        )
    detail = f"{TRAIN:,} × {WIDTH} training, {TEST:,} ID and {OOD_SETS} × {TEST:,} OOD; {computed:,} metrics"
    return [dataclasses.replace(line, detail=detail)]


def bank(folder: Path, name: str, rows: int, means: np.ndarray, seed: int, known: bool = True) -> FeatureBank:
    """Features around class means, with a perturbed bank beside them, on disk."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, CLASSES, rows)
    features = np.maximum(means[labels] + draw.normal(size=(rows, WIDTH)), 0)
    ids = np.array([f"{name}-{row}" for row in range(rows)])
    given = labels if known else np.full(rows, -1)
    plain, moved = (
        FeatureBank(name, ids, ids, given, mapped(folder / f"{name}-{kind}.npy", features + step))
        for kind, step in (("plain", 0.0), ("moved", 0.01))
    )
    return dataclasses.replace(plain, perturbed=moved)


def mapped(path: Path, features: np.ndarray) -> np.ndarray:
    np.save(path, features.astype(np.float16))
    found: np.ndarray = np.load(path, mmap_mode="r")
    return found
