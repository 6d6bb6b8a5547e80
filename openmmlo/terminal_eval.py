"""Results of evaluations come in; tables for a person at a terminal go out. Rates are printed in percent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from openmmlo.terminal import COLOURS, show_grid

if TYPE_CHECKING:
    from openmmlo.evaluate import Outcome

GROUPS = ("many", "medium", "few")
OOD = {
    "auroc": "AUROC",
    "fpr95_id_positive": "FPR95 (ID positive)",
    "fpr95_ood_positive": "FPR95 (OOD positive)",
    "aupr_in": "AUPR-in",
    "aupr_out": "AUPR-out",
}
"""OOD metric -> how a table names it: which class is positive is part of the name."""


def show_outcome(outcome: Outcome) -> None:
    """Every evaluation, and why the others were not run."""
    for number, item in enumerate(outcome.evaluations):
        if number:
            typer.echo()
        show_result(item.result)
        typer.echo(f"Result: {item.folder / 'result.json'}")
        if item.report is not None:
            typer.echo(f"Look at it: {item.report}")
    for name, reason in outcome.not_run.items():
        typer.echo(f"{_warning('not run')} {name}: {reason}")
    for name, found in (outcome.deviations or {}).items():
        typer.echo(f"\nOver seeds, on {name}")
        show_comparison(found)


def show_result(result: Mapping[str, Any]) -> None:
    """The tables of one result, what was not run, and what differs from the benchmark's own protocol."""
    benchmark, model = result["benchmark"], result["model"]
    kind = result["classifier"]["kind"]
    typer.echo(f"{model['name']} on {benchmark['name']} (version {benchmark['version']}), classifier: {kind}")
    show_scored(result["scored"])
    show_measured(result["measured"])
    for item in result["not_run"]:
        typer.echo(f"{_warning('not run')} {item['what']}: {item['reason']}")
    for text in result["warnings"]:
        typer.echo(f"{_warning('warning')} {text}")
    _show_departures(result["departures"])


def show_score(scored: Mapping[str, Any]) -> None:
    """What ``openmmlo score`` computed: the tables, and what makes them no numbers of the benchmark."""
    show_scored(scored)
    _show_departures(scored["departures"])


def _show_departures(departures: Sequence[str]) -> None:
    for text in departures:
        typer.echo(f"{_warning('departs')} {text}; not a number of this benchmark")


def _warning(word: str) -> str:
    return typer.style(f"{word:<8}", fg=COLOURS["warning"])


def show_scored(scored: Mapping[str, Any]) -> None:
    """Accuracy a set, then every detector a set."""
    rows: list[tuple[str, ...]] = [
        ("Top-1 accuracy, %", "images", "all", "classes", *GROUPS, "worst 10 %", "harmonic", "false head", "ECE")
    ]
    for name, item in scored["classification"].items():
        values = [
            item["top1_samples"], item["top1_classes"], *(item["groups"].get(group) for group in GROUPS),
            item["worst_10_percent"], item["harmonic_mean"], item["false_head_rate"], item["calibration_error"],
        ]  # fmt: skip
        rows.append((name, f"{item['rows']:,}", *map(hundredths, values)))
    show_grid(rows)
    if not scored["ood"]:
        return
    sets = {**scored["ood"], **{f"mean {name}": {"detectors": item} for name, item in scored["ood_groups"].items()}}
    for metric in ("auroc", "fpr95_id_positive"):
        typer.echo()
        detectors = list(dict.fromkeys(name for item in sets.values() for name in item["detectors"]))
        table: list[tuple[str, ...]] = [(f"{OOD[metric]}, %", *sets)]
        for detector in detectors:
            cells = (item["detectors"].get(detector, {}).get(metric) for item in sets.values())
            table.append((detector, *map(hundredths, cells)))
        show_grid(table)
    landed = {name: item["landing"] for name, item in scored["ood"].items() if item["landing"]}
    if landed:
        typer.echo()
        show_grid(
            [
                ("Where OOD images land, %", *GROUPS),
                *((name, *(hundredths(shares.get(group)) for group in GROUPS)) for name, shares in landed.items()),
            ]
        )


def show_measured(measured: Mapping[str, Any]) -> None:
    """Other classifiers beside the scored one, the angles of the feature space, and what captions add."""
    from openmmlo.evaluate.report.classifiers import CAPTION_MODES, caption_modes

    classifiers = measured["classifiers"]
    if classifiers:
        typer.echo()
        rows: list[tuple[str, ...]] = [("Classifier, top-1 %", "all", "classes", *GROUPS)]
        for name, item in classifiers.items():
            values = [item["top1_samples"], item["top1_classes"], *(item["groups"].get(group) for group in GROUPS)]
            rows.append((name, *map(hundredths, values)))
        show_grid(rows)
    geometry = measured.get("geometry")
    if geometry:
        typer.echo()
        rows = [(f"Angles in degrees ({geometry['basis']})", "mean", "deviation", *GROUPS)]
        for name, item in geometry["summary"].items():
            if item and item.get("mean") is not None:
                by_shot = item.get("by_shot") or {}
                values = [item["mean"], item["std"], *(_mean(by_shot.get(group)) for group in GROUPS)]
                rows.append((name, *(plain(value) for value in values)))
        show_grid(rows)
    captions = measured.get("captions")
    if captions:
        typer.echo()
        rows = [("What is read, top-1 %", "all", "classes", *GROUPS)]
        modes = caption_modes(captions)
        for key, name in CAPTION_MODES.items():
            item = modes.get(key)
            if isinstance(item, Mapping) and "top1_samples" in item:
                values = [item["top1_samples"], item["top1_classes"], *(item["groups"].get(group) for group in GROUPS)]
                rows.append((name, *map(hundredths, values)))
        show_grid(rows)


def _mean(value: Any) -> float | None:
    return value.get("mean") if isinstance(value, Mapping) else value


def show_comparison(found: Mapping[str, Any]) -> None:
    """Rows of :func:`openmmlo.evaluate.compare.compare`: a metric a line, a result a column."""
    rows: Sequence[Sequence[str]] = found["table"]
    show_grid(rows)
    for note in found["notes"]:
        typer.echo(note)


def hundredths(value: float | None) -> str:
    """A fraction in percent with two digits; a dash for none."""
    return "-" if value is None else f"{100 * value:.2f}"


def plain(value: float | None) -> str:
    """A number with two digits; a dash for none."""
    return "-" if value is None else f"{value:.2f}"
