"""Results and findings come in; text for a person or one JSON object for a script goes out."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TextIO

import typer

if TYPE_CHECKING:
    from openmmlo.building import BuildResult, PlanSummary
    from openmmlo.records import Finding

COLOURS = {"ok": typer.colors.GREEN, "warning": typer.colors.YELLOW, "error": typer.colors.RED}


def show_json(value: Any) -> None:
    """Write one value as JSON to stdout; dataclasses become objects, paths become text."""
    typer.echo(json.dumps(value, default=_plain, ensure_ascii=False, indent=2))


def _plain(value: Any) -> Any:
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else str(value)


def show_findings(findings: Iterable[Finding]) -> None:
    """One line a finding, its remedy under it, the worst last, where the eye ends up."""
    order = ("ok", "warning", "error")
    for finding in sorted(findings, key=lambda finding: order.index(finding.level)):
        typer.echo(f"{typer.style(f'{finding.level:<8}', fg=COLOURS[finding.level])}{_indented(finding.what)}")
        if finding.remedy:
            typer.echo(f"{'':<8}-> {_indented(finding.remedy, 11)}")


def _indented(text: str, by: int = 8) -> str:
    return text.replace("\n", "\n" + " " * by)


def show_tables(tables: Mapping[str, Mapping[str, str]]) -> None:
    """Each table under its heading: a name and a phrase a line."""
    width = max((len(name) for table in tables.values() for name in table), default=0) + 2
    for number, (heading, table) in enumerate(tables.items()):
        typer.echo(f"{'' if number == 0 else chr(10)}{heading}")
        for name, phrase in table.items():
            typer.echo(f"  {name:<{width}}{phrase}".rstrip())


def show_plan(plan: PlanSummary) -> None:
    """What a build would do."""
    typer.echo(f"{plan.source}: {plan.samples:,} images, {plan.done_shards:,} of {plan.shards:,} shards done")
    for split, count in plan.splits.items():
        typer.echo(f"  {split:<16}{count:>10,}")
    show_findings(plan.findings)
    typer.echo(f"Fingerprint {plan.fingerprint}. Nothing was written." if plan.fingerprint else "Nothing was written.")


def show_result(result: BuildResult) -> None:
    """What a build did: rows a split, errors a status and where to read of them, and how to load the data set."""
    for split, count in result.rows.items():
        typer.echo(f"  {split:<16}{count:>10,} rows")
    failed = sum(result.errors.values())
    for status, count in sorted(result.errors.items()):
        typer.echo(f"  {status:<16}{count:>10,} failed")
    if failed:
        where = f": {result.out / 'errors.jsonl'}" if result.complete else " will stand in errors.jsonl at the end"
        typer.echo(f"Why they failed{where}. To try them again: the same command with --retry failed")
    if result.halved_batches:
        typer.echo(f"{result.halved_batches:,} batches were halved for want of memory; a smaller --batch-size helps.")
    if result.images_per_second:
        typer.echo(f"This run took {duration(result.seconds)}, {result.images_per_second:,.1f} images/s.")
    elif result.complete:
        typer.echo("Everything was built already.")
    if result.complete and not sum(result.rows.values()):
        typer.echo(f"No image became a row, so there is nothing to load in {result.out}.")
    elif result.complete:
        typer.echo(f"The data set is in {result.out}. Load it:")
        typer.echo(f'  import datasets; datasets.load_dataset("{result.out}", "masked")')
    else:
        typer.echo(f"{result.remaining_shards:,} shards are left; who finishes the last one completes {result.out}.")


class ProgressBar:
    """A bar with images/s, time left and failures on a terminal; elsewhere a line now and then.

    Args:
        stream: stderr unless told otherwise, so that stdout holds results alone.
        seconds: how far apart the lines are where the stream is no terminal.
    """

    def __init__(self, stream: TextIO | None = None, seconds: float = 30.0) -> None:
        self.stream = sys.stderr if stream is None else stream
        self.seconds = seconds
        self._bar: Any = None
        self._total = self._done = self._before = self._failed = 0
        self._started = self._spoke = time.monotonic()

    def start(self, total: int, done: int) -> None:
        """``done`` of ``total`` images were finished by earlier runs."""
        self._total, self._done, self._before = total, done, done
        self._started = self._spoke = time.monotonic()
        if self.stream.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                total=total, initial=done, unit=" images", dynamic_ncols=True, file=self.stream, smoothing=0.1
            )

    def advance(self, rows: int, failed: int) -> None:
        """``rows`` more images are finished, ``failed`` of them as error rows."""
        self._done += rows
        self._failed += failed
        if self._bar is not None:
            self._bar.set_postfix(failed=self._failed, refresh=False)
            self._bar.update(rows)
        elif time.monotonic() - self._spoke >= self.seconds:
            self._spoke = time.monotonic()
            self.say(self.line())

    def line(self) -> str:
        """Where the build stands, as one line of text."""
        rate = (self._done - self._before) / max(time.monotonic() - self._started, 1e-9)
        left = f"{duration((self._total - self._done) / rate)} left" if rate > 0 else "time left unknown"
        return f"{self._done:,} of {self._total:,} images, {rate:,.1f} images/s, {self._failed:,} failed, {left}"

    def say(self, message: str) -> None:
        """A message above the bar."""
        if self._bar is not None:
            self._bar.write(message, file=self.stream)
        else:
            self.stream.write(message + "\n")
            self.stream.flush()

    def close(self) -> None:
        """End the bar, or leave a last line."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        elif self._done > self._before:
            self.say(self.line())


def duration(seconds: float) -> str:
    """Time for a person: ``40 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
