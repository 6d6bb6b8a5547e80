"""How work that takes long says where it stands: a Protocol that any display can keep."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Who shows how long work goes on."""

    def start(self, total: int, done: int) -> None: ...

    def advance(self, rows: int, failed: int) -> None: ...

    def say(self, message: str) -> None: ...

    def close(self) -> None: ...


class Silent:
    """A Progress that shows nothing."""

    def start(self, total: int, done: int) -> None:
        return

    def advance(self, rows: int, failed: int) -> None:
        return

    def say(self, message: str) -> None:
        return

    def close(self) -> None:
        return
