"""Peak memory of a build of 100,000 images against one of 10,000: inputs stream, so it must not grow."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from collections_on_disk import thumbnails
from measure import Line, interleaved

BUILD = """
import sys
from pathlib import Path
from openmmlo.building import BuildConfig, build

if __name__ == "__main__":
    options = {"val": 0, "test": 0}
    result = build(BuildConfig(sys.argv[1], Path(sys.argv[2]), options, "stubs:Describing", batch_size=64))
    if not result.complete or sum(result.rows.values()) != int(sys.argv[3]):
        raise SystemExit(f"unexpected result: {result}")
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
    """One line: peak at 100,000 images over peak at 10,000."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        script = root / "memory_build.py"
        script.write_text(BUILD, encoding="utf-8")
        folders = {count: thumbnails(root / f"images{count}", count) for count in (10_000, 100_000)}

        def peak(count: int) -> float:
            with tempfile.TemporaryDirectory(dir=root) as out:
                return peak_memory([sys.executable, str(script), str(folders[count]), f"{out}/out", str(count)])

        line = interleaved(
            "Peak memory of a build of 100,000 images, stub captioner",
            lambda: peak(100_000),
            lambda: peak(10_000),
            peer_name="the same with 10,000 images",
            bar=1.1,
            at_least=False,
            pairs=pairs,
            detail=lambda large, small: f"{large:.0f} and {small:.0f} MiB",
        )
    return [line]
