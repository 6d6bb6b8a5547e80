"""Finished runs come in; an entry of the leaderboard for every one that has all its seeds goes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openmmlo.experiments.jobs import Job, jobs_of
from openmmlo.experiments.plan import BASELINES, EXPERIMENTS, Experiment, Run, chosen, starts
from openmmlo.experiments.run import data_folder, setting
from openmmlo.leaderboard.board import Board
from openmmlo.leaderboard.submit import About, Proposal
from openmmlo.leaderboard.submit import submit as propose

AUTHORS = ("The openmmlo developers",)
BACKBONE = "thp-tiny"

_FAMILY: Mapping[str, tuple[str, str]] = {
    "tiny-thp-thp": ("T-hp", "thp"),
    "tiny-cosine-cosine": ("Cosine in place of T-hp", "vlm-cosine"),
    "tiny-thp-cosine": ("T-hp pre-training, cosine classes", "thp"),
    "tiny-cosine-thp": ("Cosine pre-training, T-hp classes", "thp"),
    "tiny-thp-kappa-4": ("T-hp, κ = 4", "thp"),
    "tiny-thp-kappa-64": ("T-hp, κ = 64", "thp"),
    "tiny-thp-kappa-128": ("T-hp, κ = 128", "thp"),
    "tiny-thp-kappa-trainable": ("T-hp, κ trainable", "thp"),
}
"""Recipe -> name of its entry, and method of the leaderboard; the baselines' are those of their rows."""


@dataclass(frozen=True)
class Submitted:
    """What became of the runs.

    Attributes:
        proposals: entries that are new or changed.
        unchanged: entries that stand there already.
        left_out: run -> why it is no entry.
    """

    proposals: tuple[Proposal, ...]
    unchanged: tuple[str, ...]
    left_out: Mapping[str, str]


def submit(
    out: Path,
    board: Board,
    seeds: Sequence[int] = (0, 1, 2),
    *,
    only: Sequence[str] = (),
    dry_run: bool = False,
    data: Path | None = None,
    experiments: Sequence[Experiment] = EXPERIMENTS,
    **values: Any,
) -> Submitted:
    """Write an entry for every run that is scored and has all its seeds; re-scoring gives it its mark.

    Args:
        out: folder of ``openmmlo experiments run``.
        board: where the entries go.
        only: experiments or recipes, with what they start from; all where empty.
        dry_run: write nothing.
        values: benchmark, device and changes, as of :func:`openmmlo.experiments.run.run`.

    Raises:
        SubmissionRefused: results that are not what their predictions give, or an entry's name that others have.
    """
    out = out.expanduser().absolute()
    folder = data.expanduser().absolute() if data is not None else data_folder(out)
    found = setting(out, folder, **values)
    proposals, unchanged, left_out = [], [], {}
    for run in (run for run in chosen(only, experiments) if run.scored):
        jobs = jobs_of([run], seeds, found)
        records = [job.done() for job in jobs]
        missing = [str(job.seed) for job, record in zip(jobs, records, strict=True) if record is None]
        if missing:
            left_out[run.name] = f"not finished with seed {', '.join(missing)}"
            continue
        if jobs[0].recipe().split != "train":
            left_out[run.name] = f"trained on {jobs[0].recipe().split}, which is not the benchmark's training list"
            continue
        folders = [
            job.folder / record["results"]["images"] for job, record in zip(jobs, records, strict=True) if record
        ]
        proposal = propose(folders, about(jobs[0]), board)
        if not proposal.changes:
            unchanged.append(proposal.submission.entry)
            continue
        proposals.append(proposal)
        if not dry_run:
            proposal.write()
    return Submitted(tuple(proposals), tuple(unchanged), left_out)


def about(job: Job) -> About:
    """What an entry says of a run."""
    run = job.run
    name, method = _FAMILY[run.recipe] if run.recipe in _FAMILY else _baseline(run)
    before = [item for item in starts(run) if item.kind == "pretrain"]
    return About(
        name=name, authors=AUTHORS, entry=run.recipe, method=method, backbone=BACKBONE,
        pretraining=f"captions of the miniature ({before[0].recipe})" if before else "none",
        captions="raw" if before else "none", training_set=job.setting.benchmark,
        note=f"Recipe {run.recipe} of openmmlo experiments; docs/experiments.md.",
    )  # fmt: skip


def _baseline(run: Run) -> tuple[str, str | None]:
    """The row's label, and the method that the recipe is called by."""
    from openmmlo.leaderboard.methods import METHODS

    method = run.recipe.removeprefix("tiny-")
    labels = [row.label for row in BASELINES.rows if row.run.name == run.name]
    return labels[0] if labels else run.recipe, method if method in METHODS else None
