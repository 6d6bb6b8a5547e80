"""Finished runs become entries of a board; those with a seed missing, or another training list, do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from openmmlo.experiments.jobs import Job, Setting
from openmmlo.experiments.plan import EXPERIMENTS, runs_of
from openmmlo.experiments.submit import about
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
