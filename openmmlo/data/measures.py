"""What was measured on a built data set comes back: one JSON file a measure, beside the data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


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
