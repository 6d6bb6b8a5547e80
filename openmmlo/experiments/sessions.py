"""How long all of it took: one record a session, kept current, so that a killed one counts too."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from openmmlo.building.machine import cores
from openmmlo.experiments.jobs import read_record
from openmmlo.writing import write_aside

STATE = "state.json"


class Session:
    """The time between the start and the end of one ``openmmlo experiments run``.

    Args:
        out: folder of the experiments.
        jobs: worker processes.
    """

    def __init__(self, out: Path, jobs: int) -> None:
        self.path = out / STATE
        self._earlier = sessions(out)
        self._began = time.monotonic()
        self._record: dict[str, Any] = {
            "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "jobs": jobs,
            "machine": machine(),
            "seconds": 0.0,
            "finished": 0,
            "failed": [],
        }

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def keep(self, finished: int, failed: Sequence[str]) -> None:
        """Write where the session stands."""
        self._record |= {"seconds": round(self.seconds, 1), "finished": finished, "failed": list(failed)}
        text = json.dumps({"sessions": [*self._earlier, self._record]}, indent=2) + "\n"
        write_aside(self.path, text)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._record["seconds"]:  # else there was nothing to do
            self.keep(self._record["finished"], self._record["failed"])


def sessions(out: Path) -> list[dict[str, Any]]:
    """Every session in a folder, the first one first.

    Raises:
        DataError: the record is damaged.
    """
    found: list[dict[str, Any]] = read_record(out / STATE).get("sessions", [])
    return found


def machine() -> dict[str, Any]:
    """The processor and the cores that this process may use."""
    return {"processor": platform.machine(), "cores": cores(), "system": platform.system()}
