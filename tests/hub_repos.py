"""Repositories as the loopback Hub keeps them: content-addressed files, commits, branches, pull requests."""

from __future__ import annotations

import base64
import fnmatch
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

LFS_PATTERNS = ("*.parquet", "*.arrow", "*.bin", "*.zip", "*.tar", "*.gz", "*.png", "*.jpg", "*.safetensors")
ATTRIBUTES = "".join(f"{pattern} filter=lfs diff=lfs merge=lfs -text\n" for pattern in LFS_PATTERNS).encode()
TOKEN = "hf_loopbackloopbackloopbackloopback"
USER, ORGANISATION = "tester", "lab"

_REGULAR_LIMIT = 10 * 2**20


def git_oid(content: bytes) -> str:
    """What git calls these bytes."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class File:
    """A file of a commit: its content, and whether it is kept as a large file."""

    content: bytes
    lfs: bool

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @cached_property
    def pointer(self) -> bytes:
        size = len(self.content)
        return f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {size}\n".encode()

    @cached_property
    def oid(self) -> str:
        return git_oid(self.pointer if self.lfs else self.content)

    @property
    def etag(self) -> str:
        return self.sha256 if self.lfs else self.oid

    def entry(self, path: str) -> dict[str, Any]:
        """As tree and paths-info list it."""
        size = len(self.content)
        entry: dict[str, Any] = {"type": "file", "oid": self.oid, "size": size, "path": path}
        if self.lfs:
            entry["lfs"] = {"oid": self.sha256, "size": size, "pointerSize": len(self.pointer)}
        return entry


@dataclass(frozen=True)
class Commit:
    """One commit: the whole tree, and where it came from."""

    files: Mapping[str, File]
    parent: str | None
    title: str
    message: str
    author: str
    number: int

    @cached_property
    def id(self) -> str:
        lines = [f"{path} {file.oid}" for path, file in sorted(self.files.items())]
        text = "\n".join((*lines, str(self.parent), self.title, self.message, self.author, str(self.number)))
        return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


@dataclass
class Discussion:
    """A discussion or a pull request; status draft, open, closed or merged."""

    number: int
    title: str
    author: str
    is_pull_request: bool
    status: str
    events: list[dict[str, Any]] = field(default_factory=list)


class Refused(Exception):
    """An operation that the Hub answers with an error: HTTP status, X-Error-Code and message."""

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code


class Repo:
    """One repository.

    Attributes:
        objects: SHA-256 -> large files that were uploaded, whether or not a commit uses them.
        refs: full name (``main``, ``refs/pr/1``, tag) -> commit id.
    """

    def __init__(self, kind: str, name: str, owner: str, private: bool) -> None:
        self.kind = kind
        self.name = name
        self.private = private
        self.objects: dict[str, bytes] = {}
        self.commits: dict[str, Commit] = {}
        self.branches: dict[str, str] = {}
        self.tags: dict[str, str] = {}
        self.pull_requests: dict[str, str] = {}
        self.discussions: list[Discussion] = []
        first = Commit({".gitattributes": File(ATTRIBUTES, False)}, None, "initial commit", "", "system", 0)
        self.commits[first.id] = first
        self.branches["main"] = first.id

    def at(self, revision: str) -> Commit:
        """The commit of a branch, tag, pull request or commit id."""
        for refs in (self.branches, self.tags, self.pull_requests):
            if revision in refs:
                return self.commits[refs[revision]]
        for id_, commit in self.commits.items():
            if len(revision) >= 7 and id_.startswith(revision):
                return commit
        raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    def file(self, revision: str, path: str) -> File:
        found = self.at(revision).files.get(path)
        if found is None:
            raise Refused(404, "Entry not found", "EntryNotFound")
        return found

    def upload_mode(self, path: str, size: int) -> str:
        name = path.rpartition("/")[2]
        large = size > _REGULAR_LIMIT or any(fnmatch.fnmatch(name, pattern) for pattern in LFS_PATTERNS)
        return "lfs" if large else "regular"

    def commit(self, revision: str, lines: Sequence[Mapping[str, Any]], author: str, create_pr: bool) -> dict[str, Any]:
        """Apply the lines of a commit request to a branch, a pull request or, with ``create_pr``, a new one."""
        header = lines[0]["value"]
        base = self.at(revision)
        if not create_pr and header.get("parentCommit") and not base.id.startswith(header["parentCommit"]):
            raise Refused(412, "A commit has happened since. Please refresh and try again.")
        files = dict(base.files)
        for line in lines[1:]:
            value = line["value"]
            path = value["path"]
            if line["key"] == "file":
                files[path] = File(base64.b64decode(value["content"]), False)
            elif line["key"] == "lfsFile":
                if value["oid"] not in self.objects:
                    raise Refused(400, f"LFS pointer pointed to a file that does not exist: {path}")
                files[path] = File(self.objects[value["oid"]], True)
            elif line["key"] == "deletedFile":
                if files.pop(path, None) is None:
                    raise Refused(404, f"A file with this name doesn't exist: {path}", "EntryNotFound")
            else:
                raise Refused(400, f"unknown operation {line['key']}")
        title, message = header["summary"], header.get("description", "")
        commit = Commit(files, base.id, title, message, author, len(self.commits))
        self.commits[commit.id] = commit
        answer = {"success": True, "commitOid": commit.id, "commitUrl": f"/{self.name}/commit/{commit.id}"}
        if create_pr:
            opened = self.discuss(title, message, author, pull_request=True, status="open")
            self.pull_requests[f"refs/pr/{opened.number}"] = commit.id
            return {**answer, "pullRequestUrl": f"/{self.kind}/{self.name}/discussions/{opened.number}"}
        refs = self.pull_requests if revision in self.pull_requests else self.branches
        if revision not in refs:
            raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        refs[revision] = commit.id
        return answer

    def discuss(self, title: str, text: str, author: str, pull_request: bool, status: str) -> Discussion:
        if not 3 <= len(title) <= 200:
            raise Refused(400, "the title must have 3 to 200 characters")
        found = Discussion(len(self.discussions) + 1, title, author, pull_request, status)
        self.discussions.append(found)
        if pull_request:
            self.pull_requests[f"refs/pr/{found.number}"] = self.branches["main"]
        self.comment(found, text, author)
        return found

    def comment(self, found: Discussion, text: str, author: str) -> dict[str, Any]:
        event = {
            "id": f"{len(found.events):08x}",
            "type": "comment",
            "createdAt": moment(len(found.events)),
            "author": {"name": author},
            "data": {"edited": False, "hidden": False, "latest": {"raw": text}},
        }
        found.events.append(event)
        return event

    def merge(self, found: Discussion) -> None:
        head = self.commits[self.pull_requests[f"refs/pr/{found.number}"]]
        self.branches["main"] = head.id
        found.status = "merged"

    def folders_over(self, limit: int) -> list[str]:
        """Folders of main with more entries than the Hub takes."""
        found: dict[str, set[str]] = {}
        for path in self.at("main").files:
            parts = path.split("/")
            for depth in range(len(parts)):
                found.setdefault("/".join(parts[:depth]), set()).add(parts[depth])
        return [folder for folder, entries in found.items() if len(entries) > limit]


def moment(number: int) -> str:
    """A time stamp that is the same on every run."""
    return f"2025-01-01T{number // 3600 % 24:02d}:{number // 60 % 60:02d}:{number % 60:02d}.000Z"
