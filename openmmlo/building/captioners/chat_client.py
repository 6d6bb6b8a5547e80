"""One exchange with a server at a time or many at once, each bounded in time and size.

The key and the address live here alone: neither is in what this class shows of itself, and :meth:`ChatClient.hide`
takes them out of whatever a server says.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar
from urllib.parse import SplitResult, urlsplit

import httpx

from openmmlo.building.captioners.chat_answers import Received, Refusal, TryAgain

T = TypeVar("T")

LARGEST_ANSWER = 4 * 2**20
_SHORTEST_KEY = 8
_IDLE_SECONDS = 30.0
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_KEYLIKE = re.compile(r"\b(?:sk|pk|hf|key|Bearer)[-_ ][\w*.-]{6,}", re.IGNORECASE)


class ChatClient:
    """Requests to one server, whose loop runs in a thread of its own: callers may have a loop running themselves.

    Args:
        address: of the API, for example ``http://localhost:8000/v1``.
        key: sent as a bearer token; empty for none.
        timeout: seconds within which a whole answer must be there.
        connect_timeout: seconds within which a connection must stand.

    Each request under way has a connection of its own, kept for the next one: a shared pool looks at every connection
    for every request.
    """

    def __init__(self, address: str, key: str, timeout: float, connect_timeout: float) -> None:
        self._address = address.rstrip("/")
        self._key = key
        self._timeout = timeout
        self._connect_timeout = connect_timeout
        self._free: list[httpx.AsyncClient] = []
        self._trusted: ssl.SSLContext | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._live, name="chat-client", daemon=True)
        self._thread.start()

    @property
    def has_key(self) -> bool:
        return bool(self._key)

    @property
    def key_travels_open(self) -> bool:
        """Whether others on the network could read the key."""
        return self.has_key and self._address.startswith("http://") and not is_loopback(self._address)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end in the client's loop; an interrupt cancels it."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """Let the thread end its connections and itself; returns at once, for a finalizer may run in that thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._loop.stop)

    def _live(self) -> None:
        self._loop.run_forever()
        for client in self._free:
            self._loop.run_until_complete(client.aclose())
        self._loop.close()

    async def exchange(self, method: str, path: str, content: bytes | None = None) -> Received:
        """Send one request and read its whole answer. Redirects are not followed.

        Raises:
            TryAgain: no connection, no answer in time, a broken, compressed or oversized one.
            Refusal: the address or the certificate is at fault.
        """
        try:
            async with asyncio.timeout(self._timeout):
                return await self._exchange(method, path, content)
        except TimeoutError:  # asyncio's own; httpx has none but that of connecting
            raise TryAgain("no answer in time", charged=True) from None
        except (httpx.ConnectTimeout, httpx.ConnectError) as error:
            if "CERTIFICATE" in str(error).upper():
                raise Refusal("its certificate is not trusted", self.hide(str(error))) from None
            raise TryAgain("no connection", self.hide(str(error))) from None
        except httpx.WriteError as error:
            raise TryAgain("the connection broke", self.hide(str(error))) from None
        except (httpx.UnsupportedProtocol, httpx.InvalidURL, UnicodeError):
            raise Refusal("its address cannot be used") from None
        except (httpx.HTTPError, OSError) as error:
            # "from None": these errors may hold the address, and --debug would print them.
            raise TryAgain("the connection broke", self.hide(str(error)), charged=True) from None

    async def _exchange(self, method: str, path: str, content: bytes | None) -> Received:
        headers = {"Content-Type": "application/json"} if content is not None else {}
        client = self._free.pop() if self._free else self._opened()
        try:
            async with client.stream(method, f"{self._address}/{path}", content=content, headers=headers) as answer:
                found = {name.lower(): value for name, value in answer.headers.items()}
                if found.get("content-encoding", "identity") != "identity":
                    raise TryAgain("a compressed answer, which was not asked for", charged=True)
                body = bytearray()
                async for chunk in answer.aiter_raw():
                    body += chunk
                    if len(body) > LARGEST_ANSWER:
                        raise TryAgain(f"an answer of more than {LARGEST_ANSWER:,} bytes", charged=True)
            return Received(answer.status_code, found, bytes(body))
        finally:
            self._free.append(client)

    def _opened(self) -> httpx.AsyncClient:
        trust_env = not is_loopback(self._address)  # a proxy has no business between a machine and itself
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "openmmlo"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        try:
            self._trusted = self._trusted or httpx.create_ssl_context(trust_env=trust_env)
            return httpx.AsyncClient(
                headers=headers,
                timeout=httpx.Timeout(None, connect=self._connect_timeout),  # exchange() bounds the whole
                limits=httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=_IDLE_SECONDS),
                follow_redirects=False,
                trust_env=trust_env,
                verify=self._trusted,
            )
        except (ImportError, ValueError, OSError) as error:
            raise Refusal(
                "the proxy or certificates of the environment cannot be used", self.hide(str(error))
            ) from None

    def hide(self, text: str) -> str:
        """A server's or a library's words without the key, the server's name, and what looks like a key."""
        text = text.replace(self._key, "[key]") if self._key else text
        parts = urlsplit(self._address)
        for secret in (self._address, parts.netloc, parts.hostname or ""):
            text = re.sub(rf"(?<![\w.-]){re.escape(secret)}(?![\w-])", "[server]", text, flags=re.IGNORECASE)
        return _KEYLIKE.sub("[key]", text)

    def hide_key(self, text: str) -> str:
        """A caption without the key, should a server send it back; shorter ones are no secret (``EMPTY``)."""
        return text.replace(self._key, "[key]") if len(self._key) >= _SHORTEST_KEY else text

    def __repr__(self) -> str:
        return "ChatClient(...)"


def is_loopback(address: str) -> bool:
    return urlsplit(address).hostname in _LOOPBACK


def parse_address(text: str) -> SplitResult | None:
    """The parts of an address that a client can use, or None: http or https, a host, nothing secret in it."""
    try:
        parts = urlsplit(text.strip())
        _ = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        return None
    return None if parts.query or parts.fragment else parts
