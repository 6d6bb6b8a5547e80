"""Where on the Hub something may lie: names that strangers wrote, checked before anything is asked for."""

from __future__ import annotations

import re

from openmmlo.building.publishing.hub import checked_repo
from openmmlo.errors import ConfigError, DataError

PUBLISHED = "openmmlo/leaderboard"
"""The board that everybody reads where no other is named: a data set of the Hub."""

_COMMIT = re.compile(r"[0-9a-f]{40}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_PART = r"[A-Za-z0-9_][A-Za-z0-9_.+=-]{0,95}"  # no hidden file, no "..", nothing that a URL gives a meaning
_PATH = re.compile(rf"(?:{_PART}/){{0,8}}{_PART}\.parquet")


def is_repo(name: str) -> bool:
    """Whether this is ``owner/name`` as the Hub allows it."""
    try:
        checked_repo(name)
    except ConfigError:
        return False
    return True


def check_place(repo: str, revision: str, path: str) -> None:
    """Refuse what is no file of a data set at one commit.

    Raises:
        DataError: not ``owner/name``, not a commit in full, or not a path within a repository.
    """
    if not is_repo(repo):
        raise DataError(
            f"Predictions are said to lie in {repo[:120]!r}, which is no data set of the Hub. Expected owner/name; "
            "nothing else is fetched."
        )
    if not _COMMIT.fullmatch(revision):
        raise DataError(
            f"Predictions in {repo} are said to lie at revision {revision[:120]!r}. Expected a commit, 40 hexadecimal "
            "digits: what a branch or a tag names can change."
        )
    if not _PATH.fullmatch(path):
        raise DataError(
            f"Predictions in {repo} are said to lie under {path[:120]!r}. Expected a relative path of plain letters, "
            "digits and '-_.+=', that ends in .parquet."
        )


def check_content(sha256: str, size: int, most: int) -> None:
    """Refuse a digest that is none, or a size beyond the limit.

    Raises:
        DataError: either of them.
    """
    if not _DIGEST.fullmatch(sha256):
        raise DataError(f"{sha256[:120]!r} is no SHA-256. Expected 64 hexadecimal digits.")
    if not 0 < size <= most:
        raise DataError(f"Predictions of {size:,} bytes are announced; expected 1 to {most:,}.")
