"""A paper's rows come in; those that cannot be as printed, or stand in a column they do not fit, go out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache

from openmmlo.evaluate.benchmark import Benchmark, load_benchmark
from openmmlo.evaluate.metrics.accuracy import GROUPS
from openmmlo.leaderboard.lint.arithmetic import beyond, off_curve, recombination, recombined
from openmmlo.leaderboard.lint.finding import Finding
from openmmlo.leaderboard.methods import METHODS
from openmmlo.leaderboard.reported import ReportedRow, ReportedTable
from openmmlo.leaderboard.rows import same_training_set

TIED = 3
"""Metrics that must be equal before two reported rows count as tied: one decimal often agrees by chance."""


def lint_reported(tables: Sequence[ReportedTable]) -> Iterator[Finding]:
    """Findings of every rule, by table and row."""
    definition = cache(load_benchmark)
    for table in tables:
        for row in table.rows:
            yield from _of_row(row, definition(row.benchmark))
        yield from _ties(table)
        yield Finding(
            "seeds",
            "reported",
            "",
            "",
            f"Table {table.table}",
            f"None of its {len(table.rows)} rows says how many runs it is the mean of, or how far they lie apart.",
        )


def _of_row(row: ReportedRow, benchmark: Benchmark) -> Iterator[Finding]:
    def found(rule: str, text: str, residual: float | None = None) -> Finding:
        return Finding(rule, "reported", row.benchmark, row.entry, _subject(row), text, residual)

    groups = {group: row.metrics[f"top1.{group}"] for group in GROUPS if f"top1.{group}" in row.metrics}
    whole, stated = recombined(groups, benchmark.group_sizes), row.metrics.get("top1.all")
    if whole is not None and stated is not None and beyond(whole - stated):
        text = recombination(groups, benchmark.group_sizes, whole, stated)
        yield found("recombination", f"{text[:1].upper()}{text[1:]}.", whole - stated)
    for name, value in row.metrics.items():
        head, is_rate, convention = name.rpartition("fpr95.")
        if not is_rate:
            if "fpr95" in name:
                yield found("convention", f"{name} does not say which class is positive.")
            continue
        if row.convention != convention:
            yield found("convention", f"{name} is given, and the row's convention is {row.convention}.")
        auroc = row.metrics.get(f"{head}auroc")
        outside = off_curve(auroc, value) if auroc is not None and convention == "id_positive" else None
        if outside is not None:
            yield found("curve", f"{head}auroc {auroc} cannot be beside an FPR95 of {value}.", outside)
    if not same_training_set(row.setting.training_set, benchmark):
        (train,) = benchmark.with_role("train")
        yield found("training-set", f"Learned from {row.setting.training_set}; its column learns from {train.source}.")
    if row.method_key is not None and row.method_key not in METHODS:
        yield found("method", f"Names method {row.method_key!r}, which the leaderboard does not know.")


def _ties(table: ReportedTable) -> Iterator[Finding]:
    alike: dict[tuple[object, ...], list[ReportedRow]] = defaultdict(list)
    for row in table.rows:
        if len(row.metrics) >= TIED:
            alike[(row.benchmark, *sorted(row.metrics.items()))].append(row)
    for rows in alike.values():
        for row in rows[1:]:
            text = f"All {len(row.metrics)} numbers are those of {rows[0].name}."
            yield Finding("tie", "reported", row.benchmark, row.entry, _subject(row), text)


def _subject(row: ReportedRow) -> str:
    return f"Table {row.table}: {row.name}, {row.protocol}, on {row.benchmark}"
