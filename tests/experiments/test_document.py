"""The page of the experiments: its numbers are those of the results, and its sentences follow from them."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from experiment_jobs import better, drawn, finish, small_data
from matplotlib.figure import Figure

from openmmlo.errors import DataError
from openmmlo.evaluate.predictions import digest, write_predictions
from openmmlo.experiments.document import page, write
from openmmlo.experiments.jobs import Job, Setting, jobs_of
from openmmlo.experiments.numbers import Numbers, over_classes, over_seeds, read_numbers
from openmmlo.experiments.plan import BASELINES, EXPERIMENTS, runs_of
from openmmlo.experiments.plots import name_points, pictures
from openmmlo.experiments.run import setting as of_folder
from openmmlo.experiments.tables import any_predictions, headline, score_table, separated_best

SEEDS = (0, 1, 2)
RUNS = {run.name: run for run in runs_of(EXPERIMENTS)}
CE, FOCAL, BALANCED = (RUNS[f"finetune/tiny-{name}"] for name in ("ce", "focal", "balanced-softmax"))


def setting(out: Path) -> Setting:
    return Setting(out, Path("data/miniature"), "d" * 64)


def few_classes(seed: int = 0) -> list[int]:
    return [place for place, group in enumerate(drawn("tiny-ce", seed).groups) if group == "few"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Job], Numbers]:
    """Three seeds of CE, of focal as good as it, and of balanced softmax, which gets most few-shot images right."""
    out = tmp_path_factory.mktemp("experiments")
    jobs = jobs_of(runs_of(EXPERIMENTS), SEEDS, setting(out))
    for job in jobs:
        predictions = drawn(job.run.recipe, job.seed)
        if job.run == BALANCED:
            predictions = better(predictions, few_classes(), 0.8, job.seed)
        if job.run in (CE, FOCAL, BALANCED):
            finish(job, predictions)
    return out, jobs, read_numbers(jobs, 300)


def few_by_hand(recipe: str, seed: int) -> float:
    """Few-shot accuracy from the predictions, class by class."""
    predictions = drawn(recipe, seed)
    if recipe == BALANCED.recipe:
        predictions = better(predictions, few_classes(), 0.8, seed)
    test = predictions.set_names == "test"
    right = predictions.labels == predictions.predicted
    return float(np.mean([right[test & (predictions.labels == label)].mean() for label in few_classes()]))


def cells(text: str, first: str) -> list[str]:
    """The cells behind the first of a line, in the first table that has such a line."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_means_and_deviations_are_those_of_the_predictions(finished: tuple[Path, list[Job], Numbers]) -> None:
    out, jobs, numbers = finished
    text = page(out, jobs, numbers, EXPERIMENTS, [])
    section = text.split("## The baselines")[1].split("Differences to CE")[0]
    head = cells(section, "%")
    assert head[:4] == ["all", "many", "medium", "few"]
    for label, run in (("CE", CE), ("Focal", FOCAL), ("Balanced softmax", BALANCED)):
        values = [100 * few_by_hand(run.recipe, seed) for seed in SEEDS]
        shown = cells(section, label)[3].strip("*")
        assert shown == f"{np.mean(values):.1f} ± {np.std(values, ddof=1):.1f}"
        outside = numbers.measured[run.name].seeds[0].results["images"]["scored"]["ood_groups"]["all"]
        assert cells(section, label)[head.index("OOD k-NN")].startswith(f"{100 * outside['knn']['auroc']:.1f}")


def test_what_is_better_by_more_than_the_interval_is_said(finished: tuple[Path, list[Job], Numbers]) -> None:
    out, jobs, numbers = finished
    text = page(out, jobs, numbers, EXPERIMENTS, [])
    gain = 100 * np.mean([few_by_hand(BALANCED.recipe, seed) - few_by_hand(CE.recipe, seed) for seed in SEEDS])
    assert gain > 20
    assert f"- Balanced softmax: **yes**, {gain:+.1f} (" in text
    assert "- LDAM-DRW: **not run yet**" in text
    (few,) = (line for line in text.splitlines() if line.startswith("- *few* — "))
    assert few == "- *few* — higher: Balanced softmax; not told apart: Focal."


def test_the_best_is_bold_where_it_is_told_apart(finished: tuple[Path, list[Job], Numbers]) -> None:
    _, _, numbers = finished
    predictions = any_predictions(numbers)
    assert predictions is not None
    few = headline(predictions)["few"]
    rows = {row.label: row for row in BASELINES.rows}
    best = separated_best([rows["CE"], rows["Balanced softmax"]], numbers, few)
    assert best is rows["Balanced softmax"]
    assert separated_best([rows["CE"], rows["Focal"]], numbers, few) is None
    assert separated_best([rows["CE"]], numbers, few) is None
    worst = replace(few, higher=False)  # the lowest is CE or focal, which are not told apart
    assert separated_best([rows["CE"], rows["Balanced softmax"]], numbers, worst) is rows["CE"]
    assert separated_best([rows["Balanced softmax"], rows["CE"], rows["Focal"]], numbers, worst) is None
    assert re.search(r"\| Balanced softmax \| \*\*", score_table(list(rows.values()), numbers, [few]))


def test_neighbours_and_cautions_are_those_of_the_results(tmp_path: Path) -> None:
    jobs = jobs_of([CE, FOCAL], (0, 1), setting(tmp_path))
    for job in jobs:
        finish(job, drawn(job.run.recipe, job.seed))
        path = job.results / "images" / "result.json"
        result = json.loads(path.read_text(encoding="utf-8"))
        sweep = {str(k): {"near-ood": {"auroc": 0.6}, "far-ood": {"auroc": 0.6 + job.seed / k}} for k in (1, 5)}
        result["measured"] = {"k_sweep": {"knn": sweep}}
        result["protocol"] = {"cautions": {"knn": ["k = 50 is more than some have"]}}
        path.write_text(json.dumps(result), encoding="utf-8")
    found = page(tmp_path, jobs, read_numbers(jobs, 50), EXPERIMENTS, []).split("## OOD detection by detector")[1]
    assert found.count("- k-NN: k = 50 is more than some have") == 1
    sweep = found.split("k-NN by which neighbour")[1]
    assert cells(sweep, "%") == ["k = 1", "k = 5"]
    assert cells(sweep, "Focal") == ["85.0 ± 35.4", "65.0 ± 7.1"]


def test_features_that_are_the_same_are_said_to_be(tmp_path: Path) -> None:
    jobs = jobs_of([CE, FOCAL], SEEDS, setting(tmp_path))
    for job in jobs:
        finish(job, drawn(CE.recipe, job.seed))
    text = page(tmp_path, jobs, read_numbers(jobs, 50), EXPERIMENTS, [])
    assert "- *OOD k-NN* — the same: Focal." in text


def test_a_mean_of_other_seeds_is_never_bold_by_them(tmp_path: Path) -> None:
    """The one with the better mean is worse where both have a seed."""
    jobs = jobs_of([CE, FOCAL], (0, 1), setting(tmp_path))
    for job in jobs:
        predictions = drawn(job.run.recipe, job.seed)
        if (job.run, job.seed) == (CE, 0):
            predictions = better(predictions, few_classes(), 0.35, 1)
        if (job.run, job.seed) == (FOCAL, 1):
            predictions = better(predictions, few_classes(), 1.0, 1)
        if (job.run, job.seed) != (CE, 1):
            finish(job, predictions)
    numbers = read_numbers(jobs, 100)
    predictions = any_predictions(numbers)
    assert predictions is not None
    few = headline(predictions)["few"]
    lead = numbers.difference(FOCAL, CE, few.key)
    assert lead is not None
    assert lead.high < 0
    assert np.mean(numbers.measured[FOCAL.name].values(few.key)) > np.mean(numbers.measured[CE.name].values(few.key))
    rows = [row for row in BASELINES.rows if row.run in (CE, FOCAL)]
    assert separated_best(rows, numbers, few) is None
    text = " ".join(page(tmp_path, jobs, numbers, EXPERIMENTS, []).split())
    assert "Not yet run with each of the seeds 0, 1, but only with those in brackets: CE (0)." in text
    low, high = (f"{100 * value:.1f}" for value in numbers.measured[FOCAL.name].values(("test", "top1_classes")))
    assert float(high) - float(low) > 10
    assert (
        f"Seeds lie over 10 points apart in *all*, so that means say little: Focal ({low} with 0, {high} with 1)."
        in text
    )


def test_a_page_of_part_of_the_runs_names_the_others(finished: tuple[Path, list[Job], Numbers]) -> None:
    out, jobs, numbers = finished
    text = " ".join(page(out, jobs, numbers, EXPERIMENTS, []).split())
    assert "9 of 102 runs" in text
    assert "finetune/tiny-crt (seeds 0, 1, 2)" in text
    assert "finetune/tiny-focal (seeds" not in text
    assert "Not run yet." in text.split("## Table 6")[1]


def test_recipes_differ_in_what_the_page_says(finished: tuple[Path, list[Job], Numbers]) -> None:
    out, jobs, numbers = finished
    budget = page(out, jobs, numbers, EXPERIMENTS, []).split("## Budget")[1].split("## The baselines")[0]
    differing = budget.split("| run | differs from | in |")[1]
    assert cells(differing, "`finetune/tiny-focal`") == ["`finetune/tiny-ce`", r"loss: focal; loss\_options: gamma 2"]
    assert cells(differing, "`finetune/tiny-cosine-thp`")[1] == "starts from pretrain/tiny-cosine"
    assert "nothing" not in differing
    assert "\n- LDAM-DRW: " in budget
    assert cells(budget, "`finetune/tiny-crt`")[:2] == ["finetune/tiny-ce", "4"]


def test_every_number_has_its_origin(finished: tuple[Path, list[Job], Numbers]) -> None:
    out, jobs, numbers = finished
    origin = page(out, jobs, numbers, EXPERIMENTS, []).split("## Where each number comes from")[1]
    lines = [line for line in origin.splitlines() if line.startswith("| `")]
    assert len(lines) == 9
    for job in (job for job in jobs if job.run in (CE, FOCAL)):
        (line,) = (line for line in lines if line.startswith(f"| `{job.run.name}` | {job.seed} |"))
        assert f"`{job.recipe().digest[:12]}`" in line
        assert f"`{digest(drawn(job.run.recipe, job.seed))[:12]}`" in line


def test_pictures_hold_every_method_and_are_the_same_again(finished: tuple[Path, list[Job], Numbers]) -> None:
    _, _, numbers = finished
    drawn_once = pictures(numbers)
    assert set(drawn_once) == {"experiments-groups.svg", "experiments-ood.svg"}  # no concentration is finished
    for content in drawn_once.values():
        root = ElementTree.fromstring(content)
        texts = {"".join(item.itertext()).strip() for item in root.iter("{http://www.w3.org/2000/svg}text")}
        assert {"CE", "Focal", "Balanced softmax"} <= texts
        assert "#000000" not in content.lower()  # nobody reads black on a dark page
    assert pictures(numbers) == drawn_once


def test_labels_of_points_that_lie_close_do_not_meet() -> None:
    figure = Figure(figsize=(7.2, 5.2), layout="constrained")
    axis = figure.subplots()
    points = np.random.default_rng(0).normal(50, [4, 0.5], (19, 2))
    axis.scatter(*points.T)
    axis.margins(0.12)
    name_points(figure, axis, points, [f"a method {'of long name ' * (place % 2)}{place}" for place in range(19)])
    boxes = [item.get_window_extent() for item in axis.texts if item.get_text()]
    assert len(boxes) == 19
    assert not any(one.overlaps(other) for place, one in enumerate(boxes) for other in boxes[:place])
    dots = axis.transData.transform(points)
    assert not any(box.contains(*dot) for box in boxes for dot in dots)


def test_predictions_that_were_changed_are_refused(tmp_path: Path) -> None:
    job = Job(CE, 0, setting(tmp_path))
    finish(job, drawn("tiny-ce", 0))
    path = job.results / "images" / "predictions.parquet"
    write_predictions(drawn("tiny-focal", 0), path)
    with pytest.raises(DataError, match="their digests differ"):
        read_numbers([job])


def test_a_checkpoint_that_was_trained_anew_is_refused(tmp_path: Path) -> None:
    job = Job(CE, 0, setting(tmp_path))
    finish(job, drawn("tiny-ce", 0))
    path = job.checkpoint / "training.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"weights": "0', '"weights": "1'), encoding="utf-8")
    with pytest.raises(DataError, match="not the one that was evaluated"):
        read_numbers([job])


def test_an_interval_over_seeds_alone_is_that_of_student() -> None:
    from scipy.stats import t

    values = np.array([0.1, 0.2, 0.6])
    found = over_seeds(values.tolist(), np.repeat(values[:, None], 50, axis=1))
    low, high = t.interval(0.95, 2, loc=values.mean(), scale=values.std(ddof=1) / 3**0.5)
    assert (found.value, found.low, found.high) == pytest.approx((0.3, low, high))
    assert not found.told_apart
    assert low < 0  # though all three are above it


def test_an_interval_over_images_alone_is_that_of_the_resamples() -> None:
    images = np.random.default_rng(0).normal(0.2, 0.03, 20_000)
    for seeds in (1, 3):
        found = over_seeds([0.2] * seeds, np.repeat(images[None], seeds, axis=0))
        low, high = np.percentile(images, [2.5, 97.5])
        assert (found.low, found.high) == pytest.approx((low, high), abs=0.001)
        assert found.told_apart
    assert over_seeds([0.0, 0.0], np.zeros((2, 50))).none


@pytest.mark.parametrize("of_seeds", [0.2, 1.0, 5.0])
def test_an_interval_over_seeds_and_images_holds_the_truth_as_often_as_it_says(of_seeds: float) -> None:
    """Three seeds that share an error of the test images, whose deviation is 1."""
    random = np.random.default_rng(3)
    images, seeds = random.normal(0, 1, 2000), random.normal(0, of_seeds, (2000, 3))
    resampled = random.normal(0, 1, 200)
    found = [over_seeds((seed + image).tolist(), (seed + image)[:, None] + resampled)
             for image, seed in zip(images, seeds, strict=True)]  # fmt: skip
    assert np.mean([item.low <= 0 <= item.high for item in found]) == pytest.approx(0.95, abs=0.03)


def test_differences_over_classes_pair_seeds_and_leave_out_what_is_unknown() -> None:
    generator = np.random.default_rng(1)
    ours = {seed: generator.normal(40, 1, 300) for seed in SEEDS}
    theirs = {seed: values + 2 + generator.normal(0, 0.5, 300) for seed, values in ours.items()}
    ours[0][3] = np.nan
    theirs[9] = ours[1]
    found = over_classes(ours, theirs)
    assert found is not None
    kept = np.arange(300) != 3
    assert found.value == pytest.approx(np.mean([(ours[seed] - theirs[seed])[kept].mean() for seed in SEEDS]))
    assert found.told_apart
    assert found.low < found.value < found.high < 0
    assert over_classes({0: ours[1]}, {1: ours[1]}) is None


def test_angles_and_captions_are_those_of_the_results(tmp_path: Path) -> None:
    setting_ = setting(tmp_path)
    wanted = [RUNS[name] for name in ("pretrain/tiny-cosine", "pretrain/tiny-thp", "finetune/tiny-thp-thp")]
    jobs = jobs_of(runs_of(EXPERIMENTS), SEEDS, setting_)
    for job in (job for job in jobs if job.run in wanted):
        finish(job, drawn(job.run.recipe, job.seed) if job.run.scored else None, captions(job))
    text = page(tmp_path, jobs, read_numbers(jobs, 50), EXPERIMENTS, [])
    table_4 = text.split("## Table 4")[1].split("## Table 5")[0]
    assert cells(table_4, "long-tailed / cosine")[0] == "51.0 ± 1.0 (2.0)"
    assert cells(table_4, "long-tailed / T-hp")[0] == "41.0 ± 1.0 (2.0)"
    assert cells(table_4, "long-tailed / T-hp − long-tailed / cosine")[0] == r"-10.0 (-10.0 to -10.0)\*"
    assert "- intra-class, long-tailed / T-hp against long-tailed / cosine: better." in table_4
    assert "- inter-class, long-tailed / T-hp against long-tailed / cosine: worse." in table_4
    both = text.split("## Caption, image, both")[1]
    assert cells(both, "image alone")[:3] == ["50.0 ± 0.0", "40.0 ± 0.0", "–"]
    assert cells(both, "image and masked caption")[:3] == ["70.0 ± 0.0", "40.0 ± 0.0", r"+20.0 (+20.0 to +20.0)\*"]
    assert cells(both, "masked caption alone, probe")[0] == "20.0 ± 0.0"
    assert "12.5 % of masked captions" in " ".join(both.split())


def captions(job: Job) -> dict[str, Any]:
    """A result on the built folder with angles and accuracies that are easily told."""
    base = 40.0 if "thp" in job.run.recipe else 50.0
    own = [base + job.seed - 2, base + job.seed + 2]

    def accuracy(value: float) -> dict[str, Any]:
        return {"per_class": [value, value], "groups": {"few": 0.4}}

    return {
        "format": 1, "scored": {}, "benchmark": {"classes": 50},
        "measured": {
            "geometry": {"basis": "captions", "classes": {"intra": own, "inter": own, "ood": None}},
            "audit": {"leak_rate": 0.125, "leak_rate_raw": 0.9},
            "captions": {
                "image_only": accuracy(0.45),
                "own": {"image_only": accuracy(0.5), "masked": accuracy(0.7), "raw": None},
                "masked": {"caption_only": accuracy(0.2), "both": accuracy(0.6)}, "raw": None,
            },
        },
    }  # fmt: skip


def test_the_page_is_written_with_its_pictures_and_the_same_again(tmp_path: Path) -> None:
    data = small_data(tmp_path / "pictures")
    out, docs = tmp_path / "out", tmp_path / "docs"
    out.mkdir()
    with pytest.raises(DataError, match="no finished run"):
        write(out, docs, SEEDS, data=data)
    for job in jobs_of([CE, FOCAL], SEEDS, of_folder(out.absolute(), data)):
        finish(job, drawn(job.run.recipe, job.seed))
    written = write(out, docs, SEEDS, data=data, resamples=50)
    assert len(written.missing) == 96
    text = written.page.read_text(encoding="utf-8")
    assert {path.name for path in written.images} == set(re.findall(r"images/([\w.-]+)", text))
    assert all(len(line) <= 120 for line in text.splitlines() if not line.startswith("|"))
    before = {path: path.read_bytes() for path in (written.page, *written.images)}
    again = write(out, docs, SEEDS, data=data, resamples=50)
    assert {path: path.read_bytes() for path in (again.page, *again.images)} == before
