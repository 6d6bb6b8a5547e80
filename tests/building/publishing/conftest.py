"""A small built data set, the loopback Hub, and clients of it in processes of their own."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hub import Hub
from hub_repos import TOKEN

from openmmlo.building import BuildConfig, build

ROOT = Path(__file__).parents[3]

SCRIPT = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from openmmlo.building.publishing import Patience, PushConfig, pull, push, transfer
from openmmlo.errors import OpenmmloError

class Said:
    def start(self, total, done): print("start", total, done, file=sys.stderr)
    def advance(self, rows, failed): return
    def say(self, message): print(message, file=sys.stderr)
    def close(self): return

what, values, settings = json.loads(sys.argv[1])
for name, value in settings.items():
    setattr(transfer, name, value)
patience = Patience(first=0.02, longest=0.1)
try:
    if what == "push":
        result = push(PushConfig(**{**values, "folder": Path(values["folder"])}), Said(), patience)
    else:
        result = pull(values.pop("repo"), Path(values.pop("to")), progress=Said(), patience=patience, **values)
except OpenmmloError as error:
    print(json.dumps({"error": str(error), "kind": type(error).__name__}))
    sys.exit(error.exit_code)
print(json.dumps(asdict(result), default=str))
"""


@pytest.fixture(scope="session")
def built_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """180 rows in three splits and nine files; never changed."""
    out = tmp_path_factory.mktemp("published") / "built"
    build(BuildConfig("stubs:Generated", out, captioner="stubs:Describing", shard_size=20, prefetch=0, measure=False))
    return out


@pytest.fixture
def built(built_once: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    shutil.copytree(built_once, tmp_path / "built")
    return tmp_path / "built"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as server:
        yield server


@dataclass(frozen=True)
class Client:
    """Runs pushes and pulls against one Hub, each in a process of its own."""

    hub: Hub
    home: Path

    def start(self, what: str, settings: dict[str, Any] | None = None, **values: Any) -> subprocess.Popen[str]:
        """Start a push or a pull; ``settings`` replace constants of the transfer."""
        arguments = json.dumps([what, values, settings or {}], default=str)
        return self.python(SCRIPT, arguments)

    def python(self, script: str, *arguments: str, token: str | None = TOKEN) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", script, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.home,
            env={**self.hub.environment(self.home, token), "PYTHONPATH": str(ROOT)},
        )

    def push(self, folder: Path, repo: str = "tester/lt", **values: Any) -> dict[str, Any]:
        return answer(self.start("push", folder=folder, repo=repo, **values))

    def pull(self, to: Path, repo: str = "tester/lt", **values: Any) -> dict[str, Any]:
        return answer(self.start("pull", to=to, repo=repo, **values))

    def killed_at(self, match: str, skip: int, what: str, after: bool = False, **values: Any) -> None:
        """Kill a client when its matching request arrives; with ``after`` once the Hub has done what it asks for."""
        holder: list[subprocess.Popen[str]] = []

        def kill() -> None:
            while not holder:
                pass
            holder[0].send_signal(signal.SIGKILL)
            holder[0].wait()

        fault = self.hub.fail(match, skip=skip, action=None if after else kill, after=kill if after else None)
        if not after:
            fault.request_bytes = 1  # whatever the dead client had sent is not heard any more
        holder.append(self.start(what, **values))
        _, errors = holder[0].communicate(timeout=60)
        assert holder[0].returncode == -signal.SIGKILL, errors
        assert fault.times == 0


def answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What a client printed; its exit code and messages beside it."""
    out, errors = process.communicate(timeout=120)
    assert out.strip(), errors
    return {**json.loads(out), "code": process.returncode, "said": errors}


@pytest.fixture
def client(hub: Hub, tmp_path: Path) -> Client:
    home = tmp_path / "home"
    home.mkdir()
    return Client(hub, home)


@pytest.fixture(scope="session")
def relative_files() -> Callable[[Path], dict[str, bytes]]:
    """Every file of a data set by path, but resume state and caches."""

    def read(folder: Path) -> dict[str, bytes]:
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and not path.relative_to(folder).parts[0].startswith(".")
        }

    return read
