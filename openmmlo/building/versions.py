"""Which versions of what a build ran on."""

from __future__ import annotations

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


def versions() -> dict[str, str]:
    """Python's version and that of every package that can change what a build writes; absent ones are left out."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
