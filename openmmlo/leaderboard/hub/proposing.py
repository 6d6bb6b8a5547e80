"""A submission is proposed to a board on the Hub by a pull request.

The pull request of an entry is opened once and found again by every later run: an entry that changed is committed to
it, one that did not is left alone.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openmmlo.building.publishing import transfer
from openmmlo.building.publishing.hub import Connection, Patience, quiet_client
from openmmlo.building.publishing.private_text import refuse_private
from openmmlo.building.publishing.staging import Upload
from openmmlo.errors import DataError, HubError
from openmmlo.leaderboard.hub import sending
from openmmlo.leaderboard.hub.download import download
from openmmlo.leaderboard.hub.opening import BOARD_FILES
from openmmlo.leaderboard.limits import JSON_BYTES
from openmmlo.progress import Progress

_ALIVE = frozenset({"draft", "open"})


@dataclass(frozen=True)
class Proposed:
    """The pull request that brings a submission to a board.

    Attributes:
        number, url: None and the board's page where the board holds the very same submission already.
        opened: by this call.
        changed: whether this call sent anything.
    """

    repo: str
    url: str
    number: int | None
    opened: bool
    changed: bool


def propose(
    board: str,
    path: str,
    content: bytes,
    *,
    description: str = "",
    same: Callable[[bytes], bool] = lambda _: False,
    patience: Patience | None = None,
    progress: Progress | None = None,
) -> Proposed:
    """Open a pull request that adds a submission to a board, or bring the one of an earlier run up to date.

    Args:
        board: ``owner/name`` of the board's data set.
        path: ``submissions/BENCHMARK/ENTRY.json``.
        content: of the file.
        same: whether a file of an earlier run says the same, so that it stays; other bytes count as a change otherwise.

    Raises:
        DataError: not the path of a submission.
        PublishRefused: it holds a key or a path of this machine.
        HubError: the Hub cannot be reached or does not allow it.
    """
    if not (BOARD_FILES.fullmatch(path) and path.startswith("submissions/")):
        raise DataError(f"{path!r} is no submission. Expected submissions/BENCHMARK/ENTRY.json.")
    connection = Connection(board, patience, progress, writing=True)
    title = f"Submit {path.removeprefix('submissions/').removesuffix('.json')}"
    with quiet_client(), tempfile.TemporaryDirectory(prefix="openmmlo-") as folder:
        local = Path(folder) / "submission.json"
        local.write_bytes(content)
        refuse_private(path, content.decode("utf-8"), Path(folder))
        upload = sending.upload_of(path, local)

        def holds(revision: str) -> bool:
            """Whether a revision has this submission."""
            commit = sending.head(connection, revision)
            listed = transfer.tree(connection, commit).get(path)
            if listed is None or listed.holds(upload):
                return listed is not None
            if listed.bytes > JSON_BYTES:
                return False
            earlier = Path(folder) / "earlier.json"
            download(connection, commit, path, listed, earlier)
            return same(earlier.read_bytes())

        if holds(sending.MAIN):
            return Proposed(board, connection.url, None, opened=False, changed=False)
        number, opened = _find_or_open(connection, upload, title, description)
        changed = opened
        if not opened and not holds(revision := f"refs/pr/{number}"):
            changed = bool(sending.commit(connection, [upload], revision, title).files)
    return Proposed(board, f"{connection.url}/discussions/{number}", number, opened=opened, changed=changed)


def _find_or_open(connection: Connection, upload: Upload, title: str, description: str) -> tuple[int, bool]:
    """The number of one's own open pull request with this title, and whether it was opened now."""
    from huggingface_hub import CommitOperationAdd

    user = connection.call(connection.api.whoami)["name"]
    asked = False

    def found() -> tuple[int, bool]:
        nonlocal asked
        for item in connection.api.get_repo_discussions(
            connection.repo, author=user, discussion_type="pull_request", repo_type=connection.kind
        ):
            if item.status in _ALIVE and item.title == title:
                return item.num, asked  # a lost answer opens no second one: the search goes first
        asked = True
        made: Any = connection.api.create_commit(
            connection.repo,
            [CommitOperationAdd(upload.path, upload.local)],
            commit_message=title,
            commit_description=description,
            repo_type=connection.kind,
            create_pr=True,
        )
        if made.pr_num is None:
            raise HubError(f"{connection.url} took the submission without a pull request; look at {made.commit_url}.")
        return int(made.pr_num), True

    return connection.call(found)
