"""The methods that rows are of: a paragraph each, a link to the paper, BibTeX. A new one is one entry in a file here.

A submission or a reported row names its method by key. The key is no claim of the leaderboard: it says where a
paragraph and a paper come from.
"""

from __future__ import annotations

from openmmlo.errors import UnknownName
from openmmlo.leaderboard.methods import (
    detection,
    ensembles,
    losses,
    representations,
    stages,
    vision_language,
)
from openmmlo.leaderboard.methods.method import FAMILIES, Family, Method

__all__ = ["FAMILIES", "METHODS", "Family", "Method", "method"]

METHODS: dict[str, Method] = {
    item.key: item
    for table in (losses, stages, ensembles, representations, vision_language, detection)
    for item in table.METHODS
}
"""Key -> method."""


def method(key: str) -> Method:
    """Look a method up.

    Raises:
        UnknownName: no such key; the nearest is named.
    """
    if key not in METHODS:
        raise UnknownName("method", key, METHODS)
    return METHODS[key]
