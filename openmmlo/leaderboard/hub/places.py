"""Where on the Hub something may lie: names that strangers wrote, checked before anything is asked for."""

from __future__ import annotations

from openmmlo.building.publishing.hub import checked_repo
from openmmlo.errors import ConfigError, SubmissionRefused
from openmmlo.leaderboard.limits import sha256 as checked_sha256
from openmmlo.leaderboard.limits import told
from openmmlo.leaderboard.submission import read_place

PUBLISHED = "openmmlo/leaderboard"
"""The board that everybody reads where no other is named: a data set of the Hub."""


def is_repo(name: str) -> bool:
    """Whether this is ``owner/name`` as the Hub allows it."""
    try:
        checked_repo(name)
    except ConfigError:
        return False
    return True


def check_place(repo: str, revision: str, path: str) -> None:
    """Refuse what is no parquet file of a data set at one commit.

    Raises:
        SubmissionRefused: not ``owner/name``, not a commit in full, or not a path within a repository.
    """
    where = "Place of the predictions"
    read_place({"kind": "hub", "repo": repo, "revision": revision, "path": path}, where, "")
    if not is_repo(repo):
        raise SubmissionRefused(f"{where}: repo is {told(repo)}; expected owner/name of a data set on the Hub.")


def check_content(sha256: str, size: int, most: int) -> None:
    """Refuse a digest that is none, or a size beyond the limit.

    Raises:
        SubmissionRefused: either of them.
    """
    checked_sha256(sha256, "Digest of the predictions")
    if not 0 < size <= most:
        raise SubmissionRefused(f"Predictions of {size:,} bytes are announced; expected 1 to {most:,}.")
