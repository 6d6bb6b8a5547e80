"""A built data set and what was measured on it come in; one page goes out that opens offline and loads nothing.

``report.html`` draws the long tail and the words, shows images with their masks, and prints what the measures found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openmmlo.building.report.page import write_report

__all__ = ["write_report"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'openmmlo.building.report' has no attribute {name!r}")
    from openmmlo.building.report import page

    return getattr(page, name)
