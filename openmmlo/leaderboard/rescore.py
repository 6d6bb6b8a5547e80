"""Submissions come in; each is computed again from its predictions, and gets its mark or the reason why not.

Nothing that a submitter wrote decides a number: the predictions are held to the benchmark's definition (images, label
map, version, shot groups), scored by the code of this checkout, and every metric of the submission is compared. No
torch, and no network but for predictions that lie on the Hub.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from openmmlo import __version__
from openmmlo.errors import ConfigError, DataError, HubError, OpenmmloError, SubmissionRefused
from openmmlo.evaluate.benchmark import Benchmark, load_benchmark
from openmmlo.evaluate.predictions import ROLES, Predictions, digest
from openmmlo.evaluate.score import check_against, score
from openmmlo.leaderboard.board import Board, Entry
from openmmlo.leaderboard.guard import read_bounded
from openmmlo.leaderboard.limits import printable, told
from openmmlo.leaderboard.marks import TOLERANCE, Mark, ScoredRun
from openmmlo.leaderboard.metric_paths import flat, numbers
from openmmlo.leaderboard.submission import Run, Submission
from openmmlo.leaderboard.training_counts import check_counts
from openmmlo.writing import write_aside

Outcome = Literal["marked", "unchanged", "right", "differs", "refused", "unreached", "stale"]
"""``marked``: its mark was written. ``unchanged``: it has that mark. ``right``: the numbers are right, nothing was
written. ``differs``: a metric, or a mark, is another than its predictions give. ``refused``: it cannot be scored.
``unreached``: its predictions could not be fetched now. ``stale``: a mark whose submission is gone."""


@dataclass(frozen=True)
class Difference:
    """A metric that a submission, or a mark, states otherwise than its predictions give."""

    seed: int
    metric: str
    stated: Any
    computed: Any

    def __str__(self) -> str:
        off = ""
        if all(isinstance(item, (int, float)) for item in (self.stated, self.computed)):
            off = f", {abs(self.stated - self.computed):.3g} off"
        metric = printable(self.metric, 200)
        return f"{metric}, seed {self.seed}: {told(self.stated)} is stated, {told(self.computed)} computed{off}"


@dataclass(frozen=True)
class Verdict:
    """What became of one submission.

    Attributes:
        entry: ``benchmark/entry``.
        reason: for a person; empty where all is well.
        differences: every metric that differs.
        seconds: it took.
    """

    entry: str
    outcome: Outcome
    reason: str = ""
    differences: tuple[Difference, ...] = ()
    mark: Mark | None = None
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return self.outcome in ("marked", "unchanged", "right")


class Differs(SubmissionRefused):
    """A submission whose metrics are not those of its predictions."""

    def __init__(self, label: str, differences: Sequence[Difference]) -> None:
        first = "; ".join(map(str, differences[:3]))
        more = f"; {len(differences) - 3:,} more" if len(differences) > 3 else ""
        super().__init__(f"{label}: {len(differences):,} metrics are not those of its predictions: {first}{more}.")
        self.differences = tuple(differences)


def rescore(
    board: Board,
    entries: Sequence[str] = (),
    *,
    check: bool = False,
    prune: bool = False,
    said: Callable[[Verdict], None] | None = None,
) -> list[Verdict]:
    """Score submissions again, and write the marks of those whose every metric is right.

    Args:
        board: a folder; that of a board on the Hub is read alone.
        entries: ``entry`` or ``benchmark/entry``; all where empty.
        check: write nothing, and hold every mark to what is computed: one set by hand is found.
        prune: remove the marks of submissions that are gone or changed, and predictions that no submission names.
        said: called with each verdict at once.

    Raises:
        UnknownName: no such entry.
        ConfigError: the board cannot be written to.
        SubmissionRefused: the board's folders hold what they may not.
    """
    if prune and (check or entries):
        raise ConfigError("--prune looks at the whole board and removes files; give it neither --check nor entries.")
    verdicts: list[Verdict] = []

    def say(verdict: Verdict) -> None:
        verdicts.append(verdict)
        if said is not None:
            said(verdict)

    for path in board.find(list(entries)):
        say(verdict_of(board, path, write=board.writable and not check, check=check))
    if not entries:
        for verdict in _stale(board, prune):
            say(verdict)
    return verdicts


def compute_mark(submission: Submission, digest: str, predictions: Callable[[Run], Path]) -> Mark:
    """Score every run of a submission again and compare it with what it states.

    Args:
        digest: SHA-256 of its file.
        predictions: gives the predictions file of a run.

    Raises:
        Differs: some metrics are others.
        SubmissionRefused, DataError: predictions that cannot be read or are of another benchmark, version or list.
        HubError: they cannot be fetched.
    """
    benchmark = load_benchmark(submission.benchmark)
    if submission.benchmark_version != benchmark.version:
        raise SubmissionRefused(
            f"{submission.label} is of version {submission.benchmark_version} of {benchmark.name}; now it is "
            f"{benchmark.version}. Evaluate the model again."
        )
    runs, differences = [], []
    for run in submission.runs:
        found, other = compute_run(run, predictions(run), benchmark, submission.label)
        runs.append(found)
        differences.extend(other)
    if differences:
        raise Differs(submission.label, differences)
    return Mark(
        mark="re-scored",
        entry=submission.entry,
        benchmark=submission.benchmark,
        submission=digest,
        openmmlo=__version__,
        date=today(),
        runs=tuple(runs),
    )


def compute_run(run: Run, path: Path, benchmark: Benchmark, label: str) -> tuple[ScoredRun, list[Difference]]:
    """The numbers of one seed from its predictions, and which metrics its result states otherwise.

    Raises:
        SubmissionRefused, DataError: as :func:`compute_mark`.
    """
    what = f"{label}, seed {run.seed}: predictions"
    found = read_bounded(path, most_rows(benchmark), what)
    check_against(found, benchmark)
    check_counts(found, what)
    _check_run(run, found, what)
    scored = score(found)
    unpinned = tuple(
        item.name
        for item in benchmark.sets
        if item.list_hash is None and any(item.name == other.name for other in found.sets)
    )
    return (
        ScoredRun(run.seed, run.predictions.sha256, numbers(scored), unpinned),
        compared(run.seed, run.scored, scored),
    )


def compared(seed: int, stated: Mapping[str, Any], computed: Mapping[str, Any]) -> list[Difference]:
    """Every leaf of two ``scored`` blocks that is not the same, numbers within 1e-9."""
    one, two = flat(stated, lists=True), flat(computed, lists=True)
    found = []
    for metric in sorted(one.keys() | two.keys()):
        first, second = one.get(metric, "nothing"), two.get(metric, "nothing")
        if (metric in one) != (metric in two) or not _same(first, second):
            found.append(Difference(seed, metric, first, second))
    return found


def _same(first: Any, second: Any) -> bool:
    if isinstance(first, bool) or isinstance(second, bool) or type(first) is not type(second):
        both = all(isinstance(item, (int, float)) and not isinstance(item, bool) for item in (first, second))
        return both and first == second
    if isinstance(first, float):
        return bool(abs(first - second) <= TOLERANCE)
    return bool(first == second)


def most_rows(benchmark: Benchmark) -> int:
    """Rows that predictions on a benchmark have at most: the images of the sets that are kept."""
    return sum(item.rows or 0 for item in benchmark.sets if item.role in ROLES)


def today() -> str:
    """The date of a mark or a submission, in UTC."""
    return time.strftime("%Y-%m-%d", time.gmtime())


def _check_run(run: Run, found: Predictions, what: str) -> None:
    """Raises SubmissionRefused where predictions are not those that the result is of."""
    stated = run.result["digests"]
    for name, one, two in (
        ("rows", len(found.labels), run.predictions.rows),
        ("seed", found.seed, run.seed),
        ("model", found.model, run.result["model"]["name"]),
        ("digest of the values", digest(found), stated["predictions"]),
        ("label map's hash", found.label_map_hash, stated["label_map"]),
    ):
        if one != two:
            raise SubmissionRefused(
                f"{what} have another {name} ({told(one)}) than the submission states ({told(two)}): they are not of "
                "the run that wrote the result."
            )


def verdict_of(board: Board, path: Path, *, write: bool = False, check: bool = False) -> Verdict:
    """Re-score one submission file; whatever is wrong with it becomes its verdict."""
    began = time.monotonic()
    label = printable(f"{path.parent.name}/{path.stem}")

    def verdict(outcome: Outcome, reason: str = "", **more: Any) -> Verdict:
        return Verdict(label, outcome, printable(reason), seconds=time.monotonic() - began, **more)

    try:
        entry = board.read(path)
        mark = compute_mark(entry.submission, entry.digest, lambda run: board.predictions(run.predictions))
        if check:
            return verdict(*_held(entry, mark), mark=entry.mark)
        kept = entry.mark if entry.mark and entry.mark.same_numbers(mark) else None
        if kept is not None:
            return verdict("unchanged", mark=kept)
        if not write:
            return verdict("right", "Nothing was written: the board is read alone.", mark=mark)
        place = board.mark_path(entry.digest)
        place.parent.mkdir(exist_ok=True)
        write_aside(place, mark.to_bytes())
        board.marks[entry.digest] = mark
        return verdict("marked", mark=mark)
    except Differs as error:
        return verdict("differs", str(error), differences=error.differences)
    except HubError as error:
        return verdict("unreached", str(error))
    except (DataError, OpenmmloError) as error:
        return verdict("refused", str(error))


def _held(entry: Entry, computed: Mark) -> tuple[Outcome, str]:
    """Whether a mark says what was computed."""
    if entry.mark is None:
        return "right", "It has no mark yet."
    if not entry.mark.same_numbers(computed):
        other = [
            str(Difference(one.seed, metric, one.scored.get(metric, "nothing"), two.scored.get(metric, "nothing")))
            for one, two in zip(entry.mark.runs, computed.runs, strict=True)
            for metric in one.other_metrics(two)
        ]
        shown = "; ".join(other[:3]) or "other sets are not pinned"
        return "differs", f"Its mark was not written by re-scoring: {shown}. Remove the mark and score again."
    return "right", ""


def _stale(board: Board, prune: bool) -> list[Verdict]:
    """Marks of submissions that are gone or were changed since; with ``prune`` they are removed instead."""
    held: set[str] = set()
    named: set[str] = set()
    for path in board.paths():
        try:
            entry = board.read(path)
        except SubmissionRefused:
            if prune:
                raise
            continue
        held.add(entry.digest)
        named.update(run.predictions.sha256 for run in entry.submission.runs)
    found = []
    for digest_, mark in board.marks.items():
        if digest_ in held:
            continue
        label = f"{mark.benchmark}/{mark.entry}"
        if prune and board.writable:
            board.mark_path(digest_).unlink()
        else:
            reason = f"Mark {digest_[:12]} is of a submission that is gone or was changed. Remove it with --prune."
            found.append(Verdict(label, "stale", reason))
    if prune and board.writable:
        for path in board.stored_predictions():
            if path.stem not in named:
                path.unlink()
    return found
