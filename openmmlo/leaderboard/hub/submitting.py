"""``openmmlo submit --hub``: results come in; their predictions lie on the Hub, and a pull request awaits the board.

Everything is looked at before anything is sent: a submission that a board would refuse uploads nothing. Done twice with
the same results it sends nothing and names the same commit and the same pull request.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from openmmlo.building.publishing.hub import Connection, Patience, checked_repo
from openmmlo.errors import SubmissionRefused
from openmmlo.leaderboard.board import Board
from openmmlo.leaderboard.hub.opening import commit_of
from openmmlo.leaderboard.hub.places import PUBLISHED
from openmmlo.leaderboard.hub.proposing import Proposed, propose
from openmmlo.leaderboard.hub.uploading import Uploaded, predictions_path, upload_predictions
from openmmlo.leaderboard.submission import Place, Submission, read_submission
from openmmlo.leaderboard.submit import About, Proposal, read_evaluated, submit
from openmmlo.progress import Progress

NOT_YET = "0" * 40
"""Stands in a dry run for the commit that an upload would make."""


@dataclass(frozen=True, eq=False)
class HubSubmission:
    """What a submission through the Hub did, or would do.

    Attributes:
        proposal: the submission, and how it differs from what the board that was looked at has.
        to: ``owner/name`` of the board that it is proposed to.
        uploaded, proposed: None after a dry run.
    """

    proposal: Proposal
    to: str
    uploaded: Uploaded | None
    proposed: Proposed | None


def submit_through_hub(
    results: Sequence[Path],
    about: About,
    board: Board,
    repo: str,
    *,
    date: str | None = None,
    dry_run: bool = False,
    patience: Patience | None = None,
    progress: Progress | None = None,
) -> HubSubmission:
    """Upload predictions to one's own data set and propose the submission to a board.

    Args:
        results: folders that ``openmmlo eval`` wrote, a seed each.
        board: from the Hub, it is what the submission is proposed to; a folder is only looked at, and the submission
            is proposed to the published board.
        repo: ``owner/name`` of the data set that takes the predictions, made where there is none.
        dry_run: look at everything, send nothing.

    Raises:
        SubmissionRefused, DataError: as :func:`openmmlo.leaderboard.submit.submit`; nothing was sent then.
        PublishRefused, HubError: the Hub does not take it.
    """
    checked_repo(repo)
    to = board.origin.repo if board.origin is not None else PUBLISHED
    files = [read_evaluated(folder) for folder in results]

    def proposal_at(revision: str) -> Proposal:
        places = [Place("hub", repo, revision, predictions_path(item.sha256)) for item in files]
        return submit(results, about, board, places, date)

    checked = proposal_at(NOT_YET)
    if dry_run:
        return HubSubmission(checked, to, None, None)
    commit_of(Connection(to, patience, progress, writing=True), None)  # that there is such a board, before any work
    label = checked.submission.label
    uploaded = upload_predictions(
        [item.predictions for item in files],
        repo,
        title=f"Predictions of {label}",
        patience=patience,
        progress=progress,
    )
    made = proposal_at(uploaded.revision)
    proposed = propose(
        to,
        f"submissions/{label}.json",
        made.content,
        description=_description(made.submission),
        same=lambda earlier: _is_same(earlier, made.submission),
        patience=patience,
        progress=progress,
    )
    return HubSubmission(made, to, uploaded, proposed)


def _is_same(earlier: bytes, made: Submission) -> bool:
    """Whether an earlier file differs in its date alone."""
    try:
        before = read_submission(earlier)
    except SubmissionRefused:
        return False
    return before.to_bytes() == replace(made, date=before.date).to_bytes()


def _description(made: Submission) -> str:
    seeds = ", ".join(map(str, made.seeds))
    places = "\n".join(f"- seed {run.seed}: {run.predictions.place}" for run in made.runs)
    return (
        f"An entry for the table of {made.benchmark}, version {made.benchmark_version}; seeds {seeds}. Predictions:\n\n"
        f"{places}\n\nopenmmlo leaderboard rescore computes every number again."
    )
