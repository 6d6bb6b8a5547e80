"""A built data set goes to the Hub: made ready, checked, compared with what is there, sent."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from openmmlo.building.card import refuse_invalid_card
from openmmlo.building.publishing import transfer
from openmmlo.building.publishing.hub import REPO_TYPE, Connection, Patience, checked_repo, quiet_client
from openmmlo.building.publishing.proposal import Proposal
from openmmlo.building.publishing.staging import Publication, stage, variant_of
from openmmlo.building.workspace import Workspace
from openmmlo.data import open_dataset
from openmmlo.errors import ConfigError, HubError, PublishRefused
from openmmlo.progress import Progress, Silent

MAIN = "main"


@dataclass(frozen=True)
class PushConfig:
    """What to publish, where, and how.

    Attributes:
        folder: a built data set.
        repo: ``owner/name`` on the Hub; made where it does not exist.
        with_images: send the images too; without it path, SHA-256, labels and captions go.
        strip_exif: take EXIF, GPS positions, XMP, comments and previews out of the images that are sent.
        private: make a new repository private; one that exists and is public is refused.
        create_pr: propose it as a pull request, the one that an earlier run opened included.
        revision: the branch to publish on; made where it does not exist.
        message: title of the commits.
        replace: publish over another data set.
        dry_run: make ready and check, and send nothing.
    """

    folder: Path
    repo: str
    with_images: bool = False
    strip_exif: bool = False
    private: bool = False
    create_pr: bool = False
    revision: str | None = None
    message: str | None = None
    replace: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class PushResult:
    """What a push did.

    Attributes:
        url: the data set, or the pull request.
        files, bytes: of the data set as published.
        sent_files, sent_bytes: of them that were not there before.
        left_here: files of the folder that are no part of a data set and were not sent.
    """

    repo: str
    url: str
    revision: str
    variant: str
    files: int
    bytes: int
    sent_files: int = 0
    sent_bytes: int = 0
    deleted_files: int = 0
    commits: int = 0
    pull_request: str | None = None
    dry_run: bool = False
    warnings: list[str] = field(default_factory=list)
    left_here: list[str] = field(default_factory=list)


def push(config: PushConfig, progress: Progress | None = None, patience: Patience | None = None) -> PushResult:
    """Publish a built data set. Called again after whatever broke it off, it goes on; done twice, it changes nothing.

    Raises:
        DataError: no built data set, or one that is not finished.
        PublishRefused: it would overwrite another data set, show what was asked to be private, or give away a key.
        HubError: the Hub cannot be reached or does not allow it.
    """
    progress = progress or Silent()
    checked_repo(config.repo)
    if config.create_pr and config.revision is not None:
        raise ConfigError("--create-pr proposes a change to branch main; it takes no --revision.")
    dataset = open_dataset(config.folder)
    variant = variant_of(dataset, config.with_images, config.strip_exif)
    connection = None if config.dry_run else Connection(config.repo, patience, progress, writing=True)
    with _alone(dataset.folder), quiet_client():
        exists = connection is not None and _exists(config, connection)  # what is wrong with it is said before any work
        ready = stage(dataset, variant, config.repo, progress)
        refuse_invalid_card(ready.card)
        transfer.refuse_over_limits(ready.uploads)
        for warning in ready.warnings:
            progress.say(warning)
        result = PushResult(
            repo=config.repo,
            url="",
            revision=config.revision or MAIN,
            variant=variant,
            files=len(ready.uploads),
            bytes=sum(upload.bytes for upload in ready.uploads),
            dry_run=config.dry_run,
            warnings=list(ready.warnings),
            left_here=list(ready.left_here),
        )
        if connection is None:
            return result
        _validate(connection, ready)
        if not exists:
            _make(config, connection)
        return _send(config, connection, ready, result)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    workspace = Workspace(folder)
    (workspace.state / "locks").mkdir(parents=True, exist_ok=True)
    with workspace.lock("publish", f"Another process publishes {folder}; wait for it."):
        yield


def _send(config: PushConfig, connection: Connection, ready: Publication, result: PushResult) -> PushResult:
    fingerprint = ready.manifest["fingerprint"]
    message = config.message or f"{ready.manifest['source']['name']}, built with openmmlo"
    description = f"Fingerprint of the build: {fingerprint}"
    revision = config.revision or MAIN
    if revision != MAIN and not revision.startswith("refs/"):
        connection.call(
            lambda: connection.api.create_branch(config.repo, branch=revision, repo_type=REPO_TYPE, exist_ok=True)
        )
    there = transfer.tree(connection, revision)
    if not config.replace:
        _refuse_other(connection, ready, revision, there)
    changed = transfer.missing(ready.uploads, there) or transfer.obsolete(ready.uploads, there)
    proposal = None
    if config.create_pr and changed:
        proposal = Proposal.find_or_open(connection, config.folder, message, description, fingerprint)
        revision = proposal.revision
        if not config.replace:
            _refuse_other(connection, ready, revision, transfer.tree(connection, revision))
    if changed:
        connection.progress.say(f"Sending to {proposal.url if proposal else connection.url}")
    sent = transfer.send(connection, ready.uploads, revision, message, description)
    if proposal:
        proposal.publish(connection)
    return replace(
        result,
        url=proposal.url if proposal else connection.url,
        revision=revision,
        sent_files=sent.files,
        sent_bytes=sent.bytes,
        deleted_files=sent.deleted,
        commits=sent.commits,
        pull_request=proposal.url if proposal else None,
    )


def _validate(connection: Connection, ready: Publication) -> None:
    """Let the Hub check the card before anything is sent."""
    from huggingface_hub import DatasetCard

    try:
        connection.call(lambda: DatasetCard(ready.card).validate())
    except HubError as error:
        if isinstance(error.__cause__, ValueError):
            raise HubError(f"The Hub does not accept the card: {error.__cause__}") from error
        raise


def _exists(config: PushConfig, connection: Connection) -> bool:
    """Whether the repository is there. Raises PublishRefused where it would show what shall be private."""
    from huggingface_hub import errors

    def look() -> Any:
        try:
            return connection.api.dataset_info(config.repo)
        except errors.RepositoryNotFoundError as error:
            if error.response.status_code == 404:
                return None
            raise

    info = connection.call(look)
    if info and config.private and not info.private:
        raise PublishRefused(
            f"{connection.url} exists and is public, and --private was asked for. Make it private in its settings "
            f"({connection.url}/settings) first, or choose another name."
        )
    return info is not None


def _make(config: PushConfig, connection: Connection) -> None:
    connection.call(
        lambda: connection.api.create_repo(
            config.repo, repo_type=REPO_TYPE, private=config.private or None, exist_ok=True
        )
    )


def _refuse_other(connection: Connection, ready: Publication, revision: str, there: dict[str, transfer.Remote]) -> None:
    """Refuse where the revision holds another data set, whole or begun."""
    again = "Give --replace to publish over it, or another name."
    if transfer.MANIFEST in there:
        manifest = _fetch_manifest(connection, revision)
        other = manifest.get("fingerprint")
        if other != ready.manifest["fingerprint"]:
            raise PublishRefused(
                f"{connection.url} ({revision}) holds a data set of another build: fingerprint {other}, this one has "
                f"{ready.manifest['fingerprint']}. {again}"
            )
        kinds = ("with_images", "images")
        if any(manifest.get(kind) != ready.manifest.get(kind) for kind in kinds):
            names = [_named(item) for item in (manifest, ready.manifest)]
            raise PublishRefused(
                f"{connection.url} ({revision}) holds this data set {names[0]}, not {names[1]}. {again}"
            )
        return
    of_path = {upload.path: upload for upload in ready.uploads}
    foreign = [
        path
        for path, remote in there.items()
        if path.endswith(".parquet") and not (path in of_path and remote.holds(of_path[path]))
    ]
    if foreign:
        raise PublishRefused(
            f"{connection.url} ({revision}) holds data that is not of this data set, {foreign[0]} first. {again}"
        )


def _named(manifest: dict[str, Any]) -> str:
    if not manifest.get("with_images"):
        return "without images"
    return "with stripped images" if manifest.get("images") == "stripped" else "with images"


def _fetch_manifest(connection: Connection, revision: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="openmmlo-") as folder:
        path = connection.call(
            lambda: connection.api.hf_hub_download(
                connection.repo, transfer.MANIFEST, repo_type=REPO_TYPE, revision=revision, local_dir=folder
            )
        )
        try:
            value = json.loads(Path(path).read_bytes())
        except ValueError:
            return {}
    return value if isinstance(value, dict) else {}
