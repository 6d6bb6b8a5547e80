"""How a run goes, in numbers: means over the steps between two lines, a CSV file, and TensorBoard where it is there."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from openmmlo.progress import Progress, Silent
from openmmlo.writing import write_aside

LOG = "log.csv"

FIRST_COLUMNS = ("step", "epoch", "lr", "loss")
LAST_COLUMNS = ("gradient_norm", "samples_per_second", "waiting", "memory_mb", "seconds")
VALIDATION = "validation_"

NO_TENSORBOARD = 'No TensorBoard log: it needs TensorBoard: pip install "openmmlo[tensorboard]". log.csv has it all.'

Row = dict[str, float]


class TrainingProgress(Progress, Protocol):
    """A Progress that can also show the latest numbers beside its bar; what is counted are samples."""

    def note(self, values: Mapping[str, float]) -> None: ...


class SilentTraining(Silent):
    """A TrainingProgress that shows nothing."""

    def note(self, values: Mapping[str, float]) -> None:
        return


class Window:
    """Means of scalars since the last line of the log, summed on the device, so that no step waits for them."""

    def __init__(self, sums: Mapping[str, torch.Tensor] | None = None, count: int = 0) -> None:
        self.sums = dict(sums or {})
        self.count = count

    def add(self, values: Mapping[str, torch.Tensor]) -> None:
        """One batch's or step's scalars. Names that are new start at zero."""
        for name, value in values.items():
            value = value.detach().to(torch.float32)
            self.sums[name] = self.sums[name] + value if name in self.sums else value.clone()
        self.count += 1

    def means(self) -> torch.Tensor:
        """(number of names,) float32 in the order of ``sums``."""
        return torch.stack(list(self.sums.values())) / max(self.count, 1)

    def state(self) -> dict[str, Any]:
        return {"sums": {name: value.cpu() for name, value in self.sums.items()}, "count": self.count}

    @classmethod
    def restored(cls, state: Mapping[str, Any], device: torch.device) -> Window:
        return cls({name: value.to(device) for name, value in state["sums"].items()}, state["count"])


class CsvLog:
    """Rows of numbers, a step each; the file is whole at every moment.

    Args:
        path: of the file.
        until: rows of later steps, which a killed run had written, are dropped: the run does these steps again.
    """

    def __init__(self, path: Path, until: int) -> None:
        self.path = path
        self.rows = [row for row in read_log(path) if row["step"] <= until] if until else []
        self._columns: list[str] = []
        self._write()

    def add(self, row: Row) -> None:
        """One row; where the last one is of the same step, its columns are added to that."""
        if self.rows and self.rows[-1]["step"] == row["step"]:
            self.rows[-1] |= row
            self._write()
            return
        self.rows.append(row)
        if columns(self.rows) != self._columns:
            self._write()
            return
        with self.path.open("a", encoding="utf-8", newline="") as file:
            csv.writer(file).writerow(_cells(row, self._columns))

    def _write(self) -> None:
        self._columns = columns(self.rows)
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(self._columns)
        writer.writerows(_cells(row, self._columns) for row in self.rows)
        write_aside(self.path, text.getvalue())


def columns(rows: Iterable[Row]) -> list[str]:
    """Step, epoch, rate and loss; the loss's parts; what describes the step; what validation measured."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    measured = [name for name in names if name.startswith(VALIDATION)]
    parts = [name for name in names if name not in {*FIRST_COLUMNS, *LAST_COLUMNS, *measured}]
    return [*FIRST_COLUMNS, *parts, *LAST_COLUMNS, *measured]


def rounded(value: float) -> float:
    """A number as the log holds it: nine digits, which tell all float32 numbers apart."""
    return value if isinstance(value, int) else float(f"{value:.9g}")


def _cells(row: Row, names: Iterable[str]) -> list[str]:
    return [f"{row[name]:.9g}" if name in row else "" for name in names]


def read_log(path: Path) -> list[Row]:
    """The rows of a log; none where there is no file. A last line that was cut by a kill is left out."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file))
    names, rows = (lines[0] if lines else []), []
    for line in lines[1:]:
        if len(line) != len(names):
            continue
        try:
            row = {name: float(cell) for name, cell in zip(names, line, strict=True) if cell}
        except ValueError:
            continue
        if "step" in row:
            rows.append(row | {"step": int(row["step"])})
    return rows


def tensorboard(folder: Path, first_step: int) -> Any:
    """A writer of TensorBoard's files; None where TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=first_step or None)
