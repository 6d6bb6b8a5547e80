"""What a training run leaves behind: its folder, and ``training.json`` in it that says how it came about."""

from __future__ import annotations

import hashlib
import json
import math
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from openmmlo import __version__
from openmmlo.data.dataset import BuiltDataset
from openmmlo.models.thp.training import TRAINING
from openmmlo.records import Finding
from openmmlo.train.recipe import Recipe
from openmmlo.writing import write_aside

_PACKAGES = ("torch", "transformers", "accelerate", "timm", "tokenizers", "numpy", "pillow")


@dataclass(frozen=True)
class Outcome:
    """What became of a run.

    Attributes:
        folder: the checkpoint.
        training: what ``training.json`` holds.
        findings: what was said before the first step.
        finished_before: the run had ended earlier; nothing was done.
        is_main: whether this process speaks for all of an ``accelerate launch``.
    """

    folder: Path
    training: dict[str, Any]
    findings: tuple[Finding, ...] = field(default=())
    finished_before: bool = False
    is_main: bool = True

    def to_json(self) -> dict[str, Any]:
        return {
            "folder": str(self.folder),
            "finished_before": self.finished_before,
            "findings": list(self.findings),
            "training": self.training,
        }


def training_record(
    recipe: Recipe, command: str, digests: Mapping[str, str], dataset: BuiltDataset, log: Mapping[str, Any]
) -> dict[str, Any]:
    """The value of ``training.json``. No local path is in it: of folders it has the last part of the name."""
    values = recipe.to_json() | recipe.decisive
    values["data"] = None if recipe.data is None else Path(recipe.data).expanduser().resolve().name
    info = dataset.info
    return {
        "command": command,
        "recipe": values,
        "digests": dict(digests),
        "data": {
            "name": info.name,
            "version": info.version,
            "licence": info.licence,
            "classes": len(info.classes),
            "label_map": info.label_map_hash,
            "captioner": str((dataset.manifest.get("captioner") or {}).get("captioner", "none")),
        },
        "log": {name: plain(value) for name, value in log.items()},
        "versions": versions(),
    }


def write_training(folder: Path, record: Mapping[str, Any]) -> None:
    """Write ``training.json``: the last file of a run, whose being there says that it is finished."""
    write_aside(folder / TRAINING, json.dumps(record, indent=2, ensure_ascii=False) + "\n")


def versions() -> dict[str, str]:
    """What computed it."""
    found = {"openmmlo": __version__, "python": platform.python_version()}
    return found | {name: metadata.version(name) for name in _PACKAGES}


def plain(value: Any) -> Any:
    """A number as JSON can hold it: what is not finite becomes text."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_digest(paths: list[Path]) -> str:
    """SHA-256 of several files, by name and content, in the order of their names."""
    digest = hashlib.sha256()
    for path in sorted(paths, key=lambda path: path.name):
        digest.update(f"{path.name}\t{file_digest(path)}\n".encode())
    return digest.hexdigest()
