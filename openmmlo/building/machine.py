"""What a build runs on: versions and processor cores."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = (
    "openmmlo",
    "pillow",
    "pyarrow",
    "numpy",
    "inflect",
    "datasets",
    "huggingface-hub",
    "transformers",
    "tokenizers",
    "torch",
    "torchvision",
    "timm",
)


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions() -> dict[str, str]:
    """Python's version and that of every package that can change what a build writes; absent ones are left out."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
