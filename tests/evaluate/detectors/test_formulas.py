"""Every detector agrees with its formula written out row by row, class by class, in float64."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from detector_banks import CLASSES, WIDTH, inside, linear, outside, training, with_step, zero_shot

from openmmlo.evaluate.detectors import DETECTORS, open_detector
from openmmlo.evaluate.detectors.run import detect
from openmmlo.evaluate.features.bank import FeatureBank
from openmmlo.evaluate.head import Head

Array = np.ndarray[Any, np.dtype[Any]]
Formula = Callable[[FeatureBank, Head, FeatureBank], list[float]]

K = 3


def inputs(head: Head, features: Array) -> Array:
    wide = features.astype(np.float64)
    return np.array([row / np.linalg.norm(row) for row in wide]) if head.unit_features else wide


def logits(head: Head, given: Array) -> list[list[float]]:
    assert head.weight is not None
    weight = head.weight.astype(np.float64)
    bias = np.zeros(head.classes) if head.bias is None else head.bias.astype(np.float64)
    return [[head.scale * (float(weight[c] @ row) + bias[c]) for c in range(head.classes)] for row in given]


def probabilities(row: Sequence[float], temperature: float = 1.0) -> list[float]:
    powers = [math.exp((value - max(row)) / temperature) for value in row]
    return [power / sum(powers) for power in powers]


def log_sum(row: Sequence[float]) -> float:
    return max(row) + math.log(sum(math.exp(value - max(row)) for value in row))


def energies(head: Head, given: Sequence[Array]) -> list[float]:
    return [-log_sum(row) for row in logits(head, np.array(given))]


def msp(bank: FeatureBank, head: Head, train: FeatureBank) -> list[float]:
    return [1 - max(probabilities(row)) for row in logits(head, inputs(head, bank.features))]


def max_logit(bank: FeatureBank, head: Head, train: FeatureBank) -> list[float]:
    return [-max(row) for row in logits(head, inputs(head, bank.features))]


def energy(bank: FeatureBank, head: Head, train: FeatureBank) -> list[float]:
    return energies(head, list(inputs(head, bank.features)))


def odin(bank: FeatureBank, head: Head, train: FeatureBank) -> list[float]:
    assert bank.perturbed is not None
    moved = logits(head, inputs(head, bank.perturbed.features))
    return [1 - max(probabilities(row, 1000)) for row in moved]


def mahalanobis(bank: FeatureBank, head: Head, train: FeatureBank) -> list[float]:
    known = inputs(head, train.features)
    means = [known[train.labels == c].mean(axis=0) for c in range(CLASSES)]
    covariance = np.zeros((WIDTH, WIDTH))
    for row, label in zip(known, train.labels, strict=True):
        covariance += np.outer(row - means[label], row - means[label]) / len(known)
    inverse = np.linalg.pinv(covariance)
    return [min((row - mean) @ inverse @ (row - mean) for mean in means) for row in inputs(head, bank.features)]


def neighbour_distances(bank: FeatureBank, train: FeatureBank, k: int) -> list[float]:
    def unit(row: Array) -> Array:
        return row.astype(np.float64) / (np.linalg.norm(row.astype(np.float64)) + 1e-10)

    known = [unit(row) for row in train.features]
    return [sorted(float(np.sum((unit(row) - other) ** 2)) for other in known)[k - 1] for row in bank.features]


def knn(bank: FeatureBank, head: Head, train: FeatureBank) -> list[float]:
    return neighbour_distances(bank, train, K)


def thp_knn(bank: FeatureBank, head: Head, train: FeatureBank) -> list[float]:
    return [-2 / (1 + 16 * squared / 2) for squared in neighbour_distances(bank, train, K)]


def vim(bank: FeatureBank, head: Head, train: FeatureBank) -> list[float]:
    assert head.weight is not None
    bias = np.zeros(CLASSES) if head.bias is None else head.bias.astype(np.float64)
    origin = -np.linalg.pinv(head.weight.astype(np.float64)) @ bias
    known = inputs(head, train.features)
    moment = sum(np.outer(row - origin, row - origin) for row in known) / len(known)
    values, vectors = np.linalg.eig(moment)
    rest = vectors[:, np.argsort(-values)[WIDTH // 2 :]].real
    length = [float(np.linalg.norm(rest.T @ (row - origin))) for row in known]
    alpha = np.mean([max(row) for row in logits(head, known)]) / np.mean(length)
    given = inputs(head, bank.features)
    return [
        alpha * float(np.linalg.norm(rest.T @ (row - origin))) + value
        for row, value in zip(given, energies(head, list(given)), strict=True)
    ]


def react(bank: FeatureBank, head: Head, train: FeatureBank) -> list[float]:
    limit = np.percentile(inputs(head, train.features).ravel(), 90)
    return energies(head, [np.minimum(row, limit) for row in inputs(head, bank.features)])


def shaped(row: Array, percentile: float, change: Callable[[Array, float, float, int], Array]) -> Array:
    count = len(row) - int(np.round(len(row) * percentile / 100))
    kept = np.argsort(-row, kind="stable")[:count]
    made = np.zeros_like(row)
    made[kept] = change(row[kept], row.sum(), row[kept].sum(), count)
    return made


def ash_s(bank: FeatureBank, head: Head, train: FeatureBank) -> list[float]:
    given = inputs(head, bank.features)
    return energies(head, [shaped(row, 90, lambda kept, all_, some, k: kept * math.exp(all_ / some)) for row in given])


def ash_b(bank: FeatureBank, head: Head, train: FeatureBank) -> list[float]:
    given = inputs(head, bank.features)
    return energies(head, [shaped(row, 65, lambda kept, all_, some, k: np.full(k, all_ / k)) for row in given])


def she(bank: FeatureBank, head: Head, train: FeatureBank) -> list[float]:
    known = inputs(head, train.features)
    predicted = [int(np.argmax(row)) for row in logits(head, known)]
    patterns = []
    for c in range(CLASSES):
        right = [row for row, label, guess in zip(known, train.labels, predicted, strict=True) if label == guess == c]
        patterns.append(np.mean(right or known[train.labels == c], axis=0))
    given = inputs(head, bank.features)
    return [-float(row @ patterns[int(np.argmax(z))]) for row, z in zip(given, logits(head, given), strict=True)]


def gradnorm(bank: FeatureBank, head: Head, train: FeatureBank) -> list[float]:
    given = inputs(head, bank.features)
    return [
        -float(np.abs(row).sum()) * sum(abs(CLASSES * p - 1) for p in probabilities(z))
        for row, z in zip(given, logits(head, given), strict=True)
    ]


def mcm(bank: FeatureBank, head: Head, train: FeatureBank) -> list[float]:
    assert head.weight is not None
    cosines = inputs(head, bank.features) @ head.weight.astype(np.float64).T
    return [1 - max(probabilities(row)) for row in cosines]


FORMULAS: dict[str, Formula] = {
    "msp": msp,
    "max-logit": max_logit,
    "energy": energy,
    "odin": odin,
    "mahalanobis": mahalanobis,
    "knn": knn,
    "thp-knn": thp_knn,
    "vim": vim,
    "react": react,
    "ash-s": ash_s,
    "ash-b": ash_b,
    "she": she,
    "gradnorm": gradnorm,
    "mcm": mcm,
}


def test_every_detector_has_a_formula_here() -> None:
    assert list(FORMULAS) == list(DETECTORS)


HEADS = {"linear": linear(), "scaled": linear(6, scale=3.0), "zero-shot": zero_shot()}
CASES = [(name, head) for name in DETECTORS for head in HEADS if name != "mcm" or head == "zero-shot"]


@pytest.mark.parametrize("relu", [True, False], ids=["relu", "signed"])
@pytest.mark.parametrize(("name", "kind"), CASES)
def test_scores_are_those_of_the_formula(name: str, kind: str, relu: bool) -> None:
    head = HEADS[kind]
    detector = open_detector(name, {"k": K} if "knn" in name else {})
    train, banks = training(relu), [with_step(inside(relu)), with_step(outside(relu))]
    found = detect([detector], head, train, banks)
    for bank in banks:
        scores = found.scores[name][bank.name]
        assert scores.dtype == np.float64
        expected = np.array(FORMULAS[name](bank, head, train))
        np.testing.assert_allclose(scores, expected, rtol=2e-5, atol=2e-6 * np.abs(expected).max())


def test_a_class_that_is_never_right_is_among_the_training_data() -> None:
    """The formulas above meet the case that the tail brings."""
    found = detect([open_detector("she")], linear(), training(), [inside()])
    assert found.choices["she"]["classes_without_a_correct_image"] > 0
