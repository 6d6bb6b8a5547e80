"""Results and findings come in; text for a person or one JSON object for a script goes out."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

import typer

if TYPE_CHECKING:
    from pathlib import Path

    from openmmlo.building import BuildResult, PlanSummary
    from openmmlo.building.publishing import PullResult, PushResult, Verification
    from openmmlo.building.wordnet import SetUp
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
    if result.masks:
        typer.echo(f"Captions with a mask: {_mask_rates(result)}.")
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
        show_measured(result)
    elif not result.remaining_shards:
        typer.echo(
            f"Every shard is finished, and another process is still at work in {result.out}; it completes the data "
            "set, or the same command does once it has ended."
        )
    else:
        typer.echo(f"{result.remaining_shards:,} shards are left; who finishes the last one completes {result.out}.")


def _mask_rates(result: BuildResult) -> str:
    """In and out of distribution side by side: captions that never carry a mask would be a shortcut."""
    names = {"id": "in distribution", "ood": "out of distribution"}
    parts = []
    for key, name in names.items():
        rows, masked = result.masks[key]["rows"], result.masks[key]["masked"]
        parts.append(f"{percent(masked / rows)} of {rows:,} {name}" if rows else f"none are {name}")
    return ", ".join(parts)


def show_measured(result: BuildResult) -> None:
    """The headline of what was measured, where to see all of it, and what could not be measured."""
    measured = result.measured
    if measured is None:
        return
    if measured.leak_rate is not None:
        typer.echo(f"Masked captions that still give their class away: {percent(measured.leak_rate)}.")
    if measured.report is not None:
        typer.echo(f"Look at it: {measured.report}")
    for name, reason in measured.failed.items():
        again = f"openmmlo {name} {result.out}" if name != "card" else "the same command"
        typer.echo(f"{name} failed: {reason}\n  The data set is whole without it. To try again: {again}")


def show_statistics(found: Mapping[str, Any], path: Path) -> None:
    """What ``measure_statistics`` found, a line a split; where two values stand in a cell they are raw | masked."""
    training, splits = found["training"], found["splits"]
    groups = ", ".join(f"{count:,} {name}" for name, count in training["shot_groups"].items())
    typer.echo(f"Training images of {training['classes']:,} classes ({groups}), then the images of each split by class")
    rows: list[tuple[str, ...]] = [
        ("", "images", "most", "fewest", "no image", "imbalance", "Gini", "top 20 %", "masked")
    ]
    keys = ("images", "max", "min", "empty", "imbalance_factor", "gini")
    lines: list[tuple[str, Any, float | None]] = [("training", training, None)]
    for name, block in splits.items():
        # Where no image is of a known class, those out of distribution are looked at, by what they show.
        unknown = not block["classes"]["images"] and block["ood"]
        lines.append(
            (f"{name} (OOD)", block["ood"], block["mask_rate"])
            if unknown
            else (name, block["classes"], block["mask_rate"])
        )
    for name, block, masked in lines:
        cells = (number(block[key]) for key in keys)
        rows.append((name, *cells, percent(block["pareto"]["images"]), percent(masked)))
    show_grid(rows)
    for title, key in (("Words", None), ("Nouns", "nouns")):
        if key is not None and found["wordnet"] is None:
            typer.echo("\nNouns were not counted: WordNet 3.0 is not at hand. Bring it with openmmlo wordnet setup.")
            continue
        typer.echo(f"\n{title}: captions as written | masked")
        rows = [("", "tokens", "types", "Gini", "top 20 % of types", "Zipf slope")]
        for name, block in splits.items():
            sides = [block[side] if key is None else block[side][key] for side in ("raw", "masked")]
            zipf = [(side["zipf"] or {"slope": None})["slope"] for side in sides]
            rows.append(
                (
                    name,
                    *(" | ".join(number(side[value]) for side in sides) for value in ("tokens", "types", "gini")),
                    " | ".join(percent(side["pareto"]["tokens"]) for side in sides),
                    " | ".join(map(number, zipf)),
                )
            )
        show_grid(rows)
    typer.echo("\nCaptions that name a class, and Spearman's rank correlation of that with its training images")
    rows = [("", "some class", "own class", "another", "correlation")]
    for name, block in splits.items():
        sides = [block["naming"], block["naming"]["masked"]]
        names = ("captions_naming_a_class", "captions_naming_own_class", "captions_naming_another_class")
        cells = (" | ".join(number(side[value]) for side in sides) for value in names)
        rows.append((name, *cells, " | ".join(number((side["spearman"] or {"rho": None})["rho"]) for side in sides)))
    show_grid(rows)
    typer.echo(f"\nAll of it is in {path}.")


QUALITY = {
    "empty": "no letter or digit",
    "repeated_ngrams": "repeat themselves",
    "refusals": "refuse",
    "prompt_echoes": "echo the prompt",
    "unfinished": "end in mid-sentence",
    "addresses": "hold an address",
    "special_tokens": "hold special tokens",
    "broken_characters": "broken characters",
    "other_script": "not in Latin script",
    "only_mask": "nothing but the mask",
    "exact_duplicates": "exact copies in the split",
    "near_duplicates": "near copies in the split",
    "masked_duplicates": "masked copies in the split",
    "across_classes": "near copies, another class",
    "masked_across_classes": "masked, of another class too",
    "copies_of_train": "near copies of train",
}
"""Share of captions on a quality card -> how a table names it."""


def show_quality(found: Mapping[str, Any], path: Path) -> None:
    """What ``measure_quality`` found, a column a group: head beside tail."""
    groups = found["groups"]
    cards = list(groups.values())
    rows = [("", *groups), ("captions", *(number(card["captions"]) for card in cards))]
    for key in ("words", "characters"):
        for value in ("mean", "median", "p95", "max"):
            rows.append((f"{key}, {value}", *(number(card[key][value]) for card in cards)))
    for limit in found["limits"]:
        if limit["reason"] is None:
            shares = (card["truncated"][limit["encoder"]] for card in cards)
            cells = (percent(share["rate"]) for share in shares)
            rows.append((f"cut: {limit['encoder']}, {limit['tokens']} tokens", *cells))
    for key, name in QUALITY.items():
        rows.append((name, *(percent((card[key] or {"rate": None})["rate"]) for card in cards)))
    show_grid(rows)
    for reason, encoders in _uncounted(found["limits"]).items():
        typer.echo(f"Not counted for {', '.join(encoders)}: {reason}")
    typer.echo(f"Splits side by side, the largest clusters of copies and examples are in {path}.")


def show_audit(found: Mapping[str, Any], path: Path | None) -> None:
    """What ``measure_audit`` found, table by table, and what it comes to; ``path`` is where it was kept, if so."""
    from openmmlo.building.measures.audit import wording

    for heading, rows in wording.tables(found):
        typer.echo(heading)
        show_grid(rows)
        typer.echo()
    for line in (*wording.remarks(found), *wording.examples(found)):
        typer.echo(line)
    typer.echo(f"All of it is in {path}." if path else "Only the audit of all splits with their own masks is kept.")
    typer.echo(wording.verdict(found))


def _uncounted(limits: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for limit in limits:
        if limit["reason"] is not None:
            found.setdefault(limit["reason"], []).append(limit["encoder"])
    return found


def show_report(page: Path, missing: Sequence[str], folder: Path) -> None:
    """Where the page is, and which commands would fill the sections that lack their numbers."""
    for name in missing:
        typer.echo(f"No {name} of this data in it: openmmlo {name} {folder} takes the measure; then draw it again.")
    typer.echo(f"{page}: {page.stat().st_size / 10**6:,.1f} MB. Open it in a browser; it loads nothing from elsewhere.")


def show_grid(rows: Sequence[Sequence[str]]) -> None:
    """Rows of cells in columns, the first to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            f"{row[0]:<{widths[0]}}",
            *(f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)),
        ]
        typer.echo("  " + "  ".join(cells).rstrip())


def number(value: float | None) -> str:
    """A count with thousands parted, any other number with three digits behind the point, a dash for none."""
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:,.3f}"


def percent(value: float | None) -> str:
    """A fraction in percent, a dash for none."""
    return "-" if value is None else f"{value:.1%}".replace("%", " %")


def show_verification(found: Verification) -> None:
    """Every problem on a line of its own, then what was looked at."""
    for problem in found.problems:
        typer.echo(f"{typer.style('error', fg=COLOURS['error'])}   {problem}")
    for note in found.notes:
        typer.echo(f"{typer.style('warning', fg=COLOURS['warning'])} {note}")
    looked = f"{found.rows:,} rows in {found.files:,} files ({found.bytes / 10**6:,.1f} MB)"
    if found.ok:
        typer.echo(f"{typer.style('ok', fg=COLOURS['ok'])}      {looked}: all as the manifest says.")
    else:
        typer.echo(f"{looked}: {len(found.problems)} problems. Fetch or build the data set again.")


def show_push(result: PushResult) -> None:
    """What was sent, what was there, and where it is."""
    for warning in result.warnings:
        typer.echo(f"{typer.style('warning', fg=COLOURS['warning'])} {warning}")
    if result.left_here:
        typer.echo(f"Not part of a data set, so not sent: {', '.join(map(repr, result.left_here))}")
    whole = f"{result.files:,} files, {result.bytes / 10**6:,.1f} MB ({result.variant})"
    if result.dry_run:
        typer.echo(f"Ready for {result.repo}: {whole}. Nothing was sent.")
        return
    sent = f"{result.sent_files:,} files, {result.sent_bytes / 10**6:,.1f} MB" if result.sent_files else "nothing"
    typer.echo(f"{whole}; sent: {sent}; the rest was there.")
    typer.echo(f"{'Proposed' if result.pull_request else 'Published'}: {result.url}")
    if not result.pull_request:
        typer.echo(f'  import datasets; datasets.load_dataset("{result.repo}", "masked")')


def show_pull(result: PullResult) -> None:
    """What was fetched, and how it compares with its manifest."""
    typer.echo(f"{result.repo} at {result.commit[:12]}: {result.files:,} files, {result.bytes / 10**6:,.1f} MB")
    show_verification(result.verification)
    typer.echo(f"The data set is in {result.folder}. Load it:")
    typer.echo(f'  import datasets; datasets.load_dataset("{result.folder}", "masked")')


def show_wordnet(result: SetUp) -> None:
    """Where WordNet is now, and whether it is found there."""
    done = "has been laid out in" if result.made else "was there already, whole:"
    typer.echo(f"WordNet {result.version} {done} {result.folder}")
    if not result.found:
        typer.echo(f"It is looked for elsewhere; to use this one: export NLTK_DATA={result.folder.parent.parent}")


def show_lexicon(found: Mapping[str, Any]) -> None:
    """What ``masking.describe`` found in a lexicon, and where it was written."""
    typer.echo(f"{found['file']}: {found['classes']:,} classes, levels {', '.join(found['levels'])}")
    for kind, facts in found["kinds"].items():
        example = f", for example {facts['without'][0]!r}" if facts["without"] else ""
        typer.echo(f"  {kind:<12}{facts['forms']:>8,} forms; {len(facts['without']):,} classes have none{example}")
    for level, digest in found["level_hashes"].items():
        typer.echo(f"  {level:<12}{digest}")
    if "hypernym" not in found["levels"]:
        typer.echo("Hypernyms need WordNet 3.0: openmmlo wordnet setup")


class ProgressBar:
    """A bar with images/s, time left and failures on a terminal; elsewhere a line now and then.

    Args:
        stream: stderr unless told otherwise, so that stdout holds results alone.
        seconds: how far apart the lines are where the stream is no terminal.
        unit: what is counted; None for bytes, which are shown as MB.
    """

    def __init__(self, stream: TextIO | None = None, seconds: float = 30.0, unit: str | None = "images") -> None:
        self.stream = sys.stderr if stream is None else stream
        self.seconds = seconds
        self.unit = unit
        self._bar: Any = None
        self._total = self._done = self._before = self._failed = 0
        self._started = self._spoke = time.monotonic()

    def start(self, total: int, done: int) -> None:
        """``done`` of ``total`` images were finished by earlier runs."""
        self._total, self._done, self._before = total, done, done
        self._started = self._spoke = time.monotonic()
        if self.stream.isatty():
            from tqdm import tqdm

            unit, scaled = ("B", True) if self.unit is None else (f" {self.unit}", False)
            self._bar = tqdm(
                total=total, initial=done, unit=unit, unit_scale=scaled, dynamic_ncols=True, file=self.stream,
                smoothing=0.1,
            )  # fmt: skip

    def advance(self, rows: int, failed: int) -> None:
        """``rows`` more images are finished, ``failed`` of them as error rows."""
        self._done += rows
        self._failed += failed
        if self._bar is not None:
            if self.unit is not None:
                self._bar.set_postfix(failed=self._failed, refresh=False)
            self._bar.update(rows)
        else:
            self._speak()

    def _speak(self) -> None:
        """A line, where the last one is long enough ago."""
        if time.monotonic() - self._spoke >= self.seconds:
            self._spoke = time.monotonic()
            self.say(self.line())

    def _rate(self) -> float:
        """Units a second since the start."""
        return (self._done - self._before) / max(time.monotonic() - self._started, 1e-9)

    def line(self) -> str:
        """Where the build stands, as one line of text."""
        rate = self._rate()
        left = f"{duration((self._total - self._done) / rate)} left" if rate > 0 else "time left unknown"
        if self.unit is None:
            done, total, each = (count / 10**6 for count in (self._done, self._total, rate))
            return f"{done:,.1f} of {total:,.1f} MB, {each:,.1f} MB/s, {left}"
        return (
            f"{self._done:,} of {self._total:,} {self.unit}, {rate:,.1f} {self.unit}/s, {self._failed:,} failed, {left}"
        )

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
