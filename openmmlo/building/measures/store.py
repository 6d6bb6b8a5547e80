"""Where measures are kept: one JSON file each beside the data, equal values as equal bytes, replaced whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from openmmlo.building.measures import MEASURES
from openmmlo.building.workspace import write_aside

NAMES = tuple(MEASURES)
"""Measures in the order in which they are taken."""


def save(folder: Path, name: str, value: dict[str, Any]) -> Path:
    """Write a measure as ``folder/NAME.json`` and return that path; the file is whole at every moment.

    Raises:
        ValueError: a number that JSON cannot hold (NaN, infinity): what is undefined is None.
    """
    path = folder / f"{name}.json"
    write_aside(path, json.dumps(value, indent=1, ensure_ascii=True, allow_nan=False) + "\n")
    return path


def load(folder: Path, name: str, digest: str) -> dict[str, Any] | None:
    """Read a measure back; None where it was never taken, or is of other data.

    Args:
        digest: :attr:`BuiltDataset.digest <openmmlo.data.BuiltDataset.digest>` of the data set in ``folder``.
    """
    try:
        value = json.loads((folder / f"{name}.json").read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return value if isinstance(value, dict) and value.get("dataset") == digest else None
