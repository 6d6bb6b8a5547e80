"""A batch of images as requests to a server: some at a time, repeated where that may help, within a budget.

What one image cannot have fails that image alone. A server that is gone, refuses the key or has used up the budget
stops the batch, and what was captioned until then is kept. Whether an image or the server is to blame is found out
with a plain picture that no server has a reason to refuse.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from openmmlo.building.captioners.budget import Books, Hold
from openmmlo.building.captioners.chat_answers import Refusal, Reply, TryAgain, read_reply
from openmmlo.building.captioners.chat_client import ChatClient
from openmmlo.building.captioners.sent_image import SentImage, plain_picture
from openmmlo.errors import CaptioningStopped, SampleFailed
from openmmlo.records import Status

GO_ON = "Everything captioned so far is kept and no image was marked as failed for it"


@dataclass(frozen=True, slots=True)
class Patience:
    """How often and how long to try.

    Attributes:
        concurrency: requests under way at a time.
        retries: how often a request is repeated.
        backoff: seconds before the first repetition; doubled each time.
        longest_wait: most seconds between two tries, whatever the server asks for.
    """

    concurrency: int
    retries: int
    backoff: float
    longest_wait: float

    def wait(self, tries: int, asked: float | None) -> float:
        """Seconds to wait after so many tries: what the server asks for, else doubling; with jitter upwards or down."""
        if asked is not None:
            return min(asked * random.uniform(1.0, 1.1), self.longest_wait)
        return min(self.backoff * 2.0 ** min(tries - 1, 30), self.longest_wait) * random.uniform(0.5, 1.0)


class BatchAsker:
    """Captions batches of images through a server.

    Args:
        client: the connection.
        body: image -> body of its request.
        books: what is used, and how much may be.
        unexpected: model name that the server states -> why the build must not go on with it, or empty.
    """

    def __init__(
        self,
        client: ChatClient,
        body: Callable[[SentImage], bytes],
        books: Books,
        patience: Patience,
        unexpected: Callable[[str], str],
    ) -> None:
        self.client = client
        self.body = body
        self.books = books
        self.patience = patience
        self.unexpected = unexpected
        self._slots = asyncio.Semaphore(patience.concurrency)
        self._probing = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._why = ""
        self._holds: list[Hold] = []  # entered for this batch, and not sent yet
        self._quiet_until = 0.0
        self._proven = False  # a caption came, or the plain picture was accepted

    def caption(self, images: Sequence[SentImage]) -> list[str | SampleFailed]:
        """Caption a batch, in order.

        Raises:
            CaptioningStopped: the server is gone or refuses the build, or the budget is used up.
        """
        try:
            outcomes = self.client.run(self._caption(images))
        finally:
            self.books.settle()
        done = [outcome for outcome in outcomes if outcome is not None]
        if self._stopping.is_set():
            raise CaptioningStopped(self._why, outcomes)
        return done

    async def _caption(self, images: Sequence[SentImage]) -> list[str | SampleFailed | None]:
        self._stopping.clear()
        outcomes: list[str | SampleFailed | None] = [None] * len(images)
        refused: list[int] = []

        async def one(place: int) -> None:
            async with self._slots:
                reply = await self._one(self.body(images[place]))
            if reply is not None:
                outcomes[place] = reply.outcome
                self._count(reply)
                if reply.refused:
                    refused.append(place)

        start = 0
        while start < len(images) and not self._stopping.is_set():
            self._holds = self.books.take(len(images) - start)
            if not self._holds:
                self._stop(self._budget_words())
            end = start + len(self._holds)
            try:
                await asyncio.gather(*(one(place) for place in range(start, end)))
            finally:
                while self._holds:
                    self.books.unsent(self._holds.pop())
            self.books.settle()
            start = end
        if len(refused) == len(images) and not self._proven and not self._stopping.is_set():
            await self._suspect(outcomes)
        return outcomes

    async def _one(self, body: bytes) -> Reply | None:
        """One image's answer, however often it takes to ask; None where the batch stops before there is one."""
        trouble = TryAgain("")
        for tries in range(self.patience.retries + 1):
            if tries:
                await self._sleep(self.patience.wait(tries, trouble.wait))
            await self._keep_quiet()
            hold = self._take_one()
            if hold is None:
                return None
            self.books.count(retries=min(tries, 1))
            try:
                return await self._ask(body, hold)
            except TryAgain as error:
                trouble = error
                if error.busy or error.wait is not None:  # the others must not knock on meanwhile
                    pause = self.patience.wait(tries + 1, error.wait)
                    self._quiet_until = max(self._quiet_until, time.monotonic() + pause)
            except Refusal as error:
                self._stop(self._refusal_words(error))
                return None
        return await self._blame(trouble)

    async def _ask(self, body: bytes, hold: Hold) -> Reply:
        """Send one request and enter what it used."""
        charged = False
        try:
            received = await self.client.exchange("POST", "chat/completions", body)
            reply = read_reply(received)
        except TryAgain as error:
            charged = error.charged
            error.detail = self.client.hide(error.detail)
            self.books.unanswered(hold, charged)
            raise
        except Refusal:
            self.books.unanswered(hold, charged)
            raise
        if reply.refused:
            self.books.unanswered(hold, charged)
        else:
            self.books.answered(hold, reply.tokens, self.client.hide(reply.model))
            why = self.unexpected(reply.model)
            if why:
                raise Refusal(self.client.hide(why))
            if reply.tokens is None and self.books.limits.by_size:
                raise Refusal(
                    "it does not say how many tokens it used, so max_total_tokens and max_cost cannot be held; "
                    "max_requests can"
                )
        return replace(reply, outcome=self._hidden(reply.outcome))

    def _hidden(self, outcome: str | SampleFailed) -> str | SampleFailed:
        if isinstance(outcome, SampleFailed):
            return SampleFailed(outcome.status, outcome.reason, self.client.hide(outcome.detail))
        return self.client.hide_key(outcome)

    async def _blame(self, trouble: TryAgain) -> Reply | None:
        """Every try failed: the image's failure where the server captions the plain picture, else the end."""
        tries = self.patience.retries + 1
        async with self._probing:
            if self._stopping.is_set():
                return None
            if not trouble.busy and await self._accepts_plain_picture() is not None:
                reason = f"the server failed on it {tries} times ({trouble.why})"
                return Reply(SampleFailed(Status.CAPTIONER, reason, trouble.detail))
            what = "allows no more requests" if trouble.busy else "gives no captions"
            hint = "a lower concurrency may help" if trouble.busy else "a plain test picture fared no better"
            self._stop(
                f"The captioner's server {what}: {trouble.why}, {tries} times for one image{_said(trouble.detail)}; "
                f"{hint}. {GO_ON}: when the server is well again, run the same command to go on."
            )
            return None

    async def _suspect(self, outcomes: list[str | SampleFailed | None]) -> None:
        """A whole first batch was refused: stop where a plain picture is refused too, for then no image is to blame."""
        reply = await self._accepts_plain_picture()
        if reply is None or not isinstance(reply.outcome, SampleFailed) or not reply.refused:
            return
        failed = reply.outcome
        outcomes[:] = [None] * len(outcomes)
        self._stop(
            f"The captioner's server refuses every image, a plain test picture too: {failed.reason}"
            f"{_said(failed.detail)}. Correct the model or the captioner's options. {GO_ON}."
        )

    async def _accepts_plain_picture(self) -> Reply | None:
        """The answer to a plain picture; None where there is none after a few tries, or the batch stops."""
        body = self.body(plain_picture())
        for tries in range(1, min(self.patience.retries, 2) + 2):
            hold = self._take_one()
            if hold is None:
                return None
            try:
                reply = await self._ask(body, hold)
            except Refusal as error:
                self._stop(self._refusal_words(error))
                return None
            except TryAgain as error:
                await self._sleep(self.patience.wait(tries, error.wait))
            else:
                self._proven = self._proven or not reply.refused
                return reply
        return None

    def _take_one(self) -> Hold | None:
        """Room for one more request; None where the batch stops, as it does where the budget has none."""
        if self._stopping.is_set():
            return None
        # A repeated request takes the room of an image whose turn has not come yet.
        holds = [self._holds.pop()] if self._holds else self.books.take(1)
        if not holds:
            self._stop(self._budget_words())
            return None
        return holds[0]

    def _count(self, reply: Reply) -> None:
        failed = isinstance(reply.outcome, SampleFailed)
        self._proven = self._proven or not failed
        self.books.count(captions=int(not failed), failed=int(failed), cut=int(reply.cut))

    def _stop(self, why: str) -> None:
        """Send nothing more; the first reason stands."""
        if not self._stopping.is_set():
            self._why = why
            self._stopping.set()

    async def _sleep(self, seconds: float) -> None:
        """Wait, but not longer than until the batch stops."""
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return

    async def _keep_quiet(self) -> None:
        """Wait as long as the server asked everyone to."""
        while (pause := self._quiet_until - time.monotonic()) > 0 and not self._stopping.is_set():
            await self._sleep(pause)

    def _budget_words(self) -> str:
        self.books.settle()
        limits = self.books.limits
        limit = {
            name: value
            for name, value in (
                ("max_requests", limits.requests),
                ("max_total_tokens", limits.tokens),
                ("max_cost", limits.cost),
            )
            if value is not None
        }
        given = ", ".join(f"{name} {value:,}" for name, value in limit.items())
        return (
            f"The captioner's budget ({given}) has no room for another request. {self.books.used().sentence(limits)} "
            f"{GO_ON}: raise the limit and run the same command to go on."
        )

    def _refusal_words(self, error: Refusal) -> str:
        return (
            f"The captioner's server will not caption: {error.why}{_said(self.client.hide(error.detail))}. "
            f"{GO_ON}: mend it and run the same command to go on."
        )


def _said(words: str) -> str:
    return f" ({words})" if words else ""
