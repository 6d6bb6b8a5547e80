"""Foreign text comes in, Markdown that means exactly that text goes out."""

from __future__ import annotations

import re
from collections.abc import Iterable

from openmmlo.records import canonical_json

PAPER = """@inproceedings{yang2025adapting,
  title     = {Adapting Multi-modal Large Language Model to Concept Drift From Pre-training Onwards},
  author    = {Yang, Xiaoyu and Lu, Jie and Yu, En},
  booktitle = {International Conference on Learning Representations (ICLR)},
  year      = {2025},
  url       = {https://openreview.net/forum?id=b20VK2GnSs}
}"""
"""What every card cites."""

_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}


def text(value: object) -> str:
    """Foreign text as one line that means itself: nothing in it is markup, HTML, a link or a new cell."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in str(value)).split())
    return re.sub(r"[\\`*_\[\]|~$<>&#]", lambda found: _escape(found.group()), line)


def cell(value: object) -> str:
    """A value of a table: text as it is, anything else as JSON."""
    return text(value if isinstance(value, str) else canonical_json(value))


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table of cells that are Markdown already."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def code(content: str, language: str = "") -> str:
    """A code block whose fence is longer than any run of backticks in it."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", content)), default=0))
    return f"{fence}{language}\n{content}\n{fence}"


def _escape(character: str) -> str:
    return _ENTITIES.get(character, f"\\{character}")
