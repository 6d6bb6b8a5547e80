"""``openmmlo leaderboard push``: a board's folder as a data set, its pages as a static Space, or both."""

from __future__ import annotations

import tempfile
from pathlib import Path

from openmmlo.building.publishing.hub import Patience, checked_repo
from openmmlo.errors import ConfigError
from openmmlo.leaderboard.board import Board
from openmmlo.leaderboard.hub.pushing import Pushed, push_board
from openmmlo.leaderboard.hub.spaces import push_site
from openmmlo.leaderboard.hub.tables import board_texts
from openmmlo.leaderboard.site import write_site
from openmmlo.progress import Progress


def push(
    board: Board,
    to: str | None,
    space: str | None,
    *,
    replace: bool = False,
    dry_run: bool = False,
    patience: Patience | None = None,
    progress: Progress | None = None,
) -> list[Pushed]:
    """Publish a board and its pages. Everything is made before anything is sent.

    Args:
        to: ``owner/name`` of the data set; None: not the board.
        space: ``owner/name`` of the Space; None: not the pages.
        replace: also delete and overwrite what others put there.
        dry_run: make everything, contact nobody.

    Raises:
        ConfigError: a board that is on the Hub; its pages may go to a Space, it is its own data set.
        As :func:`push_board` and :func:`push_site`.
    """
    for name in (to, space):
        if name is not None:
            checked_repo(name)
    if to is not None and not board.writable:
        raise ConfigError(
            "That board is on the Hub already. Give --board a folder; openmmlo leaderboard fetch makes one."
        )
    done = []
    with tempfile.TemporaryDirectory(prefix="openmmlo-") as folder:
        site = Path(folder) / "site"
        if space is not None:
            write_site(board, site, progress)
        if to is not None:
            texts = board_texts(board, to, space)
            done.append(
                push_board(
                    board.root, to, texts, replace=replace, dry_run=dry_run, patience=patience, progress=progress
                )
            )
        if space is not None:
            dataset = to or (board.origin.repo if board.origin is not None else None)
            done.append(
                push_site(
                    site, space, dataset=dataset, replace=replace, dry_run=dry_run, patience=patience,
                    progress=progress,
                )
            )  # fmt: skip
    return done
