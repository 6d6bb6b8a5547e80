"""One worker: takes shards one after another, captions what their journals lack, and finishes them.

The same code runs in the calling process and in worker processes; runners differ only in where it runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from openmmlo.building.captioners import Captioner, KeepsBooks, reads_images
from openmmlo.building.captioning import BatchCaptioner, LossGuard, out_of_memory
from openmmlo.building.finish import Finisher
from openmmlo.building.journal import Journal
from openmmlo.building.masking import Masker
from openmmlo.building.plan import Shard, read_shard
from openmmlo.building.prefetch import Facts, HeldImage, Prefetch, Prepared, Wanted
from openmmlo.building.recaption import Earlier, frames_of_finished
from openmmlo.building.stored import StoredImages
from openmmlo.building.workspace import Workspace
from openmmlo.errors import OpenmmloError, SampleFailed
from openmmlo.records import DatasetInfo, Sample, Source, Status
from openmmlo.writing import space_needed


@dataclass(frozen=True)
class WorkerSpec:
    """All a worker needs to know; it travels to worker processes by pickle."""

    source: Source
    info: DatasetInfo
    captioner: Captioner
    masker: Masker
    workspace: Workspace
    plan_name: str
    batch_size: int
    group_rows: int
    prefetch: int
    max_pixels: int
    with_images: bool
    earlier: Earlier | None = None
    worker: int = 0


class Report(Protocol):
    """What a worker tells of its progress."""

    def advance(self, rows: int, failed: int) -> None: ...

    def say(self, message: str) -> None: ...


@dataclass
class _Open:
    """A shard under way: its lock is held, its samples are read."""

    shard: Shard
    journal: Journal
    samples: list[Sample]
    missing: list[int]
    facts: dict[int, Facts]
    stored: StoredImages
    release: Callable[[], None]
    carried: int = 0
    left: int = field(init=False)

    def __post_init__(self) -> None:
        self.left = len(self.missing)

    def wanted(self, position: int) -> Wanted:
        """A sample with what is known of its image; the bytes too, where they are stored here."""
        sample, facts = self.samples[position], self.facts.get(position)
        data = self.stored.get(sample.sample_id, facts.sha256) if facts else None
        if data is not None:
            sample = replace(sample, image=HeldImage(sample.image.locator, data), problem=None)
        return Wanted(sample, facts)


def work(spec: WorkerSpec, claim: Callable[[], Shard | None], report: Report) -> None:
    """Build shards until ``claim`` gives no more.

    Raises:
        BuildRefused: another builder holds a shard.
        DiskFull: no space; what is journalled stays.
        OpenmmloError: the captioner is broken.
    """
    with ExitStack() as stack:
        prefetch = Prefetch(spec.captioner, spec.max_pixels, spec.prefetch)
        stack.callback(prefetch.close)
        background = ThreadPoolExecutor(1, thread_name_prefix="finish")
        stack.callback(background.shutdown, wait=True, cancel_futures=True)
        stack.enter_context(space_needed(spec.workspace.out))
        _Worker(spec, claim, report, prefetch, background, stack).run()


class _Worker:
    def __init__(
        self,
        spec: WorkerSpec,
        claim: Callable[[], Shard | None],
        report: Report,
        prefetch: Prefetch,
        background: ThreadPoolExecutor,
        stack: ExitStack,
    ) -> None:
        self.spec = spec
        self.claim = claim
        self.report = report
        self.prefetch = prefetch
        self.background = background
        self.stack = stack
        earlier = spec.earlier.workspace if spec.earlier else None
        self.finisher = Finisher(spec.workspace, spec.info, spec.masker, spec.group_rows, spec.with_images, earlier)
        self.finishing: list[Future[None]] = []
        self.guard = LossGuard(spec.captioner.name)
        self.loaded = False

    def run(self) -> None:
        batcher = BatchCaptioner(self.spec.captioner, self._say)
        for (opened, positions), prepared in self.prefetch.run(self._batches()):
            started = time.perf_counter()
            records, halved = self._caption(opened, positions, prepared, batcher)
            seconds = time.perf_counter() - started
            if records:
                opened.journal.append({"records": records, "seconds": round(seconds, 4), "halved": halved})
            failed = sum(record["s"] != Status.OK for record in records)
            self.report.advance(len(records), failed)
            opened.left -= len(records)
            if not opened.left:
                self._finish(opened)
            if batcher.stopped:  # only now: what was captioned before is kept
                raise batcher.stopped
        for future in self.finishing:
            future.result()

    def _batches(self) -> Iterator[tuple[tuple[_Open, list[int]], list[Wanted]]]:
        """Batches of positions whose records are missing, shard after shard; cut by position in the shard."""
        size = self.spec.batch_size
        while (shard := self.claim()) is not None:
            opened = self._open(shard)
            if self.spec.workspace.is_finished(shard.name):  # by another builder, while its lock was waited for
                opened.release()
                self.report.advance(len(shard), 0)
                continue
            if opened.carried:
                self.report.advance(opened.carried, 0)
            if not opened.missing:
                self._finish(opened)
                continue
            missing = set(opened.missing)
            for start in range(0, len(shard), size):
                batch = range(start, min(start + size, len(shard)))
                positions = [position for position in batch if position in missing]
                if positions:
                    yield (opened, positions), [opened.wanted(position) for position in positions]

    def _open(self, shard: Shard) -> _Open:
        workspace = self.spec.workspace
        lock = workspace.lock(
            f"shard-{shard.name}",
            f"Shard {shard.name} of {workspace.out} is being built by another process. Wait for it and run this again; "
            "builders side by side take slices of one n: --shard 1/n, 2/n ...",
        )
        holder = ExitStack()
        holder.enter_context(lock)
        self.stack.callback(holder.close)
        journal = Journal(workspace.journal(shard.name))
        samples = read_shard(workspace.plan_table(self.spec.plan_name), shard, self.spec.source)
        frames, carried = journal.read(), 0
        facts: dict[int, Facts] = {}
        stored = StoredImages()
        if self.spec.earlier and not workspace.is_finished(shard.name):
            if not journal.path.exists():
                frames = self.spec.earlier.carried(shard, samples)
                carried = sum(len(frame["records"]) for frame in frames)
                if carried:
                    journal.replace(frames)
            if not self.spec.earlier.same_captioner:
                facts = self.spec.earlier.facts(shard, samples)
            if reads_images(self.spec.captioner):
                stored = self.spec.earlier.images(shard)
        known = {record["p"] for frame in frames for record in frame["records"]}
        missing = [position for position in range(len(shard)) if position not in known]
        return _Open(shard, journal, samples, missing, facts, stored, holder.close, carried)

    def _caption(
        self, opened: _Open, positions: list[int], prepared: list[Prepared], batcher: BatchCaptioner
    ) -> tuple[list[dict[str, Any]], bool]:
        good = [item for item in prepared if item.status is Status.OK]
        if good and not self.loaded:
            self._load()
        outcomes, halved = batcher.caption([item.payload for item in good])
        captions = iter(outcomes)
        records: list[dict[str, Any]] = []
        for position, item in zip(positions, prepared, strict=True):
            outcome = (
                next(captions) if item.status is Status.OK else SampleFailed(item.status, item.reason, item.detail)
            )
            if outcome is None:  # the captioner stopped before it came to this one
                continue
            self.guard.notice(outcome)
            if isinstance(outcome, SampleFailed):
                if outcome.detail:
                    sample = opened.samples[position].sample_id
                    self.spec.workspace.log("failure", sample_id=sample, reason=outcome.reason, detail=outcome.detail)
                records.append({"p": position, "s": outcome.status, "r": outcome.reason})
            else:
                facts = {"h": item.sha256, "x": item.width, "y": item.height}
                records.append({"p": position, "s": Status.OK, "c": outcome, **facts})
        return records, halved

    def _load(self) -> None:
        captioner = self.spec.captioner
        try:
            if isinstance(captioner, KeepsBooks):
                captioner.open_books(self.spec.workspace.books(captioner.identity()))
            captioner.load(self.spec.worker)
        except Exception as error:
            if not out_of_memory(error):
                raise
            raise OpenmmloError(
                f"Out of memory while loading captioner {self.spec.captioner.name!r}. Use fewer --workers, a smaller "
                "model, --dtype bfloat16, or a device with more memory."
            ) from error
        self.loaded = True

    def _finish(self, opened: _Open) -> None:
        """Write the shard in the background; at most two wait, so that memory stays bounded."""
        opened.stored = StoredImages()  # a row group of images may hang on the one that captioning read

        def task() -> None:
            self.finisher.finish(opened.shard, opened.samples, opened.journal)
            opened.release()

        self.finishing.append(self.background.submit(task))
        while len(self.finishing) > 2 or (self.finishing and self.finishing[0].done()):
            self.finishing.pop(0).result()

    def _say(self, message: str) -> None:
        self.spec.workspace.log("warning", message=message, worker=self.spec.worker)
        self.report.say(message)


def reopen(spec: WorkerSpec, shard: Shard, statuses: Collection[str]) -> int:
    """Forget a shard's failures of these statuses, so that they are tried again; returns how many they are.

    A finished shard turns back into a journal and counts as unfinished from here on; a begun one loses the records.
    """
    workspace = spec.workspace
    journal = Journal(workspace.journal(shard.name))
    with workspace.lock(f"shard-{shard.name}", f"Shard {shard.name} is being built by another process; wait for it."):
        frames = journal.read()
        if not frames and workspace.parquet(shard.name).exists():
            samples = read_shard(workspace.plan_table(spec.plan_name), shard, spec.source)
            frames = frames_of_finished(workspace, shard, samples)
        kept = [{**frame, "records": [row for row in frame["records"] if row["s"] not in statuses]} for frame in frames]
        forgotten = sum(len(old["records"]) - len(new["records"]) for old, new in zip(frames, kept, strict=True))
        if forgotten and workspace.recaption:
            journal.replace(kept)
        elif forgotten:
            refusal = f"{workspace.out} is being assembled by another process; try again in a moment."
            with workspace.lock("assembly", refusal):  # it must not write a manifest while this is under way
                workspace.unpublish()
                journal.replace(kept)
    return forgotten
