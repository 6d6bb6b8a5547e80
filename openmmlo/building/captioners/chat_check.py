"""What a server says of itself, before any work and in its answers, against what was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from openmmlo.building.captioners.chat_answers import Received, Refusal, TryAgain, served_models
from openmmlo.building.captioners.chat_client import ChatClient
from openmmlo.records import Finding

_SHOWN = 8


def examine_server(client: ChatClient, model: str, key_env: str) -> list[Finding]:
    """Ask a server for its models: whether it answers, takes the key and serves this one.

    Args:
        key_env: the environment variable from which the client has its key, for what to mend.
    """
    return list(_examine(client, model, key_env))


def _examine(client: ChatClient, model: str, key_env: str) -> Iterator[Finding]:
    if client.key_travels_open:
        yield Finding(
            "warning",
            "The key travels unencrypted: captioner.url begins with http",
            "Use https, or --set captioner.key_env= where the server asks for no key.",
        )
    try:
        received = client.run(client.exchange("GET", "models"))
        yield _about_status(received, client.has_key, key_env) or _about_model(client, served_models(received), model)
    except (Refusal, TryAgain) as error:
        words = f": {client.hide(error.detail)}" if error.detail else ""
        yield Finding(
            "error",
            f"The captioner's server gives no list of models ({error.why}){words}",
            "Start it and wait until it is ready (vllm serve MODEL), or correct its address, which ends in /v1 as a "
            "rule: --set captioner.url=http://HOST:PORT/v1",
        )


def _about_status(received: Received, has_key: bool, key_env: str) -> Finding | None:
    """What any status but 200 says."""
    status = received.status
    if status == 200:
        return None
    if status in (401, 403):
        return _about_key(status, has_key, key_env)
    if 300 <= status < 400:
        return Finding(
            "error",
            f"The captioner's server redirects elsewhere (HTTP {status}), which is not followed, for the key would "
            "travel along",
            "Give the final address: --set captioner.url=...",
        )
    if status in (404, 405, 501):
        return Finding("ok", f"The captioner's server answers, but lists no models (HTTP {status})")
    raise TryAgain(f"HTTP {status}")


def _about_key(status: int, has_key: bool, key_env: str) -> Finding:
    if has_key:
        return Finding(
            "error",
            f"The captioner's server does not accept the key in {key_env} (HTTP {status})",
            f"Set {key_env} to a key that may use it, or name another variable: --set captioner.key_env=NAME",
        )
    return Finding(
        "error",
        f"The captioner's server asks for a key (HTTP {status}), and "
        + (f"{key_env} is not set" if key_env else "no variable is named that holds one"),
        f"Set {key_env or 'a variable'} to the key, and name another variable with --set captioner.key_env=NAME",
    )


def _about_model(client: ChatClient, names: list[str], model: str) -> Finding:
    """Whether a model is in a list, which may hold patterns; one with a provider behind a colon goes by its name."""
    wanted = (model, model.rpartition(":")[0] or model)
    if not names or any(fnmatchcase(one, name) for name in names for one in wanted):
        return Finding("ok", f"The captioner's server answers and serves {model!r}")
    shown = ", ".join(map(_printable, names[:_SHOWN]))
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    what = f"The captioner's server does not serve {model!r}. It serves: {client.hide(shown)}{more}"
    return Finding("error", what, "Give one of these names: --model NAME.")


def unexpected_model(asked: str, served_as: str | None, stated: str) -> str:
    """Why a build must not go on with a server that answers as model ``stated``; empty where that is the one asked for.

    A dated or tagged name is the same model: ``gpt-4o`` answers as ``gpt-4o-2024-11-20``.
    """
    name, told = asked.casefold(), stated.casefold()
    dated = any(told.startswith(name + mark) for mark in "-:@")
    if not stated or stated == served_as or told == name or dated or name.startswith(f"{told}:"):
        return ""
    return (
        f"it answers as model {_printable(stated)!r}, asked for {asked!r}. If that is the same model, say so: "
        "--set captioner.served_as=NAME"
    )


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)[:120]
