"""A board on the Hub, or a pull request to it, comes into a folder where it can be scored again and pushed back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from openmmlo.building.publishing import transfer
from openmmlo.building.publishing.hub import Connection, Patience, quiet_client
from openmmlo.building.publishing.transfer import Remote
from openmmlo.errors import DataError, PublishRefused, SubmissionRefused
from openmmlo.leaderboard.board import MARKS, REPORTED
from openmmlo.leaderboard.hub import sending
from openmmlo.leaderboard.hub.download import download
from openmmlo.leaderboard.hub.opening import MOST_TOGETHER, PREDICTION_FILES, open_published
from openmmlo.leaderboard.submission import BOARD_BYTES
from openmmlo.progress import Progress
from openmmlo.writing import space_needed, write_aside

_SHOWN = 3


@dataclass(frozen=True)
class Fetched:
    """What a fetch did.

    Attributes:
        commit: of the board that was fetched.
        added, replaced: paths that were written; ``replaced`` read otherwise before.
        only_here: texts of a board that the folder holds and the Hub does not; they stay.
    """

    repo: str
    commit: str
    folder: Path
    added: tuple[str, ...]
    replaced: tuple[str, ...]
    only_here: tuple[str, ...]


def fetch_board(
    repo: str,
    to: Path,
    revision: str | None = None,
    *,
    replace: bool = False,
    cache: Path | None = None,
    patience: Patience | None = None,
    progress: Progress | None = None,
) -> Fetched:
    """Bring a board into a folder, predictions that lie on it included. Nothing that lies there is deleted.

    Args:
        to: a folder, new or with a board.
        revision: branch, tag, commit or ``refs/pr/N``; ``main`` by default.
        replace: take the Hub's where a file reads otherwise here.

    Raises:
        PublishRefused: a file reads otherwise here.
        SubmissionRefused: a pull request that touches marks or reported tables, which no submitter sets.
        DataError, HubError: as :func:`open_published`.
    """
    if to.exists() and not to.is_dir():
        raise DataError(f"{to} is a file. Give --to a folder.")
    origin = open_published(repo, revision, cache=cache, patience=patience, progress=progress)
    texts = {path.relative_to(origin.folder).as_posix(): path for path in origin.folder.rglob("*") if path.is_file()}
    connection = Connection(repo, patience, progress)
    with quiet_client():
        listed = transfer.tree(connection, origin.commit)
        if revision not in (None, sending.MAIN):
            _refuse_marks(connection, origin.commit, listed)
    stored = {path: item for path, item in listed.items() if PREDICTION_FILES.fullmatch(path)}
    _refuse_odd(stored, connection)
    links = [part for path in (*texts, *stored) for part in _between(to, path) if part.is_symlink()]
    if links:
        raise PublishRefused(f"{links[0]} is a link. Give --to a folder without links.")
    other = [path for path, file in texts.items() if (to / path).is_file() and not _same(to / path, file)]
    if other and not replace:
        raise PublishRefused(
            f"{len(other):,} files of {to} read otherwise on {connection.url}: {', '.join(other[:_SHOWN])} first. "
            "Fetch into a new folder, or give --replace to take the Hub's."
        )
    added = [path for path in (*texts, *stored) if not (to / path).exists()]
    to.mkdir(parents=True, exist_ok=True)
    with space_needed(to), quiet_client():
        for path, file in texts.items():
            (to / path).parent.mkdir(parents=True, exist_ok=True)
            write_aside(to / path, file.read_bytes())
        for path, item in stored.items():
            if not ((to / path).is_file() and item.holds(sending.upload_of(path, to / path))):
                download(connection, origin.commit, path, item, to / path)
    kinds = ("submissions", "marks")
    here = {path.relative_to(to).as_posix() for name in kinds for path in (to / name).rglob("*.json")}
    return Fetched(
        repo, origin.commit, to, tuple(sorted(added)), tuple(sorted(other)), tuple(sorted(here - texts.keys()))
    )


def _refuse_marks(connection: Connection, commit: str, listed: Mapping[str, Remote]) -> None:
    """Refuse what is no commit of the board itself and holds other marks or papers' rows than where it began.

    Scored again and pushed, a mark that a stranger wrote would stand on the board as a maintainer's.
    """

    def history(revision: str) -> list[str]:
        found = connection.call(
            lambda: connection.api.list_repo_commits(connection.repo, repo_type=connection.kind, revision=revision)
        )
        return [str(item.commit_id) for item in found]

    own = history(sending.MAIN)
    if commit in own:
        return
    began = next((earlier for earlier in history(commit) if earlier in own), None)
    before = {} if began is None else transfer.tree(connection, began)
    touched = sorted(
        path
        for path in before.keys() | listed.keys()
        if path.startswith((f"{MARKS}/", f"{REPORTED}/")) and before.get(path) != listed.get(path)
    )
    if touched:
        raise SubmissionRefused(
            f"Commit {commit[:12]} of {connection.url} is none of its branch {sending.MAIN} and touches {touched[0]}, "
            f"first of {len(touched):,}. Marks and papers' rows are set by maintainers alone. Nothing was fetched: "
            "have these files taken out of the pull request."
        )


def _refuse_odd(stored: Mapping[str, Remote], connection: Connection) -> None:
    """Refuse predictions that are too large, alone or together, or are called by another digest than theirs."""
    for path, item in stored.items():
        if item.bytes > BOARD_BYTES:
            raise DataError(f"{path} of {connection.url} has {item.bytes:,} bytes; a board takes {BOARD_BYTES:,}.")
        if item.sha256 not in (None, path.removeprefix("predictions/").removesuffix(".parquet")):
            raise DataError(f"{path} of {connection.url} is called by another SHA-256 than it has.")
    together = sum(item.bytes for item in stored.values())
    if together > MOST_TOGETHER:
        raise DataError(
            f"{connection.url} holds predictions of {together:,} bytes; at most {MOST_TOGETHER:,} are taken."
        )


def _between(root: Path, path: str) -> list[Path]:
    """What a path goes through within a folder, and its end."""
    end = root / path
    return [end, *(parent for parent in end.parents if parent.is_relative_to(root) and parent != root)]


def _same(one: Path, other: Path) -> bool:
    return one.stat().st_size == other.stat().st_size and one.read_bytes() == other.read_bytes()
