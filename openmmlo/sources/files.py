"""Image files under a root: references to them, and an index that lists each folder once.

A build over 740,000 files may not ask the file system about each of them; one ``scandir`` a folder tells which names
exist and which of them are symbolic links.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from openmmlo.records import Status

_NO_FOLDER = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}


@dataclass(frozen=True, slots=True)
class FileImage:
    """An image file: ``root`` is local and stays out of every record, ``locator`` is its POSIX path below it.

    A source with several roots tells them apart by a ``prefix``: the first part of the locator that stands for this
    root and is no folder in it.
    """

    root: Path
    locator: str
    prefix: str = ""

    @property
    def path(self) -> Path:
        return self.root / self.locator.removeprefix(self.prefix)

    def read(self) -> bytes:
        return read_regular(self.path)


def read_regular(path: Path, most: int = -1) -> bytes:
    """The bytes of a file, at most ``most`` of them. Raises OSError also for what is no file: a pipe would not end."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
    with path.open("rb") as file:
        return file.read(most)


class FolderIndex:
    """Which files lie under a root, and whether a reference to one may be followed.

    The root itself and folders directly under it may be links (people link ``train`` to another disk). Deeper linked
    folders, and files that are links out of the root, are followed only with ``follow_links``. Links that stay inside
    the root, or inside a linked folder directly under it, are always followed.
    """

    def __init__(self, root: Path, follow_links: bool = False) -> None:
        self.root = root
        self.follow_links = follow_links
        self._real_root: str | None = None
        self._folders: dict[str, dict[str, bool] | None] = {}
        self._linked: dict[str, bool] = {}
        self._closed: set[str] = set()

    def folder(self, relative: str) -> dict[str, bool] | None:
        """File name -> is a symbolic link, for one folder below the root; None where there is no such folder.

        A folder that may not be listed counts as empty here; ``problem`` calls its files unreadable.
        """
        if relative not in self._folders:
            names: dict[str, bool] | None = {}
            try:
                with os.scandir(f"{self.root}/{relative}") as entries:
                    names = {entry.name: entry.is_symlink() for entry in entries}
            except PermissionError:
                self._closed.add(relative)
            except OSError as error:
                if error.errno not in _NO_FOLDER:
                    raise
                names = None
            self._folders[relative] = names
        return self._folders[relative]

    def problem(self, locator: str) -> Status | None:
        """None where the file is there and may be read, else why not: missing, link or unreadable."""
        folder, _, name = locator.rpartition("/")
        names = self.folder(folder)
        if names is None or name not in names:
            return Status.UNREADABLE if folder in self._closed else Status.MISSING
        if not self.follow_links and (self._deep_link(folder) or (names[name] and self._leaves(locator))):
            return Status.LINK
        if names[name] and not (self.root / locator).exists():
            return Status.MISSING
        return None

    def _deep_link(self, folder: str) -> bool:
        """Whether a folder below the first level is reached through a link that leaves the root."""
        if folder not in self._linked:
            parent, _, name = folder.rpartition("/")
            self._linked[folder] = bool(parent) and (
                self._deep_link(parent) or bool((self.folder(parent) or {}).get(name) and self._leaves(folder))
            )
        return self._linked[folder]

    def _leaves(self, relative: str) -> bool:
        if self._real_root is None:
            self._real_root = os.path.realpath(self.root)
        target = os.path.realpath(self.root / relative)
        inside = [self._real_root]
        first = relative.split("/", 1)[0]
        if (self.folder("") or {}).get(first) and "/" in relative:
            inside.append(os.path.realpath(self.root / first))
        return not any(target == base or target.startswith(base.rstrip(os.sep) + os.sep) for base in inside)
