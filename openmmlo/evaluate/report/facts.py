"""Blocks of a result come in; their scalars go out as text for tables of facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openmmlo.pages.wording import UNDEFINED, decimal, number


def flat(value: Any, before: str = "") -> list[tuple[str, str]]:
    """Scalars of a block with the path of their keys, as text; lists of a number a class are left out."""
    if isinstance(value, Mapping):
        return [pair for key, item in value.items() for pair in flat(item, f"{before} · {key}" if before else str(key))]
    if isinstance(value, list | tuple):
        if len(value) > 12 or any(isinstance(item, Mapping | list | tuple) for item in value):
            return []
        return [(_worded(before), ", ".join(_text(item) for item in value))]
    return [(_worded(before), _text(value))]


def _worded(key: str) -> str:
    return key.replace("_", " ") or "value"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return number(value)
    if isinstance(value, float):
        return number(value) if value.is_integer() and abs(value) < 1e15 else decimal(value, 4)
    return UNDEFINED if value is None else str(value)
