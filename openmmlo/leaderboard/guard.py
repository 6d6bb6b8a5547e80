"""A predictions file is read by another process first: what makes a parquet reader die kills that one alone.

The checks of :mod:`openmmlo.leaderboard.parquet_limits` refuse what is known to be harmful. The reader itself is large,
and damaged files are known on which it ends the whole process (a C++ exception that nobody catches). So each file is
tried where that does no harm, within memory that the system limits; one that the trial survives is read here.
"""

from __future__ import annotations

import atexit
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from openmmlo.errors import OpenmmloError, SubmissionRefused
from openmmlo.evaluate.predictions import Predictions
from openmmlo.leaderboard.limits import printable
from openmmlo.leaderboard.parquet_limits import read_here

MEMORY = 6 * 2**30
"""Bytes of address space of the other process, most of it reserved by libraries, not used."""

SECONDS = 120.0
"""For one file; 68,000 rows take less than one second."""

_START = """
import sys
sys.path.insert(0, sys.argv[1])
from openmmlo.leaderboard.guard import serve
serve()
"""


def read_bounded(path: Path, rows: int, what: str) -> Predictions:
    """Read predictions that may be anybody's.

    Args:
        rows: that the file may hold: as many as the benchmark's sets have images.
        what: what they are called in messages.

    Raises:
        SubmissionRefused: no parquet file, one that announces more than it may or of which the reader dies, or values
            that contradict each other.
    """
    answer = _GUARD.ask({"path": str(path.resolve()), "rows": rows, "what": what})
    if answer is None:
        raise SubmissionRefused(
            f"{what} are refused: the parquet reader dies of this file, or needs more memory or time than it may. "
            "Give the predictions.parquet that openmmlo eval wrote."
        )
    if "refused" in answer:
        raise SubmissionRefused(printable(answer["refused"]))
    return read_here(path, rows, what)


class Guard:
    """The other process: started when it is first needed, anew after it died, ended with this one."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()

    def ask(self, question: dict[str, Any]) -> dict[str, Any] | None:
        """Its answer; None where it died or took too long."""
        with self._lock:
            process = self._running()
            timer = threading.Timer(SECONDS, process.kill)
            timer.start()
            try:
                to, back = process.stdin, process.stdout
                if to is None or back is None:
                    return None
                to.write(json.dumps(question) + "\n")
                to.flush()
                line = back.readline()
            except OSError:
                line = ""
            finally:
                timer.cancel()
            if not line.endswith("\n"):
                self._end()
                return None
            answer: dict[str, Any] = json.loads(line)
            return answer

    def _running(self) -> subprocess.Popen[str]:
        if self._process is not None and self._process.poll() is not None:
            self._end()
        if self._process is None:
            root = str(Path(__file__).parents[2])
            # -P: where it was started may be a stranger's checkout, whose json.py is not to be imported.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _START, root],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, encoding="utf-8",
            )  # fmt: skip
        return self._process

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            with process:  # closes its pipes and waits
                pass


_GUARD = Guard()
atexit.register(_GUARD.close)


def serve() -> None:
    """The other process: a question a line on stdin, an answer a line on stdout, until stdin ends."""
    _limit_memory()
    for line in sys.stdin:
        question = json.loads(line)
        answer: dict[str, Any] = {}
        try:
            read_here(Path(question["path"]), question["rows"], question["what"])
        except OpenmmloError as error:
            answer = {"refused": str(error)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    wanted = MEMORY if most == resource.RLIM_INFINITY else min(MEMORY, most)
    resource.setrlimit(resource.RLIMIT_AS, (wanted, most))
