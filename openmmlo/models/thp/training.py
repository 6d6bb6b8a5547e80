"""``training.json`` of a checkpoint's folder: by which recipe it was trained, on what, and how that went."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from openmmlo.errors import ModelError

TRAINING = "training.json"

_PARTS = ("recipe", "digests", "data", "log")


def read_training(folder: Path) -> dict[str, Any] | None:
    """What the run that trained a checkpoint says of itself; None where the folder holds no such file.

    A JSON value::

        {"command": what was typed,
         "recipe": {key: value}, every one,
         "digests": {"recipe", "data", "weights", "tokenizer" ...: SHA-256},
         "data": {"name", "version", "licence", "rows", "classes" ...} of what it was trained on,
         "log": {"steps", "seconds", "device" ..., and the last value of each measure},
         "versions": {package: version}}

    ``recipe`` and ``digests`` with the recipe's are always there; the other parts may be absent.

    Raises:
        ModelError: the file is damaged, or holds something else.
    """
    path = folder / TRAINING
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{TRAINING} of checkpoint {folder.name!r} cannot be read ({type(error).__name__}). Copy it again, or "
            "delete it: without it nothing is known of the training."
        ) from error
    whole = isinstance(value, dict) and all(isinstance(value.get(part, {}), dict) for part in _PARTS)
    if not whole or not value.get("recipe") or not isinstance(value.get("digests", {}).get("recipe"), str):
        raise ModelError(
            f"{TRAINING} of checkpoint {folder.name!r} does not say by which recipe it was trained; expected an object "
            "with 'recipe' and 'digests', as openmmlo pretrain and finetune write it."
        )
    found: dict[str, Any] = value
    return found
