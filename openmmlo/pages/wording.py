"""Numbers come in, text for people goes out; what is not defined reads as a dash."""

from __future__ import annotations

from typing import Any

UNDEFINED = "–"


def number(value: Any, digits: int = 1) -> str:
    """Counts with thousands separated; other numbers with a few digits behind the point."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return UNDEFINED
    if float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:,.{digits}f}"


def percent(value: Any) -> str:
    """A fraction in percent; near 0 and 1, where it matters, with two digits, and never rounded onto them."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return UNDEFINED
    near_end = 0 < min(abs(value), abs(1 - value)) < 0.01
    text = f"{100 * value:.{2 if near_end else 1}f}"
    if float(text) in (0.0, 100.0):
        return f"{100 * value:.0f}%" if value in (0, 1) else "<0.01%" if value < 0.5 else ">99.99%"
    return f"{text}%"


def decimal(value: Any, digits: int = 3) -> str:
    """A number with a fixed count of digits behind the point and a true minus."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return UNDEFINED
    return f"{value:.{digits}f}".replace("-", "\u2212")


def counted(count: int, one: str, many: str = "") -> str:
    """A count with its noun: ``1 class``, ``50 classes``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def part(value: Any, *keys: str) -> Any:
    """What lies at a path of keys in a measure; None where any of it is missing, as in one made by another version."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def share(value: Any) -> float:
    """A fraction as percent of a bar's length; nothing where it is not defined."""
    defined = isinstance(value, int | float) and not isinstance(value, bool)
    return round(100 * min(1.0, max(0.0, value)), 3) if defined else 0.0


def file_size(value: float) -> str:
    """Bytes in the unit that suits them, by steps of 1,000."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:,.0f} {unit}" if unit == "bytes" else f"{value:,.1f} {unit}"
        value /= 1000
    return f"{value:,.1f} TB"


def hundredths(value: Any) -> str:
    """A fraction in percent with two digits and no sign, for tables that state the unit once."""
    return decimal(100 * value, 2) if decimal(value) != UNDEFINED else UNDEFINED
