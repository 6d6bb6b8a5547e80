"""What captions cost: books that all processes, machines and resumes of one build share, and the limits on them.

A request is entered before it is sent, with the most that it may cost, and settled when its answer is there. So the
limits hold however many builders send at once; what a killed builder had under way stays entered, for it may have
been charged.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

from filelock import FileLock, Timeout

from openmmlo.errors import BuildRefused
from openmmlo.writing import write_aside

_PATIENCE = 60.0
_BOOKS = "usage.json"


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that a whole build may use; None is no limit. Prices are of a million tokens, in any currency."""

    requests: int | None = None
    tokens: int | None = None
    cost: float | None = None
    input_price: float = 0.0
    output_price: float = 0.0

    @property
    def any(self) -> bool:
        return self.requests is not None or self.by_size

    @property
    def by_size(self) -> bool:
        """Whether tokens are limited, as such or as money."""
        return self.tokens is not None or self.cost is not None

    def price(self, tokens_in: int, tokens_out: int) -> float:
        return (tokens_in * self.input_price + tokens_out * self.output_price) / 1_000_000


@dataclass(frozen=True, slots=True)
class Hold:
    """What one request is expected to use at most, entered before it is sent."""

    tokens_in: int = 0
    tokens_out: int = 0


@dataclass(frozen=True, slots=True)
class Used:
    """What was used so far.

    ``held_in`` and ``held_out`` are tokens of requests that are under way, or whose answer never came; ``most_in``
    and ``most_out`` the most that one request has used. ``models`` are the names that the server answered under.
    """

    requests: int = 0
    retries: int = 0
    captions: int = 0
    failed: int = 0
    cut: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    held_in: int = 0
    held_out: int = 0
    most_in: int = 0
    most_out: int = 0
    models: tuple[str, ...] = ()

    def plus(self, **changes: int) -> Used:
        return replace(self, **{name: getattr(self, name) + value for name, value in changes.items()})

    def merged(self, other: Used) -> Used:
        """The sum; of the largest the larger, of the names all."""
        sums = {
            item.name: getattr(self, item.name) + getattr(other, item.name)
            for item in fields(Used)
            if item.name not in ("most_in", "most_out", "models")
        }
        return Used(
            **sums,
            most_in=max(self.most_in, other.most_in),
            most_out=max(self.most_out, other.most_out),
            models=tuple(sorted({*self.models, *other.models})),
        )

    def sentence(self, limits: Limits) -> str:
        """What was used, for a person; empty where nothing was."""
        if not self.requests:
            return ""
        parts = [
            f"{self.requests:,} requests ({self.retries:,} of them repeated)",
            f"{self.captions:,} captions",
            f"{self.tokens_in:,} tokens in and {self.tokens_out:,} out",
        ]
        if self.held_in or self.held_out:
            parts.append(f"up to {self.held_in + self.held_out:,} tokens more in requests that were never answered")
        if limits.input_price or limits.output_price:
            spent = limits.price(self.tokens_in + self.held_in, self.tokens_out + self.held_out)
            parts.append(f"a cost of {spent:,.4f} at the given prices")
        said = f"Used so far: {', '.join(parts)}."
        return said + (f" {self.cut:,} captions were cut off at max_tokens." if self.cut else "")


@dataclass
class Books:
    """The books of one builder, and through ``folder`` those of the whole build.

    Args:
        limits: what the whole build may use.
        longest: tokens that an answer may have; None where that is not limited.
        folder: shared by all builders, made when it is needed; None keeps the books in memory.

    Without limits nothing is entered beforehand, and one write a batch keeps the sums.
    """

    limits: Limits
    longest: int | None = None
    folder: Path | None = None
    _memory: Used = field(default_factory=Used, init=False)
    _news: Used = field(default_factory=Used, init=False)

    def take(self, wanted: int) -> list[Hold]:
        """Enter up to ``wanted`` requests; as many come back as the limits leave room for.

        While nothing is known of how large a request is and tokens are limited, one is let through at a time.
        """
        if not self.limits.any:
            self._news = self._news.plus(requests=wanted)
            return [Hold()] * wanted
        with self._open() as used:
            hold = Hold(used.most_in, max(self.longest or 0, used.most_out))
            count = max(0, min([wanted, *self._room(used, hold)]))
            self._write(
                used.plus(requests=count, held_in=count * hold.tokens_in, held_out=count * hold.tokens_out)
                if count
                else used
            )
        return [hold] * count

    def unsent(self, hold: Hold) -> None:
        """A request that was entered will not be sent."""
        self._news = self._news.plus(requests=-1, held_in=-hold.tokens_in, held_out=-hold.tokens_out)

    def unanswered(self, hold: Hold, charged: bool) -> None:
        """A request failed; ``charged`` where the server may count it all the same, so that it stays entered."""
        if not charged:
            self._news = self._news.plus(held_in=-hold.tokens_in, held_out=-hold.tokens_out)

    def answered(self, hold: Hold, tokens: tuple[int, int] | None, model: str = "") -> None:
        """A request was answered; ``tokens`` (in, out) as the server counts them, None where it does not say."""
        if tokens is not None:
            self.unanswered(hold, charged=False)
            self._news = self._news.merged(Used(tokens_in=tokens[0], tokens_out=tokens[1]))
            self._news = replace(
                self._news, most_in=max(self._news.most_in, tokens[0]), most_out=max(self._news.most_out, tokens[1])
            )
        if model:
            self._news = self._news.merged(Used(models=(model,)))

    def count(self, **changes: int) -> None:
        """Add to ``retries``, ``captions``, ``failed`` or ``cut``."""
        self._news = self._news.plus(**changes)

    def settle(self) -> None:
        """Enter what was noted since the last time."""
        if self._news == Used():
            return
        with self._open() as used:
            self._write(used.merged(self._news))
        self._news = Used()

    def used(self) -> Used:
        """What the whole build has used, without what is not settled yet. Needs no lock: the file is replaced whole."""
        if self.folder is None:
            return self._memory
        path = self.folder / _BOOKS
        try:
            values = json.loads(path.read_bytes())
            return Used(**{**values, "models": tuple(values["models"])})
        except FileNotFoundError:
            return Used()
        except (ValueError, TypeError, KeyError) as error:
            raise BuildRefused(
                f"The books of this build, {path}, cannot be read, so its limits cannot be held. Delete that file to "
                "count from nothing."
            ) from error

    def _room(self, used: Used, hold: Hold) -> Iterator[int]:
        """How many requests each limit leaves room for."""
        limits = self.limits
        if limits.requests is not None:
            yield limits.requests - used.requests
        tokens_in, tokens_out = used.tokens_in + used.held_in, used.tokens_out + used.held_out
        if limits.tokens is not None:
            left = limits.tokens - tokens_in - tokens_out
            yield left // max(1, hold.tokens_in + hold.tokens_out)
        if limits.cost is not None:
            free = limits.cost - limits.price(tokens_in, tokens_out)
            each = limits.price(hold.tokens_in, hold.tokens_out)
            yield int(free / each + 1e-9) if each else int(free > 0)
        if limits.by_size and not used.most_in:
            yield 1

    @contextmanager
    def _open(self) -> Iterator[Used]:
        """The books, while nobody else writes them."""
        if self.folder is None:
            yield self._memory
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / "usage.lock", thread_local=False)
        try:
            lock.acquire(timeout=_PATIENCE)
        except Timeout as error:
            raise BuildRefused(
                "The books of this build are held by another process for long. See whether it hangs; then run the "
                "same command to go on."
            ) from error
        try:
            yield self.used()
        finally:
            lock.release()

    def _write(self, used: Used) -> None:
        if self.folder is None:
            self._memory = used
        else:
            write_aside(self.folder / _BOOKS, json.dumps(asdict(used)))
