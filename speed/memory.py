"""Peak memory of a build of 100,000 images against one of 10,000, and of measuring it: inputs stream."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from collections_on_disk import thumbnails
from measure import Line, interleaved, repeated

from openmmlo.building.workspace import MEASURED

BUILD = """
import sys
from pathlib import Path
from openmmlo.building import BuildConfig, build

if __name__ == "__main__":
    options = {"val": 0, "test": 0}
    config = BuildConfig(
        sys.argv[1], Path(sys.argv[2]), options, "stubs:Describing", batch_size=64, measure=False
    )
    result = build(config)
    if not result.complete or sum(result.rows.values()) != int(sys.argv[3]):
        raise SystemExit(f"unexpected result: {result}")
"""

MEASURE = """
import sys
import openmmlo

if __name__ == "__main__":
    failed = openmmlo.measure(sys.argv[1]).failed
    if failed:
        raise SystemExit(f"failed: {failed}")
"""


def peak_memory(command: list[str]) -> float:
    """Highest memory of a command and its children together, in MiB (unique pages, sampled every 50 ms)."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        total = 0
        try:
            root = psutil.Process(process.pid)
            for member in (root, *root.children(recursive=True)):
                total += member.memory_full_info().uss
        except psutil.NoSuchProcess:
            pass
        peak = max(peak, total)
        time.sleep(0.05)
    if process.returncode:
        raise RuntimeError(f"{command[:2]} ended with exit code {process.returncode}")
    return peak / 2**20


def measure(pairs: int) -> list[Line]:
    """Two lines: peak at 100,000 images over peak at 10,000, of building and of measuring what was built."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        build, stage = root / "memory_build.py", root / "memory_measure.py"
        build.write_text(BUILD, encoding="utf-8")
        stage.write_text(MEASURE, encoding="utf-8")
        folders = {count: thumbnails(root / f"images{count}", count) for count in (10_000, 100_000)}

        def built(count: int, out: Path) -> float:
            return peak_memory([sys.executable, str(build), str(folders[count]), str(out), str(count)])

        def of_building(count: int) -> float:
            with tempfile.TemporaryDirectory(dir=root) as out:
                return built(count, Path(out) / "out")

        building = interleaved(
            "Peak memory of a build of 100,000 images, stub captioner",
            lambda: of_building(100_000),
            lambda: of_building(10_000),
            peer_name="the same with 10,000 images",
            bar=1.1,
            at_least=False,
            pairs=pairs,
            detail=lambda large, small: f"{large:.0f} and {small:.0f} MiB",
        )
        whole = root / "whole"
        built(100_000, whole)

        def of_measuring() -> float:
            for name in MEASURED:
                (whole / name).unlink(missing_ok=True)
            return peak_memory([sys.executable, str(stage), str(whole)])

        measuring = repeated(
            "Peak memory of measuring 100,000 captions: statistics, quality, audit, report",
            of_measuring,
            unit="MiB",
            bar=1536,
            pairs=min(3, pairs),
            peer_name="none",
        )
    return [building, measuring]
