"""What a server sent back comes in; the caption, the sample's failure, or the trouble it means goes out.

Servers answer errors with status 200, HTML with the type of JSON, and captions with nothing in them. Whatever they
send ends here as a Reply, as TryAgain or as Refusal; their words go to the local log alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from openmmlo.errors import SampleFailed
from openmmlo.records import Status

_WORDS = 300
_MOST_TOKENS = 10**9
_TRY_AGAIN = frozenset({408, 409, 425, 429})
_SAMPLES_OWN = ("moderation", "content_policy", "content policy", "content_filter", "flagged", "safety")

_REFUSALS = {
    401: "it does not accept the key",
    402: "it wants payment",
    403: "the key may not use this model",
    404: "it does not know the model, or there is nothing at this address",
    405: "there is no chat completion at this address",
    407: "the proxy wants a log-in",
    410: "what was there is gone",
}


@dataclass(frozen=True, slots=True)
class Received:
    """A whole answer: its status, its headers in lower case, its bytes."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """A chat completion, or an answer that fails one sample.

    ``cut`` says that the caption ended at max_tokens; ``tokens`` (in, out) and ``model`` are what the server states.
    ``refused`` marks an answer that the server gave instead of a completion.
    """

    outcome: str | SampleFailed
    cut: bool = False
    tokens: tuple[int, int] | None = None
    model: str = ""
    refused: bool = False


class TryAgain(Exception):
    """The same request may succeed later.

    Args:
        why: a phrase without the server's words.
        detail: the server's words.
        wait: seconds that the server asks for.
        charged: whether the server may count the request all the same.
        busy: whether it is too many requests that the server complains of, so that no sample is to blame.
    """

    def __init__(
        self, why: str, detail: str = "", wait: float | None = None, charged: bool = False, busy: bool = False
    ) -> None:
        super().__init__(why)
        self.why, self.detail, self.wait, self.charged, self.busy = why, detail, wait, charged, busy


class Refusal(Exception):
    """No request of this build will succeed: the key, the model or the address is wrong."""

    def __init__(self, why: str, detail: str = "") -> None:
        super().__init__(why)
        self.why, self.detail = why, detail


def read_reply(received: Received) -> Reply:
    """Read the answer to a chat completion.

    Raises:
        TryAgain: the server is busy, broken, or its answer is no chat completion.
        Refusal: no other request will fare better.
    """
    if received.status != 200:
        return Reply(_judge(received.status, received.headers, _words(received.body)), refused=True)
    answer = _json_object(received)
    choices = answer.get("choices")
    if not choices and "error" in answer:
        return _disguised(answer, received.headers)
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise TryAgain("an answer without choices", _words(received.body), charged=True)
    message = choices[0].get("message")
    if not isinstance(message, dict):
        raise TryAgain("an answer without a message", _words(received.body), charged=True)
    finish = choices[0].get("finish_reason")
    model = answer.get("model")
    reply = Reply(
        _caption(message, finish),
        cut=finish == "length",
        tokens=_tokens(answer.get("usage")),
        model=model if isinstance(model, str) else "",
    )
    return reply if isinstance(reply.outcome, str) else replace(reply, cut=False)


def _caption(message: Mapping[str, Any], finish: object) -> str | SampleFailed:
    refusal = message.get("refusal")
    if isinstance(refusal, str) and refusal.strip():
        return _failed("the model refused to describe it", _short(refusal))
    if finish == "content_filter":
        return _failed("the server's content filter held its caption back")
    content = message.get("content")
    if isinstance(content, list):  # in parts, as some servers answer
        parts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
        content = "".join(part for part in parts if isinstance(part, str))
    if isinstance(content, str) and content.strip():
        return content
    if content is not None and not isinstance(content, str):
        raise TryAgain("an answer whose content is no text", _short(repr(content)), charged=True)
    if finish == "length":
        return _failed("the model used up max_tokens before it said anything")
    return _failed("the server's answer holds no caption")


def _tokens(usage: object) -> tuple[int, int] | None:
    """Tokens (in, out) that the server counted; None where it does not say, or says what cannot be."""
    if not isinstance(usage, dict):
        return None
    counts = [usage.get("prompt_tokens"), usage.get("completion_tokens", 0)]
    good = [value for value in counts if type(value) is int and 0 <= value <= _MOST_TOKENS]
    return (good[0], good[1]) if len(good) == 2 else None


def _judge(status: int, headers: Mapping[str, str], words: str) -> SampleFailed:
    """What an HTTP status means: the sample's own failure is returned, everything else raised."""
    why = f"HTTP {status}"
    lowered = words.lower()
    if "insufficient_quota" in lowered:
        raise Refusal("the account's quota is used up", words)
    if 300 <= status < 400:
        raise Refusal(
            f"it redirects elsewhere ({why}), which is not followed, for the key would travel along; "
            "give the final address",
            words,
        )
    if status in _TRY_AGAIN or status >= 500 or status < 300:
        raise TryAgain(why, words, retry_after(headers), busy=status == 429)
    if "model_not_found" in lowered:
        raise Refusal(_REFUSALS[404], words)
    if status in _REFUSALS and not (status == 403 and any(word in lowered for word in _SAMPLES_OWN)):
        raise Refusal(f"{_REFUSALS[status]} ({why})", words)
    return _failed(f"the server refused it ({why})", words)


def _disguised(answer: Mapping[str, Any], headers: Mapping[str, str]) -> Reply:
    """An error that came with status 200, as some gateways send it."""
    error = answer["error"]
    code = error.get("code") if isinstance(error, dict) else None
    words = _error_words(answer)
    if type(code) is int and 400 <= code < 600:
        return Reply(_judge(code, headers, words), refused=True)
    raise TryAgain("an error in place of a caption", words, charged=True)


def _json_object(received: Received) -> dict[str, Any]:
    try:
        answer = json.loads(received.body)
    except (ValueError, RecursionError):
        html = "html" in received.headers.get("content-type", "") or received.body.lstrip()[:1] == b"<"
        why = "a web page in place of a caption" if html else "an answer that is not JSON"
        raise TryAgain(why, _words(received.body), charged=True) from None
    if not isinstance(answer, dict):
        raise TryAgain("an answer that is no JSON object", _words(received.body), charged=True)
    return answer


def served_models(received: Received) -> list[str]:
    """Names in the answer to a list of models; the names that aliases stand for included.

    Raises:
        TryAgain: it is no such list.
    """
    data = _json_object(received).get("data")
    if not isinstance(data, list):
        raise TryAgain("an answer that lists no models", _words(received.body))
    names = [item.get(key) for item in data if isinstance(item, dict) for key in ("id", "root")]
    return list(dict.fromkeys(name for name in names if isinstance(name, str) and name))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a Retry-After header asks for, as a number or as a date; None where it says nothing sensible."""
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", text):
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())


def _words(body: bytes) -> str:
    """What an answer says, in a line: its error message, or its text without tags."""
    text = body[:100_000].decode("utf-8", "replace")
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return _short(re.sub(r"<[^<>]*>", " ", text))
    return _error_words(answer) if isinstance(answer, dict) else _short(text)


def _error_words(answer: Mapping[str, Any]) -> str:
    error = answer.get("error")
    if isinstance(error, dict):
        parts = [error.get(key) for key in ("message", "code", "type")]
        return _short(" ".join(str(part) for part in dict.fromkeys(parts) if isinstance(part, str | int)))
    for value in (error, answer.get("message"), answer.get("detail")):
        if value:
            return _short(value if isinstance(value, str) else json.dumps(value))
    return _short(json.dumps(answer))


def _short(text: str) -> str:
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line[:_WORDS]


def _failed(reason: str, detail: str = "") -> SampleFailed:
    return SampleFailed(Status.CAPTIONER, reason, detail)
