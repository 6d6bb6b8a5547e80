"""Files go to a repository of the Hub in one commit: all of them or none, and none that is there already."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from openmmlo.building.publishing import transfer
from openmmlo.building.publishing.hub import Connection
from openmmlo.building.publishing.staging import Upload
from openmmlo.building.publishing.transfer import Remote
from openmmlo.errors import DataError, HubError, PublishRefused

MAIN = "main"
Tree = dict[str, Remote]
_MOVED = 412  # another commit came between


@dataclass(frozen=True)
class Committed:
    """What became of a revision: the commit it stands at, and what was sent for that."""

    commit: str
    files: int = 0
    bytes: int = 0
    deleted: tuple[str, ...] = ()


def upload_of(path: str, local: Path) -> Upload:
    """A file as it is to lie on the Hub. Raises DataError where it is not there."""
    try:
        before = local.stat()
        with local.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise DataError(f"{local} is not there any more. Nothing was sent; run the same command again.") from error
    return Upload(path, local, before.st_size, digest, before.st_mtime_ns)


def head(connection: Connection, revision: str) -> str:
    """The commit that a revision stands at."""
    found = connection.call(
        lambda: connection.api.repo_info(connection.repo, repo_type=connection.kind, revision=revision)
    )
    return str(found.sha)


def commit(
    connection: Connection,
    uploads: Sequence[Upload],
    revision: str,
    message: str,
    description: str = "",
    check: Callable[[Tree], Sequence[str]] = lambda _: (),
) -> Committed:
    """Bring a revision to hold these files, in one commit on what it held when it was looked at.

    Args:
        check: sees every file that is there, refuses by raising, and names those that are to go.

    Raises:
        PublishRefused: a file changed while it was sent.
        HubError: the Hub does not take them, or not with patience.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    failures, tried = 0, Committed("")
    while True:
        parent = head(connection, revision)
        there = transfer.tree(connection, parent)
        gone = [path for path in check(there) if path in there]
        left = transfer.missing(uploads, there)
        if not left and not gone:
            return replace(tried, commit=parent)  # an answer may have been lost of what was done
        for upload in left:
            if upload.is_changed():
                raise PublishRefused(f"{upload.local} changed while it was sent. Run the same command again.")
        tried = Committed("", len(left), sum(upload.bytes for upload in left), tuple(gone))
        operations: list[Any] = [
            *(CommitOperationAdd(upload.path, upload.local) for upload in left),
            *(CommitOperationDelete(path) for path in gone),
        ]
        try:
            made = connection.api.create_commit(
                connection.repo,
                operations,
                commit_message=message,
                commit_description=description,
                repo_type=connection.kind,
                revision=revision,
                parent_commit=parent,
            )
        except Exception as error:
            failures += 1
            if getattr(getattr(error, "response", None), "status_code", None) != _MOVED:
                connection.recover(error, failures)
            elif failures >= connection.patience.attempts:
                raise HubError(
                    f"{connection.url} changes faster than this can be sent. Run the same command again later."
                ) from error
        else:
            return replace(tried, commit=str(made.oid))


def make(connection: Connection, private: bool = False, **more: Any) -> Any:
    """The repository, as the Hub describes it; made where there is none."""
    from huggingface_hub import errors

    def look() -> Any:
        try:
            return connection.api.repo_info(connection.repo, repo_type=connection.kind)
        except errors.RepositoryNotFoundError as error:
            if error.response.status_code == 404:
                return None
            raise

    if (found := connection.call(look)) is not None:
        return found
    connection.call(
        lambda: connection.api.create_repo(
            connection.repo, repo_type=connection.kind, private=private or None, exist_ok=True, **more
        )
    )
    return connection.call(look)
