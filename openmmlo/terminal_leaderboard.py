"""What the leaderboard's commands print. Texts of strangers are printed without anything that steers a terminal."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from openmmlo.terminal import COLOURS, percent, show_grid

if TYPE_CHECKING:
    from openmmlo.leaderboard.hub import Fetched, HubSubmission, Pushed
    from openmmlo.leaderboard.lint import Finding
    from openmmlo.leaderboard.reproduce import Reproduced
    from openmmlo.leaderboard.rescore import Verdict
    from openmmlo.leaderboard.rows import Table
    from openmmlo.leaderboard.submit import Proposal

_SHOWN = 20
_WORDS = {
    "marked": "re-scored", "unchanged": "ok", "right": "ok", "differs": "differs", "refused": "refused",
    "unreached": "unreached", "stale": "stale",
}  # fmt: skip


def proposal_json(proposal: Proposal) -> dict[str, Any]:
    """What a script wants to know of a submission."""
    return {
        "entry": proposal.submission.label,
        "path": str(proposal.path),
        "changes": proposal.changes,
        "diff": proposal.diff(),
        "predictions": [str(path) for path in proposal.predictions],
    }


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """What a script wants to know of a re-scored entry."""
    return {
        "entry": verdict.entry,
        "ok": verdict.ok,
        "outcome": verdict.outcome,
        "reason": verdict.reason,
        "differences": [vars(item) for item in verdict.differences],
        "seconds": round(verdict.seconds, 3),
    }


def reproduced_json(done: Reproduced) -> dict[str, Any]:
    """What a script wants to know of a checkpoint that was run again."""
    return {
        "entry": done.entry,
        "ok": done.mark is not None,
        "reason": done.reason,
        "reproduction": done.reproduction.to_json(),
    }


def show_proposal(proposal: Proposal, dry_run: bool) -> None:
    """What a submission changes, and what comes next."""
    label = proposal.submission.label
    if not proposal.changes:
        typer.echo(f"{label} is there already, with the same content. Nothing to do.")
        return
    if dry_run:
        _show_diff(proposal)
        for path in proposal.predictions:
            _echo(f"{path}: the predictions would be copied to it.")
        typer.echo("Every metric is that of its predictions. Nothing was written.")
        return
    for path in (*proposal.predictions, proposal.path):
        _echo(str(path))
    typer.echo(
        f"{label} is entered: every metric is that of its predictions. Its mark: openmmlo leaderboard rescore {label}"
    )


def show_sent(sent: HubSubmission) -> None:
    """What was uploaded and where the pull request is, or what would be sent."""
    label = sent.proposal.submission.label
    if sent.uploaded is None or sent.proposed is None:
        _show_diff(sent.proposal)
        for run in sent.proposal.submission.runs:
            file = run.predictions
            _echo(f"{file.place.repo}: {file.place.path}, {file.bytes:,} bytes, would be there")
        typer.echo(f"{sent.to}: a pull request would add the submission, with the commit of the upload for the zeros.")
        typer.echo("Every metric is that of its predictions. Nothing was sent.")
        return
    up = sent.uploaded
    _echo(f"{up.url}: {len(up.paths)} predictions at commit {up.revision[:12]}, {up.sent_bytes:,} bytes sent")
    if sent.proposed.number is None:
        _echo(f"{label} is there already, with the same content: {sent.proposed.url}")
    else:
        words = "is proposed" if sent.proposed.opened else "was changed" if sent.proposed.changed else "stays proposed"
        _echo(f"{label} {words}: {sent.proposed.url}")


def show_pushed(done: Sequence[Pushed]) -> None:
    """What of a board and its pages is on the Hub now."""
    for item in done:
        if item.dry_run:
            typer.echo(f"{item.repo}: {item.files:,} files, {item.bytes:,} bytes. Nothing was sent.")
        else:
            sent = f"sent {item.sent_files:,} of {item.files:,} files" if item.sent_files else "holds the same already"
            typer.echo(f"{item.url}: {sent}")
        for path in item.deleted[:_SHOWN]:
            _echo(f"  deleted there: {path}")
        if item.left_here:
            _echo(f"  no part of a board, left here: {', '.join(item.left_here[:_SHOWN])}")


def show_fetched(done: Fetched) -> None:
    """What came, and what comes next."""
    typer.echo(
        f"{done.folder}: {done.repo} at commit {done.commit[:12]}; {len(done.added):,} files are new, "
        f"{len(done.replaced):,} were replaced."
    )
    if done.only_here:
        _echo(f"  only here: {', '.join(done.only_here[:_SHOWN])}")
    typer.echo(f"Score it again: openmmlo leaderboard rescore --board {done.folder}")


def _show_diff(proposal: Proposal) -> None:
    for line in proposal.diff().splitlines():
        colour = {"+": typer.colors.GREEN, "-": typer.colors.RED}.get(line[:1])
        typer.echo(typer.style(line, fg=colour) if colour else line)


def show_verdict(verdict: Verdict) -> None:
    """One line an entry, and every metric that differs."""
    level = "ok" if verdict.ok else "warning" if verdict.outcome in ("stale", "unreached") else "error"
    word = typer.style(f"{_WORDS[verdict.outcome]:<10}", fg=COLOURS[level])
    typer.echo(f"{word}{verdict.entry}" + (f" ({verdict.seconds:.1f} s)" if verdict.seconds >= 0.1 else ""))
    if verdict.differences:
        for item in verdict.differences[:_SHOWN]:
            _echo(str(item), 10)
        if len(verdict.differences) > _SHOWN:
            typer.echo(f"{'':<10}and {len(verdict.differences) - _SHOWN:,} more metrics")
    elif verdict.reason:
        _echo(verdict.reason, 10)


def show_verdicts(verdicts: Sequence[Verdict]) -> None:
    """How many there were of each kind."""
    counts = {word: sum(_WORDS[item.outcome] == word for item in verdicts) for word in dict.fromkeys(_WORDS.values())}
    text = ", ".join(f"{count:,} {word}" for word, count in counts.items() if count)
    typer.echo(f"{text}." if text else "No entry.")


def show_reproduced(done: Reproduced) -> None:
    """How far a checkpoint agrees with what was submitted."""
    made = done.reproduction
    show_grid(
        [
            ("seed", str(made.seed)),
            ("same predicted class", percent(made.agreement)),
            (f"largest difference, {made.metric}", f"{made.difference:.3g}"),
            ("ran on", made.device),
        ]
    )
    typer.echo(f"{done.entry} is reproduced." if done.mark is not None else f"{done.entry} is not: {done.reason}.")


def show_tables(tables: Sequence[Table]) -> None:
    """A table a benchmark, in the width of the terminal, with what it leaves out and who still waits for a mark."""
    from openmmlo.leaderboard.show import shown

    width = shutil.get_terminal_size((80, 24)).columns
    for number, table in enumerate(tables):
        typer.echo(f"{'' if number == 0 else chr(10)}{table.benchmark.name}: {table.benchmark.title} Rates in percent.")
        found = shown(table, width)
        for line in found.lines:
            _echo(line)
        if found.left_out:
            _echo(f"No room for: {', '.join(found.left_out)}. A wider terminal or --json shows them.")
        remarked = sum(bool(row.remarks) for row in table.rows)
        if remarked:
            typer.echo(f"{remarked:,} of {len(table.rows):,} rows have remarks: --json and the site show them.")
        if table.awaiting:
            _echo(f"Not re-scored yet: {', '.join(table.awaiting)}.")
    if not tables:
        typer.echo("No entry.")


def show_findings(findings: Sequence[Finding]) -> None:
    """What stands against a paper's rows, what cannot be checked, and last what makes the check fail."""
    words = {(True, False): "error", (False, False): "warning", (False, True): "note"}
    for item in sorted(findings, key=lambda item: (item.fails, not item.note)):
        word = words[item.fails, item.note]
        colour = COLOURS.get(word)
        typer.echo(f"{typer.style(f'{word:<8}', fg=colour) if colour else f'{word:<8}'}", nl=False)
        _echo(f"{item.subject}: {item.text} [{item.rule}]")
    failed = sum(item.fails for item in findings)
    printed = sum(item.origin == "reported" for item in findings)
    typer.echo(f"{failed:,} findings in submissions, {printed:,} in reported tables.")


def _echo(text: str, indent: int = 0) -> None:
    """Print text that may be a stranger's."""
    from openmmlo.leaderboard.limits import printable

    typer.echo(" " * indent + printable(text))
