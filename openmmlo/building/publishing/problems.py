"""Damage found while verifying, gathered so that a million broken rows make a few lines."""

from __future__ import annotations

from dataclasses import dataclass, field

_EXAMPLES = 5


@dataclass(frozen=True)
class Problem:
    """One kind of damage in one file.

    Attributes:
        where: the file, relative to the data set's folder.
        what: what is wrong with it.
        count: how often.
        examples: the first few sample ids, or whatever points at a place.
    """

    where: str
    what: str
    count: int
    examples: tuple[str, ...]

    def __str__(self) -> str:
        times = f" ({self.count:,} times)" if self.count > 1 else ""
        shown = ", ".join(self.examples) + (", ..." if self.count > len(self.examples) else "")
        return f"{self.where}: {self.what}{times}" + (f": {shown}" if self.examples else "")


@dataclass
class Problems:
    """Gathers problems by file and kind, in the order in which they were first seen."""

    _found: dict[tuple[str, str], tuple[int, list[str]]] = field(default_factory=dict)

    def add(self, where: str, what: str, example: str = "") -> None:
        """Note one. Foreign text in ``example`` is made one printable line."""
        count, examples = self._found.get((where, what), (0, []))
        if example and len(examples) < _EXAMPLES:
            examples.append(printable(example))
        self._found[where, what] = (count + 1, examples)

    def listed(self) -> tuple[Problem, ...]:
        return tuple(
            Problem(printable(where), what, count, tuple(examples))
            for (where, what), (count, examples) in self._found.items()
        )


def printable(text: str) -> str:
    """Foreign text on one line of a terminal, cut where it is long."""
    line = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return line if len(line) <= 120 else line[:117] + "..."
