"""Where a build keeps what: the folder's layout, its locks, its atomic writes and its log."""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from openmmlo.errors import BuildRefused, DiskFull

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_PATIENCE = 5.0  # seconds that a lock is waited for: a killed builder's children need a moment to notice


@dataclass(frozen=True, slots=True)
class Workspace:
    """The files of one output folder.

    What users get lies in ``out`` itself; what a build needs to resume lies in ``out/.openmmlo``.
    """

    out: Path

    @property
    def state(self) -> Path:
        return self.out / ".openmmlo"

    @property
    def data(self) -> Path:
        return self.out / "data"

    @property
    def plan_json(self) -> Path:
        return self.state / "plan.json"

    @property
    def lexicon(self) -> Path:
        return self.state / "lexicon.json"

    @property
    def log_path(self) -> Path:
        return self.state / "log.jsonl"

    @property
    def manifest(self) -> Path:
        return self.out / "manifest.json"

    @property
    def errors(self) -> Path:
        return self.out / "errors.jsonl"

    def plan_table(self, slice_name: str) -> Path:
        return self.state / "plans" / f"{slice_name}.parquet"

    def journal(self, shard: str) -> Path:
        return self.state / "journals" / f"{shard}.journal"

    def summary(self, shard: str) -> Path:
        return self.state / "shards" / f"{shard}.json"

    def parquet(self, shard: str) -> Path:
        return self.data / f"{shard}.parquet"

    def aside(self, shard: str) -> Path:
        return self.state / "shards" / f"{shard}.parquet.tmp"

    def refuse_foreign(self) -> None:
        """Raises BuildRefused where ``out`` is a file, or holds something that is not a build."""
        if self.out.exists() and not self.out.is_dir():
            raise BuildRefused(f"{self.out} is a file. Give --out a new or empty folder.")
        if self.out.exists() and not self.state.is_dir() and any(self.out.iterdir()):
            raise BuildRefused(
                f"{self.out} is not empty and holds no openmmlo build. Give --out a new or empty folder."
            )

    def make(self) -> None:
        """Make the folders. Raises BuildRefused where that cannot or must not be."""
        self.refuse_foreign()
        try:
            for folder in ("plans", "journals", "shards", "locks"):
                (self.state / folder).mkdir(parents=True, exist_ok=True)
            self.data.mkdir(exist_ok=True)
        except OSError as error:
            if error.errno in _NO_SPACE:
                raise
            reason = f"{self.out} cannot be made or written ({error.strerror})."
            raise BuildRefused(f"{reason} Give --out a folder that you may write.") from error

    @contextmanager
    def lock(self, name: str, refusal: str, patience: float = _PATIENCE) -> Iterator[None]:
        """Hold a lock of this folder, or raise BuildRefused with ``refusal``."""
        lock = FileLock(self.state / "locks" / f"{name}.lock", thread_local=False)
        try:
            lock.acquire(timeout=patience)
        except Timeout as error:
            raise BuildRefused(refusal) from error
        try:
            yield
        finally:
            lock.release()

    def finished(self, shards: list[str]) -> set[str]:
        """Names of the shards that are complete: renamed into place, and not reopened for a retry."""
        found = {
            kind: {path.stem for path in folder.glob(f"*.{kind}")} if folder.is_dir() else set()
            for kind, folder in (
                ("parquet", self.data),
                ("json", self.state / "shards"),
                ("journal", self.state / "journals"),
            )
        }
        return found["parquet"].intersection(found["json"], shards) - found["journal"]

    def is_finished(self, shard: str) -> bool:
        return bool(self.finished([shard]))

    def log(self, event: str, **fields: Any) -> None:
        """Append one line to the log: one write, so that lines of several processes do not mix."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        line = json.dumps({"time": stamp, "event": event, **fields}, ensure_ascii=False, default=str)
        try:
            with self.log_path.open("ab") as file:
                file.write(line.encode("utf-8", "backslashreplace") + b"\n")
        except OSError as error:  # the log must not hide the message that the disk is full
            if error.errno not in _NO_SPACE:
                raise


def write_aside(path: Path, content: str | bytes) -> None:
    """Write a whole file aside, sync it and rename it into place; do nothing where it already reads so.

    The caller holds the lock under which this file is written.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
        return
    aside = path.with_name(f".{path.name}.tmp")  # one name: what a kill leaves, the next run overwrites
    with aside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable, where the system offers it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP, errno.EBADF}:
            raise
    finally:
        os.close(descriptor)


@contextmanager
def space_needed(out: Path) -> Iterator[None]:
    """Turn 'no space left' from anything inside into a message that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_SPACE:
            raise
        free = shutil.disk_usage(out).free / 2**30
        raise DiskFull(
            f"Writing to {out} stopped: {os.strerror(error.errno or 0)} ({free:.2f} GiB free). "
            "Every finished batch is kept; make room and run the same command to go on."
        ) from error
