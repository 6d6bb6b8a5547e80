"""Where measures are kept: one JSON file each beside the data, equal values as equal bytes, replaced whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from openmmlo.building.measures import MEASURES
from openmmlo.data.measures import load
from openmmlo.writing import write_aside

__all__ = ["NAMES", "load", "save"]

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
