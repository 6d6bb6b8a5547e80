"""Which image files lie below a folder, listed once, without asking the file system about any single file."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from openmmlo.errors import DataError
from openmmlo.records import Status
from openmmlo.sources.files import FolderIndex

# fmt: off
IMAGE_SUFFIXES = frozenset((
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".jp2",
    ".j2k", ".jpx", ".avif", ".ppm", ".pgm", ".pbm", ".pnm", ".ico",
))
# fmt: on
"""Suffixes, in any case, by which a file counts as an image. What it holds is found out when it is decoded."""

_SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini"})
_COMPANIONS = frozenset({".txt"})

Found = tuple[str, Status | None]
"""A file's POSIX path below the root, printable, and why it cannot be read, where listing already shows it."""


@dataclass
class FolderTree:
    """What a walk below a root saw.

    Attributes:
        images: folder -> its image files; both are POSIX paths below the root, "" is the root itself.
        hidden: entries that were skipped because their name begins with a dot or is a system's (Thumbs.db).
        others: suffix -> files that are not images by their suffix; caption sidecars (.txt) are not counted.
        empty: topmost folders without any image in or below them.
        refused: linked folders that leave the root and are not followed; each also stands in ``images``.
        cycles: links that lead back to a folder they are in.
    """

    root: Path
    images: dict[str, list[Found]] = field(default_factory=dict)
    hidden: list[str] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    empty: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    cycles: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder to be listed: ``raw`` is its name for the system, ``shown`` the printable one.

    ``real`` is where it truly lies, ``entered`` where the walk stood when it followed links to get here.
    """

    raw: str
    shown: str
    real: str
    entered: tuple[str, ...]


def walk(root: Path, follow_links: bool = False, ignore: Iterable[Path] = ()) -> FolderTree:
    """List the image files below a root, sorted, links judged by the rules of FolderIndex.

    A linked folder that may not be followed becomes one image entry with ``Status.LINK`` under its own path. Names
    that are not UTF-8 are shown with backslash escapes and carry ``Status.NAME``; what is no regular file (a pipe, a
    socket) carries ``Status.UNREADABLE`` and is never opened.

    Args:
        root: the folder, which may be a link itself.
        follow_links: follow deeper linked folders and single files out of the root.
        ignore: files that are known to be no images and need no mention.

    Raises:
        DataError: a folder that cannot be listed.
    """
    tree = FolderTree(root)
    index = FolderIndex(root, follow_links)
    ignored = {os.path.realpath(path) for path in ignore}
    seen: list[str] = []
    pending = [_Folder("", "", os.path.realpath(root), ())]
    while pending:
        folder = pending.pop()
        seen.append(folder.shown)
        files: list[Found] = []
        for entry in _entries(root, folder):
            if entry.name.startswith(".") or entry.name.lower() in _SYSTEM_FILES:
                tree.hidden.append(_below(folder.shown, _printable(entry.name)))
                continue
            kind = _kind(entry)
            raw, shown = _below(folder.raw, entry.name), _shown(root, folder, entry.name)
            if kind == "folder":
                if entry.is_symlink():
                    pending.extend(_linked(entry, folder, raw, shown, index, tree))
                else:
                    pending.append(_Folder(raw, shown, f"{folder.real}{os.sep}{entry.name}", folder.entered))
                continue
            suffix = _suffix(entry.name)
            if suffix in IMAGE_SUFFIXES:
                problem = index.problem(raw) if entry.is_symlink() else None
                if problem is None and kind != "file":
                    problem = Status.MISSING if kind == "gone" else Status.UNREADABLE
                files.append((shown, problem if shown == raw else Status.NAME))
            elif suffix not in _COMPANIONS and not (ignored and os.path.realpath(entry.path) in ignored):
                tree.others[suffix or "no suffix"] += 1
        if files:
            tree.images[folder.shown] = sorted(files, key=lambda found: found[0])
    tree.empty = _empty(seen, tree.images)
    return tree


def _linked(
    entry: os.DirEntry[str], folder: _Folder, raw: str, shown: str, index: FolderIndex, tree: FolderTree
) -> Iterator[_Folder]:
    """The folder behind a link; none, and a note in the tree, where it may not be followed or leads back."""
    real = os.path.realpath(entry.path)
    stood = (*folder.entered, folder.real)
    if "/" in raw and index.problem(raw) is not None:
        tree.refused.append(shown)
        tree.images[shown] = [(shown, Status.LINK)]
    elif any(place == real or place.startswith(real.rstrip(os.sep) + os.sep) for place in stood):
        tree.cycles.append(shown)
    else:
        yield _Folder(raw, shown, real, stood)


def _entries(root: Path, folder: _Folder) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(root / folder.raw) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"Cannot list the folder {folder.shown or '.'} under {root}: {error.strerror}.") from error


def _kind(entry: os.DirEntry[str]) -> str:
    """'file', 'folder', 'gone' (a link to nothing) or 'special' (a pipe, a socket, a device)."""
    try:
        if entry.is_file():
            return "file"
        if entry.is_dir():
            return "folder"
        return "gone" if entry.is_symlink() and not Path(entry.path).exists() else "special"
    except OSError:  # a link in a circle, or one through a closed folder
        return "gone"


def _below(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _suffix(name: str) -> str:
    stem, dot, end = name.rpartition(".")
    return f".{end.lower()}" if dot and stem else ""


def _printable(name: str) -> str:
    """The name with bytes that are not UTF-8 as backslash escapes; every other name as it is."""
    return name if name.isascii() else os.fsencode(name).decode("utf-8", "backslashreplace")


def _shown(root: Path, folder: _Folder, name: str) -> str:
    """The printable path, with a number where an escaped name is the true name of another entry."""
    printable = _printable(name)
    shown, number = _below(folder.shown, printable), 1
    while printable != name and os.path.lexists(root / shown):
        number += 1
        suffix = _suffix(printable)
        stem = printable[: len(printable) - len(suffix)]
        shown = _below(folder.shown, f"{stem}~{number}{suffix}")
    return shown


def _empty(folders: list[str], images: dict[str, list[Found]]) -> list[str]:
    filled = {""}
    for folder in images:
        while folder not in filled:
            filled.add(folder)
            folder = folder.rpartition("/")[0]
    return sorted(folder for folder in folders if folder not in filled and folder.rpartition("/")[0] in filled)
