"""Detectors together: equal scores in any blocks, reasons, cautions, and bad input by name and count."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from detector_banks import CLASSES, WIDTH, bank, clustered, inside, linear, outside, training, with_step, zero_shot

from openmmlo.errors import ConfigError, DataError, UnknownName
from openmmlo.evaluate.detectors import DETECTORS, Detector, open_detector
from openmmlo.evaluate.detectors.ash import AshS, largest
from openmmlo.evaluate.detectors.knn import KNN
from openmmlo.evaluate.detectors.mahalanobis import Mahalanobis
from openmmlo.evaluate.detectors.neighbourhood import Neighbourhood
from openmmlo.evaluate.detectors.rows import Rows
from openmmlo.evaluate.detectors.run import detect
from openmmlo.evaluate.detectors.she import SHE
from openmmlo.evaluate.detectors.stopwatch import Stopwatch
from openmmlo.evaluate.detectors.training import Training
from openmmlo.evaluate.features.bank import FeatureBank
from openmmlo.evaluate.head import Head


def everything(k: int = 5) -> list[Detector]:
    return [open_detector(name, {"k": k} if "knn" in name else {}) for name in DETECTORS]


@pytest.mark.parametrize("name", DETECTORS)
def test_detector_keeps_its_protocol(name: str) -> None:
    detector = open_detector(name)
    assert isinstance(detector, Detector)
    assert detector.name == name
    assert dataclasses.is_dataclass(detector)
    assert detector.__dataclass_params__.frozen  # type: ignore[attr-defined]


def test_options_reach_the_fields_and_bad_ones_are_refused() -> None:
    assert open_detector("thp-knn", {"k": "7", "kappa": 4}) == DETECTORS.load("thp-knn")(7, 4.0)
    with pytest.raises(UnknownName, match=re.escape("Did you mean 'thp-knn'?")):
        open_detector("thp_knn")
    with pytest.raises(ConfigError, match="takes no 'kapa'"):
        open_detector("thp-knn", {"kapa": 1})
    wrong: dict[str, dict[str, float]] = {
        "knn": {"k": 0},
        "thp-knn": {"kappa": 0},
        "ash-b": {"percentile": 100},
        "react": {"percentile": -1},
        "energy": {"temperature": 0},
        "mcm": {"temperature": 0},
        "odin": {"eta": -1},
        "mahalanobis": {"shrinkage": 1.5},
        "vim": {"dimension": -1},
    }
    for name, options in wrong.items():
        with pytest.raises(ConfigError, match=f"{name}: {next(iter(options))} is .*expected"):
            open_detector(name, options)


@pytest.mark.parametrize("block_values", [1, 5 * WIDTH, 7 * WIDTH + 3])
def test_blocks_decide_memory_and_not_scores(block_values: int) -> None:
    banks = [with_step(inside()), with_step(outside())]
    whole = detect(everything(), zero_shot(), training(), banks, sweep=(1, 2, 60))
    parts = detect(everything(), zero_shot(), training(), banks, sweep=(1, 2, 60), block_values=block_values)
    assert whole.not_run == parts.not_run == {}
    for name, sets in whole.scores.items():
        for key, scores in sets.items():
            scale = np.abs(scores).max()
            np.testing.assert_allclose(parts.scores[name][key], scores, rtol=1e-5, atol=1e-6 * scale)
    for k in (1, 2, 60):
        np.testing.assert_allclose(parts.sweep["knn"][k]["far"], whole.sweep["knn"][k]["far"], rtol=1e-5)


def test_half_precision_banks_on_disk_are_read_as_they_are(tmp_path: Path) -> None:
    def stored(given: FeatureBank) -> FeatureBank:
        np.save(tmp_path / f"{given.name}.npy", given.features.astype(np.float16))
        return dataclasses.replace(given, features=np.load(tmp_path / f"{given.name}.npy", mmap_mode="r"))

    def rounded(given: FeatureBank) -> FeatureBank:
        return dataclasses.replace(given, features=given.features.astype(np.float16).astype(np.float32))

    detectors = [detector for detector in everything() if detector.name != "odin"]
    mapped = detect(detectors, zero_shot(), stored(training()), [stored(inside())], block_values=10 * WIDTH)
    plain = detect(detectors, zero_shot(), rounded(training()), [rounded(inside())])
    assert len(mapped.scores) == 13
    for name in plain.scores:
        np.testing.assert_allclose(mapped.scores[name]["test"], plain.scores[name]["test"], rtol=1e-5, atol=1e-6)


def test_one_search_serves_every_k(monkeypatch: pytest.MonkeyPatch) -> None:
    import openmmlo.evaluate.detectors.neighbourhood as module

    searches: list[int] = []

    def counted(known: Any, queries: Any, k: int) -> Any:
        searches.append(k)
        return nearest(known, queries, k)

    nearest = module.nearest
    monkeypatch.setattr(module, "nearest", counted)
    monkeypatch.setattr(module, "SMALL", 0)
    monkeypatch.setattr(module, "SHALLOW", 1)
    found = detect([KNN(4), open_detector("thp-knn", {"k": 9})], linear(), training(), [inside(), outside()],
                   sweep=(1, 4, 20))  # fmt: skip
    assert searches == [20, 20]
    alone = detect([KNN(20)], linear(), training(), [inside()]).scores["knn"]["test"]
    assert np.array_equal(found.sweep["knn"][20]["test"], alone)
    assert np.array_equal(found.sweep["knn"][4]["test"], found.scores["knn"]["test"])


@pytest.mark.parametrize("shallow", [1, 7, 10**6])
@pytest.mark.parametrize("part_rows", [10, 1000])
def test_neighbours_are_those_of_brute_force_in_parts_or_whole(
    shallow: int, part_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openmmlo.evaluate.detectors.neighbourhood.SMALL", 0)
    monkeypatch.setattr("openmmlo.evaluate.detectors.neighbourhood.SHALLOW", shallow)
    train, given = training(), outside()
    near = Neighbourhood(train, (1, 15, 60), Stopwatch(), part_values=part_rows * WIDTH)
    rows = Rows(given, linear(), 3, 20, Stopwatch())
    known = train.features / np.linalg.norm(train.features, axis=1, keepdims=True)
    asked = given.features / np.linalg.norm(given.features, axis=1, keepdims=True)
    expected = -np.sort(-(asked[3:20].astype(np.float64) @ known.T.astype(np.float64)), axis=1)
    for k in (1, 15, 60, 108):
        np.testing.assert_allclose(near.cosine(rows, k), expected[:, k - 1], atol=3e-7)


def test_a_row_of_the_training_bank_is_its_own_neighbour() -> None:
    assert np.abs(detect([KNN(1)], linear(), training(), [training()]).scores["knn"]["train"]).max() < 1e-6


def test_reasons_are_given_and_the_rest_is_run() -> None:
    own = Head("model", CLASSES, columns=np.arange(CLASSES))
    logits = np.random.default_rng(0).normal(size=(56, CLASSES)).astype(np.float16)
    given = dataclasses.replace(inside(), logits=logits)
    found = detect(everything(k=1), own, None, [given])
    assert set(found.scores) == {"msp", "max-logit", "energy"}
    assert set(found.scores) | set(found.not_run) == set(DETECTORS)
    np.testing.assert_allclose(found.scores["max-logit"]["test"], -logits.max(axis=1))
    words = {
        "odin": "gradient step on their pixels, and there are none of test",
        "vim": "linear in the features",
        "mahalanobis": "bank of training images",
        "knn": "bank of training images",
        "mcm": "names of the classes",
    }
    for name, said in words.items():
        assert said in found.not_run[name]
    for reason in found.not_run.values():
        assert reason.endswith(".")


def test_no_logits_and_one_class_are_reasons() -> None:
    found = detect(everything(), Head("model", CLASSES), training(), [with_step(inside())])
    assert set(found.scores) == {"mahalanobis", "knn", "thp-knn"}
    assert "needs logits" in found.not_run["msp"]
    alone = clustered(1, "train", [40])
    head = Head("linear-probe", 1, np.ones((1, WIDTH), dtype=np.float32))
    single = detect(everything(), head, alone, [with_step(inside())])
    assert {name for name, reason in single.not_run.items() if "one class" in reason} == {"msp", "odin", "gradnorm"}
    assert {"knn", "mahalanobis", "energy"} <= set(single.scores)


def test_a_k_beyond_the_bank_is_refused_and_not_lowered() -> None:
    found = detect([KNN(109), Mahalanobis()], linear(), training(), [inside()], sweep=(1, 1000))
    assert found.not_run == {"knn": "k is 109, and the training bank holds 108 images; give a k up to that number."}
    swept = detect([KNN(5)], linear(), training(), [inside()], sweep=(1, 108, 109, 1000))
    assert list(swept.sweep["knn"]) == [1, 108]
    assert "Not swept: k = 109, 1000; the training bank holds 108 images." in swept.cautions["knn"]
    assert any("training images of 2 of 7 classes" in caution for caution in swept.cautions["knn"])


def test_negative_features_are_a_caution_for_those_that_presume_a_relu() -> None:
    signed = detect(everything(), zero_shot(), training(False), [with_step(inside(False))])
    told = {name for name, cautions in signed.cautions.items() if any("after a ReLU" in text for text in cautions)}
    assert told == {"react", "ash-s", "ash-b", "she", "gradnorm"}
    clean = detect(everything(), zero_shot(), training(), [with_step(inside())])
    assert not any("ReLU" in text for cautions in clean.cautions.values() for text in cautions)


def test_choices_hold_what_was_set_and_what_was_learned() -> None:
    found = detect(everything(), zero_shot(), training(), [with_step(inside())])
    assert found.choices["thp-knn"] == {"k": 5, "kappa": 16.0}
    assert found.choices["vim"]["dimension"] == WIDTH // 2
    assert found.choices["msp"]["scale"] == 100
    limit = np.percentile(zero_shot().inputs(training().features), 90)
    assert found.choices["react"]["threshold"] == pytest.approx(float(limit), rel=1e-6)
    assert set(DETECTORS) | {"neighbours", "logits"} <= set(found.seconds)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["train", "test", "perturbed"])
def test_features_that_are_no_numbers_name_bank_and_count(where: str, value: float) -> None:
    def spoilt(given: FeatureBank) -> FeatureBank:
        features = given.features.copy()
        features[[2, 5], 1] = value
        features[2, 2] = value
        return dataclasses.replace(given, features=features)

    train, test = training(), with_step(inside())
    if where == "train":
        train = spoilt(train)
    elif where == "test":
        test = spoilt(test)
    else:
        assert test.perturbed is not None
        test = dataclasses.replace(test, perturbed=spoilt(test.perturbed))
    with pytest.raises(DataError, match=f"'{where.replace('perturbed', 'test')}': 2 of .* rows hold NaN or infinite"):
        detect([Mahalanobis()], linear(), train, [test])


def test_logits_that_are_no_numbers_name_bank_and_count() -> None:
    logits = np.zeros((56, CLASSES), dtype=np.float32)
    logits[7, 3] = np.nan
    own = Head("model", CLASSES, columns=np.arange(CLASSES))
    with pytest.raises(DataError, match="'test': 1 of 56 rows hold NaN or infinite logits"):
        detect([open_detector("msp")], own, None, [dataclasses.replace(inside(), logits=logits)])


def test_scores_that_are_no_numbers_name_detector_and_count() -> None:
    huge = bank("huge", np.full((4, WIDTH), 1e38, dtype=np.float32))
    with pytest.raises(DataError, match="Detector energy: 4 of 4 scores of 'huge' are NaN or infinite"):
        detect([open_detector("energy")], linear(), None, [huge])


def test_zeros_are_remarked_upon_and_nothing_but_zeros_is_refused() -> None:
    features = inside().features.copy()
    features[[3, 4]] = 0
    found = detect(everything(), zero_shot(), training(), [with_step(dataclasses.replace(inside(), features=features))])
    assert len(found.scores) == len(DETECTORS)
    (remark,) = found.remarks
    assert "2 of 56 features of 'test' are all zero (the first: test-3)" in remark
    with pytest.raises(DataError, match="'black': all 3 rows are zero"):
        detect([KNN(1)], linear(), training(), [bank("black", np.zeros((3, WIDTH), dtype=np.float32))])


def test_banks_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match="'none' holds no row"):
        detect([KNN(1)], linear(), training(), [bank("none", np.zeros((0, WIDTH), dtype=np.float32))])
    with pytest.raises(DataError, match=re.escape("width 3, and the head's weight is (7, 24)")):
        detect([KNN(1)], linear(), training(), [bank("other", np.ones((2, 3), dtype=np.float32))])
    for label in (-1, CLASSES):
        labels = training().labels.copy()
        labels[:2] = label
        with pytest.raises(DataError, match="'train': 2 of 108 rows have a label outside 0 to 6"):
            detect([KNN(1)], linear(), dataclasses.replace(training(), labels=labels), [inside()])
    with pytest.raises(ConfigError, match="Two banks are called 'test'"):
        detect([KNN(1)], linear(), training(), [inside(), inside()])
    with pytest.raises(ConfigError, match="Two detectors are called 'knn'"):
        detect([KNN(1), KNN(2)], linear(), training(), [inside()])


def test_fewer_images_than_features_leave_mahalanobis_a_pseudo_inverse() -> None:
    train = clustered(1, "train", [3, 2, 2, 1, 1, 1, 0])
    found = detect([Mahalanobis()], linear(), train, [inside()])
    assert found.choices["mahalanobis"] == {"shrinkage": 0.0, "rank": 4, "classes": 6}
    shrunk = detect([Mahalanobis(1.0)], linear(), train, [inside()])
    means = [train.features[train.labels == c].mean(axis=0, dtype=np.float64) for c in range(6)]
    residuals = np.concatenate([train.features[train.labels == c] - means[c] for c in range(6)])
    spherical = (residuals**2).sum() / len(train) / WIDTH
    expected = [min(((row - mean) ** 2).sum() for mean in means) / spherical for row in inside().features]
    np.testing.assert_allclose(shrunk.scores["mahalanobis"]["test"], expected, rtol=1e-6)


def test_one_image_a_class_leaves_nothing_to_some() -> None:
    train = clustered(1, "train", [1] * CLASSES)
    found = detect([Mahalanobis(), open_detector("vim"), KNN(1)], linear(), train, [inside()])
    assert "equals the mean of its class" in found.not_run["mahalanobis"]
    assert "holds all 7 training images" in found.not_run["vim"]
    assert list(found.scores) == ["knn"]


def test_features_within_the_principal_space_leave_vim_nothing_to_weigh() -> None:
    flat = training()
    flat.features[:, 5:] = 0
    assert "nothing is left to weigh" in detect([open_detector("vim")], linear(), flat, [inside()]).not_run["vim"]


def test_she_needs_every_class_and_ash_needs_something_to_keep() -> None:
    train = clustered(1, "train", [5] * (CLASSES - 1) + [0])
    assert "1 of 7 have none" in detect([SHE()], linear(), train, [inside()]).not_run["she"]
    assert "keeps none of 24" in detect([AshS(99)], linear(), train, [inside()]).not_run["ash-s"]


def test_of_equal_activations_the_first_are_kept() -> None:
    rows = np.array([[1, 3, 3, 3, 0], [2, 2, 2, 2, 2], [0, 0, 5, 0, 0]], dtype=np.float32)
    expected = [[0, 1, 1, 0, 0], [1, 1, 0, 0, 0], [1, 0, 1, 0, 0]]
    assert largest(rows, 2).astype(int).tolist() == expected


def test_class_means_are_plain_means_whatever_the_block() -> None:
    train = training()
    means = Training(train, linear(), block_values=7 * WIDTH).class_means
    for label in range(CLASSES):
        np.testing.assert_allclose(means[label], train.features[train.labels == label].mean(axis=0, dtype=np.float64))
