"""Feature banks of random numbers, as tests need them."""

from __future__ import annotations

from typing import Any

import numpy as np

from openmmlo.evaluate.features.bank import FeatureBank


def bank_of(features: Any, labels: Any, name: str = "test") -> FeatureBank:
    """A bank with these rows; sample ids are numbered."""
    labels = np.asarray(labels, np.int64)
    ids = np.array([f"{name}-{row:05d}" for row in range(len(labels))])
    return FeatureBank(name, ids, labels.astype(str), labels, np.asarray(features))


def clustered(
    rows: int, classes: int, width: int, seed: int, name: str = "test", noise: float = 1.0, centres_seed: int = 99
) -> FeatureBank:
    """Gaussian classes whose centres are the same for every seed; each class has a row."""
    generator = np.random.default_rng(seed)
    centres = np.random.default_rng(centres_seed).normal(size=(classes, width))
    labels = np.concatenate([np.arange(classes), generator.integers(0, classes, rows - classes)])
    features = centres[labels] + noise * generator.normal(size=(rows, width))
    return bank_of(features.astype(np.float32), labels, name)
