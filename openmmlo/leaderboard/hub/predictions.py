"""Predictions come from a data set of the Hub, at one commit, by their digest; the cache keeps them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from openmmlo.building.publishing.hub import Connection, Patience, quiet_client
from openmmlo.building.publishing.transfer import Remote
from openmmlo.data.cache import cache_folder
from openmmlo.errors import HubError, SubmissionRefused
from openmmlo.leaderboard.hub.download import download
from openmmlo.leaderboard.hub.opening import Origin
from openmmlo.leaderboard.hub.places import check_content, check_place
from openmmlo.leaderboard.submission import BOARD_BYTES, PREDICTION_BYTES
from openmmlo.progress import Progress


def fetch_predictions(
    repo: str,
    revision: str,
    path: str,
    sha256: str,
    size: int,
    *,
    cache: Path | None = None,
    with_token: bool = False,
    most: int = PREDICTION_BYTES,
    patience: Patience | None = None,
    progress: Progress | None = None,
) -> Path:
    """Fetch a predictions file, or find it in the cache; it is the announced one, byte for byte.

    Args:
        repo, revision, path: ``owner/name``, a commit in full, and a path there, from whoever wrote the submission.
        sha256, size: announced in the submission.
        cache: folder of files by digest; within the user's cache by default.
        with_token: use the token of whoever runs this. By default none is: predictions that only somebody with a
            token sees, nobody else can score again.
        most: bytes that are fetched at all.

    Raises:
        SubmissionRefused: a place that is none (nothing was asked for then), or a file that is not the announced one.
        HubError: the Hub cannot be reached, or has no such data set, commit or file.
    """
    check_place(repo, revision, path)
    check_content(sha256, size, most)
    kept = cache_folder("predictions", cache) / f"{sha256}.parquet"
    if is_kept(kept, sha256):
        return kept
    connection = Connection(repo, patience, progress, anonymous=not with_token)
    with quiet_client():
        listed = _listed(connection, revision, path)
        where = f"{path} of {connection.url} at {revision[:12]}"
        if listed.bytes != size:
            raise SubmissionRefused(
                f"{where} has {listed.bytes:,} bytes; the submission says {size:,}. It was not fetched."
            )
        if listed.sha256 not in (None, sha256):
            raise SubmissionRefused(
                f"{where} has SHA-256 {(listed.sha256 or '')[:12]}; the submission says {sha256[:12]}. It was not "
                "fetched."
            )
        # A file that git keeps is listed by git's name alone: it must have the announced digest too.
        download(connection, revision, path, Remote(size, sha256, listed.git), kept)
    return kept


def fetch_from_board(origin: Origin, sha256: str, size: int, **how: Any) -> Path:
    """Fetch predictions that lie on a board of the Hub; see :func:`fetch_predictions`."""
    path = f"predictions/{sha256}.parquet"
    return fetch_predictions(origin.repo, origin.commit, path, sha256, size, with_token=True, most=BOARD_BYTES, **how)


def is_kept(path: Path, sha256: str) -> bool:
    """Whether a file is there and has this digest."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except FileNotFoundError:
        return False


def _listed(connection: Connection, commit: str, path: str) -> Remote:
    """What the Hub says of a file at a commit."""
    from huggingface_hub.hf_api import RepoFile

    found = connection.call(
        lambda: connection.api.get_paths_info(connection.repo, [path], revision=commit, repo_type=connection.kind)
    )
    files = [item for item in found if isinstance(item, RepoFile) and item.path == path]
    if len(files) != 1:
        raise HubError(
            f"{connection.url} holds no {path} at commit {commit[:12]}. The submission must name a file that is there "
            "and a commit that stays there."
        )
    item = files[0]
    return Remote(item.size, item.lfs.sha256 if item.lfs else None, item.blob_id)
