"""From images to a result, its predictions and its page, as a person would run it: on CPU, offline."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from openmmlo.cli import BAD_INPUT, DONE, main
from openmmlo.evaluate.benchmark import load_benchmark
from openmmlo.evaluate.predictions import read_predictions

SMALL = {"size": 32, "largest": 40, "ratio": 10}


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The miniature's definition with fewer and smaller images, and a name of its own."""
    whole = yaml.safe_load((Path(load_benchmark.__code__.co_filename).parent / "benchmarks/miniature.yaml").read_text())
    counts = {"test": "test_per_class", "sketch": "sketch_per_class", "near_ood": "near_per_class"}
    sets = []
    for item in whole["sets"]:
        options = SMALL | {counts.get(item["split"], "far_per_kind"): {"test": 4, "sketch": 1, "near_ood": 4}.get(
            item["split"], 20)}  # fmt: skip
        kept = {key: value for key, value in item.items() if key not in ("rows", "list_hash")}
        sets.append(kept | {"options": options})
    small = {key: value for key, value in whole.items() if key not in ("group_sizes", "train_rows")}
    path = tmp_path_factory.mktemp("definition") / "small.yaml"
    path.write_text(yaml.safe_dump(small | {"name": "small", "neighbours": 5, "sets": sets}))
    return path


@pytest.fixture(scope="module")
def evaluated(benchmark: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of one evaluation of the ``pixels`` model, with its caches beside it."""
    root = tmp_path_factory.mktemp("evaluation")
    assert evaluate(benchmark, root) == DONE
    return root / "results" / "small" / "pixels"


def evaluate(benchmark: Path, root: Path, *more: str, model: str = "pixels") -> int:
    words = ["eval", "--model", model, "--benchmark", str(benchmark), "--out", str(root / "results")]
    return main([*words, "--cache", str(root / "cache"), "--workers", "0", "--quiet", *more])


def test_a_result_with_every_block(evaluated: Path) -> None:
    result = json.loads((evaluated / "result.json").read_text())
    assert set(result["scored"]["classification"]) == {"test", "sketch"}
    assert set(result["scored"]["ood"]) == {"near-ood", "far-ood"}
    assert {"near", "far", "all"} == set(result["scored"]["ood_groups"])
    detectors = set(result["scored"]["ood"]["near-ood"]["detectors"])
    assert detectors == {"msp", "max-logit", "energy", "odin", "mahalanobis", "knn", "thp-knn", "react", "ash-s",
                         "ash-b", "she", "gradnorm"}  # fmt: skip
    # No names of classes for MCM, and no feature left outside the principal space for ViM.
    assert {item["what"] for item in result["not_run"]} == {"detector mcm", "detector vim"}
    assert set(result["measured"]["classifiers"]) == {"linear-probe", "ncm", "knn"}
    assert result["measured"]["geometry"]["basis"] == "images"
    assert all(len(result["digests"][name]) == 64 for name in ("definition", "label_map", "checkpoint", "predictions"))
    scored = ["test", "sketch", "near-ood", "far-ood"]
    assert set(result["digests"]["banks"]) == {"train", *scored, *(f"{name} perturbed" for name in scored)}
    assert len(set(result["digests"]["banks"].values())) == 9


def test_accuracy_is_that_of_the_predictions(evaluated: Path) -> None:
    result = json.loads((evaluated / "result.json").read_text())
    predictions = read_predictions(evaluated / "predictions.parquet")
    rows = predictions.set_names == "test"
    assert rows.sum() == 200
    assert result["scored"]["classification"]["test"]["top1_samples"] == np.mean(
        predictions.labels[rows] == predictions.predicted[rows]
    )
    near = predictions.set_names == "near-ood"
    above = predictions.scores["knn"][near][:, None] > predictions.scores["knn"][rows][None]
    tied = predictions.scores["knn"][near][:, None] == predictions.scores["knn"][rows][None]
    assert result["scored"]["ood"]["near-ood"]["detectors"]["knn"]["auroc"] == pytest.approx(
        (above + tied / 2).mean(), abs=1e-12
    )


def test_score_gives_the_scored_block_again(
    evaluated: Path, benchmark: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["score", str(evaluated / "predictions.parquet"), "--benchmark", str(benchmark), "--json"]
    assert main(words) == DONE
    assert json.loads(capsys.readouterr().out) == json.loads((evaluated / "result.json").read_text())["scored"]


def test_score_refuses_predictions_of_another_benchmark(evaluated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", str(evaluated), "--benchmark", "miniature"]) == BAD_INPUT
    assert "'small'" in capsys.readouterr().err


def test_a_second_run_computes_no_feature(evaluated: Path, benchmark: Path) -> None:
    before = json.loads((evaluated / "result.json").read_text())
    assert evaluate(benchmark, evaluated.parents[2], "--no-report") == DONE
    after = json.loads((evaluated / "result.json").read_text())
    assert all(line.startswith("from the cache") for line in after["run"]["extraction"].values())
    assert {**before, "run": None} == {**after, "run": None}


def test_the_page_and_the_tables(evaluated: Path, benchmark: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = (evaluated / "report.html").read_text(encoding="utf-8")
    assert "pixels" in page
    assert "FPR95" in page
    assert main(["score", str(evaluated)]) == DONE
    shown = capsys.readouterr().out
    assert "FPR95 (ID positive), %" in shown
    assert "thp-knn" in shown


def test_compare_puts_two_results_side_by_side(
    evaluated: Path, benchmark: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = evaluated.parents[2] / "other"
    words = ["eval", "--model", "pixels", "--benchmark", str(benchmark), "--classifier", "ncm", "--out", str(other)]
    assert (
        main([*words, "--cache", str(evaluated.parents[2] / "cache"), "--workers", "0", "--quiet", "--no-report"])
        == DONE
    )
    capsys.readouterr()
    assert main(["compare", str(evaluated), str(other / "small" / "pixels")]) == DONE
    assert "test" in capsys.readouterr().out


def test_a_model_without_weights_explains_itself(
    benchmark: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(benchmark, tmp_path, model="thp-vit-b") == BAD_INPUT
    said = capsys.readouterr().err
    assert "thp-vit-b" in said
    assert "weights" in said
    assert not (tmp_path / "results").exists()


def test_unknown_names_are_refused_before_any_work(
    benchmark: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(benchmark, tmp_path, "--detector", "thp_knn") == BAD_INPUT
    assert "Did you mean 'thp-knn'" in capsys.readouterr().err
    assert evaluate(Path("minature"), tmp_path) == BAD_INPUT
    assert "miniature" in capsys.readouterr().err


def test_what_cannot_be_done_is_said_before_any_feature(
    benchmark: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(options: dict[str, float], *more: str) -> str:
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump(yaml.safe_load(benchmark.read_text()) | {"detector_options": options}))
        capsys.readouterr()
        assert evaluate(path, tmp_path, *more) == BAD_INPUT
        assert not (tmp_path / "cache").exists()
        return capsys.readouterr().err

    assert "Did you mean 'ash-s'" in refused({"ashs.percentile": 95})
    assert "detector ash-s takes no 'percentil'" in refused({"ash-s.percentil": 95})
    assert "Did you mean 'cifar'" in refused({}, "--transform", "cifa")


def test_a_departure_is_named(benchmark: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        evaluate(
            benchmark, tmp_path, "--limit", "60", "--shots", "oltr", "--no-report", "--detector", "knn", "--approximate"
        )
        == DONE
    )
    folder = tmp_path / "results" / "small" / "pixels-limit60"
    result = json.loads((folder / "result.json").read_text())
    assert len(result["departures"]) == 3
    assert list(read_predictions(folder).departures) == result["departures"]
    assert any("recall" in text for text in result["warnings"])
    assert result["benchmark"]["shots"] == "oltr"
    capsys.readouterr()
    assert main(["score", str(folder)]) == DONE
    assert "departs  at most 60 images of each set; not a number of this benchmark" in capsys.readouterr().out
    assert main(["score", str(folder), "--benchmark", str(benchmark)]) == BAD_INPUT
    assert "depart from its protocol: at most 60 images" in capsys.readouterr().err


def test_a_result_that_was_asked_for_otherwise_is_not_written_over(
    evaluated: Path, benchmark: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = evaluated.parents[2]
    before = (evaluated / "result.json").read_bytes(), (evaluated / "predictions.parquet").read_bytes()
    assert evaluate(benchmark, root, "--detector", "knn") == BAD_INPUT
    said = capsys.readouterr().err
    assert f"{evaluated} holds another result (detectors [] there, ['knn'] here)" in said
    assert "--out" in said
    other = tmp_path / "small.yaml"
    other.write_text(benchmark.read_text().replace("neighbours: 5", "neighbours: 6"))
    assert evaluate(other, root) == BAD_INPUT
    assert "definition" in capsys.readouterr().err
    assert evaluate(other, tmp_path, "--benchmark", str(benchmark)) == BAD_INPUT
    assert "Two benchmarks are called 'small'" in capsys.readouterr().err
    assert before == ((evaluated / "result.json").read_bytes(), (evaluated / "predictions.parquet").read_bytes())


@pytest.mark.slow
def test_seeds_of_each_benchmark_are_put_together(
    benchmark: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(benchmark.read_text().replace("name: small", "name: other"))
    more = ["--benchmark", str(other), "--seed", "1", "--seed", "2", "--detector", "knn", "--no-report", "--json"]
    assert evaluate(benchmark, tmp_path, *more) == DONE
    deviations = json.loads(capsys.readouterr().out)["deviations"]
    assert {name: found["results"][0]["seeds"] for name, found in deviations.items()} == {
        "small": [1, 2],
        "other": [1, 2],
    }


def test_the_step_of_odin_and_the_size_of_images_are_those_that_the_result_names(
    benchmark: Path, tmp_path: Path
) -> None:
    changes = {"detector_options": {"odin.eta": 0.1, "odin.temperature": 10}, "image_size": 4}
    values = yaml.safe_load(benchmark.read_text()) | changes
    path = tmp_path / "stepped.yaml"
    path.write_text(yaml.safe_dump(values))
    assert evaluate(path, tmp_path, "--detector", "odin", "--no-report") == DONE
    result = json.loads((tmp_path / "results" / "small" / "pixels" / "result.json").read_text())
    named = result["protocol"]["detectors"]["odin"]
    assert (named["temperature"], named["eta"]) == (10, 0.1)
    assert result["protocol"]["transform"]["first"]["resize"] == 4
    identities = [json.loads(file.read_text())["identity"] for file in (tmp_path / "cache").rglob("meta.json")]
    stepped = [item["perturbed"] for item in identities if item["perturbed"] is not None]
    assert [(item["temperature"], item["eta"]) for item in stepped] == [(10, 0.1)] * 4
    assert all(item["transform"] == result["protocol"]["transform"] for item in identities)
