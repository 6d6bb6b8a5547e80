"""What a run needs to go on exactly where it was killed: one file, written aside, synced and renamed."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from openmmlo.errors import TrainingRefused
from openmmlo.writing import space_needed, sync_folder

NAME = "checkpoint.pt"


def save_checkpoint(folder: Path, content: Mapping[str, Any]) -> None:
    """Replace the checkpoint in a folder; whoever kills the process at any moment leaves the old or the new one.

    Args:
        content: tensors, numbers, text, and lists, tuples and dictionaries of them.

    Raises:
        DiskFull: there is no space; the old checkpoint is kept.
    """
    aside = folder / f".{NAME}.tmp"
    with space_needed(folder):
        with aside.open("wb") as file:
            torch.save(dict(content), file)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(folder / NAME)
        sync_folder(folder)


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The checkpoint in a folder, on the CPU; None where there is none. No code in it is run.

    Raises:
        TrainingRefused: it is damaged.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch, zip and pickle each raise their own kinds for a damaged file
        raise TrainingRefused(
            f"{path} cannot be read ({type(error).__name__}): it is damaged, or not a checkpoint of openmmlo. Delete "
            "its folder to begin anew."
        ) from error
    return content


def random_states(device: torch.device) -> dict[str, Any]:
    """States of Python's, NumPy's and torch's generators, the device's included."""
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    states: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": [str(kind), torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, cached],
        "torch": torch.get_rng_state(),
    }
    if device.type in {"cuda", "mps"}:
        states["device"] = getattr(torch, device.type).get_rng_state()
    return states


def restore_random_states(states: Mapping[str, Any], device: torch.device) -> None:
    """Put every generator back to where :func:`random_states` found it."""
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))
    kind, keys, position, has_gauss, cached = states["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(states["torch"])
    if "device" in states and device.type in {"cuda", "mps"}:
        getattr(torch, device.type).set_rng_state(states["device"])


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """One line for every key whose value is not the same, nested keys with a dot."""
    lines: list[str] = []
    for key in sorted(before.keys() | now.keys()):
        old, new = before.get(key), now.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            lines += [f"{key}.{line}" for line in differences(old, new)]
        elif old != new:
            lines.append(f"{key}: {old!r} before, {new!r} now")
    return lines
