"""The plan: every recipe is there, what is started from comes first, and nothing of the issue's list is absent."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from openmmlo.config import load_recipe, recipe_names
from openmmlo.errors import ConfigError, UnknownName
from openmmlo.experiments.jobs import Job, Setting, jobs_of
from openmmlo.experiments.plan import BASELINES, EXPECTED, EXPERIMENTS, Experiment, Row, Run, chosen, runs_of, starts

SETTING = Setting(Path("experiments"), Path("experiments/data/miniature"), "d" * 64)


def test_every_recipe_exists_and_every_tiny_recipe_is_run() -> None:
    runs = runs_of(EXPERIMENTS)
    for kind in ("pretrain", "finetune"):
        ours = {run.recipe for run in runs if run.kind == kind}
        assert ours
        assert ours == {name for name in recipe_names(kind) if name.startswith("tiny-")}


@pytest.mark.parametrize("run", runs_of(EXPERIMENTS), ids=lambda run: run.name)
def test_a_recipe_starts_from_what_it_names(run: Run) -> None:
    recipe = Job(run, 0, SETTING).recipe()
    assert recipe.workers == 0
    if run.kind == "finetune":
        shipped = load_recipe("finetune", run.recipe)["weights"]
        assert Path(str(shipped)).name == (run.start.recipe if run.start is not None else "none")


def test_runs_come_once_and_after_what_they_start_from() -> None:
    runs = runs_of(EXPERIMENTS)
    names = [run.name for run in runs]
    assert len(set(names)) == len(names)
    for place, run in enumerate(runs):
        assert all(item.name in names[:place] for item in starts(run))


def test_nothing_that_was_asked_for_is_absent() -> None:
    recipes = {run.recipe for run in runs_of(EXPERIMENTS)}
    losses = (
        "ce focal class-balanced ldam-drw logit-adjustment logit-adjustment-posthoc balanced-softmax lade t-vmf wcdas"
    )
    others = "crt lws tau-norm ncm ce-class-aware ce-square-root supcon cider thp-thp"
    kappas = "thp-kappa-4 thp-kappa-64 thp-kappa-128 thp-kappa-trainable"
    assert {f"tiny-{name}" for name in f"{losses} {others} {kappas}".split()} <= recipes
    by_name = {item.name: item for item in EXPERIMENTS}
    table_5 = {(row.run.start.recipe if row.run.start else "", row.run.recipe) for row in by_name["table-5"].rows}
    assert table_5 == {
        ("tiny-cosine", "tiny-cosine-cosine"), ("tiny-thp", "tiny-thp-cosine"), ("tiny-cosine", "tiny-cosine-thp"),
        ("tiny-thp", "tiny-thp-thp"),
    }  # fmt: skip
    assert [row.run.recipe for row in by_name["table-4"].rows] == [
        "tiny-balanced-cosine", "tiny-cosine-cosine", "tiny-thp-thp",
    ]  # fmt: skip
    assert all(row.run.start is not None and row.run.start.read for row in by_name["table-4"].rows)
    assert len(by_name["table-6"].rows) == 5
    assert all(row.run.read for row in by_name["inputs"].rows)


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda item: item.name)
def test_every_row_has_a_reference_or_is_one(experiment: Experiment) -> None:
    labels = [row.label for row in experiment.rows]
    assert len(set(labels)) == len(labels)
    assert experiment.against == "above" or experiment.against in labels
    assert [row.label for row in experiment.rows if experiment.reference(row) is None] == (
        labels[:1] if experiment.against == "above" else [experiment.against]
    )


def test_what_is_expected_of_methods_is_of_rows() -> None:
    assert set(EXPECTED) <= {row.label for row in BASELINES.rows}


def test_names_choose_experiments_and_recipes_with_their_starts() -> None:
    assert [run.name for run in chosen(["tiny-crt"])] == ["finetune/tiny-ce", "finetune/tiny-crt"]
    assert {run.recipe for run in chosen(["tiny-thp-kappa-4"])} == {"tiny-thp-kappa-4"}
    assert len(chosen(["tiny-thp-kappa-4"])) == 2
    assert {run.name for run in chosen(["table-5"])} == {run.name for run in runs_of([EXPERIMENTS[2]])}
    assert chosen([]) == runs_of(EXPERIMENTS)
    with pytest.raises(UnknownName, match="Did you mean 'tiny-focal'"):
        chosen(["tiny-foca"])


def test_two_runs_of_one_name_are_a_mistake() -> None:
    rows = (Row("one", Run("tiny-ce")), Row("two", Run("tiny-ce", read=True)))
    with pytest.raises(ValueError, match="Two runs are called"):
        runs_of([Experiment("odd", "Odd", "?", rows, "one", "scores")])


def test_a_job_is_known_by_all_that_decides_its_weights() -> None:
    ce, crt = (next(run for run in runs_of(EXPERIMENTS) if run.recipe == name) for name in ("tiny-ce", "tiny-crt"))
    job = Job(crt, 1, SETTING)
    assert job.start is not None
    assert job.start.run is ce
    assert job.recipe().to_json()["weights"] == str(job.start.checkpoint)
    others = [
        Job(crt, 2, SETTING), Job(ce, 1, SETTING),
        Job(crt, 1, Setting(SETTING.out, SETTING.data, "e" * 64)),
        Job(crt, 1, Setting(SETTING.out, SETTING.data, SETTING.data_digest, changes={"lr": 0.5})),
    ]  # fmt: skip
    assert len({item.digest for item in (job, *others)}) == 5
    moved = Setting(Path("/elsewhere/out"), Path("/other/miniature"), SETTING.data_digest, device="cuda")
    elsewhere = Job(crt, 1, moved)
    assert elsewhere.digest == job.digest
    assert job.checkpoint.name == "tiny-crt"


def test_seed_by_seed_so_that_an_early_stop_leaves_whole_comparisons() -> None:
    runs = runs_of(EXPERIMENTS)
    jobs = jobs_of(runs, (0, 1), SETTING)
    assert [job.seed for job in jobs] == [0] * len(runs) + [1] * len(runs)


def test_changes_concern_the_recipes_that_have_the_key() -> None:
    """One epoch for all leaves alone what is not trained, and a key of fine-tuning leaves pre-training alone."""
    setting = Setting(SETTING.out, SETTING.data, SETTING.data_digest, changes={"epochs": 1, "head_scale_start": 9.0})
    by_name = {run.name: Job(run, 0, setting).recipe().to_json() for run in runs_of(EXPERIMENTS)}
    assert by_name["finetune/tiny-ncm"]["epochs"] is None
    assert by_name["finetune/tiny-ncm"]["steps"] == 0
    assert by_name["pretrain/tiny-thp"]["epochs"] == 1
    assert by_name["finetune/tiny-thp-thp"]["head_scale_start"] == 9
    with pytest.raises(ConfigError, match="takes no 'epoch'"):
        Job(Run("tiny-ce"), 0, Setting(SETTING.out, SETTING.data, SETTING.data_digest, changes={"epoch": 1})).recipe()


def test_a_recipe_that_is_edited_while_experiments_run_is_of_the_next_start(monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job(Run("tiny-crt", Run("tiny-ce")), 0, SETTING)
    before, folder = job.recipe(), job.folder
    sent = pickle.dumps(job)
    values = load_recipe("finetune", "tiny-ce") | {"lr": 0.5}
    monkeypatch.setattr("openmmlo.experiments.jobs.load_recipe", lambda kind, name: values)
    arrived = pickle.loads(sent)  # noqa: S301 - what was pickled above
    assert (arrived.recipe(), arrived.folder) == (before, folder)
    assert Job(job.run, 0, SETTING).folder != folder
