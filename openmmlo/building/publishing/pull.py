"""A published data set comes from the Hub into a folder, verified."""

from __future__ import annotations

import fnmatch
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openmmlo.building.publishing.hub import REPO_TYPE, Connection, Patience, checked_repo, quiet_client
from openmmlo.building.publishing.staging import PUBLISHED
from openmmlo.building.publishing.verification import Verification, verify
from openmmlo.errors import DataError, PublishRefused
from openmmlo.progress import Progress, Silent
from openmmlo.writing import write_aside

_KEPT = Path(".cache") / "huggingface"
_NOTE = Path(".cache") / "openmmlo-pull.json"
_ALLOWED = [*PUBLISHED, "data/*.parquet", "LICENSE*"]


@dataclass(frozen=True)
class PullResult:
    """What was fetched: the commit it stands at, its files, and how it compares with its manifest."""

    repo: str
    folder: Path
    revision: str
    commit: str
    files: int
    bytes: int
    verification: Verification


def pull(
    repo: str,
    to: Path | None = None,
    revision: str | None = None,
    deep: bool = False,
    progress: Progress | None = None,
    patience: Patience | None = None,
) -> PullResult:
    """Fetch a data set that :func:`push` published. Called again after whatever broke it off, it goes on.

    Args:
        repo: ``owner/name``.
        to: a new or empty folder, or one that an earlier pull of the same data set filled; ``name`` by default.
        revision: branch, tag, commit or pull request; ``main`` by default.
        deep: decode every image when verifying.

    Raises:
        PublishRefused: the folder holds something else.
        HubError: the Hub cannot be reached or does not allow it.
        DataError: what is there is no data set of openmmlo.
    """
    progress = progress or Silent()
    checked_repo(repo)
    folder = Path(repo.split("/")[1] if to is None else to)
    connection = Connection(repo, patience, progress)
    _refuse_foreign(folder, repo)
    with quiet_client():
        info = connection.call(lambda: connection.api.dataset_info(repo, revision=revision, files_metadata=True))
        commit = str(info.sha)
        sizes = {
            item.rfilename: item.size or 0
            for item in info.siblings or []
            if any(fnmatch.fnmatch(item.rfilename, pattern) for pattern in _ALLOWED)
        }
        if "manifest.json" not in sizes:
            raise DataError(
                f"{connection.url} ({revision or 'main'}) holds no manifest.json: no data set that openmmlo published, "
                "or one that is still being published."
            )
        (folder / ".cache").mkdir(parents=True, exist_ok=True)
        write_aside(folder / _NOTE, json.dumps({"repo": repo}))
        _download(connection, folder, commit, sizes)
    _drop_leftovers(folder, set(sizes))
    verification = verify(folder, deep=deep, progress=progress)
    files = [path for path in folder.rglob("*") if path.is_file() and path.relative_to(folder).parts[0] != ".cache"]
    size = sum(path.stat().st_size for path in files)
    return PullResult(repo, folder, revision or "main", commit, len(files), size, verification)


def _download(connection: Connection, folder: Path, commit: str, sizes: dict[str, int]) -> None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils import tqdm  # type: ignore[attr-defined]

    progress = connection.progress

    class Bar(tqdm):
        """The client's bar of bytes, told to our Progress; disabled, so that it shows nothing itself."""

        def __init__(self, *args: Any, **named: Any) -> None:
            self._counts = named.get("name") == "huggingface_hub.snapshot_download"
            super().__init__(*args, **named)  # type: ignore[no-untyped-call]

        def update(self, n: float | None = 1) -> bool | None:
            if self._counts and n:
                progress.advance(int(n), 0)
            return bool(super().update(n))

    def fetch() -> None:
        snapshot_download(
            connection.repo,
            repo_type=REPO_TYPE,
            revision=commit,
            local_dir=folder,
            allow_patterns=_ALLOWED,
            token=connection.token,
            tqdm_class=Bar,
        )
        # Where the Hub did not answer, the client is content with what the folder holds.
        for path, size in sizes.items():
            if not (folder / path).is_file() or (folder / path).stat().st_size != size:
                raise ConnectionError(f"{path} did not arrive whole")

    progress.start(sum(sizes.values()), 0)
    try:
        connection.call(fetch)
    finally:
        progress.close()


def _refuse_foreign(folder: Path, repo: str) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise PublishRefused(f"{folder} is a file. Give --to a new or empty folder.")
    if not any(folder.iterdir()):
        return
    try:
        earlier = json.loads((folder / _NOTE).read_bytes()).get("repo")
    except (OSError, ValueError, AttributeError):
        raise PublishRefused(
            f"{folder} is not empty, and no earlier openmmlo pull filled it. Give --to a new or empty folder."
        ) from None
    if earlier != repo:
        raise PublishRefused(f"{folder} holds {earlier}, not {repo}. Give --to a new or empty folder.")


def _drop_leftovers(folder: Path, there: set[str]) -> None:
    """Delete what an earlier pull brought and the data set has no more; nothing that a user put there."""
    for note in (folder / _KEPT / "download").rglob("*.metadata"):
        path = note.relative_to(folder / _KEPT / "download").with_suffix("")
        if path.as_posix() not in there:
            (folder / path).unlink(missing_ok=True)
            note.unlink()
