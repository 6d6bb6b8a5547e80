"""A model and a benchmark come in; feature banks, predictions, a result and a page to look at go out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openmmlo.evaluate.configuration import EvalConfig
    from openmmlo.evaluate.run import Evaluation, Outcome, evaluate

__all__ = ["EvalConfig", "Evaluation", "Outcome", "evaluate"]


def __getattr__(name: str) -> Any:
    # Scoring predictions imports parts of this package, and needs neither torch nor models.
    if name not in __all__:
        raise AttributeError(f"module 'openmmlo.evaluate' has no attribute {name!r}")
    from importlib import import_module

    module = "configuration" if name == "EvalConfig" else "run"
    return getattr(import_module(f"openmmlo.evaluate.{module}"), name)
