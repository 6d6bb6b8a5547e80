"""Batches through a server on loopback that fails, stalls and lies."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from chat_server import (
    KEY,
    MODEL,
    Answer,
    ChatServer,
    Seen,
    chat_server,
    completion,
    describe,
    drip,
    drop,
    failure,
    stall,
    truncated,
)

from openmmlo.building.captioners.chat_batch import Patience
from openmmlo.building.captioners.openai_compatible import OpenAICompatible
from openmmlo.building.captioners.sent_image import SentImage, plain_picture
from openmmlo.errors import CaptioningStopped, SampleFailed
from openmmlo.records import Status

QUICK: dict[str, Any] = {"backoff": 0.01, "max_wait": 0.05, "retries": 2, "timeout": 0.4, "model": MODEL}
PLAIN = plain_picture().data


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with chat_server() as running:
        yield running


def captioner(server: ChatServer, **options: Any) -> OpenAICompatible:
    return OpenAICompatible(**{**QUICK, "url": server.url, **options})


def images(count: int) -> list[SentImage]:
    return [SentImage("image/png", b"image %d" % number) for number in range(count)]


def captions(count: int) -> list[str]:
    return [describe(Seen("", {}, {}, image.data)) for image in images(count)]


def only(*bad: int, answer: Callable[[], Answer]) -> Callable[[int, Seen], Answer]:
    """Respond to these images as told, to all others with their captions."""
    wanted = {b"image %d" % number for number in bad}
    return lambda number, seen: answer() if seen.image in wanted else completion(describe(seen))


def stopped(made: OpenAICompatible, count: int) -> CaptioningStopped:
    with pytest.raises(CaptioningStopped) as stop:
        made.caption(images(count))
    return stop.value


def test_captions_come_in_order_many_at_a_time(server: ChatServer) -> None:
    together = threading.Barrier(8, timeout=5)

    def respond(number: int, seen: Seen) -> Answer:
        together.wait()
        time.sleep(0.02 * (7 - int(seen.image[-1:]) % 8))
        return completion(describe(seen))

    server.respond = respond
    assert captioner(server, concurrency=8, timeout=5).caption(images(8)) == captions(8)
    assert server.peak == 8


def test_no_more_requests_at_a_time_than_asked_for(server: ChatServer) -> None:
    def respond(number: int, seen: Seen) -> Answer:
        time.sleep(0.02)
        return completion(describe(seen))

    server.respond = respond
    assert captioner(server, concurrency=3).caption(images(12)) == captions(12)
    assert server.peak <= 3


def test_connections_are_kept_between_batches(server: ChatServer) -> None:
    made = captioner(server, concurrency=1)
    ports = set()
    handle = server.process_request

    def process(request: Any, address: Any) -> None:
        ports.add(address)
        handle(request, address)

    server.process_request = process  # type: ignore[method-assign]
    made.caption(images(3))
    made.caption(images(3))
    assert len(ports) == 1


def test_it_works_where_a_loop_is_running(server: ChatServer) -> None:
    """As in a notebook."""

    async def cell() -> list[str | SampleFailed]:
        return captioner(server).caption(images(2))

    assert asyncio.run(cell()) == captions(2)


@pytest.mark.parametrize(
    "trouble",
    [
        lambda: failure(503),
        lambda: failure(500),
        lambda: failure(429),
        lambda: failure(429, Retry_After="0.01"),
        lambda: stall(0.6),
        lambda: drip(0.6),
        drop,
        truncated,
        lambda: Answer(body=b"<html>gateway</html>"),
        lambda: Answer(body=completion().body, headers={"Content-Encoding": "gzip"}),
        lambda: completion(choices=[]),
    ],
    ids=["503", "500", "429", "429-asking", "stall", "drip", "drop", "truncated", "html", "compressed", "empty"],
)
def test_what_passes_is_waited_for(server: ChatServer, trouble: Callable[[], Answer]) -> None:
    """Every image meets the trouble once."""
    met: set[bytes] = set()

    def respond(number: int, seen: Seen) -> Answer:
        if seen.image not in met:
            met.add(seen.image)
            return trouble()
        return completion(describe(seen))

    server.respond = respond
    made = captioner(server)
    assert made.caption(images(4)) == captions(4)
    used = made._asker.books.used()
    assert (used.requests, used.retries, used.captions, used.failed) == (8, 4, 4, 0)


@pytest.mark.parametrize("trouble", [lambda: failure(500, "worker crashed"), drop, lambda: completion(choices=[])])
def test_an_image_that_the_server_cannot_stand_fails_alone(server: ChatServer, trouble: Callable[[], Answer]) -> None:
    server.respond = only(2, answer=trouble)
    outcomes = captioner(server).caption(images(5))
    failed = outcomes[2]
    assert isinstance(failed, SampleFailed)
    assert failed.status is Status.CAPTIONER
    assert failed.reason.startswith("the server failed on it 3 times (")
    assert outcomes[:2] + outcomes[3:] == captions(2) + captions(5)[3:]
    sent = [seen.image for seen in server.seen]
    assert sent.count(b"image 2") == 3
    assert sent.count(PLAIN) == 1, "a plain picture told who was to blame"


def test_a_refused_image_fails_alone_and_is_not_asked_again(server: ChatServer) -> None:
    server.respond = only(1, 3, answer=lambda: failure(400, f"bad image for {KEY} at {server.host}", "content_policy"))
    outcomes = captioner(server).caption(images(5))
    for place in (1, 3):
        failed = outcomes[place]
        assert isinstance(failed, SampleFailed)
        assert failed.reason == "the server refused it (HTTP 400)"
        assert failed.detail == "bad image for [key] at [server] content_policy error"
    assert [outcomes[place] for place in (0, 2, 4)] == [captions(5)[place] for place in (0, 2, 4)]
    assert len(server.seen) == 5


OUTAGES: dict[str, Callable[[], Answer]] = {
    "503": lambda: failure(503, "loading"),
    "stall": lambda: stall(0.6),
    "drip": lambda: drip(0.6),
    "drop": drop,
    "truncated": truncated,
    "html": lambda: Answer(body=b"<html>login</html>"),
    "empty": lambda: completion(choices=[]),
    "huge": lambda: Answer(body=b" " * (5 * 2**20)),
}


@pytest.mark.parametrize("kind", OUTAGES)
def test_an_outage_stops_the_batch_and_blames_no_image(server: ChatServer, kind: str) -> None:
    server.respond = lambda number, seen: OUTAGES[kind]()
    stop = stopped(captioner(server, retries=1, timeout=0.2 if kind in ("stall", "drip") else 5), 4)
    assert stop.outcomes == [None] * 4
    assert "gives no captions" in str(stop)
    assert "run the same command to go on" in str(stop)
    assert server.host not in str(stop)
    assert len(server.seen) <= 4 * 2 + 2


def test_captions_from_before_an_outage_are_kept(server: ChatServer) -> None:
    server.respond = lambda number, seen: completion(describe(seen)) if number < 3 else failure(503)
    stop = stopped(captioner(server, concurrency=1), 5)
    assert stop.outcomes == [*captions(3), None, None]


def test_a_server_that_comes_back_goes_on_in_the_next_batch(server: ChatServer) -> None:
    made = captioner(server)
    server.respond = lambda number, seen: drop()
    stopped(made, 3)
    server.respond = lambda number, seen: completion(describe(seen))
    assert made.caption(images(3)) == captions(3)


def test_a_server_that_is_gone(server: ChatServer) -> None:
    made = captioner(server)
    server.shutdown()
    server.server_close()
    stop = stopped(made, 3)
    assert "no connection" in str(stop)
    assert server.host not in str(stop)


def test_too_many_requests_to_the_end_blame_no_image(server: ChatServer) -> None:
    server.respond = only(1, answer=lambda: failure(429, "slow down"))
    stop = stopped(captioner(server, concurrency=1), 3)
    assert "allows no more requests" in str(stop)
    assert "lower concurrency" in str(stop)
    assert stop.outcomes == [captions(1)[0], None, None]


def test_one_who_is_told_to_wait_makes_all_wait(server: ChatServer) -> None:
    times: list[float] = []

    def respond(number: int, seen: Seen) -> Answer:
        times.append(time.monotonic())
        return failure(429, Retry_After="0.5") if number == 0 else completion(describe(seen))

    server.respond = respond
    made = captioner(server, concurrency=1, max_wait=5)
    assert made.caption(images(3)) == captions(3)
    assert times[1] - times[0] >= 0.5


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda: failure(401, f"Incorrect API key provided: {KEY}"), "does not accept the key"),
        (lambda: failure(404, "no such model"), "does not know the model"),
        (lambda: failure(402), "wants payment"),
        (lambda: failure(429, "You exceeded your quota", "insufficient_quota"), "quota is used up"),
        (lambda: failure(302, Location="http://127.0.0.1:9/v1/chat/completions"), "redirects elsewhere"),
    ],
    ids=["401", "404", "402", "quota", "redirect"],
)
def test_what_no_request_can_change_stops_at_once(server: ChatServer, answer: Callable[[], Answer], why: str) -> None:
    server.respond = lambda number, seen: answer()
    stop = stopped(captioner(server, concurrency=2), 20)
    assert why in str(stop)
    assert KEY not in str(stop)
    assert stop.outcomes == [None] * 20
    assert len(server.seen) <= 4


def test_a_key_never_follows_a_redirect(server: ChatServer) -> None:
    with chat_server() as other:
        server.respond = lambda number, seen: failure(307, Location=f"{other.url}/chat/completions")
        server.models = failure(301, Location=f"{other.url}/models")
        made = captioner(server)
        stopped(made, 2)
        assert [finding.level for finding in made.check()] == ["error"]
        assert (other.seen, other.asked_for_models) == ([], [])


@pytest.mark.parametrize("options", [{}, {"served_as": "yet-another"}])
def test_a_server_that_answers_as_another_model_is_not_believed(server: ChatServer, options: dict[str, str]) -> None:
    server.respond = lambda number, seen: completion(model="gpt-2")
    stop = stopped(captioner(server, **options), 3)
    assert "answers as model 'gpt-2', asked for 'owner/seer-7b'" in str(stop)
    assert "captioner.served_as" in str(stop)
    assert stop.outcomes == [None] * 3


@pytest.mark.parametrize(
    ("stated", "options"),
    [
        (MODEL, {}),
        (MODEL.upper(), {}),
        (f"{MODEL}-2024-11-20", {}),
        (f"{MODEL}:latest", {}),
        ("/models/seer", {"served_as": "/models/seer"}),
        ("owner/seer-7b", {"model": "owner/seer-7b:provider"}),
        (None, {}),
    ],
)
def test_names_that_are_the_models_own(server: ChatServer, stated: str | None, options: dict[str, Any]) -> None:
    server.respond = lambda number, seen: completion("A fox.", model=stated)
    made = captioner(server, **options)
    assert made.caption(images(2)) == ["A fox."] * 2
    assert made._asker.books.used().models == ((stated,) if stated else ())


def test_options_that_the_server_refuses_blame_no_image(server: ChatServer) -> None:
    server.respond = lambda number, seen: failure(400, "'temperature' must be 1")
    stop = stopped(captioner(server), 4)
    assert stop.outcomes == [None] * 4
    assert "refuses every image, a plain test picture too" in str(stop)
    assert "'temperature' must be 1" in str(stop)
    assert len(server.seen) == 5


def test_a_first_batch_of_bad_images_is_no_reason_to_stop(server: ChatServer) -> None:
    server.respond = lambda number, seen: completion() if seen.image == PLAIN else failure(400, "too large")
    made = captioner(server)
    for _ in range(2):
        assert all(isinstance(outcome, SampleFailed) for outcome in made.caption(images(3)))
    assert len(server.seen) == 3 + 1 + 3, "the plain picture is asked for once"


def test_a_key_in_a_caption_is_taken_out(server: ChatServer) -> None:
    server.respond = lambda number, seen: completion(f"The sign reads {KEY}.")
    assert captioner(server).caption(images(1)) == ["The sign reads [key]."]


def test_the_budget_ends_a_batch_and_keeps_what_was_captioned(server: ChatServer) -> None:
    made = captioner(server, max_requests=5, concurrency=2)
    assert made.caption(images(3)) == captions(3)
    stop = stopped(made, 4)
    assert stop.outcomes == [*captions(2), None, None]
    assert "budget (max_requests 5) has no room" in str(stop)
    assert "5 requests (0 of them repeated), 5 captions, 500 tokens in and 100 out" in str(stop)
    assert "raise the limit and run the same command" in str(stop)
    assert len(server.seen) == 5


def test_repetitions_count_too(server: ChatServer) -> None:
    server.respond = lambda number, seen: failure(503) if number % 2 == 0 else completion(describe(seen))
    made = captioner(server, max_requests=6, concurrency=1)
    stop = stopped(made, 5)
    assert stop.outcomes == [*captions(3), None, None]
    assert len(server.seen) == 6


def test_tokens_stay_under_their_limit(server: ChatServer) -> None:
    made = captioner(server, max_total_tokens=1_500, max_tokens=30)
    stop = stopped(made, 40)
    used = made._asker.books.used()
    assert 1_500 - 130 < used.tokens_in + used.tokens_out <= 1_500
    assert sum(outcome is not None for outcome in stop.outcomes) == used.captions == 12
    assert used.held_in == used.held_out == 0


def test_money_stays_under_its_limit(server: ChatServer) -> None:
    made = captioner(server, max_cost=0.001, input_price=0.5, output_price=2.5, max_tokens=20)
    stop = stopped(made, 40)
    assert "a cost of 0.0010 at the given prices" in str(stop)
    assert sum(outcome is not None for outcome in stop.outcomes) == 10


def test_a_server_that_does_not_count_cannot_be_held_to_tokens(server: ChatServer) -> None:
    server.respond = lambda number, seen: completion(usage=None)
    stop = stopped(captioner(server, max_total_tokens=10_000), 20)
    assert "does not say how many tokens" in str(stop)
    assert len(server.seen) == 1
    assert captioner(server, max_requests=3).caption(images(2)) == ["A red fox on a log."] * 2


def test_waits_double_are_capped_and_follow_the_server() -> None:
    patience = Patience(concurrency=1, retries=9, backoff=1.0, longest_wait=20.0)
    for tries, longest in ((1, 1), (2, 2), (3, 4), (6, 20), (500, 20)):
        waits = [patience.wait(tries, None) for _ in range(50)]
        assert longest / 2 <= min(waits) <= max(waits) <= longest
        assert len(set(waits)) > 1, "jitter"
    assert 7 <= patience.wait(1, 7.0) <= 7.7
    assert patience.wait(1, 3600.0) == 20
    assert patience.wait(4, 0.0) == 0
