"""The loopback Hub, and one client process for all tests: the real client reads the Hub's address when it is imported.

Each test gets a Hub without repositories, faults and log, and folders of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hub import Hub
from hub_repos import Repo

ROOT = Path(__file__).parents[3]

WORKER = """
import contextlib, importlib, io, json, os, sys
from dataclasses import asdict, is_dataclass
from pathlib import Path
from openmmlo.building.publishing import Patience
from openmmlo.errors import OpenmmloError
from openmmlo.leaderboard.board import open_board
from openmmlo.leaderboard.submit import About

def about(values):
    return About(**{key: tuple(item) if isinstance(item, list) else item for key, item in values.items()})

MADE = {"$path": Path, "$bytes": str.encode, "$board": open_board, "$about": about}

def given(value):
    if isinstance(value, list):
        return [given(item) for item in value]
    if isinstance(value, dict):
        kind = next((key for key in value if key.startswith("$")), None)
        return MADE[kind](value[kind]) if kind else {key: given(item) for key, item in value.items()}
    return value

class Said:
    def __init__(self): self.lines = []
    def start(self, total, done): pass
    def advance(self, rows, failed): pass
    def say(self, message): self.lines.append(message)
    def close(self): pass

def told(value):
    if is_dataclass(value):
        return {key: told(item) for key, item in vars(value).items()}
    if isinstance(value, dict):
        return {str(key): told(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [told(item) for item in value]
    return value if isinstance(value, (int, float, bool, type(None))) else str(value)

out = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
for line in sys.stdin:
    name, positional, named, environment, patient = json.loads(line)
    os.environ.update({key: value for key, value in environment.items() if value is not None})
    for key, value in environment.items():
        if value is None: os.environ.pop(key, None)
    said = Said()
    try:
        module, _, attribute = name.partition(":")
        function = getattr(importlib.import_module(module), attribute)
        more = {"patience": Patience(first=0.02, longest=0.1), "progress": said} if patient else {}
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            result = {"result": told(function(*given(positional), **given(named), **more))}
        result["printed"] = printed.getvalue()
    except OpenmmloError as error:
        result = {"error": str(error), "kind": type(error).__name__}
    print(json.dumps({**result, "said": said.lines}), file=out, flush=True)
"""


class Client:
    """Calls functions by ``module:name`` in a process that knows this Hub alone."""

    def __init__(self, hub: Hub, home: Path) -> None:
        self.home = home
        self.cache: Path | None = None
        self._process = subprocess.Popen(
            [sys.executable, "-c", WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=home,
            env={**hub.environment(home), "PYTHONPATH": str(ROOT)},
        )

    def __call__(self, name: str, *positional: Any, patient: bool = True, **named: Any) -> dict[str, Any]:
        """The answer: ``result``, or ``error`` and ``kind``; ``said`` beside it. Paths and bytes arrive as such."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        name = name if ":" in name else f"openmmlo.leaderboard.hub:{name}"
        line = [name, _plain(positional), _plain(named), {"OPENMMLO_CACHE": str(self.cache)}, patient]
        self._process.stdin.write(json.dumps(line) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the client died"
        found: dict[str, Any] = json.loads(answer)
        return found

    def result(self, name: str, *positional: Any, **named: Any) -> Any:
        """What a call that must not fail gives."""
        answer = self(name, *positional, **named)
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return {"$path": str(value)}
    if isinstance(value, bytes):
        return {"$bytes": value.decode()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


@pytest.fixture(scope="session")
def _server() -> Iterator[Hub]:
    with Hub() as server:
        yield server


@pytest.fixture(scope="session")
def _client(_server: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    client = Client(_server, tmp_path_factory.mktemp("client"))
    yield client
    client.close()


@pytest.fixture
def hub(_server: Hub) -> Hub:
    """A Hub on which nothing is, and nothing happened."""
    _server.repos.clear()
    _server.log.clear()
    _server.faults.clear()
    _server.uploads.clear()
    _server.commits = 0
    _server.storage = f"http://localhost:{_server.port}"
    return _server


@pytest.fixture
def client(_client: Client, hub: Hub, tmp_path: Path) -> Client:
    """The client, with an empty cache of boards and predictions."""
    _client.cache = tmp_path / "cache"
    return _client


def put(hub: Hub, name: str, files: dict[str, bytes], kind: str = "datasets") -> str:
    """Commit files to a repository of the Hub, made where there is none: the commit."""
    from base64 import b64encode
    from hashlib import sha256

    repo = hub.repos.setdefault((kind, name), Repo(kind, name, name.split("/")[0], False))
    lines: list[dict[str, Any]] = [{"key": "header", "value": {"summary": "put there by a test"}}]
    for path, content in files.items():
        if path.endswith(".parquet"):
            digest = sha256(content).hexdigest()
            repo.objects[digest] = content
            lines.append({"key": "lfsFile", "value": {"path": path, "oid": digest}})
        else:
            lines.append({"key": "file", "value": {"path": path, "content": b64encode(content).decode()}})
    repo.commit("main", lines, "somebody", False)
    return repo.branches["main"]


@pytest.fixture(name="put")
def _put(hub: Hub) -> Any:
    """put(name, files) commits files to a repository of the Hub: the commit."""
    return lambda name, files, kind="datasets": put(hub, name, files, kind)
