"""Books of what captions cost: limits hold however many take from them, and kills lose nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from openmmlo.building.captioners.budget import Books, Hold, Limits, Used
from openmmlo.errors import BuildRefused


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "books"


def spend(books: Books, tokens: tuple[int, int] | None = (100, 20)) -> bool:
    """One request from beginning to end; False where the budget has no room."""
    holds = books.take(1)
    for hold in holds:
        books.answered(hold, tokens, "seer")
        books.count(captions=1)
    books.settle()
    return bool(holds)


def test_requests_are_counted_over_all_builders_and_resumes(folder: Path) -> None:
    limits = Limits(requests=7)
    assert sum(spend(Books(limits, 512, folder)) for _ in range(20)) == 7
    assert Books(limits, 512, folder).take(5) == []
    assert Books(Limits(requests=10), 512, folder).take(5) == [Hold(100, 512)] * 3


def test_a_limit_holds_while_many_take_at_once(folder: Path) -> None:
    def builder(_: int) -> int:
        books = Books(Limits(requests=50), 512, folder)
        taken = 0
        while holds := books.take(3):
            taken += len(holds)
            for hold in holds:
                books.answered(hold, (100, 20))
            books.settle()
        return taken

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(builder, range(8))) == 50
    assert Books(Limits(), 512, folder).used().requests == 50


def test_tokens_are_held_before_they_are_used(folder: Path) -> None:
    """With 100 in and at most 50 out a request, 1,000 tokens have room for 6 at once, and for 8 that use 120 each."""
    books = Books(Limits(tokens=1_000), 50, folder)
    assert len(books.take(9)) == 1, "one alone, until it is known how large a request is"
    books.answered(Hold(0, 50), (100, 20))
    books.settle()
    assert books.take(9) == [Hold(100, 50)] * 5
    assert books.take(9) == []
    for _ in range(5):
        books.answered(Hold(100, 50), (100, 20))
    books.settle()
    assert len(books.take(9)) == 1
    books.answered(Hold(100, 50), (100, 20))
    books.settle()
    used = books.used()
    assert (used.tokens_in, used.tokens_out, used.held_in, used.held_out) == (700, 140, 0, 0)
    assert len(books.take(9)) == 1
    assert books.take(9) == []


def test_money_is_tokens_at_their_prices(folder: Path) -> None:
    """A request of 100 in and 20 out costs 100 * 0.5 + 20 * 2.5 = 100 millionths; 0.0015 buys what is held at 150."""
    limits = Limits(cost=0.0015, input_price=0.5, output_price=2.5)
    assert limits.price(100, 20) == pytest.approx(0.0001)
    books = Books(limits, 40, folder)
    count = 0
    while spend(books):
        count += 1
    assert count == 14, "14 cost 0.0014; the next one might cost 0.00015"


def test_what_was_under_way_when_a_builder_was_killed_stays_entered(folder: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from openmmlo.building.captioners.budget import Books, Limits\n"
        "books = Books(Limits(requests=10, tokens=10_000), 50, Path(sys.argv[1]))\n"
        "(hold,) = books.take(1); books.answered(hold, (100, 20)); books.settle()\n"
        "books.take(4)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(folder)], env={**os.environ, "PYTHONPATH": os.getcwd()})  # noqa: PTH109
    assert ended.returncode == -signal.SIGKILL
    used = Books(Limits(), 50, folder).used()
    assert (used.requests, used.tokens_in, used.held_in, used.held_out) == (5, 100, 400, 200)
    assert len(Books(Limits(requests=10), 50, folder).take(9)) == 5


def test_failures_cost_what_the_server_may_have_charged(folder: Path) -> None:
    books = Books(Limits(tokens=10_000), 50, folder)
    spend(books)
    free, paid, unsent, silent = books.take(4)
    books.unanswered(free, charged=False)
    books.unanswered(paid, charged=True)
    books.unsent(unsent)
    books.answered(silent, None)
    books.settle()
    used = books.used()
    assert (used.requests, used.held_in, used.held_out) == (4, 200, 100)


def test_without_limits_the_sums_are_kept_and_nothing_is_held(folder: Path) -> None:
    books = Books(Limits(), 512, folder)
    holds = books.take(100)
    assert len(holds) == 100
    assert not (folder / "usage.json").exists(), "nothing is written before a request"
    for hold in holds[:99]:
        books.answered(hold, (100, 20), "seer")
    books.unsent(holds[99])
    books.count(captions=98, failed=1, retries=2, cut=3)
    books.settle()
    used = books.used()
    assert used == Used(99, 2, 98, 1, 3, 9_900, 1_980, 0, 0, 100, 20, ("seer",))
    said = used.sentence(Limits(input_price=1, output_price=10))
    assert "99 requests (2 of them repeated), 98 captions, 9,900 tokens in and 1,980 out" in said
    assert "a cost of 0.0297 at the given prices" in said
    assert "3 captions were cut off" in said
    assert Used().sentence(Limits()) == ""


def test_books_without_a_folder_hold_the_limits_in_memory() -> None:
    books = Books(Limits(requests=3))
    assert sum(spend(books) for _ in range(9)) == 3
    assert books.used().requests == 3


@pytest.mark.parametrize("text", ["", "{", "[]", '{"models": 3}', '{"models": [], "unknown": 1}'])
def test_books_that_cannot_be_read_are_not_taken_for_empty(folder: Path, text: str) -> None:
    folder.mkdir()
    (folder / "usage.json").write_text(text)
    with pytest.raises(BuildRefused, match=r"usage\.json"):
        Books(Limits(requests=3), 1, folder).take(1)


def test_the_books_are_one_small_file(folder: Path) -> None:
    spend(Books(Limits(), 1, folder))
    assert json.loads((folder / "usage.json").read_bytes())["requests"] == 1
    assert sorted(path.name for path in folder.iterdir()) == ["usage.json", "usage.lock"]
