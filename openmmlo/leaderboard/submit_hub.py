"""Results come in; their predictions go to a data set of the Hub, and the submission to a board there as a proposal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from openmmlo.leaderboard.board import Board
from openmmlo.leaderboard.submission import Place
from openmmlo.leaderboard.submit import About, Proposal, check_one_method, read_evaluated, submit
from openmmlo.progress import Progress

if TYPE_CHECKING:
    from openmmlo.leaderboard.hub import Proposed

NOT_YET = "0" * 40
"""The commit that a dry run shows: predictions were not sent, so it is not known."""


@dataclass(frozen=True, eq=False)
class SubmittedToHub:
    """The submission, and its pull request; None where nothing was sent."""

    proposal: Proposal
    proposed: Proposed | None


def submit_to_hub(
    results: Sequence[Path],
    about: About,
    board: Board,
    repo: str,
    *,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> SubmittedToHub:
    """Upload predictions to ``repo`` and open a pull request with the submission on the board's data set.

    Everything is checked, re-scoring included, before the first request.

    Args:
        board: from the Hub, or a folder: then the pull request goes to the published board.
        repo: ``owner/name`` of a data set of one's own.

    Raises:
        DataError, SubmissionRefused, ConfigError: as :func:`openmmlo.leaderboard.submit.submit`.
        HubError, PublishRefused: the Hub cannot be reached or does not allow it.
    """
    from openmmlo.leaderboard.hub import PUBLISHED, propose, upload_predictions

    evaluated = [read_evaluated(folder) for folder in results]
    check_one_method(evaluated)
    paths = [f"predictions/{item.sha256}.parquet" for item in evaluated]
    tried = submit(results, about, board, [Place("hub", repo, NOT_YET, path) for path in paths])
    if dry_run:
        return SubmittedToHub(tried, None)
    uploaded = upload_predictions(
        [item.predictions for item in evaluated], repo, title=f"Predictions of {about.name}", progress=progress
    )
    places = [Place("hub", repo, uploaded.revision, uploaded.paths[item.sha256]) for item in evaluated]
    made = submit(results, about, board, places)
    target = board.origin.repo if board.origin is not None else PUBLISHED
    label = made.submission.label
    proposed = propose(
        target,
        f"submissions/{label}.json",
        made.content,
        description=f"{made.submission.name}, {len(made.submission.runs)} seeds, by "
        f"{', '.join(made.submission.authors)}. Predictions: {uploaded.url}.",
        progress=progress,
    )
    return SubmittedToHub(made, proposed)
