"""The pull request of a push: opened once, found again by every later run, handed over when it is complete."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openmmlo.building.publishing.hub import REPO_TYPE, Connection
from openmmlo.building.workspace import Workspace
from openmmlo.writing import write_aside

_LONGEST_TITLE = 200
_ALIVE = frozenset({"draft", "open"})


@dataclass(frozen=True)
class Proposal:
    """A pull request that takes this data set: its number, the revision to commit to, its page."""

    number: int
    revision: str
    url: str
    draft: bool

    @classmethod
    def find_or_open(
        cls, connection: Connection, folder: Path, message: str, description: str, fingerprint: str
    ) -> Proposal:
        """The one noted in the folder, else one of ours with this fingerprint in its title, else a new one.

        It stays a draft until :meth:`publish`, so that nobody merges half of it.
        """
        mark = f"[openmmlo {fingerprint[:12]}]"
        title = f"{message[: _LONGEST_TITLE - len(mark) - 1]} {mark}"
        notes = Workspace(folder).state / "publish" / "pull-requests.json"
        place = f"{connection.url} {fingerprint}"

        def found() -> Any:
            known = _read(notes)
            if place in known:
                item = _details(connection, known[place])
                if item is not None:
                    return item
            user = connection.api.whoami()["name"]
            for item in connection.api.get_repo_discussions(
                connection.repo, author=user, discussion_type="pull_request", repo_type=REPO_TYPE
            ):
                if item.status in _ALIVE and item.title.endswith(mark):
                    return item
            return connection.api.create_pull_request(
                connection.repo, title, description=description, repo_type=REPO_TYPE
            )

        item = connection.call(found)  # a lost answer opens no second one: the search goes first
        write_aside(notes, json.dumps({**_read(notes), place: item.num}, sort_keys=True))
        return cls(item.num, item.git_reference, item.url, item.status == "draft")

    def publish(self, connection: Connection) -> None:
        """Hand a draft over for review."""
        if self.draft:
            connection.call(
                lambda: connection.api.change_discussion_status(
                    connection.repo, self.number, "open", repo_type=REPO_TYPE
                )
            )


def _details(connection: Connection, number: int) -> Any:
    """A pull request that may still take commits, else None."""
    from huggingface_hub import errors

    try:
        item = connection.api.get_discussion_details(connection.repo, number, repo_type=REPO_TYPE)
    except errors.HfHubHTTPError as error:
        if error.response.status_code == 404:
            return None
        raise
    return item if item.is_pull_request and item.status in _ALIVE else None


def _read(path: Path) -> dict[str, int]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
