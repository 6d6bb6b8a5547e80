"""The log of a run comes in, a picture of its curves goes out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from openmmlo.train.logs import FIRST_COLUMNS, LAST_COLUMNS, VALIDATION, Row, columns

CURVE = "curve.png"

_COLOURS = ("#1f4e79", "#c0504d", "#4f8a3c", "#7b5aa6", "#c98a1b", "#3a8f9d")


def draw_curve(rows: Sequence[Row], path: Path, title: str) -> None:
    """Losses, validation measures and learning rate over the steps, beside each other; nothing without a row.

    A measure between 0 and 1 that is no loss, such as an accuracy, has its own panel.
    """
    if not rows:
        return
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = columns(rows)
    losses = ["loss", *(name for name in names if name not in {*FIRST_COLUMNS, *LAST_COLUMNS, *_measured(names)})]
    measured = _measured(names)
    panels: list[tuple[str, list[str]]] = [("Loss", [*losses, *(name for name in measured if _is_loss(name, losses))])]
    others = [name for name in measured if not _is_loss(name, losses)]
    if others:
        panels.append(("Validation", others))
    panels.append(("Learning rate", ["lr"]))
    figure = Figure(figsize=(4.6 * len(panels), 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    for axis, (heading, shown) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for number, name in enumerate(name for name in shown if any(name in row for row in rows)):
            points = [(row["step"], row[name]) for row in rows if name in row]
            validated = name.startswith(VALIDATION)
            label = name.removeprefix(VALIDATION).replace("_", " ")
            label += ", validation" if validated and heading == "Loss" else ""
            axis.plot(
                [step for step, _ in points], [value for _, value in points], label=label, linewidth=1.4,
                linestyle="--" if validated and heading == "Loss" else "-", marker="o" if validated else None,
                markersize=3, color=_COLOURS[number % len(_COLOURS)],
            )  # fmt: skip
        axis.set_title(heading, fontsize=10)
        axis.set_xlabel("step", fontsize=9)
        axis.tick_params(labelsize=8)
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
        if len(axis.lines) > 1 or heading == "Validation":
            axis.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=3)
    figure.suptitle(title, fontsize=11)
    figure.savefig(path, dpi=130, metadata={"Software": None})


def _measured(names: Sequence[str]) -> list[str]:
    return [name for name in names if name.startswith(VALIDATION)]


def _is_loss(name: str, losses: Sequence[str]) -> bool:
    return name.removeprefix(VALIDATION) in losses
