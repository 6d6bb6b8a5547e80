"""Predictions go to a data set of whoever submits, and lie there at a commit that a submission can name."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from openmmlo.building.publishing import transfer
from openmmlo.building.publishing.hub import Connection, Patience, quiet_client
from openmmlo.building.publishing.staging import Upload
from openmmlo.errors import PublishRefused
from openmmlo.leaderboard.hub import sending
from openmmlo.progress import Progress

CARD = "README.md"
_LOOKED_AT = 500  # commits in which an earlier upload of the same predictions is searched

_CARD = """---
pretty_name: Predictions for the OpenMMlo leaderboard
viewer: false
tags:
- openmmlo
- long-tailed-recognition
- out-of-distribution-detection
---

# Predictions for the OpenMMlo leaderboard

One parquet file for each run, named by its SHA-256, as `openmmlo eval` wrote it. Submissions name them with the commit
at which they lie; `openmmlo score FILE` computes every number again.
"""


@dataclass(frozen=True)
class Uploaded:
    """Where predictions lie: in ``repo`` at commit ``revision``, each file under a path of its own.

    Attributes:
        paths: SHA-256 -> path there.
        sent_files, sent_bytes: that were not there before.
    """

    repo: str
    revision: str
    url: str
    paths: Mapping[str, str]
    sent_files: int = 0
    sent_bytes: int = 0


def predictions_path(sha256: str) -> str:
    """Where predictions with this digest lie, on a board and in a data set of predictions alike."""
    return f"predictions/{sha256}.parquet"


def upload_predictions(
    files: Sequence[Path],
    repo: str,
    *,
    title: str,
    patience: Patience | None = None,
    progress: Progress | None = None,
) -> Uploaded:
    """Bring predictions to a data set, made where there is none; what is there is not sent again.

    Args:
        repo: ``owner/name``, of one's own or of one's organisation.
        title: of the commit.

    Raises:
        PublishRefused: the data set is private, so that nobody could score its predictions again.
        HubError: the Hub cannot be reached or does not allow it.
    """
    connection = Connection(repo, patience, progress, writing=True)
    uploads = {upload.sha256: upload for upload in (sending.upload_of("", file) for file in files)}
    wanted = [
        Upload(predictions_path(sha256), item.local, item.bytes, sha256, item.changed_ns)
        for sha256, item in sorted(uploads.items())
    ]
    paths = {upload.sha256: upload.path for upload in wanted}
    with quiet_client(), tempfile.TemporaryDirectory(prefix="openmmlo-") as folder:
        about = sending.make(connection)
        if about is not None and (about.private or about.gated):
            how = "private" if about.private else "gated"
            raise PublishRefused(
                f"{connection.url} is {how}: nobody could score its predictions again. Open it in its settings "
                f"({connection.url}/settings), or name another data set."
            )
        mark = f"[openmmlo {hashlib.sha256(' '.join(paths).encode()).hexdigest()[:12]}]"
        there = transfer.tree(connection, sending.MAIN)
        if not transfer.missing(wanted, there):
            return Uploaded(repo, _earlier(connection, wanted, mark), connection.url, paths)
        if CARD not in there:
            card = Path(folder) / CARD
            card.write_text(_CARD, encoding="utf-8")
            wanted.append(sending.upload_of(CARD, card))
        made = sending.commit(connection, wanted, sending.MAIN, f"{title[:150]} {mark}")
    return Uploaded(repo, made.commit, connection.url, paths, made.files, made.bytes)


def _earlier(connection: Connection, wanted: Sequence[Upload], mark: str) -> str:
    """The commit by which an earlier run brought these very files, so that the submission stays what it was."""
    now = sending.head(connection, sending.MAIN)
    commits = connection.call(
        lambda: connection.api.list_repo_commits(connection.repo, repo_type=connection.kind, revision=now)
    )
    for item in commits[:_LOOKED_AT]:
        if item.title.endswith(mark):
            commit = str(item.commit_id)
            if not transfer.missing(wanted, transfer.tree(connection, commit)):
                return commit
    return now
