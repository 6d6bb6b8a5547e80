"""A result: everything that was measured, with the digests that say of what, as one JSON file."""

from __future__ import annotations

import json
import os
import platform
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from openmmlo import __version__
from openmmlo.errors import DataError
from openmmlo.writing import write_aside

FORMAT = 1
RESULT = "result.json"
PREDICTIONS = "predictions.parquet"
REPORT = "report.html"

_LIBRARIES = (
    "numpy",
    "torch",
    "torchvision",
    "transformers",
    "timm",
    "open-clip-torch",
    "faiss-cpu",
    "scipy",
    "pillow",
)


@dataclass
class Notes:
    """What a person must know beside the numbers.

    Attributes:
        not_run: (what, why).
        warnings: what was noticed.
        departures: what differs from the benchmark's protocol, so that the numbers are not the benchmark's.
        seconds: stage -> wall time.
    """

    not_run: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    departures: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "not_run": [{"what": what, "reason": reason} for what, reason in self.not_run],
            "warnings": list(self.warnings),
            "departures": list(self.departures),
        }


def run_block(notes: Notes, began: float, device: str) -> dict[str, Any]:
    """What is of this run alone: timings, versions, machine. Nothing in it decides a number's meaning."""
    libraries = {}
    for name in _LIBRARIES:
        try:
            libraries[name] = version(name)
        except PackageNotFoundError:
            continue
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(time.monotonic() - began, 3),
        "stages": {name: round(value, 3) for name, value in notes.seconds.items()},
        "device": device,
        "machine": {"processor": platform.machine(), "cores": cores, "system": platform.system()},
        "versions": {"openmmlo": __version__, "python": platform.python_version(), **libraries},
    }


def impersonal(value: Any) -> Any:
    """A result's JSON value without what is of one person's disk: the data root and the home folder go by names.

    Reasons why a set was not run say where it was looked for, and a result is published.
    """
    roots = {os.environ.get("OPENMMLO_DATA") or "": "$OPENMMLO_DATA", str(Path.home()): "~"}
    named = {
        place: name
        for root, name in roots.items()
        if root
        for place in (root.rstrip("/"), str(Path(root).expanduser().resolve()))
        if len(place) > 1
    }
    longest_first = sorted(named, key=len, reverse=True)

    def told(item: Any) -> Any:
        if isinstance(item, str):
            for place in longest_first:
                item = re.sub(rf"{re.escape(place)}(?=[/\s'\",.;:)]|$)", named[place], item)
            return item
        if isinstance(item, Mapping):
            return {key: told(inner) for key, inner in item.items()}
        return [told(inner) for inner in item] if isinstance(item, list | tuple) else item

    return told(value)


def write_result(folder: Path, result: Mapping[str, Any]) -> Path:
    """Write result.json whole.

    Raises:
        ValueError: a number that JSON cannot hold: what is undefined is None.
    """
    path = folder / RESULT
    write_aside(path, json.dumps(result, indent=1, ensure_ascii=True, allow_nan=False) + "\n")
    return path


def read_result(folder: Path) -> dict[str, Any]:
    """Read result.json of a folder that ``openmmlo eval`` wrote.

    Raises:
        DataError: no such file, or not a result of this format.
    """
    path = folder / RESULT if folder.is_dir() else folder
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"{folder} holds no {RESULT}. Give a folder that openmmlo eval wrote.") from error
    except ValueError as error:
        raise DataError(f"{path} cannot be read as JSON ({error}). Run openmmlo eval again.") from error
    if not isinstance(value, dict) or value.get("format") != FORMAT or "scored" not in value:
        raise DataError(f"{path} is no result of format {FORMAT}. Run openmmlo eval again, or update openmmlo.")
    return value
