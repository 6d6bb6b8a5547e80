"""Samples come in; a captioned, masked, counted data set in parquet shards goes out.

Plan → shards → caption → mask → count → write → assemble; killed anywhere, it resumes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openmmlo.building.configuration import BuildConfig, BuildResult, PlanSummary
    from openmmlo.building.run import build, plan_build

__all__ = ["BuildConfig", "BuildResult", "PlanSummary", "build", "plan_build"]


def __getattr__(name: str) -> Any:
    # Prefetch processes import parts of this package, and need none of the engine.
    if name not in __all__:
        raise AttributeError(f"module 'openmmlo.building' has no attribute {name!r}")
    from openmmlo.building import configuration, run

    return getattr(run if name in ("build", "plan_build") else configuration, name)
