"""A chat completion server on loopback that captions, fails, stalls and lies as a test tells it to."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "owner/seer-7b"
KEY = "sk-very-secret-0123456789abcdef"


@dataclass
class Seen:
    """One request: its path, its headers, its JSON and the image in it."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    image: bytes = b""
    media_type: str = ""


@dataclass
class Answer:
    """What to send back. ``how`` takes over where the answer is no orderly one."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    how: Callable[[BaseHTTPRequestHandler], None] | None = None


def completion(text: object = "A red fox on a log.", finish: str | None = "stop", **changes: Any) -> Answer:
    """A chat completion; ``message`` replaces the message, other words replace fields of the answer."""
    message = changes.pop("message", {"role": "assistant", "content": text})
    value = {
        "id": "chat-1",
        "object": "chat.completion",
        "model": MODEL,
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
        **changes,
    }
    return Answer(body=json.dumps({key: item for key, item in value.items() if item is not None}).encode())


def failure(status: int, message: str = "no", code: str = "", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, json.dumps({"error": {"message": message, "type": "error", "code": code}}).encode(), named)


def stall(seconds: float) -> Answer:
    """Nothing at all, for so long."""
    return Answer(how=lambda handler: time.sleep(seconds))


def drip(seconds: float) -> Answer:
    """Headers, then a byte now and then."""

    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.05)

    return Answer(how=send)


def drop() -> Answer:
    """The connection ends without a word."""
    return Answer(how=lambda handler: None)


def truncated() -> Answer:
    """Half of what was announced."""
    whole = completion().body

    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(whole)}\r\n\r\n".encode() + whole[:40])

    return Answer(how=send)


def describe(seen: Seen) -> str:
    """A caption that follows from the image's bytes alone."""
    return f"A red fox of shade {hashlib.sha256(seen.image).hexdigest()[:8]} beside an umbrella."


class ChatServer(ThreadingHTTPServer):
    """Answers as ``respond`` says (number of the request from 0, what was asked); ``seen`` keeps the requests."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.respond: Callable[[int, Seen], Answer] = lambda number, seen: completion(describe(seen))
        self.models = Answer(body=json.dumps({"object": "list", "data": [{"id": MODEL}]}).encode())
        self.key = ""
        self.seen: list[Seen] = []
        self.asked_for_models: list[Seen] = []
        self.active = self.peak = 0
        self.lock = threading.Lock()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    @property
    def url(self) -> str:
        return f"http://{self.host}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is part of the test."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ChatServer
    timeout = 10

    def do_GET(self) -> None:
        seen = Seen(self.path, dict(self.headers), {})
        with self.server.lock:
            self.server.asked_for_models.append(seen)
        if self.server.key and seen.headers.get("Authorization") != f"Bearer {self.server.key}":
            self._send(failure(401, "who are you?"))
        else:
            self._send(self.server.models if self.path == "/v1/models" else failure(404))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        seen = Seen(self.path, dict(self.headers), body)
        for part in body["messages"][0]["content"]:
            if part["type"] == "image_url":
                head, _, data = part["image_url"]["url"].partition(",")
                seen.media_type = head.removeprefix("data:").removesuffix(";base64")
                seen.image = base64.b64decode(data)
        with self.server.lock:
            number = len(self.server.seen)
            self.server.seen.append(seen)
            self.server.active += 1
            self.server.peak = max(self.server.peak, self.server.active)
        try:
            self._send(self.server.respond(number, seen))
        finally:
            with self.server.lock:
                self.server.active -= 1

    def _send(self, answer: Answer) -> None:
        if answer.how is not None:
            answer.how(self)
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in {"Content-Type": "application/json", **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, *_: object) -> None:
        """Tests read what was seen, not a log."""


@contextmanager
def chat_server() -> Iterator[ChatServer]:
    server = ChatServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
