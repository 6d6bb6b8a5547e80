"""A whole build: check, plan, caption, write, assemble; resumed wherever it was left."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from copy import copy
from dataclasses import asdict, replace

import pyarrow as pa

from openmmlo.building.captioners import KeepsBooks
from openmmlo.building.conclusion import conclude
from openmmlo.building.configuration import BuildConfig, BuildResult, PlanSummary
from openmmlo.building.journal import Journal
from openmmlo.building.machine import cores, versions
from openmmlo.building.masking import Masker
from openmmlo.building.measures.measure import measure
from openmmlo.building.plan import Plan, Shard, Slice
from openmmlo.building.preparation import Preparation, blocking, examine, failures, prepare, record
from openmmlo.building.promotion import complete_promotion
from openmmlo.building.runners import RUNNERS, Runner
from openmmlo.building.worker import WorkerSpec, reopen
from openmmlo.building.workspace import Workspace
from openmmlo.progress import Progress, Silent
from openmmlo.writing import space_needed


def plan_build(config: BuildConfig) -> PlanSummary:
    """Check and plan, write nothing. Errors as for :func:`build`; error findings are returned, not raised."""
    workspace = Workspace(config.out)
    workspace.refuse_foreign()
    prepared: Preparation | None = None
    plan: Plan | None
    if config.recaption and workspace.plan():  # what is built already needs no image any more
        prepared = prepare(config, workspace)
        findings, plan = prepared.findings, prepared.plan
    else:
        findings, plan = examine(config)
        if not blocking(config, findings):
            prepared = prepare(config, workspace)
            plan = prepared.plan
    names = [shard.name for shard in plan.shards] if plan else []
    return PlanSummary(
        source=config.source,
        splits=plan.planned() if plan else {},
        samples=len(plan.table) if plan else 0,
        shards=len(names),
        done_shards=len(prepared.workspace.finished(names)) if prepared else 0,
        fingerprint=prepared.state["fingerprint"] if prepared else "",
        findings=findings,
    )


def build(config: BuildConfig, progress: Progress | None = None) -> BuildResult:
    """Build a data set, or go on with one; when it is whole, measure it.

    Killed at any moment, it resumes from the same call. Where other slices of the same plan are still being built,
    it returns with ``complete`` False; the builder that finds all shards finished assembles the data set. A measure
    that fails is told in the result: the data set is whole without it.

    Raises:
        DataError: lists or images that cannot be used, before any work.
        BuildRefused: another build's folder, or another builder on the same slice.
        DiskFull, WorkerDied, ModelError: stopped, to be gone on with by the same call.
    """
    main = Workspace(config.out)
    piece = Slice.parse(config.shard)
    report = progress or Silent()
    started = time.perf_counter()
    complete_promotion(main)
    prepared = prepare(config, main)
    with ExitStack() as stack:
        stack.enter_context(_builder_on(prepared.workspace, piece))
        stack.enter_context(space_needed(config.out))
        while not record(prepared):
            stack.close()
            complete_promotion(main)
            prepared = prepare(config, main)  # another builder changed what there is
            stack.enter_context(_builder_on(prepared.workspace, piece))
            stack.enter_context(space_needed(config.out))
        workspace = prepared.workspace
        prepared.plan.save(workspace.plan_table(piece.name))
        workspace.log("start", slice=piece.name, fingerprint=prepared.state["fingerprint"], versions=versions())
        warnings = _warn(prepared, workspace, report)
        spec = _spec(config, prepared, piece)
        mine = list(piece.of_shards(prepared.plan.shards))
        _retry(config, spec, mine, report)
        finished = workspace.finished([shard.name for shard in mine])
        todo = [shard for shard in mine if shard.name not in finished]
        state = prepared.state
        del prepared  # the plan's table is not needed while building
        pa.default_memory_pool().release_unused()
        built = _run(config, spec, mine, todo, report)
    result = conclude(spec, state, time.perf_counter() - started, built, warnings)
    if result.complete and config.measure:
        result = replace(result, measured=measure(config.out, report))
    told = {key: value for key, value in asdict(result).items() if key not in ("out", "warnings", "measured")}
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
        if finding.what.startswith("recaption: "):
            report.say(f"{finding.what}.")
        if finding.level == "warning":
            warnings.append(f"{finding.what}. {finding.remedy}".rstrip(". ") + ".")
            workspace.log("warning", message=warnings[-1])
            report.say(warnings[-1])
    return warnings


def _spec(config: BuildConfig, prepared: Preparation, piece: Slice) -> WorkerSpec:
    workspace, captioner = prepared.workspace, prepared.captioner
    if isinstance(captioner, KeepsBooks):
        (workspace.books(captioner.identity()) / "locks").mkdir(parents=True, exist_ok=True)
    prefetch = max(1, min(4, cores() // config.workers)) if config.prefetch is None else config.prefetch
    return WorkerSpec(
        source=copy(prepared.source),  # as it travels: without what it remembers of every file it listed
        info=prepared.info,
        captioner=captioner,
        masker=Masker(prepared.lexicon, tuple(item.key for item in prepared.info.classes), config.mask_level),
        workspace=workspace,
        plan_name=piece.name,
        batch_size=config.batch_size,
        group_rows=prepared.plan.group_rows,
        prefetch=prefetch,
        max_pixels=config.max_pixels,
        with_images=config.with_images,
        earlier=prepared.earlier,
    )


def _retry(config: BuildConfig, spec: WorkerSpec, mine: list[Shard], report: Progress) -> None:
    if not config.retry:
        return
    retried = sum(reopen(spec, shard, failures(config)) for shard in mine)
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
        _tell_account(spec, report)
        report.close()
    return counter.count


def _tell_account(spec: WorkerSpec, report: Progress) -> None:
    """Say what the build used so far, where its captioner keeps books."""
    captioner = spec.captioner
    used = captioner.account(spec.workspace.books(captioner.identity())) if isinstance(captioner, KeepsBooks) else ""
    if used:
        spec.workspace.log("usage", message=used)
        report.say(used)


def _journalled(workspace: Workspace, shard: Shard) -> int:
    frames, _ = Journal(workspace.journal(shard.name)).peek()
    return sum(len(frame["records"]) for frame in frames)


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
