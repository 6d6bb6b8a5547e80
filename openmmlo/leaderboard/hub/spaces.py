"""The site of a board goes to the Hub as a static Space: pages as they lie in a folder, served as they are."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from openmmlo.building.publishing import transfer
from openmmlo.building.publishing.hub import Connection, Patience, checked_repo, quiet_client
from openmmlo.building.publishing.private_text import refuse_private
from openmmlo.errors import DataError, PublishRefused
from openmmlo.leaderboard.hub import sending
from openmmlo.leaderboard.hub.pushing import Pushed, written
from openmmlo.leaderboard.site.write import CONTENTS
from openmmlo.models.card_results import front_matter_yaml
from openmmlo.progress import Progress

CARD = "README.md"
_TEMPLATE = frozenset({".gitattributes", ".gitignore", CARD, "index.html", "style.css"})
"""What a new static Space holds."""


def space_card(title: str, dataset: str | None = None) -> str:
    """The README.md of a Space, whose front matter makes it a static one."""
    front: dict[str, Any] = {
        "title": title,
        "emoji": "\N{BAR CHART}",
        "colorFrom": "blue",
        "colorTo": "gray",
        "sdk": "static",
        "app_file": "index.html",
        "pinned": False,
        "short_description": "Long-tailed recognition, each number with its origin",
        "tags": ["leaderboard", "long-tailed-recognition", "out-of-distribution-detection", "openmmlo"],
        **({"datasets": [dataset]} if dataset else {}),
    }
    origin = f"\nThe pages are made of the data set [{dataset}](https://huggingface.co/datasets/{dataset}).\n"
    return (
        f"---\n{front_matter_yaml(front)}---\n\nStatic pages written by `openmmlo leaderboard site`.\n"
        f"{origin if dataset else ''}"
    )


def push_site(
    site: Path,
    repo: str,
    *,
    title: str = "OpenMMlo leaderboard",
    dataset: str | None = None,
    replace: bool = False,
    dry_run: bool = False,
    patience: Patience | None = None,
    progress: Progress | None = None,
) -> Pushed:
    """Publish a site. Done twice it changes nothing; pages that are gone here go there, other files there stay.

    Args:
        site: folder that openmmlo leaderboard site wrote; what else lies in it stays.
        repo: ``owner/name`` of the Space; made where it does not exist.
        dataset: ``owner/name`` of the board that it shows.
        replace: write into a Space that holds something else.

    Raises:
        DataError: no site.
        PublishRefused: the Space holds something else, or a page a key or a path of this machine.
        HubError: the Hub cannot be reached or does not allow it.
    """
    checked_repo(repo)
    pages = _listed((site / CONTENTS).read_bytes()) if (site / CONTENTS).is_file() else []
    if "index.html" not in pages:
        raise DataError(f"{site} holds no site. Give a folder that openmmlo leaderboard site wrote.")
    connection = None if dry_run else Connection(repo, patience, progress, writing=True, kind="space")
    with quiet_client(), tempfile.TemporaryDirectory(prefix="openmmlo-") as folder:
        own = [sending.upload_of(path, site / path) for path in (*pages, CONTENTS)]
        uploads = [*own, *written({CARD: space_card(title, dataset).encode()}, Path(folder))]
        for upload in uploads:
            refuse_private(upload.path, upload.local.read_text(encoding="utf-8", errors="replace"), site)
        files, size = len(uploads), sum(upload.bytes for upload in uploads)
        if connection is None:
            return Pushed(repo, "", None, files, size, files, size, dry_run=True)
        sending.make(connection, space_sdk="static")
        earlier = _earlier(connection)
        ours = {upload.path for upload in uploads}

        def obsolete(there: sending.Tree) -> Sequence[str]:
            foreign = [path for path in there if path not in _TEMPLATE] if earlier is None else []
            if foreign and not replace:
                raise PublishRefused(
                    f"{connection.url} holds something that openmmlo did not put there, {foreign[0]} first. Name "
                    "another Space, or give --replace to write the site into this one."
                )
            return [path for path in earlier or () if path not in ours]

        made = sending.commit(connection, uploads, sending.MAIN, "Leaderboard pages", check=obsolete)
    return Pushed(repo, connection.url, made.commit, files, size, made.files, made.bytes, made.deleted)


def _earlier(connection: Connection) -> list[str] | None:
    """The pages that an earlier push put there; None where there was none."""
    with tempfile.TemporaryDirectory(prefix="openmmlo-") as folder:
        if CONTENTS not in transfer.tree(connection, sending.MAIN):
            return None
        path = connection.call(
            lambda: connection.api.hf_hub_download(
                connection.repo, CONTENTS, repo_type=connection.kind, revision=sending.MAIN, local_dir=folder
            )
        )
        return _listed(Path(path).read_bytes())


def _listed(contents: bytes) -> list[str]:
    """The files of a site by what it says of itself; none where that cannot be read, and none outside of it."""
    try:
        names = json.loads(contents)["files"]
    except (ValueError, KeyError, TypeError):
        return []
    listed = names if isinstance(names, list) else []
    return [name for name in listed if isinstance(name, str) and ".." not in name and not name.startswith("/")]
