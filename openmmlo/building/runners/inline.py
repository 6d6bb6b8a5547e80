"""Shards one after another in the calling process."""

from __future__ import annotations

from collections.abc import Iterable

from openmmlo.building.plan import Shard
from openmmlo.building.worker import Report, WorkerSpec, work


def run(spec: WorkerSpec, shards: Iterable[Shard], workers: int, report: Report) -> None:
    """Build shards in this process; ``workers`` is 1."""
    remaining = iter(shards)
    work(spec, lambda: next(remaining, None), report)
