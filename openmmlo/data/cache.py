"""Where what can be made again is kept: feature banks, packed images."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(kind: str, named: Path | None = None) -> Path:
    """A folder that was named, else ``kind`` within ``OPENMMLO_CACHE`` or within the user's cache folder."""
    if named is not None:
        return named
    root = os.environ.get("OPENMMLO_CACHE")
    if root:
        return Path(root).expanduser() / kind
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser() / "openmmlo" / kind
