"""The scored block against scikit-learn from the rows of the file; predictions of another definition are refused."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluated import predicted
from sklearn.metrics import average_precision_score, roc_auc_score

from openmmlo.errors import DataError
from openmmlo.evaluate.benchmark import Benchmark, ImageSet
from openmmlo.evaluate.metrics.label_shift import PRIORS
from openmmlo.evaluate.predictions import Predictions, write_predictions
from openmmlo.evaluate.score import check_against, score, score_file


@pytest.fixture(scope="module")
def predictions() -> Predictions:
    return predicted(classes=30, per_class=10, detectors=("msp", "knn"))


@pytest.fixture(scope="module")
def scored(predictions: Predictions) -> dict[str, Any]:
    return score(predictions)


def rows(predictions: Predictions, name: str) -> np.ndarray:
    return np.array([set_name == name for set_name in predictions.set_names])


def definition(predictions: Predictions, **changes: Any) -> Benchmark:
    """The benchmark that these predictions are of."""
    sets = [
        ImageSet(item.name, item.role, "miniature", "test", group=item.group, rows=item.rows,  # type: ignore[arg-type]
                 list_hash=predictions.list_hash(item.name))
        for item in predictions.sets
    ]  # fmt: skip
    groups = {group: predictions.groups.count(group) for group in ("many", "medium", "few")}
    known: dict[str, Any] = {
        "name": predictions.benchmark, "version": 1, "title": "", "classes": len(predictions.classes),
        "sets": (ImageSet("train", "train", "miniature", "train"), *sets), "group_sizes": groups,
        "label_map_hash": predictions.label_map_hash, "train_rows": sum(predictions.train_counts or ()),
    }  # fmt: skip
    return Benchmark(**(known | changes))


def test_its_shape_is_the_documented_one(scored: dict[str, Any]) -> None:
    assert list(scored) == ["departures", "classification", "ood", "ood_groups", "open_set"]
    assert list(scored["classification"]) == ["test", "sketch"]
    assert set(scored["classification"]["test"]) == {
        "rows", "classes_tested", "top1_samples", "top1_classes", "groups", "harmonic_mean", "worst_10_percent",
        "false_head_rate", "calibration_error", "per_class", "group_confusion", "test_priors",
    }  # fmt: skip
    assert list(scored["classification"]["test"]["test_priors"]) == list(PRIORS)
    assert set(scored["ood"]) == set(scored["open_set"]) == {"near-open", "svhn", "textures"}
    assert set(scored["ood"]["svhn"]) == {"rows", "group", "landing", "detectors"}
    assert set(scored["ood_groups"]) == {"near", "far", "all"}
    json.dumps(scored, allow_nan=False)


def test_the_test_set_comes_first_wherever_it_is_defined(predictions: Predictions, scored: dict[str, Any]) -> None:
    """Who reads the block takes its first set for the headline."""
    turned = score(replace(predictions, sets=tuple(reversed(predictions.sets))))
    assert list(turned["classification"]) == ["test", "sketch"]
    assert turned["classification"] == scored["classification"]


def test_numbers_are_scikit_learns_over_the_rows(predictions: Predictions, scored: dict[str, Any]) -> None:
    inside = rows(predictions, "test")
    found = scored["classification"]["test"]
    right = predictions.labels[inside] == predictions.predicted[inside]
    assert found["rows"] == inside.sum() == 300
    assert found["top1_samples"] == pytest.approx(right.mean())
    groups = np.array(predictions.groups)[predictions.labels[inside]]
    for group, value in found["groups"].items():
        assert value == pytest.approx(right[groups == group].mean())  # ten images a class: means agree
    for name, item in scored["ood"].items():
        outside = rows(predictions, name)
        for detector, values in predictions.scores.items():
            metrics = item["detectors"][detector]
            for part, chosen in ((metrics, groups != ""), *((metrics["by_shot"][g], groups == g) for g in set(groups))):
                scores = np.r_[values[inside][chosen], values[outside]]
                truth = np.r_[np.zeros(chosen.sum()), np.ones(outside.sum())]
                assert part["auroc"] == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
                assert part["aupr_in"] == pytest.approx(average_precision_score(1 - truth, -scores), abs=1e-12)
        assert sum(item["landing"].values()) == pytest.approx(1)
    far = [scored["ood"][name]["detectors"]["knn"]["auroc"] for name in ("svhn", "textures")]
    assert scored["ood_groups"]["far"]["knn"]["auroc"] == pytest.approx(np.mean(far))


def test_the_order_of_rows_and_a_way_through_a_file_change_no_bit(
    predictions: Predictions, scored: dict[str, Any], tmp_path: Path
) -> None:
    write_predictions(predictions, tmp_path / "predictions.parquet")
    assert score_file(tmp_path / "predictions.parquet") == scored
    assert score_file(tmp_path, definition(predictions)) == scored
    order = np.random.default_rng(0).permutation(len(predictions.labels))
    columns = {
        name: getattr(predictions, name)[order]
        for name in ("sample_ids", "set_names", "class_keys", "labels", "predicted", "confidence")
    }
    shuffled = replace(predictions, **columns, scores={name: v[order] for name, v in predictions.scores.items()})
    again, before = score(shuffled), copy.deepcopy(scored)
    for block in (again, before):
        for item in block["classification"].values():
            item["calibration_error"] = round(item["calibration_error"], 13)  # a sum of floats in another order
    assert again == before


def test_undefined_values_are_none_or_absent(predictions: Predictions) -> None:
    unknown = score(replace(predictions, train_counts=None))
    test = unknown["classification"]["test"]
    assert test["groups"] == test["group_confusion"] == test["test_priors"] == {}
    assert test["false_head_rate"] is None
    assert unknown["ood"]["svhn"]["landing"] == unknown["ood"]["svhn"]["detectors"]["knn"]["by_shot"] == {}
    assert unknown["open_set"]["svhn"]["oltr_f_measure"] > 0


def test_classes_without_an_image_and_one_shot_group(predictions: Predictions) -> None:
    few = replace(predictions, train_counts=(5,) * 30, classes=predictions.classes)
    found = score(few)["classification"]["test"]
    assert set(found["groups"]) == {"few"}
    assert found["groups"]["few"] == found["top1_classes"]
    assert found["false_head_rate"] is None
    more = replace(predictions, classes=(*predictions.classes, ("new", "new")),
                   train_counts=(*(predictions.train_counts or ()), 500))  # fmt: skip
    found = score(more)["classification"]["test"]
    assert found["per_class"][30] is None
    assert found["classes_tested"] == 30


def test_one_class_is_scored() -> None:
    found = score(predicted(classes=1, per_class=60, shifted=False))["classification"]["test"]
    assert found["top1_samples"] == found["top1_classes"] == found["harmonic_mean"] == 1.0
    assert found["test_priors"]["forward-50"] == {"rows": 60, "top1_samples": 1.0}


def test_an_ood_set_without_images_has_no_numbers(predictions: Predictions) -> None:
    kept = ~rows(predictions, "svhn")
    columns = {
        name: getattr(predictions, name)[kept]
        for name in ("sample_ids", "set_names", "class_keys", "labels", "predicted", "confidence")
    }
    sets = tuple(replace(item, rows=0) if item.name == "svhn" else item for item in predictions.sets)
    scores = {name: values[kept] for name, values in predictions.scores.items()}
    found = score(replace(predictions, **columns, sets=sets, scores=scores))
    assert found["ood"]["svhn"] == {"rows": 0, "group": "far", "landing": {}, "detectors": {}}
    assert found["open_set"]["svhn"] == {"oltr_f_measure": None}
    assert found["ood_groups"]["far"]["knn"]["auroc"] == found["ood"]["textures"]["detectors"]["knn"]["auroc"]


def test_without_test_images_nothing_is_scored(predictions: Predictions) -> None:
    sets = tuple(replace(item, role="shifted") if item.name == "test" else item for item in predictions.sets)
    with pytest.raises(DataError, match="0 images in 0 sets with role 'test'"):
        score(replace(predictions, sets=sets))


def changed(benchmark: Benchmark, name: str, **changes: Any) -> Benchmark:
    return replace(
        benchmark, sets=tuple(replace(item, **changes) if item.name == name else item for item in benchmark.sets)
    )


def test_predictions_of_the_definition_pass(predictions: Predictions) -> None:
    known = definition(predictions)
    check_against(predictions, known)
    check_against(predictions, changed(known, "svhn", list_hash=None, rows=None))
    more = (*known.sets, ImageSet("places365", "ood", "places-lt", "open", rows=5))
    check_against(predictions, replace(known, sets=more))  # a set that was not at hand: the rest still counts


def test_what_departs_is_scored_and_said_but_is_no_number_of_the_benchmark(predictions: Predictions) -> None:
    """The rows alone would not tell it: neighbours by an approximate index are of the same images."""
    other = replace(predictions, departures=("neighbours by an approximate index",))
    with pytest.raises(DataError, match=r"depart from its protocol: neighbours by an approximate index\."):
        check_against(other, definition(predictions))
    found = score(other)
    assert found.pop("departures") == ["neighbours by an approximate index"]
    assert found | {"departures": []} == score(predictions)


def test_what_differs_from_the_definition_is_named(predictions: Predictions) -> None:
    known = definition(predictions)
    for other, message in (
        (replace(known, name="places-lt"), "the benchmark is imagenet-lt; expected places-lt"),
        (replace(known, version=2), "its version is 1; expected 2"),
        (replace(known, shots="oltr"), "the rule of the shot groups is paper; expected oltr"),
        (replace(known, classes=31), "the number of classes is 30; expected 31"),
        (replace(known, label_map_hash="0" * 64), "the label map's hash is [0-9a-f]{64}; expected 0{64}"),
        (replace(known, group_sizes={"many": 1}), "the size of the shot groups"),
        (replace(known, train_rows=3), "the number of training images"),
        (changed(known, "svhn", rows=3), "the number of rows of set 'svhn' is 500; expected 3"),
        (changed(known, "test", list_hash="1" * 64), "the list hash of set 'test' is"),
        (changed(known, "svhn", role="ood-validation"), "the role of set 'svhn' is ood; expected ood-validation"),
        (changed(known, "svhn", group="near"), "the group of set 'svhn' is far; expected near"),
        (replace(known, sets=known.sets[:-1]), "one of its sets is textures; expected one of train, test"),
    ):
        with pytest.raises(DataError, match=message):
            check_against(predictions, other)


def test_group_sizes_are_held_to_the_papers_rule_under_either(predictions: Predictions) -> None:
    other = replace(predictions, shots="oltr")
    check_against(other, definition(predictions, shots="oltr"))
