"""A board on the Hub comes into a folder of the cache: submissions, marks and reported tables at one commit.

Predictions stay there; who scores again fetches them one by one, by their digest. Files that an earlier commit had are
taken from the cache, so that a board of a thousand entries is fetched once.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from openmmlo.building.publishing import transfer
from openmmlo.building.publishing.hub import Connection, Patience, checked_repo, quiet_client
from openmmlo.building.publishing.transfer import Remote
from openmmlo.data.cache import cache_folder
from openmmlo.errors import DataError, HubError
from openmmlo.leaderboard.hub.download import download
from openmmlo.leaderboard.hub.places import PUBLISHED
from openmmlo.leaderboard.limits import JSON_BYTES
from openmmlo.progress import Progress
from openmmlo.writing import space_needed

_SLUG = r"[a-z0-9][a-z0-9.-]{0,79}"
BOARD_FILES = re.compile(
    rf"submissions/{_SLUG}/{_SLUG}\.json|marks/[0-9a-f]{{64}}\.json|reported/{_SLUG}\.json|SUBMITTING\.md"
)
"""The texts of a board."""

PREDICTION_FILES = re.compile(r"predictions/[0-9a-f]{64}\.parquet")
"""Where a board keeps predictions of its own."""

MOST_TOGETHER = 4 * 10**9
"""Bytes of a board's texts, and again of its predictions."""

_MOST_FILES = 50_000
_AT_ONCE = 8


@dataclass(frozen=True)
class Origin:
    """A board on the Hub as it was at one commit, and the folder that holds its texts."""

    repo: str
    commit: str
    folder: Path


def open_published(
    repo: str = PUBLISHED,
    revision: str | None = None,
    *,
    cache: Path | None = None,
    patience: Patience | None = None,
    progress: Progress | None = None,
) -> Origin:
    """Fetch the texts of a board at one commit, or find them in the cache.

    Args:
        repo: ``owner/name`` of a data set.
        revision: branch, tag, commit or ``refs/pr/N``; ``main`` by default. It is resolved to a commit first.
        cache: folder of boards; within the user's cache by default.

    Raises:
        DataError: what is there is no board, or more than one holds.
        SubmissionRefused: a file of it arrived as another one.
        HubError: the Hub cannot be reached, or has no such data set.
    """
    checked_repo(repo)
    connection = Connection(repo, patience, progress)
    root = cache_folder("boards", cache) / repo.replace("/", "--")
    with quiet_client():
        commit = commit_of(connection, revision)
        folder = root / commit
        if folder.is_dir():
            return Origin(repo, commit, folder)
        listed = _listed(connection, commit)
        texts = root / "files"
        _fetch(connection, commit, listed, texts)
    with space_needed(root), tempfile.TemporaryDirectory(prefix=f".{commit[:12]}.", dir=root) as name:
        aside = Path(name) / commit
        for path, item in listed.items():
            (aside / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(texts / _name(item), aside / path)
        try:
            aside.replace(folder)  # the folder is whole, or not there
        except OSError:
            if not folder.is_dir():  # else another process was quicker
                raise
    return Origin(repo, commit, folder)


def commit_of(connection: Connection, revision: str | None) -> str:
    """The commit that a revision of a board names now. Raises HubError where there is no such board, or revision."""
    from huggingface_hub import errors

    try:
        return str(connection.call(lambda: connection.api.dataset_info(connection.repo, revision=revision)).sha)
    except HubError as error:
        if connection.repo == PUBLISHED and isinstance(error.__cause__, errors.RepositoryNotFoundError):
            raise HubError(
                f"The board {PUBLISHED} is not on {connection.endpoint}: it was not published yet, or was moved. Give "
                "--board DIR with a folder that holds one (openmmlo's own repository has ./leaderboard), or "
                "--board owner/name with a data set of the Hub."
            ) from error
        raise


def _listed(connection: Connection, commit: str) -> Mapping[str, Remote]:
    """The texts of the board as the Hub lists them, none too large, together not too many."""
    there = transfer.tree(connection, commit)
    found = {path: item for path, item in there.items() if BOARD_FILES.fullmatch(path)}
    if not any(path.startswith(("submissions/", "reported/")) for path in found):
        raise DataError(
            f"{connection.url} holds no board at commit {commit[:12]}: no submissions/BENCHMARK/ENTRY.json and no "
            "reported/TABLE.json. openmmlo leaderboard push puts one there."
        )
    for path, item in found.items():
        if item.bytes > JSON_BYTES:
            raise DataError(f"{path} of {connection.url} has {item.bytes:,} bytes; expected at most {JSON_BYTES:,}.")
    together = sum(item.bytes for item in found.values())
    if len(found) > _MOST_FILES or together > MOST_TOGETHER:
        raise DataError(
            f"{connection.url} holds {len(found):,} files of {together:,} bytes; expected at most {_MOST_FILES:,} and "
            f"{MOST_TOGETHER:,}."
        )
    return found


def _name(item: Remote) -> str:
    return item.sha256 or item.git


def _fetch(connection: Connection, commit: str, listed: Mapping[str, Remote], to: Path) -> None:
    missing = {_name(item): (path, item) for path, item in listed.items() if not (to / _name(item)).is_file()}
    progress = connection.progress
    progress.start(len(listed), len(listed) - len(missing))
    try:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            waiting = [
                pool.submit(download, connection, commit, path, item, to / name)
                for name, (path, item) in missing.items()
            ]
            try:
                for done in waiting:
                    done.result()
                    progress.advance(1, 0)
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
    finally:
        progress.close()
