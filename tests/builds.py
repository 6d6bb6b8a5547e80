"""Running builds in processes of their own, and comparing what they leave."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent

SCRIPT = """
import json, sys
from pathlib import Path
from openmmlo.building import BuildConfig, build

if __name__ == "__main__":
    values = json.loads(sys.argv[1])
    values["out"] = Path(values["out"])
    print(build(BuildConfig(**values)).complete)
"""


def start_build(**values: Any) -> subprocess.Popen[str]:
    """Start a build of the stub source with the stub captioner in a process group of its own."""
    defaults = {"source": "stubs:Generated", "captioner": "stubs:Describing", "measure": False}
    config = {**defaults, **values, "out": str(values["out"])}
    script = Path(values["out"]).parent / "run_build.py"
    if not script.is_file():
        script.write_text(SCRIPT, encoding="utf-8")
    paths = [str(HERE), str(HERE.parent)]
    return subprocess.Popen(
        [sys.executable, str(script), json.dumps(config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )


def kill(process: subprocess.Popen[str]) -> bool:
    """SIGKILL the builder itself (its children must notice); False where it had ended before."""
    alive = process.poll() is None
    if alive:
        process.send_signal(signal.SIGKILL)
    process.communicate()
    return alive


def contents(out: Path) -> dict[str, bytes]:
    """Every file of a built data set but its resume state; the manifest without its timings."""
    found = {}
    for path in sorted(out.rglob("*")):
        relative = path.relative_to(out).as_posix()
        if path.is_file() and not relative.startswith(".openmmlo/"):
            found[relative] = path.read_bytes()
    manifest = json.loads(found["manifest.json"])
    del manifest["run"]
    found["manifest.json"] = json.dumps(manifest, sort_keys=True).encode()
    return found
