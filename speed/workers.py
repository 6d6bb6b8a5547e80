"""Two worker processes against one, for a captioner that is bound by the processor."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from collections_on_disk import photographs
from measure import Line, interleaved

from openmmlo.building import BuildConfig, build

IMAGES = 160
SECONDS_AN_IMAGE = 0.05  # what a small captioner costs one core


class Rate:
    """A Progress that gives images a second from the end of an early batch to the end of the last.

    Args:
        warm_up: batches before the clock starts; processes are still starting during the first ones.
    """

    def __init__(self, warm_up: int = 1) -> None:
        self.warm_up = warm_up
        self.first = self.last = 0.0
        self.rows = self.rows_at_first = 0

    def start(self, total: int, done: int) -> None:
        return

    def advance(self, rows: int, failed: int) -> None:
        self.rows += rows
        self.last = time.perf_counter()
        self.warm_up -= 1
        if self.warm_up == 0:
            self.first, self.rows_at_first = self.last, self.rows

    def say(self, message: str) -> None:
        return

    def close(self) -> None:
        return

    @property
    def images_per_second(self) -> float:
        return (self.rows - self.rows_at_first) / (self.last - self.first)


def measure(pairs: int) -> list[Line]:
    """One line: throughput of two workers over that of one, on two cores."""
    with tempfile.TemporaryDirectory() as temporary:
        images = photographs(Path(temporary) / "images", IMAGES)

        def rate(workers: int) -> float:
            progress = Rate()
            with tempfile.TemporaryDirectory() as out:
                build(
                    BuildConfig(
                        str(images),
                        Path(out) / "out",
                        {"val": 0, "test": 0},
                        "stubs:Describing",
                        {"spin": SECONDS_AN_IMAGE},
                        batch_size=4,
                        shard_size=20,
                        workers=workers,
                        measure=False,
                    ),
                    progress,
                )
            return progress.images_per_second

        line = interleaved(
            "Two worker processes, captioner of 50 ms an image on one core",
            lambda: rate(2),
            lambda: rate(1),
            peer_name="one worker process",
            bar=1.8,
            at_least=True,
            pairs=pairs,
            detail=lambda two, one: f"{two:.1f} and {one:.1f} images/s",
        )
    return [line]
