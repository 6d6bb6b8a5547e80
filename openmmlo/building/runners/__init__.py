"""Shards to build come in; they are built somewhere: in this process, or in worker processes.

A runner decides where shards run, never what counts as failure.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from openmmlo.building.plan import Shard
from openmmlo.building.worker import Report, WorkerSpec
from openmmlo.catalog import Catalog

RUNNERS = Catalog(
    "runner",
    {
        "inline": "openmmlo.building.runners.inline:run",
        "processes": "openmmlo.building.runners.processes:run",
    },
)


class Runner(Protocol):
    """Build every shard, or raise; ``workers`` is how many at a time."""

    def __call__(self, spec: WorkerSpec, shards: Iterable[Shard], workers: int, report: Report) -> None: ...
