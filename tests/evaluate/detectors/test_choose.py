"""Hyper-parameters come from validation sets alone, and from the best of the values tried."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from detector_banks import inside, linear, outside, training
from sklearn.metrics import roc_auc_score

from openmmlo.errors import DataError
from openmmlo.evaluate.benchmark import Benchmark, ImageSet
from openmmlo.evaluate.detectors.ash import AshS
from openmmlo.evaluate.detectors.choose import choose, validation_banks
from openmmlo.evaluate.detectors.energy import Energy
from openmmlo.evaluate.detectors.knn import KNN, ThpKNN
from openmmlo.evaluate.detectors.react import ReAct
from openmmlo.evaluate.detectors.run import detect

ROLES = {"train": "train", "validation": "validation", "test": "test", "far": "ood", "near": "ood-validation",
         "odd": "ood-validation"}  # fmt: skip
BENCHMARK = Benchmark(
    "tiny",
    1,
    "Tiny.",
    7,
    tuple(ImageSet(name, role, "miniature", name) for name, role in ROLES.items()),  # type: ignore[arg-type]
)
VALIDATION = dataclasses.replace(inside(), name="validation")
NEAR = dataclasses.replace(outside(), name="near")
ODD = dataclasses.replace(outside(rows=30), name="odd", features=outside(rows=30).features ** 2)


def test_the_best_value_by_the_mean_over_the_sets_is_taken_and_told() -> None:
    detectors, choices = choose([KNN(50), Energy(), ThpKNN(), ReAct()], linear(), training(), BENCHMARK, VALIDATION,
                                [NEAR, ODD])  # fmt: skip
    assert [detector.name for detector in detectors] == ["knn", "energy", "thp-knn", "react"]
    assert detectors[1] == Energy()
    assert set(choices) == {"knn", "thp-knn", "react"}
    choice = choices["knn"]
    assert (choice.field, choice.id_set, choice.ood_sets) == ("k", "validation", ("near", "odd"))
    tried = [int(value) for value, _ in choice.auroc]
    assert tried == [1, 2, 5, 10, 20, 50, 100]  # the bank holds 108 images
    expected = []
    for k in tried:
        scores = detect([KNN(k)], linear(), training(), [VALIDATION, NEAR, ODD]).scores["knn"]
        expected.append(
            np.mean([
                roc_auc_score(
                    np.r_[np.zeros(len(VALIDATION)), np.ones(len(scores[far]))],
                    np.r_[scores["validation"], scores[far]],
                )
                for far in ("near", "odd")
            ])
        )  # fmt: skip
    np.testing.assert_allclose([value for _, value in choice.auroc], expected, rtol=1e-12)
    assert detectors[0] == KNN(tried[int(np.argmax(expected))])
    assert choices["thp-knn"].auroc == choice.auroc


def test_reported_sets_are_refused() -> None:
    far = outside()
    with pytest.raises(DataError, match=r"'far' has the role 'ood' in tiny; .* never on what is reported"):
        choose([KNN()], linear(), training(), BENCHMARK, VALIDATION, [far])
    with pytest.raises(DataError, match="'test' has the role 'test'"):
        choose([KNN()], linear(), training(), BENCHMARK, inside(), [NEAR])
    with pytest.raises(DataError, match="No OOD validation set"):
        choose([KNN()], linear(), training(), BENCHMARK, VALIDATION, [])


def test_validation_sets_are_found_by_role() -> None:
    assert validation_banks(BENCHMARK, [inside(), VALIDATION, outside(), NEAR, ODD]) == (VALIDATION, (NEAR, ODD))
    assert validation_banks(BENCHMARK, [inside(), VALIDATION, outside()]) is None


def test_a_value_that_gives_no_numbers_is_not_chosen() -> None:
    """ASH-S multiplies by exp(sum before / sum after): of equal activations, keeping 1 in 100 overflows float32."""
    flat = [dataclasses.replace(bank, features=np.ones((len(bank), 400), np.float32)) for bank in (VALIDATION, NEAR)]
    head = dataclasses.replace(linear(), weight=np.ones((7, 400), np.float32))
    grid = {"ash-s": ("percentile", (50.0, 99.0))}
    (detector,), choices = choose([AshS()], head, None, BENCHMARK, flat[0], flat[1:], grids=grid)
    assert [value for value, _ in choices["ash-s"].auroc] == [50.0]
    assert detector == AshS(50.0)
