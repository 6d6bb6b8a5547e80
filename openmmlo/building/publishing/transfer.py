"""Files to publish come in, and lie on the Hub: compared first, sent where they differ, committed in batches.

Nothing is assumed to have worked: after every failure the Hub is asked again what it holds, and only the rest is sent.
Large files that arrived before a commit was made are known to the Hub by their SHA-256 and are not sent twice.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from openmmlo.building.publishing.hub import Connection
from openmmlo.building.publishing.staging import PUBLISHED, Upload
from openmmlo.errors import HubError, PublishRefused

MANIFEST = "manifest.json"

# The Hub allows 100,000 files a repository, 10,000 a folder, 50 GB a file and about 128 commits an hour.
_MOST_FILES, _MOST_IN_FOLDER, _MOST_BYTES = 100_000, 10_000, 50 * 10**9
_COMMIT_FILES, _COMMIT_BYTES = 100, 20 * 2**30
_GROUP_FILES, _GROUP_BYTES = 8, 256 * 2**20  # sent at once, in parallel; progress moves by these


@dataclass(frozen=True)
class Remote:
    """A file on the Hub: SHA-256 of a large file, git's SHA-1 of any other."""

    bytes: int
    sha256: str | None
    git: str

    def holds(self, upload: Upload) -> bool:
        """Whether this is the content to publish."""
        if self.bytes != upload.bytes:
            return False
        return self.sha256 == upload.sha256 if self.sha256 else self.git == _git_hash(upload)


@dataclass(frozen=True)
class Sent:
    """What a transfer did."""

    files: int = 0
    bytes: int = 0
    commits: int = 0
    deleted: int = 0


def refuse_over_limits(uploads: Sequence[Upload]) -> None:
    """Raises PublishRefused where the Hub would not take these files."""
    folders = Counter(upload.path.rpartition("/")[0] for upload in uploads)
    folder, most = folders.most_common(1)[0]
    if len(uploads) > _MOST_FILES or most > _MOST_IN_FOLDER:
        raise PublishRefused(
            f"{len(uploads):,} files, {most:,} of them in {folder or 'one folder'}, are more than the Hub takes "
            f"({_MOST_FILES:,} and {_MOST_IN_FOLDER:,}). Build with a larger --shard-size."
        )
    for upload in uploads:
        if upload.bytes > _MOST_BYTES:
            raise PublishRefused(
                f"{upload.path} is over 50 GB, more than the Hub takes. Build with a smaller --shard-size."
            )


def tree(connection: Connection, revision: str) -> dict[str, Remote]:
    """Every file of a revision, by path."""
    from huggingface_hub.hf_api import RepoFile

    entries = connection.call(
        lambda: list(
            connection.api.list_repo_tree(connection.repo, repo_type=connection.kind, revision=revision, recursive=True)
        )
    )
    return {
        entry.path: Remote(entry.size, entry.lfs.sha256 if entry.lfs else None, entry.blob_id)
        for entry in entries
        if isinstance(entry, RepoFile)
    }


def missing(uploads: Sequence[Upload], there: dict[str, Remote]) -> list[Upload]:
    """What the Hub does not hold yet, in sending order."""
    return [upload for upload in uploads if upload.path not in there or not there[upload.path].holds(upload)]


def obsolete(uploads: Sequence[Upload], there: dict[str, Remote]) -> list[str]:
    """Files there that an earlier data set of ours left and this one has not. What others put there stays."""
    ours = {upload.path for upload in uploads}
    return [path for path in there if path not in ours and (path in PUBLISHED or _is_data(path))]


def _is_data(path: str) -> bool:
    return path.startswith("data/") and path.endswith(".parquet")


def send(connection: Connection, uploads: Sequence[Upload], revision: str, message: str, description: str) -> Sent:
    """Bring a revision to hold exactly these files of ours, beside whatever others put there.

    Data files go first, the manifest with the last commit: a data set with a manifest is whole. Where several commits
    are needed, the first takes an older manifest away.

    Raises:
        HubError: the Hub does not take them, or not with patience.
    """
    files = size = commits = deleted = failures = 0
    progress, started = connection.progress, False
    try:
        while True:
            there = tree(connection, revision)
            left, surplus = missing(uploads, there), obsolete(uploads, there)
            if not started:
                total = sum(upload.bytes for upload in uploads)
                progress.start(total, total - sum(upload.bytes for upload in left))
                started = True
            if not left and not surplus:
                return Sent(files, size, commits, deleted)
            _refuse_changed(left)
            batches = list(_batches(left)) or [[]]
            if len(batches) > 1 and MANIFEST in there and any(upload.path == MANIFEST for upload in left):
                surplus.append(MANIFEST)
            try:
                for number, batch in enumerate(batches):
                    title = message if len(batches) == 1 else f"{message} ({number + 1} of {len(batches)})"
                    gone = surplus if number == 0 else []
                    _commit(connection, batch, gone, revision, title, description)
                    failures = 0
                    files, size = files + len(batch), size + sum(upload.bytes for upload in batch)
                    commits, deleted = commits + 1, deleted + len(gone)
            except HubError:
                _refuse_changed(left)
                raise
            except Exception as error:
                failures += 1
                connection.recover(error, failures)
    finally:
        if started:
            progress.close()


def _refuse_changed(uploads: Sequence[Upload]) -> None:
    """Raises PublishRefused where a file is not what it was when it was made ready."""
    for upload in uploads:
        if upload.is_changed():
            raise PublishRefused(
                f"{upload.path} changed while it was sent: is a build or a measure at work in this folder? Wait, "
                "then run the same command."
            )


def _batches(uploads: Sequence[Upload]) -> Iterator[list[Upload]]:
    """Uploads of one commit each."""
    yield from _cut(uploads, _COMMIT_FILES, _COMMIT_BYTES)


def _cut(uploads: Sequence[Upload], most: int, size: int) -> Iterator[list[Upload]]:
    batch: list[Upload] = []
    for upload in uploads:
        if batch and (len(batch) == most or sum(item.bytes for item in batch) + upload.bytes > size):
            yield batch
            batch = []
        batch.append(upload)
    if batch:
        yield batch


def _commit(
    connection: Connection, batch: Sequence[Upload], gone: Sequence[str], revision: str, title: str, description: str
) -> None:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    additions = [CommitOperationAdd(upload.path, upload.local) for upload in batch]
    of_path = {addition.path_in_repo: addition for addition in additions}
    for group in _cut(batch, _GROUP_FILES, _GROUP_BYTES):
        connection.call(
            lambda group=group: connection.api.preupload_lfs_files(  # type: ignore[misc]
                connection.repo,
                [of_path[upload.path] for upload in group],
                repo_type=connection.kind,
                revision=revision,
                free_memory=False,
            )
        )
        connection.progress.advance(sum(upload.bytes for upload in group), 0)
    operations: list[Any] = [*additions, *(CommitOperationDelete(path) for path in gone)]
    connection.api.create_commit(
        connection.repo,
        operations,
        commit_message=title,
        commit_description=description,
        repo_type=connection.kind,
        revision=revision,
    )


def git_hasher(size: int) -> hashlib._Hash:
    """What gives git's name of so many bytes, once it has seen them."""
    return hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)


def _git_hash(upload: Upload) -> str:
    digest = git_hasher(upload.bytes)
    with upload.local.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
