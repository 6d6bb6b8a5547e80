"""A whole build: check, plan, caption, write, assemble; resumed wherever it was left."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from openmmlo.building.assemble import assemble
from openmmlo.building.configuration import BuildConfig, BuildResult, PlanSummary, Progress, Silent
from openmmlo.building.journal import Journal
from openmmlo.building.machine import cores, versions
from openmmlo.building.masking import Masker
from openmmlo.building.plan import Shard, Slice
from openmmlo.building.preparation import Preparation, blocking, examine, prepare, record, refuse_other_build
from openmmlo.building.runners import RUNNERS, Runner
from openmmlo.building.worker import WorkerSpec, reopen
from openmmlo.building.workspace import Workspace, space_needed
from openmmlo.records import Status


def plan_build(config: BuildConfig) -> PlanSummary:
    """Check and plan, write nothing. Errors as for :func:`build`; error findings are returned, not raised."""
    workspace = Workspace(config.out)
    workspace.refuse_foreign()
    findings, plan = examine(config)
    prepared = None
    if not blocking(config, findings):
        prepared = prepare(config, workspace)
        refuse_other_build(workspace, prepared.state)
        plan = prepared.plan
    names = [shard.name for shard in plan.shards] if plan else []
    return PlanSummary(
        source=config.source,
        splits=plan.planned() if plan else {},
        samples=len(plan.table) if plan else 0,
        shards=len(names),
        done_shards=len(workspace.finished(names)),
        fingerprint=prepared.state["fingerprint"] if prepared else "",
        findings=findings,
    )


def build(config: BuildConfig, progress: Progress | None = None) -> BuildResult:
    """Build a data set, or go on with one.

    Killed at any moment, it resumes from the same call. Where other slices of the same plan are still being built,
    it returns with ``complete`` False; the builder that finds all shards finished assembles the data set.

    Raises:
        DataError: lists or images that cannot be used, before any work.
        BuildRefused: another build's folder, or another builder on the same slice.
        DiskFull, WorkerDied, ModelError: stopped, to be gone on with by the same call.
    """
    workspace = Workspace(config.out)
    piece = Slice.parse(config.shard)
    report = progress or Silent()
    started = time.perf_counter()
    prepared = prepare(config, workspace)
    with _builder_on(workspace, piece), space_needed(config.out):
        while not record(workspace, prepared, config.mask_level):
            prepared = prepare(config, workspace)  # another slice came first and cut the plan in another way
        prepared.plan.save(workspace.plan_table(piece.name))
        workspace.log("start", slice=piece.name, fingerprint=prepared.state["fingerprint"], versions=versions())
        warnings = _warn(prepared, workspace, report)
        spec = _spec(config, workspace, prepared, piece)
        mine = list(piece.of_shards(prepared.plan.shards))
        _retry(config, spec, mine, report)
        shards = [Shard(**item) for item in prepared.state["shards"]]
        finished = workspace.finished([shard.name for shard in mine])
        todo = [shard for shard in mine if shard.name not in finished]
        del prepared  # the plan's table is not needed while building
        pa.default_memory_pool().release_unused()
        built = _run(config, spec, mine, todo, report)
    state = json.loads(workspace.plan_json.read_bytes())
    result = _conclude(workspace, state, spec, shards, time.perf_counter() - started, built, warnings)
    told = {key: value for key, value in asdict(result).items() if key not in ("out", "warnings")}
    workspace.log("stop", slice=piece.name, **told)
    return result


@contextmanager
def _builder_on(workspace: Workspace, piece: Slice) -> Iterator[None]:
    with space_needed(workspace.out.parent if not workspace.out.exists() else workspace.out):
        workspace.make()
    refusal = (
        f"Slice {piece.number}/{piece.of} of {workspace.out} is being built by another process. Wait for it, "
        "or build another slice with --shard i/n."
    )
    with workspace.lock(f"slice-{piece.name}", refusal):
        yield


def _warn(prepared: Preparation, workspace: Workspace, report: Progress) -> list[str]:
    """Tell the warnings of the check, to whoever watches and to the log."""
    warnings = []
    for finding in prepared.findings:
        if finding.level == "warning":
            warnings.append(f"{finding.what}. {finding.remedy}".rstrip(". ") + ".")
            workspace.log("warning", message=warnings[-1])
            report.say(warnings[-1])
    return warnings


def _spec(config: BuildConfig, workspace: Workspace, prepared: Preparation, piece: Slice) -> WorkerSpec:
    prefetch = max(1, min(4, cores() // config.workers)) if config.prefetch is None else config.prefetch
    return WorkerSpec(
        source=copy(prepared.source),  # as it travels: without what it remembers of every file it listed
        info=prepared.info,
        captioner=prepared.captioner,
        masker=Masker(prepared.lexicon, tuple(item.key for item in prepared.info.classes)),
        workspace=workspace,
        plan_name=piece.name,
        batch_size=config.batch_size,
        group_rows=prepared.plan.group_rows,
        prefetch=prefetch,
        max_pixels=config.max_pixels,
        with_images=config.with_images,
    )


def _retry(config: BuildConfig, spec: WorkerSpec, mine: list[Shard], report: Progress) -> None:
    if not config.retry:
        return
    failures = {status.value for status in Status if status is not Status.OK}
    statuses = failures if "failed" in config.retry else set(config.retry)
    retried = sum(reopen(spec, shard, statuses) for shard in mine)
    report.say(f"trying {retried:,} failed samples again")


def _run(config: BuildConfig, spec: WorkerSpec, mine: list[Shard], todo: list[Shard], report: Progress) -> int:
    """Build what is left of this slice; how many samples that was."""
    total = sum(map(len, mine))
    left = sum(len(shard) - _journalled(spec.workspace, shard) for shard in todo)
    report.start(total, total - left)
    counter = _Counter(report)
    try:
        if todo:
            workers = min(config.workers, len(todo))
            runner: Runner = RUNNERS.load("inline" if workers == 1 else "processes")
            runner(spec, todo, workers, counter)
    finally:
        report.close()
    return counter.count


def _journalled(workspace: Workspace, shard: Shard) -> int:
    frames, _ = Journal(workspace.journal(shard.name)).peek()
    return sum(len(frame["records"]) for frame in frames)


def _conclude(
    workspace: Workspace,
    state: dict[str, Any],
    spec: WorkerSpec,
    shards: list[Shard],
    seconds: float,
    built: int,
    warnings: list[str],
) -> BuildResult:
    """Assemble where every shard is finished, and sum up what is there."""
    finished = workspace.finished([shard.name for shard in shards])
    complete = len(finished) == len(shards)
    rows: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    halved = 0
    if complete:
        refusal = f"Another process has been assembling {workspace.out} for long; run again to see how it ended."
        with workspace.lock("assembly", refusal, patience=600), space_needed(workspace.out):
            manifest = assemble(workspace, state, spec.info, spec.masker.lexicon)
        for split, entry in manifest["splits"].items():
            rows[split] += entry["rows"]
            errors.update(entry["errors"])
        halved = manifest["run"]["halved_batches"]
    else:
        for shard in shards:
            if shard.name in finished:
                summary = json.loads(workspace.summary(shard.name).read_bytes())
                rows[shard.split] += summary["rows"]
                errors.update(error["status"] for error in summary["errors"])
                halved += summary["halved_batches"]
    return BuildResult(
        out=workspace.out,
        complete=complete,
        planned=sum(map(len, shards)),
        rows=dict(rows),
        errors=dict(sorted(errors.items())),
        seconds=round(seconds, 3),
        images_per_second=round(built / seconds, 2) if seconds else 0.0,
        remaining_shards=len(shards) - len(finished),
        fingerprint=state["fingerprint"],
        halved_batches=halved,
        warnings=warnings,
    )


class _Counter:
    """Passes reports on and counts the samples."""

    def __init__(self, report: Progress) -> None:
        self.report = report
        self.count = 0

    def advance(self, rows: int, failed: int) -> None:
        self.count += rows
        self.report.advance(rows, failed)

    def say(self, message: str) -> None:
        self.report.say(message)
