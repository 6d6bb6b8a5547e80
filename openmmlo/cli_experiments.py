"""Commands that run the experiments of the documentation, and write its page of them.

Like every command they only call what the Python API offers; cli.py hangs them into ``openmmlo``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from openmmlo import cli_options as option

FAILED, CHECK_FAILED = 3, 4

experiments_app = typer.Typer(
    help="Train and evaluate the baselines on the miniature; write their tables and plots.",
    rich_markup_mode=None, no_args_is_help=True,
)  # fmt: skip


def names() -> list[str]:
    """For shell completion."""
    from openmmlo.experiments.plan import EXPERIMENTS, runs_of

    return [*(item.name for item in EXPERIMENTS), *(run.recipe for run in runs_of(EXPERIMENTS))]


Out = Annotated[Path, typer.Option(metavar="DIR", help="Folder of data, checkpoints and results; run again to go on.")]
Seeds = Annotated[list[int] | None, typer.Option("--seed", metavar="N", help="Repeatable. Default: 0, 1 and 2.")]
Only = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", autocompletion=names, help="Only this experiment, or recipe; repeatable."),
]
Data = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Folder that openmmlo build wrote, in place of a new miniature.")
]
Benchmark = Annotated[str, typer.Option(metavar="NAME|DIR|FILE", help="What is evaluated on.")]
Device = Annotated[str, typer.Option(metavar="NAME", help="cpu, cuda, cuda:1, mps or auto.")]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A key of every recipe, to try the plan out; repeatable."),
]

SEEDS = (0, 1, 2)


@experiments_app.command("run")
def run(
    out: Out = Path("experiments"),
    seeds: Seeds = None,
    only: Only = None,
    jobs: Annotated[int | None, typer.Option(metavar="N", help="Processes. Default: one a core.")] = None,
    board: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Enter what is finished on this board, re-scored; a new one is made."),
    ] = None,
    data: Data = None,
    benchmark: Benchmark = "miniature",
    device: Device = "cpu",
    assignments: Assignments = None,
    json: option.Json = False,
    quiet: option.Quiet = False,
    debug: option.Debug = False,
) -> int:
    """Train and evaluate what is not finished; killed at any moment, the same command goes on."""
    from openmmlo import terminal, terminal_experiments
    from openmmlo.config import parse_set
    from openmmlo.experiments.run import run as carry_out

    ran = carry_out(
        out, seeds or SEEDS, only or (), jobs, None if quiet else terminal_experiments.RunsBar(), data=data,
        benchmark=benchmark, device=device, changes=parse_set(assignments or []),
    )  # fmt: skip
    if board is None or ran.failed:
        terminal.show_json(ran) if json else terminal_experiments.show_ran(ran, out)
        return FAILED if ran.failed else 0
    from openmmlo import terminal_leaderboard
    from openmmlo.experiments.submit import submit as hand_in
    from openmmlo.leaderboard.board import Board
    from openmmlo.leaderboard.rescore import rescore

    board.mkdir(parents=True, exist_ok=True)
    done = hand_in(
        out, Board(board), seeds or SEEDS, only=only or (), data=data, benchmark=benchmark, device=device,
        changes=parse_set(assignments or []),
    )  # fmt: skip
    entries = [*(item.submission.entry for item in done.proposals), *done.unchanged]
    said = None if json else terminal_leaderboard.show_verdict
    if not json:
        terminal_experiments.show_ran(ran, out)
        terminal_experiments.show_submitted(done, dry_run=False, marks_follow=True)
    verdicts = rescore(Board(board), entries, said=said) if entries else []
    if json:
        value = [terminal_leaderboard.verdict_json(verdict) for verdict in verdicts]
        terminal.show_json({"ran": ran, "left_out": dict(done.left_out), "verdicts": value})
    return 0 if verdicts and all(item.ok for item in verdicts) else CHECK_FAILED


@experiments_app.command("status")
def status(
    out: Out = Path("experiments"),
    seeds: Seeds = None,
    only: Only = None,
    data: Data = None,
    benchmark: Benchmark = "miniature",
    device: Device = "cpu",
    assignments: Assignments = None,
    json: option.Json = False,
    debug: option.Debug = False,
) -> int:
    """Say which runs are finished, and how long it took."""
    from openmmlo import terminal, terminal_experiments
    from openmmlo.config import parse_set
    from openmmlo.experiments.status import status as look

    found = look(
        out, seeds or SEEDS, only or (), data=data, benchmark=benchmark, device=device,
        changes=parse_set(assignments or []),
    )  # fmt: skip
    terminal.show_json(found) if json else terminal_experiments.show_status(found)
    return 0


@experiments_app.command("write")
def write(
    out: Out = Path("experiments"),
    docs: Annotated[Path, typer.Option(metavar="DIR", help="Where experiments.md and its images go.")] = Path("docs"),
    seeds: Seeds = None,
    data: Data = None,
    benchmark: Benchmark = "miniature",
    device: Device = "cpu",
    assignments: Assignments = None,
    json: option.Json = False,
    debug: option.Debug = False,
) -> int:
    """Write the page of the experiments, with tables and plots, from what is finished."""
    from openmmlo import terminal, terminal_experiments
    from openmmlo.config import parse_set
    from openmmlo.experiments.document import write as write_page

    written = write_page(
        out, docs, seeds or SEEDS, data=data, benchmark=benchmark, device=device,
        changes=parse_set(assignments or []),
    )  # fmt: skip
    terminal.show_json(written) if json else terminal_experiments.show_written(written)
    return 0


@experiments_app.command("submit")
def submit(
    out: Out = Path("experiments"),
    board: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the leaderboard.")] = Path("leaderboard"),
    seeds: Seeds = None,
    only: Only = None,
    data: Data = None,
    device: Device = "cpu",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written; write nothing.")] = False,
    json: option.Json = False,
    debug: option.Debug = False,
) -> int:
    """Write an entry of the leaderboard for every run that has all its seeds."""
    from openmmlo import terminal, terminal_experiments
    from openmmlo.experiments.submit import submit as hand_in
    from openmmlo.leaderboard.board import Board

    done = hand_in(out, Board(board), seeds or SEEDS, only=only or (), dry_run=dry_run, data=data, device=device)
    if json:
        entries = [item.submission.entry for item in done.proposals]
        terminal.show_json({"written": entries, "unchanged": done.unchanged, "left_out": dict(done.left_out)})
    else:
        terminal_experiments.show_submitted(done, dry_run)
    return 0
