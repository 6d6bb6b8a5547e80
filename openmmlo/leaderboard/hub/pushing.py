"""A board's folder goes to the Hub as a data set: its files as they are, a card, and tables that the viewer shows.

One commit brings all of it. What somebody added there since is not lost without a word.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from openmmlo.building.publishing.hub import Connection, Patience, checked_repo, quiet_client
from openmmlo.building.publishing.private_text import refuse_private
from openmmlo.building.publishing.staging import Upload
from openmmlo.errors import DataError, PublishRefused
from openmmlo.leaderboard.hub import sending
from openmmlo.leaderboard.hub.opening import BOARD_FILES, PREDICTION_FILES
from openmmlo.progress import Progress

TABLES = "tables/"
_SHOWN = 3


@dataclass(frozen=True)
class Pushed:
    """What a push did.

    Attributes:
        commit: at which the repository stands; None after a dry run.
        files, bytes: as published.
        sent_files, sent_bytes: of them that were not there before; after a dry run all.
        deleted: paths that were there and are not here.
        left_here: files of the folder that are no part of a board and were not sent.
    """

    repo: str
    url: str
    commit: str | None
    files: int
    bytes: int
    sent_files: int
    sent_bytes: int
    deleted: tuple[str, ...] = ()
    left_here: tuple[str, ...] = ()
    dry_run: bool = False


def push_board(
    board: Path,
    repo: str,
    generated: Mapping[str, bytes],
    *,
    replace: bool = False,
    dry_run: bool = False,
    patience: Patience | None = None,
    progress: Progress | None = None,
) -> Pushed:
    """Publish a board. Called again after whatever broke it off, it goes on; done twice, it changes nothing.

    Args:
        board: its folder.
        repo: ``owner/name``; made where it does not exist.
        generated: path -> content of what is made of the board: the card (``README.md``) and ``tables/``.
        replace: also delete and overwrite what others put there.
        dry_run: look at the folder alone; contact nobody.

    Raises:
        DataError: no board.
        PublishRefused: the Hub holds submissions, marks or tables that the folder lacks, or other marks under their
            names; or a file holds a key or a path of this machine.
        HubError: the Hub cannot be reached or does not allow it.
    """
    checked_repo(repo)
    found, left_here = _files(board)
    connection = None if dry_run else Connection(repo, patience, progress, writing=True)
    with quiet_client(), tempfile.TemporaryDirectory(prefix="openmmlo-") as folder:
        uploads = [*found, *written(generated, Path(folder))]
        for upload in uploads:
            if not upload.path.endswith(".parquet"):
                refuse_private(upload.path, upload.local.read_text(encoding="utf-8"), board)
        files, size = len(uploads), sum(upload.bytes for upload in uploads)
        if connection is None:
            return Pushed(repo, "", None, files, size, files, size, left_here=left_here, dry_run=True)
        sending.make(connection)
        made = sending.commit(
            connection,
            uploads,
            sending.MAIN,
            "Leaderboard",
            f"{sum(upload.path.startswith('submissions/') for upload in found)} submissions",
            lambda there: _obsolete(uploads, there, connection, board, replace),
        )
    return Pushed(repo, connection.url, made.commit, files, size, made.files, made.bytes, made.deleted, left_here)


def written(contents: Mapping[str, bytes], folder: Path) -> Iterator[Upload]:
    """Texts made just now, as files to send."""
    for path, content in contents.items():
        local = folder / path
        local.parent.mkdir(parents=True, exist_ok=True)
        local.write_bytes(content)
        yield sending.upload_of(path, local)


def _files(board: Path) -> tuple[list[Upload], tuple[str, ...]]:
    """What is published of a folder, and what is not."""
    if not board.is_dir():
        raise DataError(f"{board} is no folder. Give --board a folder with submissions/, marks/ and reported/.")
    uploads, left = [], []
    for local in sorted(board.rglob("*")):
        path = local.relative_to(board).as_posix()
        if local.is_dir() and not local.is_symlink():
            continue
        if not local.is_symlink() and (BOARD_FILES.fullmatch(path) or PREDICTION_FILES.fullmatch(path)):
            uploads.append(sending.upload_of(path, local))
        elif path != "README.md":
            left.append(path)
    if not any(upload.path.startswith(("submissions/", "reported/")) for upload in uploads):
        raise DataError(
            f"{board} holds no board: no submissions/BENCHMARK/ENTRY.json and no reported/TABLE.json. Give --board the "
            "folder that openmmlo submit wrote to."
        )
    return uploads, tuple(left)


def _obsolete(
    uploads: Sequence[Upload], there: sending.Tree, connection: Connection, board: Path, replace: bool
) -> list[str]:
    """What is there and not here. Raises PublishRefused where that is somebody's work."""
    ours = {upload.path: upload for upload in uploads}
    lacking = [path for path in there if path not in ours and BOARD_FILES.fullmatch(path)]
    other = [
        path
        for path, remote in there.items()
        if path.startswith("marks/") and path in ours and not remote.holds(ours[path])
    ]
    if (lacking or other) and not replace:
        raise PublishRefused(_refusal(lacking, other, connection, board))
    # Predictions are called by their digest and stand in nobody's way; a folder need not hold those that lie there.
    return [*lacking, *(path for path in there if path.startswith(TABLES) and path not in ours)]


def _refusal(lacking: Sequence[str], other: Sequence[str], connection: Connection, board: Path) -> str:
    kinds = Counter(path.split("/")[0] for path in lacking)
    counts = ", ".join(f"{count:,} in {kind}/" if "." not in kind else kind for kind, count in kinds.items())
    parts = []
    if lacking:
        parts.append(f"files that {board} lacks ({counts}; {', '.join(lacking[:_SHOWN])} first)")
    if other:
        parts.append(f"marks that read otherwise ({len(other):,}; {', '.join(other[:_SHOWN])} first)")
    fetch = f"openmmlo leaderboard fetch {connection.repo} --to {board}"
    return (
        f"{connection.url} holds {' and '.join(parts)}: somebody put them there. Bring them here first ({fetch}) and "
        "push again, or give --replace to make the data set as the folder is."
    )
