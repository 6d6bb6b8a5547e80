"""Training runs come in; what a person at a terminal sees of them goes out."""

from __future__ import annotations

from collections.abc import Mapping
from shlex import quote
from typing import TYPE_CHECKING, TextIO

import typer

from openmmlo.terminal import ProgressBar, duration, show_findings, show_grid

if TYPE_CHECKING:
    from openmmlo.train.dry_run import DryRun
    from openmmlo.train.outcome import Outcome


class TrainingBar(ProgressBar):
    """A bar with samples/s and time left, and beside it the latest loss and the memory in use."""

    def __init__(self, stream: TextIO | None = None, seconds: float = 30.0) -> None:
        super().__init__(stream, seconds, unit="samples")
        self._latest: dict[str, float] = {}

    def note(self, values: Mapping[str, float]) -> None:
        """The newest numbers of the log."""
        self._latest |= values
        if self._bar is not None:
            self._bar.set_postfix_str(self._noted(), refresh=False)

    def advance(self, rows: int, failed: int) -> None:
        """``rows`` more samples were trained on."""
        self._done += rows
        if self._bar is not None:
            self._bar.update(rows)
        else:
            self._speak()

    def line(self) -> str:
        """Where the run stands, as one line of text."""
        rate = self._rate()
        left = f"{duration((self._total - self._done) / rate)} left" if rate > 0 else "time left unknown"
        said = f"{self._done:,} of {self._total:,} samples, {rate:,.1f} samples/s, {left}"
        return f"{said}, {noted}" if (noted := self._noted()) else said

    def _noted(self) -> str:
        words = []
        if "loss" in self._latest:
            words.append(f"loss {self._latest['loss']:.4g}")
        if self._latest.get("memory_mb", 0) > 0:
            words.append(f"{self._latest['memory_mb'] / 1000:.1f} GB")
        return ", ".join(words)


def show_dry_run(found: DryRun) -> None:
    """What a run would be, and what would be refused."""
    typer.echo(f"Aims at: {found.target}")
    if found.method:
        typer.echo(f"Method:  {', '.join(f'{what} {name}' for what, name in found.method.items())}")
    if found.samples:
        counts = ", ".join(f"{count:,} for {what}" for what, count in found.samples.items())
        typer.echo(f"Samples: {counts}")
        parted = f", in {found.accumulation} accumulated batches" if found.accumulation > 1 else ""
        typer.echo(
            f"Length:  {found.steps:,} steps of {found.batch:,} samples{parted}: {found.epochs:,.2f} epochs of "
            f"{found.steps_an_epoch:,} steps"
        )
    if found.parameters:
        typer.echo()
        rows = [("Parameters", "all", "trained")]
        rows += [(name, f"{total:,}", f"{trained:,}") for name, (total, trained) in found.parameters.items()]
        sums = [sum(pair[index] for pair in found.parameters.values()) for index in (0, 1)]
        show_grid([*rows, ("together", *(f"{value:,}" for value in sums))])
    if found.memory:
        typer.echo()
        show_grid([("Memory", "MB"), *((name, f"{size / 10**6:,.1f}") for name, size in found.memory.items())])
        typer.echo(f"Activations were {found.activations}.")
    if found.findings:
        typer.echo()
        show_findings(found.findings)
    typer.echo("This would be refused. Nothing was trained." if found.refused else "Nothing was trained.")


def show_outcome(outcome: Outcome, benchmark: str) -> None:
    """How a run ended, and what to do with what it left.

    Args:
        benchmark: name or folder to evaluate it on.
    """
    log = outcome.training.get("log", {})
    if outcome.finished_before:
        typer.echo(f"{outcome.folder} is finished already; nothing was done. Another run goes to another --out.")
    else:
        shown = ", ".join(
            f"{name.replace('_', ' ')} {value:.4g}"
            for name, value in log.items()
            if (name == "loss" or name.startswith("validation_")) and isinstance(value, float)
        )
        typer.echo(f"Trained {log.get('steps', 0):,} steps in {duration(log.get('seconds', 0.0))}: {shown}")
        if isinstance(log.get("waiting"), float):
            typer.echo(f"{100 * log['waiting']:.1f} % of a step was waiting for data.")
    typer.echo(f"The checkpoint is in {outcome.folder}; its curves: {outcome.folder / 'curve.png'}")
    typer.echo(f"  openmmlo eval --model {quote(str(outcome.folder))} --benchmark {quote(benchmark)}")
