"""Commands of the leaderboard: submit a result, and score, check, draw and publish a board.

Like every command they only call what the Python API offers; cli.py hangs them into ``openmmlo``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from openmmlo import cli_options as option

DONE, BAD_INPUT, CHECK_FAILED = 0, 2, 4

leaderboard_app = typer.Typer(
    help="Score a leaderboard's entries again, check it, look at it, publish it.",
    rich_markup_mode=None,
    no_args_is_help=True,
)


def benchmark_names() -> list[str]:
    """For shell completion."""
    from openmmlo.evaluate.benchmark import benchmark_names

    return list(benchmark_names())


Board = Annotated[
    str | None,
    typer.Option(metavar="DIR|OWNER/NAME", help="The board. Default: the folder leaderboard here, else the published."),
]
Entries = Annotated[
    list[str] | None, typer.Argument(metavar="[[BENCHMARK/]ENTRY]...", help="Default: all.", show_default=False)
]
Benchmark = Annotated[str | None, typer.Option(metavar="NAME", autocompletion=benchmark_names, help="Only this one.")]


class Submitting(option.Sectioned):
    """``submit``: its options under headings."""

    sections = {  # noqa: RUF012 - declared as ClassVar above it
        "Who and what": ("name", "authors", "paper", "code", "entry", "method", "note"),
        "What it was given": ("backbone", "pretraining", "captions", "training_set", "auxiliary_data"),
        "Where it goes": ("board", "predictions", "hub", "dry_run"),
    }


def submit(
    results: Annotated[
        list[Path],
        typer.Argument(metavar="RESULT_DIR...", help="Folders that openmmlo eval wrote: the seeds of one method."),
    ],
    name: Annotated[str, typer.Option(metavar="TEXT", help="How tables call it.")],
    authors: Annotated[list[str], typer.Option(metavar="TEXT", help="Repeatable, or parted by commas.")],
    paper: Annotated[str | None, typer.Option(metavar="URL", help="Where it is described.")] = None,
    code: Annotated[str | None, typer.Option(metavar="URL", help="Where its code is.")] = None,
    entry: Annotated[
        str | None,
        typer.Option(metavar="SLUG", help="File name of the entry; default: from --name."),
    ] = None,
    method: Annotated[
        str | None, typer.Option(metavar="KEY", help="The method's key, where the leaderboard explains it.")
    ] = None,
    note: Annotated[str | None, typer.Option(metavar="TEXT", help="One line that stands beside it.")] = None,
    backbone: Annotated[str | None, typer.Option(metavar="TEXT", help="The network; default: the result's.")] = None,
    pretraining: Annotated[
        str | None, typer.Option(metavar="TEXT", help='On what it was trained before; "none": from random weights.')
    ] = None,
    captions: Annotated[
        str | None, typer.Option(metavar="none|masked|raw", help="Captions it read, in training or at test.")
    ] = None,
    training_set: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Benchmark whose training list it learned from, or what else."),
    ] = None,
    auxiliary_data: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Other images or texts it learned from.")
    ] = None,
    board: Board = None,
    predictions: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OWNER/NAME@COMMIT:PATH",
            help="Where on the Hub the predictions lie already, one for each RESULT_DIR; not needed for the miniature.",
        ),
    ] = None,
    hub: Annotated[
        str | None,
        typer.Option(
            metavar="OWNER/NAME", help="Upload the predictions to this data set of yours; open a pull request."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the change; write and send nothing.")] = False,
    json: option.Json = False,
    quiet: option.Quiet = False,
    debug: option.Debug = False,
) -> int:
    """Check results, score them again, and enter them into a leaderboard."""
    from openmmlo import terminal, terminal_leaderboard
    from openmmlo.errors import ConfigError
    from openmmlo.leaderboard.board import open_board
    from openmmlo.leaderboard.submit import About, place_of
    from openmmlo.leaderboard.submit import submit as make

    about = About(
        name=name,
        authors=tuple(part.strip() for item in authors for part in item.split(",") if part.strip()),
        paper=paper, code=code, entry=entry, method=method, note=note, backbone=backbone, pretraining=pretraining,
        captions=captions, training_set=training_set, auxiliary_data=auxiliary_data,
    )  # fmt: skip
    found = open_board(board)
    if hub is not None:
        from openmmlo.leaderboard.hub import submit_through_hub

        if predictions:
            raise ConfigError("--hub uploads the predictions, --predictions says that they are there: give one.")
        sent = submit_through_hub(
            results, about, found, hub, dry_run=dry_run, progress=None if quiet else terminal.ProgressBar(unit=None)
        )
        value = terminal_leaderboard.proposal_json(sent.proposal)
        value |= {"board": sent.to, "uploaded": sent.uploaded, "proposed": sent.proposed}
        terminal.show_json(value) if json else terminal_leaderboard.show_sent(sent)
        return DONE
    if not found.writable and not dry_run:
        raise ConfigError("That board is on the Hub: give --hub OWNER/NAME, a data set of yours, or a folder.")
    proposal = make(results, about, found, [place_of(item) for item in predictions or ()])
    if not dry_run:
        proposal.write()
    value = terminal_leaderboard.proposal_json(proposal) | {"written": not dry_run and proposal.changes}
    terminal.show_json(value) if json else terminal_leaderboard.show_proposal(proposal, dry_run)
    return DONE


@leaderboard_app.command()
def rescore(
    entries: Entries = None,
    board: Board = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Write nothing; hold every mark to what is computed."),
    ] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Also remove marks and predictions that no submission has any more.")
    ] = False,
    against: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Look over what changed since this board; write nothing."),
    ] = None,
    json: option.Json = False,
    debug: option.Debug = False,
) -> int:
    """Compute every metric anew from predictions, and mark the entries that are right."""
    from openmmlo import terminal, terminal_leaderboard
    from openmmlo.errors import ConfigError
    from openmmlo.leaderboard.board import Board as Folder
    from openmmlo.leaderboard.board import open_board
    from openmmlo.leaderboard.rescore import rescore as score
    from openmmlo.leaderboard.review import review

    said = None if json else terminal_leaderboard.show_verdict
    found = open_board(board)
    if against is not None:
        if entries or check or prune:
            raise ConfigError("--against looks over a change; give it neither entries nor --check nor --prune.")
        verdicts = review(Folder(against), found, said)
    else:
        verdicts = score(found, entries or (), check=check, prune=prune, said=said)
    ok = all(verdict.ok for verdict in verdicts)
    value = {"ok": ok, "verdicts": [terminal_leaderboard.verdict_json(verdict) for verdict in verdicts]}
    terminal.show_json(value) if json else terminal_leaderboard.show_verdicts(verdicts)
    return DONE if ok else CHECK_FAILED


@leaderboard_app.command()
def reproduce(
    entry: Annotated[str, typer.Argument(metavar="[BENCHMARK/]ENTRY")],
    weights: Annotated[Path | None, typer.Option(metavar="DIR|FILE", help="The checkpoint that was evaluated.")] = None,
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="As openmmlo eval --model takes it. Default: --weights.")
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Which run, where the entry has several.")] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Root of images and lists; default: OPENMMLO_DATA.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep the new result here.")] = None,
    device: option.Device = None,
    board: Board = None,
    json: option.Json = False,
    quiet: option.Quiet = False,
    debug: option.Debug = False,
) -> int:
    """Evaluate an entry's checkpoint again, and mark the entry reproduced where it agrees."""
    from openmmlo import terminal, terminal_leaderboard
    from openmmlo.leaderboard.board import open_board
    from openmmlo.leaderboard.reproduce import reproduce as run

    done = run(
        open_board(board), entry, model=model, weights=weights, seed=seed, data=data, out=out,
        device=device or "auto", progress=None if quiet else terminal.ProgressBar(),
    )  # fmt: skip
    terminal.show_json(terminal_leaderboard.reproduced_json(done)) if json else terminal_leaderboard.show_reproduced(
        done
    )
    return DONE if done.mark is not None else CHECK_FAILED


@leaderboard_app.command()
def lint(board: Board = None, json: option.Json = False, debug: option.Debug = False) -> int:
    """Find rows that cannot be; exit code 4 where a submission has one."""
    from openmmlo import terminal, terminal_leaderboard
    from openmmlo.leaderboard.board import open_board
    from openmmlo.leaderboard.lint import lint as find

    findings = find(open_board(board))
    failed = any(finding.fails for finding in findings)
    value = {"ok": not failed, "findings": [finding.to_json() for finding in findings]}
    terminal.show_json(value) if json else terminal_leaderboard.show_findings(findings)
    return CHECK_FAILED if failed else DONE


@leaderboard_app.command()
def site(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the pages go.")] = Path("leaderboard-site"),
    board: Board = None,
    json: option.Json = False,
    quiet: option.Quiet = False,
    debug: option.Debug = False,
) -> int:
    """Write the leaderboard as pages that need no server."""
    from openmmlo import terminal
    from openmmlo.leaderboard.board import open_board
    from openmmlo.leaderboard.site import write_site

    made = write_site(open_board(board), out, None if quiet else terminal.ProgressBar())
    terminal.show_json(made) if json else typer.echo(f"{out / 'index.html'}: open it in a browser.")
    return DONE


@leaderboard_app.command()
def show(
    benchmark: Benchmark = None, board: Board = None, json: option.Json = False, debug: option.Debug = False
) -> int:
    """Print the tables: as many of the first columns as the terminal has room for."""
    from json import loads

    from openmmlo import terminal, terminal_leaderboard
    from openmmlo.evaluate.benchmark import load_benchmark
    from openmmlo.leaderboard.board import open_board
    from openmmlo.leaderboard.rows import tables
    from openmmlo.leaderboard.site.downloads import json_of

    wanted = None if benchmark is None else load_benchmark(benchmark).name
    found = [table for table in tables(open_board(board)) if wanted in (None, table.benchmark.name)]
    terminal.show_json(loads(json_of(found))) if json else terminal_leaderboard.show_tables(found)
    return DONE


@leaderboard_app.command()
def push(
    to: Annotated[str | None, typer.Option(metavar="OWNER/NAME", help="The data set that takes the board.")] = None,
    space: Annotated[
        str | None, typer.Option(metavar="OWNER/NAME", help="The static Space that takes its pages.")
    ] = None,
    board: Board = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Also delete and overwrite what others put there.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Make ready and check; contact nobody.")] = False,
    json: option.Json = False,
    quiet: option.Quiet = False,
    debug: option.Debug = False,
) -> int:
    """Publish a board on the Hub: its folder as a data set, its pages as a static Space."""
    from openmmlo import terminal, terminal_leaderboard
    from openmmlo.errors import ConfigError
    from openmmlo.leaderboard.board import open_board
    from openmmlo.leaderboard.hub import push as send

    if to is None and space is None:
        raise ConfigError(
            "Nothing to do: give --to OWNER/NAME for the board, --space OWNER/NAME for its pages, or both."
        )
    done = send(
        open_board(board), to, space, replace=replace, dry_run=dry_run,
        progress=None if quiet else terminal.ProgressBar(unit=None),
    )  # fmt: skip
    terminal.show_json({"pushed": done}) if json else terminal_leaderboard.show_pushed(done)
    return DONE


@leaderboard_app.command()
def fetch(
    repo: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="A board on the Hub.")],
    to: Annotated[Path, typer.Option(metavar="DIR", help="Where to.")] = Path("leaderboard"),
    revision: Annotated[
        str | None, typer.Option(metavar="NAME", help="Branch, tag, commit or refs/pr/N; default: main.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Overwrite files that read otherwise here.")] = False,
    json: option.Json = False,
    quiet: option.Quiet = False,
    debug: option.Debug = False,
) -> int:
    """Bring a board on the Hub, or a pull request to it, into a folder: to score it again, and push it back."""
    from openmmlo import terminal, terminal_leaderboard
    from openmmlo.leaderboard.hub import fetch_board

    progress = None if quiet else terminal.ProgressBar(unit=None)
    done = fetch_board(repo, to, revision, replace=replace, progress=progress)
    terminal.show_json(done) if json else terminal_leaderboard.show_fetched(done)
    return DONE


@leaderboard_app.command()
def card(
    what: Annotated[
        str, typer.Argument(metavar="RESULT_DIR|[BENCHMARK/]ENTRY", help="Whose numbers; an entry's are its mark's.")
    ],
    into: Annotated[Path, typer.Option(metavar="FILE", help="A model's README.md; made where there is none.")],
    board: Board = None,
    json: option.Json = False,
    debug: option.Debug = False,
) -> int:
    """Write numbers into a model card, as the Hub reads them (model-index)."""
    from openmmlo import terminal
    from openmmlo.leaderboard.board import open_board
    from openmmlo.leaderboard.model_card import measured, write_card

    numbers = measured(what, None if Path(what).is_dir() else open_board(board))
    done = write_card(numbers, into)
    terminal.show_json(done) if json else typer.echo(f"{done.path}: {done.added:,} new, {done.replaced:,} replaced.")
    return DONE
