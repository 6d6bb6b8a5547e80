"""Where a build keeps what: the folder's layout, its locks and its log."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from openmmlo.errors import BuildRefused
from openmmlo.records import digest_of
from openmmlo.writing import NO_SPACE

MEASURED = ("stats.json", "label_noun_counts.csv", "quality.json", "audit.json", "report.html")
"""What is measured on a whole data set; it goes when the data set changes."""

_PATIENCE = 5.0  # seconds that a lock is waited for: a killed builder's children need a moment to notice


@dataclass(frozen=True, slots=True)
class Workspace:
    """The files of one output folder.

    What users get lies in ``out`` itself; what a build needs to resume lies in ``out/.openmmlo``. A recaption is
    built aside, below ``out/.openmmlo/recaptions``, until it is whole; ``recaption`` is its name there.
    """

    out: Path
    recaption: str = ""

    @property
    def main(self) -> Workspace:
        """The folder's own build: what a recaption will take the place of."""
        return Workspace(self.out)

    @property
    def state(self) -> Path:
        home = self.out / ".openmmlo"
        return home / "recaptions" / self.recaption if self.recaption else home

    @property
    def data(self) -> Path:
        return self.state / "data" if self.recaption else self.out / "data"

    @property
    def promoting(self) -> Path:
        """A whole recaption that is taking the place of what was there; only a kill leaves it behind."""
        return self.main.state / "promoting"

    def recaptions(self) -> list[Workspace]:
        """The recaptions that were begun in this folder and are not whole yet."""
        plans = sorted(self.main.state.glob("recaptions/*/plan.json"))
        return [Workspace(self.out, path.parent.name) for path in plans]

    def plan(self) -> dict[str, Any] | None:
        """What plan.json holds: identity, fingerprint, shards; None before a build has begun."""
        paths = [self.plan_json] if self.recaption else [self.promoting / "plan.json", self.plan_json]
        for path in paths:
            try:
                value: dict[str, Any] = json.loads(path.read_bytes())
            except (FileNotFoundError, NotADirectoryError):
                continue
            return value
        return None

    def books(self, captioner: Mapping[str, Any]) -> Path:
        """Where a captioner of this identity keeps its books, whatever is built with it in this folder."""
        return self.main.state / "books" / digest_of(captioner)[:16]

    def kept_captions(self, captioner: Mapping[str, Any]) -> Path:
        """Journals of the captions that a captioner of this identity once wrote here, and others replaced."""
        return self.main.state / "captions" / digest_of(captioner)[:16]

    @property
    def plan_json(self) -> Path:
        return self.state / "plan.json"

    @property
    def lexicon(self) -> Path:
        return self.state / "lexicon.json"

    @property
    def log_path(self) -> Path:
        return self.main.state / "log.jsonl"

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
        if self.out.exists() and not self.main.state.is_dir() and any(self.out.iterdir()):
            raise BuildRefused(
                f"{self.out} is not empty and holds no openmmlo build. Give --out a new or empty folder."
            )

    def make(self) -> None:
        """Make the folders. Raises BuildRefused where that cannot or must not be."""
        self.refuse_foreign()
        try:
            for folder in ("plans", "journals", "shards"):
                (self.state / folder).mkdir(parents=True, exist_ok=True)
            (self.main.state / "locks").mkdir(exist_ok=True)
            self.data.mkdir(exist_ok=True)
        except OSError as error:
            if error.errno in NO_SPACE:
                raise
            reason = f"{self.out} cannot be made or written ({error.strerror})."
            raise BuildRefused(f"{reason} Give --out a folder that you may write.") from error

    @contextmanager
    def lock(self, name: str, refusal: str, patience: float = _PATIENCE) -> Iterator[None]:
        """Hold a lock of this build, or raise BuildRefused with ``refusal``.

        Locks of a recaption lie beside those of the folder's own build: they must outlast its move.
        """
        own = f"{self.recaption}-{name}" if self.recaption else name
        lock = FileLock(self.main.state / "locks" / f"{own}.lock", thread_local=False)
        try:
            lock.acquire(timeout=patience)
        except Timeout as error:
            raise BuildRefused(refusal) from error
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def nobody_at_work(self) -> Iterator[bool]:
        """Hold the locks of all slices of every build in this folder; gives False where one of them is held."""
        with ExitStack() as stack:
            try:
                for path in sorted((self.main.state / "locks").glob("*slice-*.lock")):
                    lock = FileLock(path, thread_local=False)
                    lock.acquire(timeout=0)
                    stack.callback(lock.release)
            except Timeout:
                yield False
            else:
                yield True

    def unpublish(self) -> None:
        """Take away what says that the folder holds a whole data set, and what was measured on it: it will change."""
        for name in MEASURED:
            (self.out / name).unlink(missing_ok=True)
        self.manifest.unlink(missing_ok=True)  # last: a folder without it is not looked at further

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
            if error.errno not in NO_SPACE:
                raise
