"""Finished runs become entries of a board; those with a seed missing, or another training list, do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from experiment_jobs import small_data
from miniature_results import predicted_miniature, write_evaluated

from openmmlo.cli import main
from openmmlo.experiments.jobs import Job, Setting
from openmmlo.experiments.plan import EXPERIMENTS, chosen, runs_of
from openmmlo.experiments.run import setting as of_run
from openmmlo.experiments.submit import about
from openmmlo.leaderboard.board import Board
from openmmlo.leaderboard.methods import METHODS

SETTING = Setting(Path("experiments"), Path("experiments/data/miniature"), "d" * 64)
SCORED = [run for run in runs_of(EXPERIMENTS) if run.scored]


def test_every_entry_has_a_name_of_its_own() -> None:
    ranked = [run for run in SCORED if Job(run, 0, SETTING).recipe().split == "train"]
    found = [about(Job(run, 0, SETTING)) for run in ranked]
    assert len(found) == len({item.entry for item in found}) == len({item.name for item in found}) == len(SCORED) - 1


@pytest.mark.parametrize("run", SCORED, ids=lambda run: run.recipe)
def test_an_entry_says_what_its_recipe_does(run: object) -> None:
    job = Job(run, 0, SETTING)  # type: ignore[arg-type]
    found = about(job)
    recipe = job.recipe().to_json()
    assert (found.pretraining == "none") == (job.run.start is None or job.run.start.kind == "finetune")
    assert (found.captions == "none") == (recipe["reads"] == "image")
    assert found.method is None or found.method in METHODS
    assert found.method is not None or job.run.recipe == "tiny-balanced-cosine"


def test_one_command_puts_a_finished_baseline_on_a_board_with_its_mark(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is finished is not trained again; of the rest nothing is entered."""
    data = small_data(tmp_path / "data")
    setting = of_run(tmp_path / "out", data)
    (run,) = chosen(["tiny-ce"])
    for seed in (0, 1):
        job = Job(run, seed, setting)
        predictions = predicted_miniature(seed, model="tiny-ce")
        write_evaluated(job.results / "images", predictions)
        training = {"digests": {"recipe": job.recipe().digest, "weights": "w" * 64}}
        job.finish({"training": 2.0, "evaluation": 1.0}, training, {"images": job.results / "images"})
    board = tmp_path / "board"
    words = ["experiments", "run", "--out", str(setting.out), "--data", str(data), "--board", str(board)]
    assert main([*words, "--seed", "0", "--seed", "1", "--only", "tiny-ce", "--quiet"]) == 0
    assert "2 were finished before" in capsys.readouterr().out
    (entry,) = Board(board).entries()
    assert entry.submission.entry == "tiny-ce"
    assert entry.mark is not None
    assert entry.mark.mark == "re-scored"
    assert [item.seed for item in entry.mark.runs] == [0, 1]
    labels, said = predictions.labels, predictions.predicted
    test = predictions.set_names == "test"
    stated = entry.mark.runs[1].scored["classification.test.top1_samples"]
    assert stated == pytest.approx(float(np.mean(said[test] == labels[test])))
