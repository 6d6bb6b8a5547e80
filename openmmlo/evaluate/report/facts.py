"""Blocks of a result come in; their scalars go out as text for tables of facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openmmlo.pages.wording import UNDEFINED, number, percent


def flat(value: Any, before: str = "", rates: bool = False) -> list[tuple[str, str]]:
    """Scalars of a block with the path of their keys, as text; lists of a number a class are left out.

    Args:
        before: the path so far.
        rates: fractions are rates, and read as percent.
    """
    if isinstance(value, Mapping):
        return [
            pair
            for key, item in value.items()
            for pair in flat(item, f"{before} · {key}" if before else str(key), rates)
        ]
    if isinstance(value, list | tuple):
        if len(value) > 12 or any(isinstance(item, Mapping | list | tuple) for item in value):
            return []
        return [(_worded(before), ", ".join(_text(item, rates) for item in value) or UNDEFINED)]
    return [(_worded(before), _text(value, rates))]


def _worded(key: str) -> str:
    return key.replace("_", " ") or "value"


def _text(value: Any, rates: bool) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and rates:
        return percent(value)
    if isinstance(value, int | float):
        if float(value).is_integer() and abs(value) < 1e15:
            return number(value)
        return (f"{value:,.1f}" if 1000 <= abs(value) < 1e15 else f"{value:.4g}").replace("-", "\u2212")
    return UNDEFINED if value is None else str(value)
