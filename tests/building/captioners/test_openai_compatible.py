"""The captioner of OpenAI-compatible servers: its options, its requests, what it finds before any work."""

from __future__ import annotations

import copy
import io
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from chat_server import KEY, MODEL, Answer, ChatServer, chat_server, completion, failure, stall
from PIL import Image
from stubs import Generated

from openmmlo.building.captioners import PAPER_PROMPT, Captioner, KeepsBooks, open_captioner
from openmmlo.building.captioners.chat_client import ChatClient
from openmmlo.building.captioners.openai_compatible import OpenAICompatible
from openmmlo.building.captioners.sent_image import SentImage
from openmmlo.data.images import decode
from openmmlo.errors import ConfigError
from openmmlo.records import Finding

HOST = "gpu-17.cluster.example"
IMAGE = SentImage("image/png", b"pixels")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with chat_server() as running:
        yield running


def made(**options: Any) -> OpenAICompatible:
    captioner = open_captioner("openai-compatible", {"model": MODEL, **options})
    assert isinstance(captioner, OpenAICompatible)
    return captioner


def asked(captioner: OpenAICompatible) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(captioner.body(IMAGE))
    return value


def test_it_keeps_both_protocols() -> None:
    assert isinstance(made(), Captioner)
    assert isinstance(made(), KeepsBooks)


def test_the_request_is_a_chat_completion_with_the_image_before_the_prompt() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,cGl4ZWxz"}}
    assert asked(made()) == {
        "model": MODEL,
        "messages": [{"role": "user", "content": [picture, {"type": "text", "text": PAPER_PROMPT}]}],
        "max_tokens": 512,
        "temperature": 0.0,
        "seed": 0,
    }


def test_fields_of_a_request_can_be_changed_added_and_left_out() -> None:
    extra = {"top_p": 0.5, "max_tokens": None, "max_completion_tokens": 40, "nested": {"a": [1]}}
    value = asked(made(temperature=None, seed=7, detail="low", prompt="", extra=extra))
    assert value.keys() == {"model", "messages", "seed", "top_p", "max_completion_tokens", "nested"}
    (part,) = value["messages"][0]["content"]
    assert part["image_url"]["detail"] == "low"


def test_what_goes_over_the_wire(server: ChatServer) -> None:
    sample = next(Generated(4).samples("train"))
    original = sample.image.read()
    captioner = made(url=server.url)
    prepared = pickle.loads(pickle.dumps(captioner.prepare(sample, decode(original).image)))  # noqa: S301
    (caption,) = captioner.caption([prepared])
    assert str(caption).startswith("A red fox of shade")
    (seen,) = server.seen
    assert seen.path == "/v1/chat/completions"
    assert (seen.image, seen.media_type) == (original, "image/jpeg")
    assert seen.headers["Authorization"] == f"Bearer {KEY}"
    assert seen.headers["User-Agent"] == "openmmlo"


@pytest.mark.parametrize("env", [{"key_env": ""}, {"key_env": "UNSET_KEY_OF_THIS_TEST"}])
def test_without_a_key_none_is_sent(server: ChatServer, env: dict[str, str]) -> None:
    made(url=server.url, **env).caption([IMAGE])
    assert "Authorization" not in server.seen[0].headers


def test_the_key_comes_from_the_variable_that_is_named(server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER_KEY", f"  {KEY}-2\n")
    made(url=server.url, key_env="OTHER_KEY").caption([IMAGE])
    assert server.seen[0].headers["Authorization"] == f"Bearer {KEY}-2"


@pytest.mark.parametrize("ending", ["", "/", "/chat/completions", "/chat/completions/"])
def test_addresses_may_end_as_people_copy_them(server: ChatServer, ending: str) -> None:
    made(url=f" {server.url}{ending}").caption([IMAGE])
    assert server.seen[0].path == "/v1/chat/completions"


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(
    server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    made(url=server.url).caption([IMAGE])
    assert len(server.seen) == 1


def test_a_file_that_is_gone_since_it_was_decoded_travels_as_its_pixels() -> None:
    class Gone:
        locator = "a.jpg"

        def read(self) -> bytes:
            raise FileNotFoundError

    sample = copy.copy(next(Generated(4).samples("train")))
    object.__setattr__(sample, "image", Gone())
    sent = made().prepare(sample, Image.new("RGB", (20, 10)))
    assert Image.open(io.BytesIO(sent.data)).size == (20, 10)


# What decides the captions, and what must not be told


def test_identity_holds_what_decides_the_captions() -> None:
    same = made().identity()
    assert same["model"] == MODEL
    assert same["prompt"] == PAPER_PROMPT
    assert json.loads(json.dumps(same)) == same
    changes: dict[str, Any] = {
        "model": "other", "prompt": "What?", "max_tokens": 3, "temperature": 0.5, "seed": None, "detail": "low",
        "extra": {"top_p": 1}, "max_side": 100, "max_bytes": 20_000,
    }  # fmt: skip
    for name, value in changes.items():
        assert made(**{name: value}).identity() != same, name
    others: dict[str, Any] = {
        "url": f"https://{HOST}/v1", "key_env": "OTHER", "served_as": "x", "concurrency": 2, "timeout": 1.0,
        "connect_timeout": 1.0, "retries": 0, "backoff": 0.0, "max_wait": 0.0, "max_requests": 1,
        "max_total_tokens": 1, "max_cost": 1.0, "input_price": 1.0, "output_price": 1.0,
    }  # fmt: skip
    assert made(**others).identity() == same
    assert {item.name for item in fields(OpenAICompatible) if item.init} == changes.keys() | others.keys()


@pytest.mark.parametrize(
    ("model", "published"),
    [("owner/name", "owner/name"), ("/home/me/models/seer", "seer"), ("./seer/", "seer"), ("D:\\models\\seer", "seer")],
)
def test_a_local_path_is_not_published(model: str, published: str) -> None:
    assert made(model=model).identity()["model"] == published


def test_neither_key_nor_address_is_shown_or_pickled(server: ChatServer) -> None:
    captioner = made(url=server.url)
    captioner.caption([IMAGE])
    shown = [repr(captioner), str(captioner), repr(captioner._asker.client), repr(vars(captioner))]
    for text in shown:
        assert KEY not in text
    assert server.host not in repr(captioner)
    pickled = pickle.dumps(captioner)
    assert KEY.encode() not in pickled
    again = pickle.loads(pickled)  # noqa: S301 - our own bytes
    assert again == captioner
    assert again._asker is None
    again.caption([IMAGE])


def test_words_of_others_lose_key_and_address(server: ChatServer) -> None:
    client = ChatClient("https://gpu-17.cluster.example:8443/v1", KEY, 1, 1)
    try:
        said = client.hide(
            f"{KEY} at https://gpu-17.cluster.example:8443/v1, GPU-17.cluster.example, sk-other0123456789****wxyz "
            "and Bearer abcdefghijk; mygpu-17.cluster.example.org is another"
        )
    finally:
        client.close()
    assert KEY not in said
    assert "other0123" not in said
    assert "abcdefghijk" not in said
    assert said.lower().count("gpu-17.cluster.example") == 1


# Options that cannot be


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": ""}, "needs a model"),
        ({"url": ""}, "no address that can be used"),
        ({"url": "localhost:8000/v1"}, "no address"),
        ({"url": "ftp://host/v1"}, "no address"),
        ({"url": "http://:8000/v1"}, "no address"),
        ({"url": "http://host:99999/v1"}, "no address"),
        ({"url": f"http://me:{KEY}@host/v1"}, "without user name, password"),
        ({"url": f"http://host/v1?key={KEY}"}, "query"),
        ({"key_env": KEY}, "no name of an environment variable"),
        ({"key_env": "secret0123456789"}, "no name of an environment variable"),
        ({"api_key": KEY}, "takes no 'api_key'"),
        ({"max_tokens": 0}, "max_tokens is 0; expected at least 1"),
        ({"concurrency": 0}, "concurrency is 0"),
        ({"retries": -1}, "retries is -1"),
        ({"temperature": -0.1}, "temperature is -0.1"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"timeout": 0}, "timeout is 0"),
        ({"timeout": float("inf")}, "timeout is inf"),
        ({"max_side": 1}, "max_side is 1"),
        ({"max_requests": -1}, "max_requests is -1"),
        ({"max_cost": 5}, "needs prices"),
        ({"input_price": -1}, "input_price is -1"),
        ({"detail": "hihg"}, "detail is 'hihg'"),
        ({"extra": {"model": "x", "stream": True}}, "may not hold model, stream"),
        ({"extra": {"a": float("nan")}}, "cannot be written as JSON"),
        ({"extra": 3}, "extra is 3"),
    ],
)
def test_options_that_cannot_be_are_refused_without_telling_secrets(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        made(**options)
    assert KEY not in str(error.value)
    assert "secret0123456789" not in str(error.value)


def test_a_key_that_no_header_may_hold_is_refused_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-sécret")
    with pytest.raises(ConfigError, match="OPENAI_API_KEY holds characters") as error:
        made().check()
    assert "cret" not in str(error.value)


# What it finds before any work


def finding(captioner: OpenAICompatible) -> Finding:
    (found,) = captioner.check()
    return found


def models(*names: str) -> Answer:
    return Answer(body=json.dumps({"data": [{"id": name} for name in names]}).encode())


def test_a_server_that_is_ready(server: ChatServer) -> None:
    server.key = KEY
    assert finding(made(url=server.url)) == Finding("ok", f"The captioner's server answers and serves {MODEL!r}")
    assert server.seen == [], "checking costs no caption"


@pytest.mark.parametrize("names", [(), (MODEL,), ("owner/*",), ("a", "b", MODEL)])
def test_a_model_that_is_served(server: ChatServer, names: tuple[str, ...]) -> None:
    server.models = models(*names)
    assert finding(made(url=server.url)).level == "ok"


def test_a_model_with_its_provider_goes_by_its_name(server: ChatServer) -> None:
    assert finding(made(url=server.url, model=f"{MODEL}:fast")).level == "ok"


def test_a_model_that_is_not_served(server: ChatServer) -> None:
    server.models = models("a\n<b>", *(f"m{number}" for number in range(20)))
    found = finding(made(url=server.url))
    assert found.level == "error"
    assert "does not serve 'owner/seer-7b'. It serves: a <b>, m0, m1" in found.what
    assert found.what.endswith("and 13 more")
    assert "--model" in found.remedy


def test_a_missing_key(server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.key = KEY
    monkeypatch.delenv("OPENAI_API_KEY")
    found = finding(made(url=server.url))
    assert found.level == "error"
    assert "asks for a key (HTTP 401), and OPENAI_API_KEY is not set" in found.what
    assert "captioner.key_env" in found.remedy


def test_a_wrong_key(server: ChatServer) -> None:
    server.key = "another"
    found = finding(made(url=server.url))
    assert found.level == "error"
    assert "does not accept the key in OPENAI_API_KEY" in found.what
    assert KEY not in found.what + found.remedy


def test_a_server_that_is_not_there(server: ChatServer) -> None:
    server.shutdown()
    server.server_close()
    found = finding(made(url=server.url))
    assert found.level == "error"
    assert "no connection" in found.what
    assert "vllm serve" in found.remedy
    assert server.host not in found.what + found.remedy


@pytest.mark.parametrize(
    ("answer", "level", "said"),
    [
        (stall(1), "error", "no answer in time"),
        (failure(503, "loading"), "error", "HTTP 503"),
        (failure(500), "error", "HTTP 500"),
        (failure(302, Location="http://elsewhere.example/"), "error", "redirects elsewhere"),
        (Answer(body=b"<html>hello</html>"), "error", "a web page"),
        (Answer(body=b"{}"), "error", "lists no models"),
        (Answer(body=b"x" * (5 * 2**20)), "error", "more than"),
        (failure(404), "ok", "lists no models"),
    ],
    ids=["stall", "503", "500", "redirect", "html", "no-list", "huge", "404"],
)
def test_other_answers(server: ChatServer, answer: Answer, level: str, said: str) -> None:
    server.models = answer
    found = finding(made(url=server.url, timeout=0.3))
    assert found.level == level
    assert said in found.what
    assert "elsewhere.example" not in found.what + found.remedy
    assert (level == "error") is bool(found.remedy)


def test_a_key_over_plain_http_to_another_machine_is_warned_of() -> None:
    os.environ["KEY_OF_THIS_TEST"] = KEY
    try:
        found = made(url="http://nowhere.invalid/v1", key_env="KEY_OF_THIS_TEST", timeout=2).check()
    finally:
        del os.environ["KEY_OF_THIS_TEST"]
    assert [item.level for item in found] == ["warning", "error"]
    assert "unencrypted" in found[0].what
    assert "nowhere.invalid" not in str(found)


def test_no_client_is_loaded_before_it_is_needed() -> None:
    code = "import sys, openmmlo.building.captioners as c; c.CAPTIONERS.load('openai-compatible'); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[3])
    assert loaded.returncode == 0, loaded.stderr
    assert not {"httpx", "torch"} & set(loaded.stdout.split())


def test_the_end_of_a_captioner_ends_its_thread(server: ChatServer) -> None:
    import gc
    import threading
    import time

    captioner = made(url=server.url)
    captioner.caption([IMAGE])
    thread = captioner._asker.client._thread
    assert thread.is_alive()
    del captioner
    deadline = time.monotonic() + 5
    while thread.is_alive() and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.01)
    assert not thread.is_alive()
    assert not [item for item in threading.enumerate() if item is thread]


def test_a_whole_answer_is_a_caption(server: ChatServer) -> None:
    server.respond = lambda number, seen: completion("  A fox.\n")
    assert made(url=server.url).caption([IMAGE] * 2) == ["  A fox.\n"] * 2, "the build strips what every captioner says"
