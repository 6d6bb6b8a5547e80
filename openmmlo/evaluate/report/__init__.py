"""A result and its predictions come in; one page goes out that opens offline and loads nothing.

``report.html`` draws accuracy against class size, detector scores, ROC curves and the angles of the feature space, and
prints every number with its convention.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openmmlo.evaluate.report.page import write_report

__all__ = ["write_report"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'openmmlo.evaluate.report' has no attribute {name!r}")
    from openmmlo.evaluate.report import page

    return getattr(page, name)
