"""Small random banks and heads for tests of detectors."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from openmmlo.evaluate.features.bank import FeatureBank
from openmmlo.evaluate.head import Head

Array = np.ndarray[Any, np.dtype[Any]]

CLASSES, WIDTH = 7, 24


def bank(name: str, features: Array, labels: Array | None = None, **more: Any) -> FeatureBank:
    ids = np.array([f"{name}-{row}" for row in range(len(features))])
    given = np.full(len(features), -1) if labels is None else labels
    return FeatureBank(name, ids, np.array([""] * len(features)), np.asarray(given, dtype=np.int64), features, **more)


def clustered(seed: int, name: str, counts: list[int], relu: bool = True, width: int = WIDTH) -> FeatureBank:
    """``counts[c]`` rows of class c around a mean that depends on the class and the width alone."""
    means = np.random.default_rng(99).normal(size=(len(counts), width))
    draw = np.random.default_rng(seed)
    labels = draw.permutation(np.repeat(np.arange(len(counts)), counts))
    features = (means[labels] + 0.7 * draw.normal(size=(len(labels), width))).astype(np.float32)
    return bank(name, np.maximum(features, 0) if relu else features, labels)


def training(relu: bool = True) -> FeatureBank:
    return clustered(1, "train", [40, 30, 20, 10, 5, 2, 1], relu)


def inside(relu: bool = True) -> FeatureBank:
    return clustered(2, "test", [8] * CLASSES, relu)


def outside(relu: bool = True, rows: int = 50) -> FeatureBank:
    features = np.random.default_rng(3).normal(scale=1.3, size=(rows, WIDTH)).astype(np.float32)
    return bank("far", np.abs(features) if relu else features)


def with_step(given: FeatureBank, step: float = 0.05) -> FeatureBank:
    """With a perturbed bank beside it."""
    moved = given.features + np.float32(step) * np.random.default_rng(4).normal(size=given.features.shape)
    return dataclasses.replace(given, perturbed=dataclasses.replace(given, features=moved.astype(np.float32)))


def linear(seed: int = 5, scale: float = 1.0) -> Head:
    draw = np.random.default_rng(seed)
    weight = draw.normal(size=(CLASSES, WIDTH)).astype(np.float32)
    return Head("linear-probe", CLASSES, weight, draw.normal(size=CLASSES).astype(np.float32), scale=scale)


def zero_shot(seed: int = 5, scale: float = 100.0) -> Head:
    weight = np.random.default_rng(seed).normal(size=(CLASSES, WIDTH))
    weight /= np.linalg.norm(weight, axis=1, keepdims=True)
    return Head("zero-shot", CLASSES, weight.astype(np.float32), unit_features=True, scale=scale)
