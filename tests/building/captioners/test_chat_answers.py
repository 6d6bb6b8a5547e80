"""What a server may send, and what becomes of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from chat_server import Answer, completion, failure

from openmmlo.building.captioners.chat_answers import (
    Received,
    Refusal,
    Reply,
    TryAgain,
    read_reply,
    retry_after,
    served_models,
)
from openmmlo.errors import SampleFailed
from openmmlo.records import Status


def received(answer: Answer) -> Received:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return Received(answer.status, headers, answer.body)


def read(answer: Answer) -> Reply:
    return read_reply(received(answer))


def failed(answer: Answer) -> SampleFailed:
    outcome = read(answer).outcome
    assert isinstance(outcome, SampleFailed)
    assert outcome.status is Status.CAPTIONER
    return outcome


def test_a_completion_is_read() -> None:
    assert read(completion("A fox.")) == Reply("A fox.", tokens=(100, 20), model="owner/seer-7b")


def test_content_in_parts_is_joined() -> None:
    parts = [{"type": "text", "text": "A fox"}, {"type": "image"}, {"type": "text", "text": " runs."}, "odd"]
    assert read(completion(parts)).outcome == "A fox runs."


def test_a_caption_that_was_cut_off_is_kept_and_marked() -> None:
    reply = read(completion("A fox on a", "length"))
    assert (reply.outcome, reply.cut) == ("A fox on a", True)


@pytest.mark.parametrize(
    ("answer", "reason", "detail"),
    [
        (completion(message={"content": None, "refusal": "I cannot\nhelp."}), "the model refused", "I cannot help."),
        (completion("half of it", "content_filter"), "content filter", ""),
        (completion(None, "length"), "used up max_tokens", ""),
        (completion(""), "holds no caption", ""),
        (completion(" \n"), "holds no caption", ""),
        (completion(None, message={"role": "assistant"}), "holds no caption", ""),
        (completion(None, "tool_calls"), "holds no caption", ""),
        (failure(400, "image too large", "image_too_large"), "(HTTP 400)", "image too large image_too_large error"),
        (failure(413, "too big"), "(HTTP 413)", "too big error"),
        (failure(422, "no"), "(HTTP 422)", "no error"),
        (failure(403, "flagged by moderation"), "(HTTP 403)", "flagged by moderation error"),
        (Answer(400, b'{"detail": [{"loc": ["body"]}]}'), "(HTTP 400)", '[{"loc": ["body"]}]'),
        (Answer(400, b"<html><body>Bad\x00 request</body>"), "(HTTP 400)", "Bad request"),
        (Answer(200, b'{"error": {"message": "too many pixels", "code": 400}}'), "(HTTP 400)", "too many pixels 400"),
    ],
)
def test_what_fails_one_sample(answer: Answer, reason: str, detail: str) -> None:
    outcome = failed(answer)
    assert reason in outcome.reason
    assert outcome.detail == detail


def test_a_failed_completion_still_costs_and_a_refused_request_does_not() -> None:
    assert read(completion(None)).tokens == (100, 20)
    assert not read(completion(None)).refused
    refused = read(failure(400))
    assert (refused.tokens, refused.refused) == (None, True)


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 529, 204])
def test_what_may_pass_is_tried_again(status: int) -> None:
    with pytest.raises(TryAgain, match=f"HTTP {status}") as trouble:
        read(failure(status, "busy", Retry_After="7"))
    assert trouble.value.wait == 7
    assert trouble.value.busy is (status == 429)
    assert not trouble.value.charged


LIES: list[tuple[Answer, str]] = [
    (Answer(body=b""), "not JSON"),
    (Answer(body=b'{"choices": [{"mess'), "not JSON"),
    (Answer(body=b"\xff\xfe"), "not JSON"),
    (Answer(body=b"[" * 100_000), "not JSON"),
    (Answer(body=b"<!doctype html><title>Welcome</title>"), "a web page"),
    (Answer(body=b"Welcome", headers={"Content-Type": "text/html"}), "a web page"),
    (Answer(body=b"data: {}\n\n", headers={"Content-Type": "text/event-stream"}), "not JSON"),
    (Answer(body=b"[]"), "no JSON object"),
    (Answer(body=b"null"), "no JSON object"),
    (completion(choices=[]), "without choices"),
    (completion(choices={}), "without choices"),
    (completion(choices=["text"]), "without choices"),
    (completion(choices=[{"text": "old"}]), "without a message"),
    (completion(12), "content is no text"),
    (completion({"text": "no"}), "content is no text"),
    (Answer(body=b'{"error": {"message": "overloaded"}}'), "an error in place"),
    (Answer(body=b'{"error": "overloaded"}'), "an error in place"),
]


@pytest.mark.parametrize(("answer", "why"), LIES, ids=range(len(LIES)))
def test_a_lie_is_tried_again_and_may_have_cost(answer: Answer, why: str) -> None:
    with pytest.raises(TryAgain, match=why) as trouble:
        read(answer)
    assert trouble.value.charged


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (failure(401), "does not accept the key"),
        (failure(402), "wants payment"),
        (failure(403), "may not use this model"),
        (failure(404), "does not know the model"),
        (failure(405), "no chat completion at this address"),
        (failure(400, "x", "model_not_found"), "does not know the model"),
        (failure(429, "x", "insufficient_quota"), "quota is used up"),
        (failure(302, Location="http://elsewhere/"), "redirects"),
        (failure(307), "redirects"),
        (Answer(body=b'{"error": {"code": 401}}'), "does not accept the key"),
    ],
)
def test_what_no_other_request_would_change_ends_it(answer: Answer, why: str) -> None:
    with pytest.raises(Refusal, match=why):
        read(answer)


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": -1, "completion_tokens": 2},
        {"prompt_tokens": "100"},
        {"prompt_tokens": 1.5},
        {"prompt_tokens": True},
        {"prompt_tokens": 10**30},
        {"completion_tokens": 3},
        [100, 20],
        "many",
    ],
)
def test_counts_that_cannot_be_are_none(usage: Any) -> None:
    assert read(completion(usage=usage)).tokens is None


@pytest.mark.parametrize("model", [12, ["a"], {}])
def test_a_model_that_is_no_name_is_none(model: Any) -> None:
    assert read(completion(model=model)).model == ""


@pytest.mark.parametrize(("value", "expected"), [("5", 5), ("0", 0), (" 2.5 ", 2.5), ("Wed, 01 Jan 2020 00:00:00", 0)])
def test_retry_after_is_seconds_or_a_date(value: str, expected: float) -> None:
    assert retry_after({"retry-after": value}) == expected


@pytest.mark.parametrize("seconds", [90, -90])
def test_a_date_is_so_many_seconds_away(seconds: int) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)
    assert retry_after({"retry-after": date}) == pytest.approx(max(0, seconds), abs=5)


@pytest.mark.parametrize("value", ["", "soon", "-5", "nan", "inf", "1e9", "9" * 40, "Wed, 99 Foo 2020"])
def test_a_retry_after_without_sense_is_none(value: str) -> None:
    assert retry_after({"retry-after": value}) is None


def test_models_are_listed_with_what_they_stand_for() -> None:
    data = [{"id": "alias", "root": "owner/name"}, {"id": "other"}, {"id": 3}, "x", {}]
    assert served_models(received(Answer(body=json.dumps({"data": data}).encode()))) == ["alias", "owner/name", "other"]


@pytest.mark.parametrize("body", [b"{}", b'{"data": {}}', b"[]", b"<html>"])
def test_a_list_that_is_none_is_said_so(body: bytes) -> None:
    with pytest.raises(TryAgain):
        served_models(received(Answer(body=body)))
