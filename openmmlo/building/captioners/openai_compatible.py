"""Captions of a server: vLLM, SGLang, OpenAI or any other that speaks OpenAI's chat completions.

Nothing here says whether a caption is from near or far: neither the key nor the server's address is part of what a
build writes, logs or shows.
"""

from __future__ import annotations

import json
import os
import re
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from openmmlo.building.captioners import PAPER_PROMPT
from openmmlo.building.captioners.sent_image import ENCODING, SentImage, sent_image
from openmmlo.errors import ConfigError, SampleFailed
from openmmlo.records import Finding, Sample

if TYPE_CHECKING:
    from PIL.Image import Image

    from openmmlo.building.captioners.budget import Books, Limits
    from openmmlo.building.captioners.chat_batch import BatchAsker
    from openmmlo.building.captioners.chat_client import ChatClient

_CHECK_SECONDS = 10.0
_OWN_FIELDS = ("messages", "model", "stream", "n")


@dataclass(frozen=True)
class OpenAICompatible:
    """Any server that speaks OpenAI's chat completions: vLLM, SGLang, OpenAI and others.

    Args:
        model: name under which the server knows the model; there is no default.
        url: address of the API, up to ``/v1``; the default is where vLLM listens.
        key_env: environment variable that holds the key, sent where it is set; empty for none. A key is never an
            option.
        prompt: asked of every image.
        max_tokens: longest caption in tokens; None leaves the field out, as it does for the next two.
        temperature: 0 takes the likeliest token.
        seed: for servers that sample.
        detail: OpenAI's field of that name beside the image.
        extra: more fields of the request (``top_p``, ``repetition_penalty`` ...), recorded with the data set. A field
            whose value is None is left out.
        max_side: larger images are shrunk to this many pixels on their longer side; None sends every size.
        max_bytes: largest image file that is sent.
        served_as: the name that the server states in its answers where it is not the model's.
        concurrency: requests at a time in each worker; no more than the batch size.
        timeout: seconds within which a whole answer must be there.
        connect_timeout: seconds within which a connection must stand.
        retries: how often a request is repeated where that may help.
        backoff: seconds before the first repetition, doubled each time.
        max_wait: most seconds between two tries, whatever the server asks for.
        max_requests: most requests of the whole build, all workers, machines and resumes together.
        max_total_tokens: most tokens, in and out, of the whole build.
        max_cost: most that the whole build may cost, in the currency of the prices.
        input_price: of a million tokens in.
        output_price: of a million tokens out.

    Deterministic only as far as the server is: batching alone may change the last bit of its arithmetic.
    """

    model: str = ""
    url: str = field(default="http://localhost:8000/v1", repr=False)
    key_env: str = field(default="OPENAI_API_KEY", repr=False)
    prompt: str = PAPER_PROMPT
    max_tokens: int | None = 512
    temperature: float | None = 0.0
    seed: int | None = 0
    detail: Literal["low", "high", "auto"] | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    max_side: int | None = 2048
    max_bytes: int = 4 * 2**20
    served_as: str | None = None
    concurrency: int = 16
    timeout: float = 120.0
    connect_timeout: float = 10.0
    retries: int = 6
    backoff: float = 1.0
    max_wait: float = 60.0
    max_requests: int | None = None
    max_total_tokens: int | None = None
    max_cost: float | None = None
    input_price: float = 0.0
    output_price: float = 0.0
    name: str = field(default="openai-compatible", init=False)
    _books: Any = field(default=None, init=False, repr=False, compare=False)
    _asker: Any = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.model:
            raise ConfigError(
                "Captioner openai-compatible needs a model: the name under which the server knows it, for example "
                "--model Qwen/Qwen2.5-VL-7B-Instruct. Its address is --set captioner.url=http://HOST:PORT/v1."
            )
        self._check_address()
        self._check_numbers()
        self._check_extra()

    def identity(self) -> dict[str, Any]:
        """What decides the captions; neither address, key, speed nor budget does."""
        return {
            "captioner": self.name,
            "model": _published(self.model),
            "prompt": self.prompt,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "seed": self.seed,
            "detail": self.detail,
            "extra": self.extra,
            "max_side": self.max_side,
            "max_bytes": self.max_bytes,
            "sent_as": ENCODING,
        }

    def check(self) -> list[Finding]:
        """Asks the server for its models: whether it answers, takes the key and knows this one."""
        from openmmlo.building.captioners.chat_check import examine_server

        client = self._client(min(self.timeout, _CHECK_SECONDS))
        try:
            return examine_server(client, self.model, self.key_env)
        finally:
            client.close()

    def prepare(self, sample: Sample, image: Image) -> SentImage:
        """The image as it will be sent."""
        try:
            original = sample.image.read()
        except (OSError, ValueError):  # gone since it was decoded; its pixels are here
            original = None
        return sent_image(image, original, self.max_side, self.max_bytes)

    def open_books(self, folder: Path) -> None:
        self._keep("_books", self._books_in(folder))

    def account(self, folder: Path) -> str:
        return self._books_in(folder).used().sentence(self._limits())

    def learnt(self, folder: Path) -> dict[str, Any]:
        """The names that the server stated in its answers."""
        names = sorted({_published(name) for name in self._books_in(folder).used().models})
        return {"answered_as": names} if names else {}

    def load(self, worker: int = 0) -> None:
        """Open the connection; the first request tells more."""
        from openmmlo.building.captioners.chat_batch import BatchAsker, Patience
        from openmmlo.building.captioners.chat_check import unexpected_model

        if self._asker is not None:
            return
        client = self._client(self.timeout)
        weakref.finalize(self, client.close)
        patience = Patience(self.concurrency, self.retries, self.backoff, self.max_wait)
        books = self._books or self._books_in(None)
        self._keep(
            "_asker",
            BatchAsker(client, self.body, books, patience, partial(unexpected_model, self.model, self.served_as)),
        )

    def caption(self, prepared: Sequence[SentImage]) -> list[str | SampleFailed]:
        """Caption a batch through the server.

        Raises:
            CaptioningStopped: the server is gone or refuses the build, or the budget is used up.
        """
        self.load()
        asker: BatchAsker = self._asker
        return asker.caption(prepared)

    def body(self, image: SentImage) -> bytes:
        """The request for one image."""
        address = {"url": image.uri(), **({"detail": self.detail} if self.detail else {})}
        content: list[dict[str, Any]] = [{"type": "image_url", "image_url": address}]
        if self.prompt:
            content.append({"type": "text", "text": self.prompt})
        values = {
            "model": self.model,
            "messages": [{"role": "user", "content": content}],
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "seed": self.seed,
            **self.extra,
        }
        return json.dumps({name: value for name, value in values.items() if value is not None}).encode()

    def _limits(self) -> Limits:
        from openmmlo.building.captioners.budget import Limits

        return Limits(self.max_requests, self.max_total_tokens, self.max_cost, self.input_price, self.output_price)

    def _books_in(self, folder: Path | None) -> Books:
        from openmmlo.building.captioners.budget import Books

        return Books(self._limits(), self.max_tokens, folder)

    def _client(self, timeout: float) -> ChatClient:
        from openmmlo.building.captioners.chat_client import ChatClient

        return ChatClient(self.url, self._key(), timeout, self.connect_timeout)

    def _key(self) -> str:
        """The key, read where it is used; it is kept nowhere else.

        Raises:
            ConfigError: it holds what no HTTP header may.
        """
        key = os.environ.get(self.key_env, "").strip() if self.key_env else ""
        if not key.isascii() or not key.isprintable():
            raise ConfigError(f"{self.key_env} holds characters that no key has; set it anew, without line breaks.")
        return key

    def _check_address(self) -> None:
        from openmmlo.building.captioners.chat_client import parse_address

        # The value itself is not shown: it may hold a password, and a key may have been given for the variable's name.
        if parse_address(self.url) is None:
            raise ConfigError(
                "captioner.url is no address that can be used; expected http://HOST:PORT/v1 or https://..., without "
                "user name, password, query or fragment. A key comes from the environment (captioner.key_env)."
            )
        self._keep("url", re.sub(r"/(chat/completions/?)?$", "", self.url.strip()))
        if self.key_env and not re.fullmatch(r"[A-Z_][A-Z0-9_]*", self.key_env):
            raise ConfigError(
                "captioner.key_env is no name of an environment variable; expected capitals, digits and underscores, "
                "for example OPENAI_API_KEY. The key itself is never an option: set it in that variable."
            )

    def _check_numbers(self) -> None:
        least = {"max_tokens": 1, "max_side": 16, "max_bytes": 10_000, "concurrency": 1, "retries": 0, "temperature": 0}
        least |= dict.fromkeys(("max_requests", "max_total_tokens", "max_cost"), 0)
        least |= dict.fromkeys(("input_price", "output_price", "backoff", "max_wait"), 0)
        for name, bound in least.items():
            value = getattr(self, name)
            if value is not None and not bound <= value < float("inf"):
                raise ConfigError(f"captioner.{name} is {value}; expected at least {bound}.")
        for name in ("timeout", "connect_timeout"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ConfigError(f"captioner.{name} is {getattr(self, name)}; expected seconds above 0.")
        if self.max_cost is not None and not self.input_price + self.output_price:
            raise ConfigError(
                "captioner.max_cost needs prices of a million tokens: --set captioner.input_price=0.15 "
                "--set captioner.output_price=0.6, for example."
            )

    def _check_extra(self) -> None:
        own = [name for name in _OWN_FIELDS if name in self.extra]
        if own:
            raise ConfigError(f"captioner.extra may not hold {', '.join(own)}: the captioner sets that itself.")
        try:
            json.dumps(self.extra, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"captioner.extra cannot be written as JSON: {error}.") from error

    def _keep(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def __getstate__(self) -> dict[str, Any]:
        """Options alone: no connection, no books, no key."""
        return {**{item.name: getattr(self, item.name) for item in fields(self)}, "_books": None, "_asker": None}


def _published(model: str) -> str:
    """A model's name as manifests show it: a local path loses its folders."""
    is_path = model.startswith(("/", "~", ".")) or "\\" in model
    return re.split(r"[/\\]", model.rstrip("/\\"))[-1] if is_path else model
