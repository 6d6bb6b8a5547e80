"""openmmlo: build, benchmark and compare for long-tailed and open-world vision-language learning.

Rooms, in the order data moves: sources, building. Names below load on first use, so ``import openmmlo`` is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openmmlo.building import BuildConfig, BuildResult, build
    from openmmlo.sources import check, open_source

__version__ = "0.1.0"

__all__ = ["BuildConfig", "BuildResult", "__version__", "build", "check", "open_source"]

_WHERE = {
    "BuildConfig": "openmmlo.building",
    "BuildResult": "openmmlo.building",
    "build": "openmmlo.building",
    "check": "openmmlo.sources",
    "open_source": "openmmlo.sources",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'openmmlo' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)
