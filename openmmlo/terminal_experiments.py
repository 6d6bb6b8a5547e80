"""Experiments come in; what a person at a terminal sees of them goes out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import typer

from openmmlo.terminal import ProgressBar, duration, show_grid

if TYPE_CHECKING:
    from openmmlo.experiments.document import Written
    from openmmlo.experiments.run import Ran
    from openmmlo.experiments.status import Status
    from openmmlo.experiments.submit import Submitted


class RunsBar(ProgressBar):
    """A bar of runs, with runs a minute and time left."""

    def __init__(self, stream: TextIO | None = None, seconds: float = 60.0) -> None:
        super().__init__(stream, seconds, unit="runs")

    def advance(self, rows: int, failed: int) -> None:
        """``rows`` more runs have ended, ``failed`` of them without a result."""
        self._done += rows
        self._failed += failed
        if self._bar is not None:
            self._bar.set_postfix(failed=self._failed, refresh=False)
            self._bar.update(rows)
        elif time.monotonic() - self._spoke >= self.seconds:
            self._spoke = time.monotonic()
            self.say(self.line())

    def line(self) -> str:
        """Where the run stands, as one line of text."""
        rate = self._rate()
        left = f"about {duration((self._total - self._done) / rate)} left" if rate > 0 else "time left unknown"
        failed = f", {self._failed} failed" if self._failed else ""
        return f"{self._done} of {self._total} runs{failed}, {60 * rate:.2f} runs/min, {left}"


def show_ran(ran: Ran, out: Path) -> None:
    """What became of a run of experiments."""
    for failure in ran.failed:
        log = f" Its log: {failure.log}" if failure.log is not None else ""
        typer.echo(f"{typer.style('failed', fg=typer.colors.RED)}  {failure.job}: {failure.reason}{log}")
    typer.echo(
        f"{ran.finished} runs finished in {duration(ran.seconds)}; {ran.before} were finished before; "
        f"{len(ran.failed)} failed."
    )
    if ran.failed:
        typer.echo("The same command tries the failed ones again, and nothing else.")
    typer.echo(f"Tables and plots of them: openmmlo experiments write --out {out}")


def show_status(found: Status) -> None:
    """A line a run."""
    rows = [("run", "finished", "missing", "time")]
    for item in found.runs:
        finished, missing = (" ".join(map(str, seeds)) or "-" for seeds in (item.finished, item.missing))
        rows.append((item.run, finished, missing, duration(item.seconds) if item.finished else "-"))
    show_grid(rows)
    done = sum(len(item.finished) for item in found.runs)
    total = done + sum(len(item.missing) for item in found.runs)
    number = len(found.sessions)
    took = f"{number} session{'' if number == 1 else 's'} took {duration(found.wall)} in all"
    typer.echo(f"{done} of {total} runs are finished; {took}.")
    if done < total:
        left = "is not known before one of each kind is finished" if found.left is None else duration(found.left)
        typer.echo(f"What the others will take of one worker: {left}.")
    for name in found.failed:
        typer.echo(f"Failed in the last session: {name}")


def show_written(written: Written) -> None:
    """Where the page is, and what it lacks."""
    if written.missing:
        typer.echo(f"{len(written.missing)} runs are missing in it, and named there.")
    typer.echo(f"{written.page}, with {len(written.images)} pictures in {written.page.parent / 'images'}")


def show_submitted(done: Submitted, dry_run: bool, marks_follow: bool = False) -> None:
    """Which entries were written, which stood there, and which runs are none; and how they get their marks."""
    for proposal in done.proposals:
        typer.echo(f"{'would be written' if dry_run else 'written':<18}{proposal.submission.entry}")
    for entry in done.unchanged:
        typer.echo(f"{'unchanged':<18}{entry}")
    for name, reason in done.left_out.items():
        typer.echo(f"{'left out':<18}{name}: {reason}")
    if done.proposals and not dry_run and not marks_follow:
        typer.echo("Their marks: openmmlo leaderboard rescore")
