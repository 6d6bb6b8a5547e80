"""A Hub on loopback: an HTTP server that speaks the routes of the real client, fails when told to, and keeps a log.

The real ``huggingface_hub`` and ``datasets`` reach it through ``HF_ENDPOINT``, which they read when imported: run them
in child processes with :meth:`Hub.environment`. Large files lie behind another origin ("localhost" beside "127.0.0.1"),
as they do on the real Hub, where a token must not go.
"""

from __future__ import annotations

import json
import os
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from hub_repos import ORGANISATION, TOKEN, USER, Refused, Repo
from hub_routes import ROUTES

FOLDER_LIMIT = 10_000


@dataclass
class Fault:
    """Something that goes wrong with requests whose ``METHOD path`` matches.

    Attributes:
        status: answered instead of doing it; with ``headers``.
        request_bytes: read so much of the request's body, then cut the connection.
        answer_bytes: send so much of the answer's body, then cut the connection.
        lose_answer: do it, then cut the connection.
        stall: seconds to wait first.
        action: called first, and ``after`` once it is done but not answered; a test kills the client in them.
        skip: let so many pass before.
        times: then strike so often.
    """

    match: str
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    request_bytes: int | None = None
    answer_bytes: int | None = None
    lose_answer: bool = False
    stall: float = 0.0
    action: Callable[[], None] | None = None
    after: Callable[[], None] | None = None
    skip: int = 0
    times: int = 1


@dataclass(frozen=True)
class Request:
    """One line of the log; status 0 where the connection was cut."""

    method: str
    path: str
    status: int
    body: int
    token: bool


class _Cut(Exception):
    """The connection ends here."""


class Hub:
    """The server. ``with Hub() as hub:`` starts and ends it.

    Attributes:
        repos: (type, owner/name) -> repository, type as in URLs (``datasets``).
        log: every request, in the order in which they ended.
        uploads: SHA-256 -> how often this large file arrived in full.
        commits_an_hour: more commits than this are answered with 429.
        part_size: where set, larger files are asked for in parts of so many bytes.
        folder_limit: entries a folder may have.
    """

    def __init__(self) -> None:
        self.repos: dict[tuple[str, str], Repo] = {}
        self.log: list[Request] = []
        self.uploads: Counter[str] = Counter()
        self.faults: list[Fault] = []
        self.commits_an_hour = 128
        self.commits = 0
        self.part_size: int | None = None
        self.folder_limit = FOLDER_LIMIT
        self.validated: list[str] = []
        self.parts: dict[tuple[str, int], bytes] = {}
        self.lock = threading.RLock()
        exchange = type("Bound", (Exchange,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), exchange)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self.storage = f"http://localhost:{self.port}"

    def __enter__(self) -> Hub:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def environment(self, home: Path, token: str | None = TOKEN) -> dict[str, str]:
        """The environment of a client: this Hub alone, caches under ``home``."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))}
        own = {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home / "hf"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_UPDATE_CHECK": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }
        return {**kept, **own, **({"HF_TOKEN": token} if token else {})}

    def fail(self, match: str, **how: Any) -> Fault:
        """Let requests fail; see :class:`Fault`."""
        fault = Fault(match, **how)
        with self.lock:
            self.faults.append(fault)
        return fault

    def requests(self, match: str) -> list[Request]:
        """Logged requests whose ``METHOD path`` matches."""
        with self.lock:
            return [line for line in self.log if re.search(match, f"{line.method} {line.path}")]

    def dataset(self, name: str) -> Repo:
        return self.repos["datasets", name]

    def fault_for(self, line: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.times and re.search(fault.match, line):
                    if fault.skip:
                        fault.skip -= 1
                        continue
                    fault.times -= 1
                    return fault
        return None


class Exchange(BaseHTTPRequestHandler):
    """One connection, a request at a time."""

    hub: Hub
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        return

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - http.server's names

    def _serve(self) -> None:
        split = urlsplit(self.path)
        self.route = split.path
        self.query = {key: values[-1] for key, values in parse_qs(split.query, keep_blank_values=True).items()}
        self.status, self.received = 0, 0
        self.fault = self.hub.fault_for(f"{self.command} {unquote(self.route)}")
        try:
            if self.fault and self.fault.action:
                self.fault.action()
            if self.fault and self.fault.stall:
                time.sleep(self.fault.stall)
            body = self._body()
            if self.fault and self.fault.request_bytes is not None:
                raise _Cut
            if self.fault and self.fault.status:
                return self._json({"error": "injected"}, self.fault.status, self.fault.headers)
            with self.hub.lock:
                try:
                    answer = self._dispatch(body)
                except Refused as refused:
                    headers = {"X-Error-Message": refused.message}
                    if refused.code:
                        headers["X-Error-Code"] = refused.code
                    answer = self.answer({"error": refused.message}, refused.status, headers)
            if self.fault and self.fault.after:
                self.fault.after()
            if self.fault and self.fault.lose_answer:
                raise _Cut
            answer()
        except _Cut:
            with suppress(OSError):
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
            self.close_connection, self.status = True, 0
        except OSError:
            self.close_connection, self.status = True, 0
        finally:
            self._note()

    def _note(self) -> None:
        token = "Authorization" in self.headers
        with self.hub.lock:
            self.hub.log.append(Request(self.command, unquote(self.route), self.status, self.received, token))

    def _body(self) -> bytes:
        limit = self.fault.request_bytes if self.fault else None
        pieces: list[bytes] = []
        for piece in self._pieces():
            pieces.append(piece)
            self.received += len(piece)
            if limit is not None and self.received >= limit:
                raise _Cut
        return b"".join(pieces)

    def _pieces(self) -> Iterator[bytes]:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline().split(b";")[0] or b"0", 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length") or 0)
        while left:
            piece = self.rfile.read(min(left, 1 << 14))
            if not piece:
                raise OSError("the client went away")
            left -= len(piece)
            yield piece

    def send(self, content: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.status = status
        self.send_response(status)
        for key, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            limit = self.fault.answer_bytes if self.fault else None
            if limit is not None:
                self.wfile.write(content[:limit])
                self.wfile.flush()
                raise _Cut
            self.wfile.write(content)

    def _json(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(value).encode()
        self.send(content, status, {"Content-Type": "application/json", **(headers or {})})

    # -- who asks, for what

    def user(self) -> str | None:
        given = self.headers.get("Authorization")
        if given is None:
            return None
        if given != f"Bearer {TOKEN}":
            raise Refused(401, "Invalid credentials in Authorization header")
        return USER

    def repo(self, kind: str, name: str, write: bool = False) -> Repo:
        user = self.user()
        repo = self.hub.repos.get((kind, name))
        own = name.split("/")[0] in (USER, ORGANISATION)
        if repo is None or (repo.private and not (user and own)):
            raise Refused(404 if user else 401, "Repository not found", "RepoNotFound")
        if write and user is None:
            raise Refused(401, "Invalid username or password.")
        if write and not own:
            raise Refused(403, "you have no permission to write to this repository")
        return repo

    def _dispatch(self, body: bytes) -> Callable[[], None]:
        for method, pattern, serve in ROUTES:
            found = re.fullmatch(pattern, self.route)
            if found and self.command in method.split("|"):
                values = {key: unquote(value) for key, value in found.groupdict().items() if value is not None}
                return serve(self, body, **values)
        raise Refused(404, f"no such route: {self.command} {self.route}")

    def answer(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Callable[[], None]:
        return lambda: self._json(value, status, headers)
