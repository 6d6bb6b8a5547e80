"""Whole builds through a server on loopback: killed, out of budget, without a server, with secrets to keep."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from builds import contents, kill, start_build
from chat_server import KEY, MODEL, Answer, ChatServer, Seen, chat_server, completion, describe, failure

from openmmlo.building.journal import Journal
from openmmlo.cli import BAD_INPUT, DONE, SAMPLES_FAILED, main

IMAGES = 18  # in each of three splits
PLANNED = 3 * IMAGES
FAST = {"backoff": 0.01, "max_wait": 0.05, "retries": 1, "timeout": 5}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with chat_server() as running:
        running.key = KEY
        yield running


def options(server: ChatServer, **changes: Any) -> dict[str, Any]:
    return {"model": MODEL, "url": server.url, **FAST, **changes}


def build(server: ChatServer, out: Path, *words: str, measure: bool = False, **changes: Any) -> int:
    """``openmmlo build`` as a person types it; ``measure`` as a recipe says it, for it takes its time."""
    recipe = out.parent / "recipe.yaml"
    recipe.write_text(f"measure: {str(measure).lower()}\n", encoding="utf-8")
    settings = [f"captioner.{key}={value}" for key, value in options(server, **changes).items() if key != "model"]
    return main(
        ["build", "stubs:Generated", "--captioner", "openai-compatible", "--model", MODEL, "--out", str(out)]
        + [word for pair in settings for word in ("--set", pair)]
        + ["--set", f"images_per_split={IMAGES}", "--set", "kinds=1000", "--batch-size", "4", "--shard-size", "12"]
        + ["--prefetch", "0", "--recipe", str(recipe), *words]
    )  # fmt: skip


def rows(out: Path) -> list[dict[str, Any]]:
    return [row for path in sorted(out.glob("data/*.parquet")) for row in pq.read_table(path).to_pylist()]


def errors(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "errors.jsonl").read_text(encoding="utf-8").splitlines()]


def journalled(out: Path) -> int:
    state = out / ".openmmlo"
    begun = [Journal(path).peek()[0] for path in state.glob("journals/*.journal")]
    finished = [json.loads(path.read_bytes())["rows"] for path in state.glob("shards/*.json")]
    return sum(len(frame["records"]) for frames in begun for frame in frames) + sum(finished)


def used(out: Path) -> dict[str, Any]:
    (books,) = out.glob(".openmmlo/**/usage.json")
    value: dict[str, Any] = json.loads(books.read_bytes())
    return value


def test_a_build_from_the_command_line(server: ChatServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    server.respond = lambda number, seen: completion(describe(seen), model=f"{MODEL}-2025-01-01")
    assert build(server, out) == DONE
    built = rows(out)
    assert len(built) == PLANNED == len(server.seen)
    for row in built:
        assert row["caption"] == describe(Seen("", {}, {}, row["image"]["bytes"]))
    manifest = json.loads((out / "manifest.json").read_bytes())
    assert manifest["captioner"]["model"] == MODEL
    assert manifest["captioner"]["answered_as"] == [f"{MODEL}-2025-01-01"]
    said = capfd.readouterr().err
    assert f"Used so far: {PLANNED} requests (0 of them repeated), {PLANNED} captions, 5,400 tokens in" in said


def test_a_finished_build_asks_for_nothing_more(server: ChatServer, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert build(server, out) == DONE
    before = contents(out)
    assert build(server, out, concurrency=3, max_requests=1) == DONE, "neither speed nor budget decides captions"
    assert len(server.seen) == PLANNED
    assert contents(out) == before


def test_what_decides_captions_is_not_mixed(
    server: ChatServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert build(server, out, "--shard", "1/3") == DONE
    assert build(server, out, temperature=0.5) == BAD_INPUT
    assert "captioner.temperature: 0.0 -> 0.5" in capfd.readouterr().err


def test_neither_key_nor_address_is_left_anywhere(
    server: ChatServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Through failures of every kind, whose words are full of both."""
    out = tmp_path / "out"
    words = f"Incorrect API key provided: {KEY} for {server.url}/chat/completions at {server.host}"

    def respond(number: int, seen: Seen) -> Answer:
        if number == 0:
            return completion(f"The sign says {KEY}.", model=f"{MODEL}-{KEY}")
        troubles = (failure(503, words), failure(400, words), completion(message={"refusal": words, "content": None}))
        return troubles[number % 5] if number % 5 < len(troubles) else completion(describe(seen))

    server.respond = respond
    assert build(server, out, retries=5, measure=True) == SAMPLES_FAILED
    assert (out / "report.html").exists()
    server.respond = lambda number, seen: failure(401, words)
    assert build(server, out, "--retry", "captioner", "--debug") == BAD_INPUT
    server.respond = lambda number, seen: failure(500, words)
    assert build(server, out, "--debug") == BAD_INPUT
    server.shutdown()
    server.server_close()
    assert build(server, out, "--debug", "--json") == BAD_INPUT
    output = capfd.readouterr()
    texts = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert any("log.jsonl" in name for name in texts)
    assert b"[key]" in texts[".openmmlo/log.jsonl"], "the server's words are in the log"
    texts |= {"stdout": output.out.encode(), "stderr": output.err.encode()}
    for name, text in texts.items():
        for secret in (KEY, server.host, "127.0.0.1"):
            assert secret.encode() not in text, (name, secret)


@pytest.mark.slow
def test_a_kill_costs_at_most_one_batch(server: ChatServer, tmp_path: Path) -> None:
    def respond(number: int, seen: Seen) -> Answer:
        time.sleep(0.05)
        return completion(describe(seen))

    server.respond = respond
    undisturbed, out = tmp_path / "undisturbed", tmp_path / "out"
    work: dict[str, Any] = {
        "captioner": "openai-compatible", "captioner_options": options(server), "batch_size": 4, "shard_size": 12,
        "source_options": {"images_per_split": IMAGES, "kinds": 1000}, "prefetch": 0,
        "measure": False,
    }  # fmt: skip
    process = start_build(out=out, **work)
    deadline = time.monotonic() + 30
    while len(server.seen) < 18 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert kill(process)
    kept, sent = journalled(out), len(server.seen)
    assert 0 < kept <= sent <= kept + 4
    server.respond = lambda number, seen: completion(describe(seen))
    assert build(server, out) == DONE
    twice = [image for image, count in Counter(seen.image for seen in server.seen).items() if count > 1]
    assert len(server.seen) - PLANNED == len(twice) <= 4
    assert build(server, undisturbed) == DONE
    assert contents(out) == contents(undisturbed)


def test_an_outage_marks_no_image_and_the_same_command_goes_on(
    server: ChatServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out, good = tmp_path / "out", tmp_path / "good"
    server.respond = lambda number, seen: completion(describe(seen)) if number < 30 else failure(503)
    assert build(server, out, concurrency=1) == BAD_INPUT
    said = capfd.readouterr().err
    assert "server gives no captions: HTTP 503, 2 times for one image" in said
    assert journalled(out) == 30, "captions of the batch that broke off are kept"
    server.respond = lambda number, seen: completion(describe(seen))
    del server.seen[30:]
    assert build(server, out) == DONE
    assert len(server.seen) == PLANNED, "no caption was asked for twice"
    assert errors(out) == []
    assert build(server, good) == DONE
    assert contents(out) == contents(good)


def test_samples_that_fail_alone_can_be_tried_again(server: ChatServer, tmp_path: Path) -> None:
    out, good = tmp_path / "out", tmp_path / "good"
    assert build(server, good) == DONE
    bad = {seen.image for seen in server.seen[5:50:9]}
    server.respond = lambda number, seen: failure(400, "policy") if seen.image in bad else completion(describe(seen))
    assert build(server, out) == SAMPLES_FAILED
    assert {(row["status"], row["reason"]) for row in errors(out)} == {
        ("captioner", "the server refused it (HTTP 400)")
    }
    assert len(errors(out)) == len(bad) == 5
    server.respond = lambda number, seen: completion(describe(seen))
    before = len(server.seen)
    assert build(server, out, "--retry", "captioner") == DONE
    assert len(server.seen) - before == 5
    assert contents(out) == contents(good)


def test_a_server_that_fails_on_everything_stops_within_dozens(
    server: ChatServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Only a plain picture is let through: then it is the images, and the guard ends it after 48 in a row."""
    out = tmp_path / "out"
    largest = max(len(row["image"]["bytes"]) for row in _reference(server, tmp_path))
    server.seen.clear()
    server.respond = lambda number, seen: completion() if len(seen.image) > largest else failure(400, "too small")
    assert build(server, out) == BAD_INPUT
    assert "failed on 48 images in a row (too small error)" in capfd.readouterr().err
    assert 48 <= len(server.seen) <= 48 + 1


def _reference(server: ChatServer, tmp_path: Path) -> list[dict[str, Any]]:
    assert build(server, tmp_path / "reference") == DONE
    return rows(tmp_path / "reference")


def test_a_budget_holds_over_workers_and_resumes(
    server: ChatServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert build(server, out, "--workers", "2", max_requests=20) == BAD_INPUT
    said = capfd.readouterr().err
    assert "budget (max_requests 20) has no room" in said
    assert "raise the limit and run the same command" in said
    assert len(server.seen) <= 20 == used(out)["requests"]
    kept = journalled(out)
    assert kept >= 20 - 4, "the other worker may lose one batch"
    before = len(server.seen)
    assert build(server, out, max_requests=20) == BAD_INPUT
    assert (len(server.seen), journalled(out)) == (before, kept)
    for number in (1, 2):
        assert build(server, out, "--shard", f"{number}/2", max_requests=20) == BAD_INPUT
    assert len(server.seen) == before
    assert build(server, out, max_requests=200) == DONE
    assert len(server.seen) <= PLANNED + 4
    assert not errors(out)


def test_a_build_stops_at_the_door_where_the_server_is_not_ready(
    server: ChatServer, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    assert build(server, out, "--model", "other/model") == BAD_INPUT
    assert "does not serve 'other/model'" in capfd.readouterr().err
    monkeypatch.delenv("OPENAI_API_KEY")
    assert build(server, out, "--dry-run") == BAD_INPUT
    assert "OPENAI_API_KEY is not set" in capfd.readouterr().out
    assert build(server, out) == BAD_INPUT
    assert server.seen == []
    assert not out.exists()
