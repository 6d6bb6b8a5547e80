"""Results side by side: intervals against closed forms, seeds against NumPy, what does not compare is refused."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluated import predicted, result_of

from openmmlo.errors import ConfigError, DataError
from openmmlo.evaluate.compare import compare
from openmmlo.evaluate.predictions import Predictions, digest, write_predictions
from openmmlo.evaluate.result import write_result
from openmmlo.evaluate.score import score

CLASSES, EACH = 12, 15
OUTSIDE = (("near-open", "near", 80), ("svhn", "far", 90), ("textures", "far", 70))
COUNTS = (500, 400, 300, 200, 100, 80, 60, 40, 15, 10, 7, 5)


def drawn(seed: int, model: str = "", run_seed: int = 0) -> Predictions:
    """A model's predictions; every seed is of the same samples."""
    found = predicted(CLASSES, EACH, OUTSIDE, ("msp", "knn"), COUNTS, seed=seed)
    return replace(found, model=model or f"model-{seed}", seed=run_seed)


def saved(folder: Path, predictions: Predictions, kind: str | None = None) -> Path:
    """A result's folder, with result.json where the kind of classifier is given."""
    folder.mkdir(parents=True)
    write_predictions(predictions, folder / "predictions.parquet")
    if kind is not None:
        result = result_of(predictions)
        result["classifier"]["kind"] = kind
        result["digests"]["predictions"] = digest(predictions)
        write_result(folder, result)
    return folder


def only(predictions: Predictions, *sets: str) -> Predictions:
    """These sets alone."""
    kept = np.isin(predictions.set_names.astype(str), sets)
    columns = ("sample_ids", "set_names", "class_keys", "labels", "predicted", "confidence")
    return replace(
        predictions,
        sets=tuple(item for item in predictions.sets if item.name in sets),
        scores={name: values[kept] for name, values in predictions.scores.items()},
        **{name: getattr(predictions, name)[kept] for name in columns},
    )


def right(predictions: Predictions) -> np.ndarray:
    rows = predictions.rows("test")
    return (predictions.labels == predictions.predicted)[rows].astype(float)


def test_metrics_are_those_of_the_scored_blocks(tmp_path: Path) -> None:
    made = [drawn(1), drawn(2)]
    found = compare([saved(tmp_path / str(place), item) for place, item in enumerate(made)], resamples=20)
    assert [item["label"] for item in found["results"]] == ["model-1", "model-2"]
    for item, predictions in zip(found["results"], made, strict=True):
        scored, metrics = score(predictions), item["metrics"]
        test = scored["classification"]["test"]
        assert metrics["test/top1_samples"] == {
            "mean": test["top1_samples"],
            "std": None,
            "values": [test["top1_samples"]],
        }
        assert metrics["test/few"]["mean"] == test["groups"]["few"]
        assert metrics["svhn/knn/auroc"]["mean"] == pytest.approx(scored["ood"]["svhn"]["detectors"]["knn"]["auroc"])
        assert metrics["mean far/msp/aupr_in"]["mean"] == pytest.approx(scored["ood_groups"]["far"]["msp"]["aupr_in"])
        assert metrics["svhn/oltr_f_measure"]["mean"] == scored["open_set"]["svhn"]["oltr_f_measure"]
    (difference,) = found["differences"]
    assert difference["against"] == "model-1"
    for name, item in difference["metrics"].items():
        one, two = (result["metrics"][name]["mean"] for result in found["results"])
        assert item["difference"] == pytest.approx(two - one, abs=1e-15)
        if item["low"] is not None:
            assert item["low"] <= item["high"]
            assert item["excludes_zero"] == (item["low"] > 0 or item["high"] < 0)
    json.dumps(found, allow_nan=False)


def test_intervals_of_accuracies_are_those_of_a_stratified_paired_difference(tmp_path: Path) -> None:
    one, two = drawn(1), drawn(2)
    found = compare([saved(tmp_path / "1", one), saved(tmp_path / "2", two)], resamples=4000)["differences"][0][
        "metrics"
    ]
    gap = right(two) - right(one)
    labels = one.labels[one.rows("test")]
    groups = np.array(one.groups)[labels]
    for name, chosen in (("top1_samples", groups != ""), ("many", groups == "many"), ("few", groups == "few")):
        classes = np.unique(labels[chosen])
        variance = sum(np.var(gap[labels == label], ddof=1) / EACH for label in classes) / len(classes) ** 2
        item = found[f"test/{name}"]
        assert item["difference"] == pytest.approx(gap[chosen].mean(), abs=1e-12)
        # Differences are multiples of 1 / 15 in a class: the normal interval holds to a few percent of its width.
        assert item["high"] - item["low"] == pytest.approx(2 * 1.96 * np.sqrt(variance), rel=0.08)
        assert (item["high"] + item["low"]) / 2 == pytest.approx(
            item["difference"], abs=0.1 * np.sqrt(variance) + 0.004
        )


def test_intervals_of_auroc_are_delongs_for_paired_curves(tmp_path: Path) -> None:
    one, two = (only(drawn(seed), "test", "svhn") for seed in (1, 2))
    found = compare([saved(tmp_path / "1", one), saved(tmp_path / "2", two)], resamples=3000)["differences"][0][
        "metrics"
    ]
    placements = []
    for item in (one, two):
        inside, outside = item.rows("test"), item.rows("svhn")
        wins = item.scores["knn"][inside][:, None] < item.scores["knn"][outside][None, :]
        placements.append((wins.mean(axis=1), wins.mean(axis=0)))
    ids, oods = (placements[1][side] - placements[0][side] for side in (0, 1))
    labels = one.labels[one.rows("test")]
    variance = sum(np.var(ids[labels == label], ddof=1) for label in range(CLASSES)) / EACH / CLASSES**2
    variance += np.var(oods, ddof=1) / len(oods)
    item = found["svhn/knn/auroc"]
    assert item["high"] - item["low"] == pytest.approx(2 * 1.96 * np.sqrt(variance), rel=0.08)


def test_a_model_beside_itself_differs_in_nothing_and_a_worse_one_does(tmp_path: Path) -> None:
    good = drawn(1)
    spoilt = np.where(np.arange(len(good.labels)) % 2, (good.predicted + 1) % CLASSES, good.predicted)
    bad = replace(
        good, model="bad", predicted=spoilt.astype(np.int32), scores={name: -v for name, v in good.scores.items()}
    )
    folders = [
        saved(tmp_path / "a", good),
        saved(tmp_path / "b", replace(good, model="twin")),
        saved(tmp_path / "c", bad),
    ]
    twin, worse = compare(folders, resamples=200)["differences"]
    for item in twin["metrics"].values():
        assert item["difference"] == 0
        assert item["low"] in (0, None)
        assert item["high"] in (0, None)
        assert not item["excludes_zero"]
    for name in ("test/top1_samples", "test/top1_classes", "svhn/knn/auroc", "mean all/msp/auroc"):
        assert worse["metrics"][name]["high"] < 0
        assert worse["metrics"][name]["excludes_zero"]
    assert worse["metrics"]["mean all/knn/fpr95_id_positive"]["low"] > 0


def test_rows_in_another_order_are_paired_by_sample(tmp_path: Path) -> None:
    one, two = drawn(1), drawn(2)
    order = np.random.default_rng(0).permutation(len(two.labels))
    columns = ("sample_ids", "set_names", "class_keys", "labels", "predicted", "confidence")
    turned = replace(
        two, sets=two.sets[::-1], scores={name: values[order] for name, values in two.scores.items()},
        **{name: getattr(two, name)[order] for name in columns},
    )  # fmt: skip
    first = saved(tmp_path / "1", one)
    found = [
        compare([first, saved(tmp_path / name, item)], resamples=100)["differences"][0]["metrics"]
        for name, item in (("2", two), ("3", turned))
    ]
    assert found[0] == found[1]


def test_seeds_of_one_model_share_a_column(tmp_path: Path) -> None:
    runs = [drawn(seed, "mine", seed) for seed in (1, 2, 3)]
    folders = [saved(tmp_path / str(run.seed), run) for run in runs]
    found = compare(folders)
    (column,) = found["results"]
    assert column["seeds"] == [1, 2, 3]
    values = [score(run)["classification"]["test"]["top1_classes"] for run in runs]
    item = column["metrics"]["test/top1_classes"]
    assert item["values"] == values
    assert item["mean"] == pytest.approx(np.mean(values))
    assert item["std"] == pytest.approx(np.std(values, ddof=1))
    assert found["differences"] == []
    assert any("± standard deviation" in note and "mine: 3" in note for note in found["notes"])
    other = saved(tmp_path / "other", drawn(4, "other"))
    both = compare([folders[0], other, *folders[1:]], resamples=50)
    assert [(item["label"], len(item["seeds"])) for item in both["results"]] == [("mine", 3), ("other", 1)]
    gap = both["differences"][0]["metrics"]["test/top1_classes"]
    assert gap["low"] < gap["difference"] < gap["high"]


def test_one_model_with_two_classifiers_or_twice_the_same_seed_has_two_columns(tmp_path: Path) -> None:
    zero, probe = drawn(1, "mine"), drawn(2, "mine")
    folders = [saved(tmp_path / "zero", zero, "zero-shot"), saved(tmp_path / "probe", probe, "linear-probe")]
    found = compare(folders, resamples=10)
    assert [item["label"] for item in found["results"]] == ["mine (zero-shot)", "mine (linear-probe)"]
    assert [item["classifier"] for item in found["results"]] == ["zero-shot", "linear-probe"]
    files = [folder / "predictions.parquet" for folder in folders]
    labels = [item["label"] for item in compare(files, resamples=10)["results"]]
    assert labels == [f"mine ({path})" for path in files]


def test_equal_seeds_of_the_bootstrap_give_equal_results(tmp_path: Path) -> None:
    folders = [saved(tmp_path / str(seed), drawn(seed)) for seed in (1, 2)]
    assert compare(folders, resamples=40) == compare(folders, resamples=40)
    other = compare(folders, resamples=40, seed=1)["differences"][0]["metrics"]
    assert other != compare(folders, resamples=40)["differences"][0]["metrics"]


def test_a_sets_interval_does_not_depend_on_other_sets(tmp_path: Path) -> None:
    whole = [saved(tmp_path / f"whole{seed}", drawn(seed)) for seed in (1, 2)]
    part = [saved(tmp_path / f"part{seed}", only(drawn(seed), "test", "svhn")) for seed in (1, 2)]
    found = [compare(folders, resamples=40)["differences"][0]["metrics"] for folders in (whole, part)]
    for name in ("test/few", "svhn/knn/auroc", "svhn/msp/fpr95_ood_positive"):
        assert found[0][name] == pytest.approx(found[1][name], abs=1e-12)


def test_what_only_some_results_have_is_left_out_and_said(tmp_path: Path) -> None:
    one = drawn(1)
    two = only(drawn(2), "test", "svhn", "textures")
    two = replace(two, scores={"knn": two.scores["knn"]})
    found = compare([saved(tmp_path / "1", one), saved(tmp_path / "2", two)], resamples=10)
    assert any("Not every result has sketch, near-open" in note for note in found["notes"])
    first, second = (item["metrics"] for item in found["results"])
    assert "near-open/knn/auroc" not in first
    expected = np.mean([score(one)["ood"][name]["detectors"]["knn"]["auroc"] for name in ("svhn", "textures")])
    assert first["mean all/knn/auroc"]["mean"] == pytest.approx(expected)  # over the same sets for both
    assert "svhn/msp/auroc" in first
    assert "svhn/msp/auroc" not in second
    rows = {row[0]: row[1:] for row in found["table"]}
    assert rows["mean all msp auroc"][1] == "-"


def test_a_result_that_departs_is_said_to(tmp_path: Path) -> None:
    folders = [saved(tmp_path / "1", drawn(1)), saved(tmp_path / "2", replace(drawn(2), departures=("a", "b")))]
    notes = compare(folders, resamples=10)["notes"]
    assert [note for note in notes if "Not numbers" in note] == [
        f"Not numbers of this benchmark: {tmp_path / '2'} (a; b)."
    ]


def test_the_table_is_text_in_percent_with_marks(tmp_path: Path) -> None:
    found = compare([saved(tmp_path / str(seed), drawn(seed)) for seed in (1, 2)], resamples=50)
    table = found["table"]
    assert table[0] == ["%", "model-1", "model-2"]
    assert {len(row) for row in table} == {3}
    rows = {row[0]: row[1:] for row in table}
    metrics, gap = found["results"][0]["metrics"], found["differences"][0]["metrics"]["test/few"]
    assert rows["test few"][0] == f"{100 * metrics['test/few']['mean']:.2f}"
    cell = re.fullmatch(r"[\d.]+ \(([+-][\d.]+), ([+-][\d.]+) to ([+-][\d.]+)\)(\*?)", rows["test few"][1])
    assert cell is not None
    assert [float(cell[number]) for number in (1, 2, 3)] == [
        round(100 * gap[key], 2) for key in ("difference", "low", "high")
    ]
    assert bool(cell[4]) == gap["excludes_zero"]
    assert "mean all knn fpr95_id_positive" in rows


def renamed(predictions: Predictions) -> Predictions:
    """The same rows under other sample ids."""
    ids = np.array([f"other/{value}" for value in predictions.sample_ids], dtype=object)
    return replace(predictions, sample_ids=ids)


def permuted(predictions: Predictions) -> Predictions:
    """The label map in another order, labels moved with it."""
    return replace(
        predictions,
        classes=predictions.classes[::-1],
        train_counts=(predictions.train_counts or ())[::-1],
        labels=np.where(predictions.labels < 0, -1, CLASSES - 1 - predictions.labels).astype(np.int32),
        predicted=(CLASSES - 1 - predictions.predicted).astype(np.int32),
    )


def regrouped(predictions: Predictions) -> Predictions:
    sets = tuple(replace(item, group="near") if item.name == "svhn" else item for item in predictions.sets)
    return replace(predictions, sets=sets)


@pytest.mark.parametrize(("change", "message"), [
    (lambda item: replace(item, benchmark="places-lt"), r"the benchmark differs \(imagenet-lt; places-lt\)"),
    (lambda item: replace(item, version=2), r"its version differs \(1; 2\)"),
    (permuted, "the label map's hash differs"),
    (lambda item: replace(item, shots="oltr"), r"the rule of the shot groups differs \(paper; oltr\)"),
    (lambda item: replace(item, train_counts=(*COUNTS[:-1], 6)), "the training images per class differ"),
    (renamed, "the list hash of set 'test' differs .*of the same images"),
    (regrouped, r"the group of set 'svhn' differs \(far; near\)"),
])  # fmt: skip
def test_results_that_do_not_compare_are_refused_with_the_reason(change: Any, message: str, tmp_path: Path) -> None:
    folders = [saved(tmp_path / "1", drawn(1)), saved(tmp_path / "2", change(drawn(2)))]
    with pytest.raises(DataError, match=message):
        compare(folders)


def test_predictions_of_another_run_than_the_result_are_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path / "1", drawn(1), "zero-shot")
    write_predictions(drawn(2), folder / "predictions.parquet")
    with pytest.raises(DataError, match=r"not of the run that wrote result\.json"):
        compare([folder])


def test_nothing_to_compare_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="0 results"):
        compare([])
    with pytest.raises(ConfigError, match="1 resamples"):
        compare([saved(tmp_path / "1", drawn(1))], resamples=1)
    with pytest.raises(DataError, match="cannot be read as a parquet file"):
        compare([tmp_path / "none"])
