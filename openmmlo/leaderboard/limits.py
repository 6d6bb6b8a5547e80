"""Bytes of a stranger come in; a JSON value that is small, plain and printable goes out, or a refusal.

Whatever lies on a board was sent by somebody. So nothing is parsed before its size, its nesting and the number of its
values are known, and no text reaches a page or a terminal that could steer it.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from openmmlo.errors import SubmissionRefused

JSON_BYTES = 20_000_000
NESTING = 60
VALUES = 1_000_000
"""Values of one JSON file: a result on 8,142 classes has about 100,000. It bounds memory, which size alone does not:
20 MB of ``{}`` become more than a gigabyte."""

TEXT = 4_000
KEY = 300
"""Characters of any text and any key of a JSON file; what tables show is shorter still."""

_DIGITS = bytes.maketrans(b"123456789E", b"000000000e")
_HUGE = (b"0" * 40, b"e000", b"e+000")
"""In a number, its digits as zeros: a float of it could be infinite, an integer of it slow."""

_SLUG = re.compile(r"[a-z0-9][a-z0-9.-]{0,79}")
_ADDRESS = re.compile(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?(/[!#-&(-;=?-\[\]_a-z|~]*)?")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?")  # no file of Windows may be called so
_FORMULA = "=+-@"
_COMMAND = re.compile(r"(^\s*:|##)(:|\[)")
_MARKUP = re.compile(r"<[A-Za-z/!?]")
"""Our pages escape it; others that read a board's tables may not."""


def printable(text: str, most: int = 2_000) -> str:
    """One line without anything that steers a terminal or the log of a workflow, and not endless.

    What cannot be printed becomes a ``?``, a new line a space: a line of its own could be a command to who reads it. So
    could one that begins with ``::`` or holds ``##[``, by which workflows of GitHub take commands from what is printed.
    """
    cut = text[: most + 1]
    shown = "".join(letter if letter.isprintable() else " " if letter.isspace() else "?" for letter in cut)
    shown = _COMMAND.sub(r"\1 \2", shown)
    return shown if len(cut) <= most else f"{shown[:most]}…"


def told(value: Any) -> str:
    """A value in a message: its repr, which shows no control character, cut."""
    shown = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."


def read_file(path: Path, most: int = JSON_BYTES) -> bytes:
    """The bytes of a file that is a file and not too large; links are not followed.

    Raises:
        SubmissionRefused: a link, no file, or too large: then not a byte is read.
    """
    if path.is_symlink() or not path.is_file():
        kind = "a link" if path.is_symlink() else "no file"
        raise SubmissionRefused(f"{printable(str(path))} is {kind}; expected a file of its own.")
    size = path.stat().st_size
    if size > most:
        raise SubmissionRefused(f"{path.name} has {size:,} bytes; at most {most:,} are read.")
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise SubmissionRefused(f"{path.name} grew beyond {most:,} bytes while it was read.")
    return data


def read_json(data: bytes, what: str, most: int = JSON_BYTES) -> Any:
    """Parse JSON of limited size, nesting and count, with keys once each, finite numbers and printable text.

    Args:
        what: what it is, for messages ("submission miniature/focal").

    Raises:
        SubmissionRefused: anything else; why is named.
    """

    def refuse(reason: str) -> NoReturn:
        raise SubmissionRefused(f"{what} is refused: {reason}.")

    if len(data) > most:
        refuse(f"{len(data):,} bytes; at most {most:,} are read")
    _check_shape(data, refuse)

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            counts = Counter(key for key, _ in pairs)
            refuse(f"key {told(next(key for key, count in counts.items() if count > 1))} stands twice in one object")
        return found

    def constant(name: str) -> NoReturn:
        refuse(f"{name} is no number of JSON; what is undefined is null")

    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=unique, parse_constant=constant)
    except (ValueError, RecursionError) as error:
        refuse(f"it cannot be read as JSON in UTF-8 ({printable(str(error), 200)})")
    if not data.isascii() or b"\\" in data or b"\x7f" in data:  # else no letter in it can steer anything
        _check_letters(value, refuse)
    return value


def _check_shape(data: bytes, refuse: Callable[[str], NoReturn]) -> None:
    """Sizes of what parsing would make, from the bytes alone: in time and memory of the order of their number."""
    # Up to the first thing that is no JSON this sees strings where the parser does; beyond it the parser never comes.
    quotes = data.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in data else data
    if quotes.count(b'"') > 4 * VALUES:
        refuse(f"more than {2 * VALUES:,} texts")
    parts = quotes.split(b'"')
    longest = max(map(len, parts[1::2]), default=0)
    if longest > 6 * TEXT:  # a letter written as an escape takes six bytes
        refuse(f"a text of {longest:,} bytes; at most {TEXT:,} characters are taken")
    outside = b"".join(parts[::2])
    values = outside.count(b",") + outside.count(b"[") + outside.count(b"{")
    if values > VALUES:
        refuse(f"{values:,} values; at most {VALUES:,} are read")
    depth = 0
    for letter in outside.translate(None, delete=bytes(set(range(256)) - set(b"[]{}"))):
        depth += 1 if letter in b"[{" else -1
        if depth > NESTING:
            refuse(f"nested deeper than {NESTING} levels")
    digits = outside.translate(_DIGITS)
    if any(item in digits for item in _HUGE):
        refuse("a number of more digits than any measure has")


def _check_letters(value: Any, refuse: Callable[[str], NoReturn]) -> None:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            if len(item) > TEXT:
                refuse(f"a text of {len(item):,} characters; at most {TEXT:,} are taken")
            if not item.isprintable() and not item.replace("\n", "").isprintable():
                refuse(f"text {told(item)} holds a control character or one that cannot be shown")
        elif isinstance(item, dict):
            for key, inner in item.items():
                if len(key) > KEY or not key.isprintable():
                    refuse(f"key {told(key)} cannot be printed, or has more than {KEY} characters")
                waiting.append(inner)
        elif isinstance(item, list):
            waiting.extend(item)


def record(value: Any, where: str, required: Collection[str], optional: Collection[str] = ()) -> Mapping[str, Any]:
    """An object with exactly these keys.

    Raises:
        SubmissionRefused: no object, a key missing, or one that nobody knows; the nearest known one is named.
    """
    if not isinstance(value, dict):
        raise SubmissionRefused(f"{where} is {told(value)}; expected an object.")
    known = [*required, *optional]
    for key in value:
        if key not in known:
            near = get_close_matches(key[:KEY], known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise SubmissionRefused(f"{where} takes no {told(key)}.{hint} Known: {', '.join(known)}.")
    for key in required:
        if key not in value:
            raise SubmissionRefused(f"{where} lacks {key!r}. Make it with openmmlo submit.")
    return value


def line(value: Any, where: str, most: int) -> str:
    """One line of text that people read: printable, without space around it, no HTML and no spreadsheet's formula.

    Raises:
        SubmissionRefused: anything else.
    """
    if not isinstance(value, str) or not value or value != value.strip():
        raise SubmissionRefused(f"{where} is {told(value)}; expected text without space around it.")
    if len(value) > most:
        raise SubmissionRefused(f"{where} has {len(value):,} characters; at most {most:,} are taken.")
    if not value.isprintable():
        raise SubmissionRefused(f"{where} {told(value)} holds a control character or one that cannot be shown.")
    plain = unicodedata.normalize("NFKC", value)
    if _MARKUP.search(plain):
        raise SubmissionRefused(f"{where} {told(value)} could be taken for HTML. Put a space behind the '<'.")
    if plain[0] in _FORMULA:
        raise SubmissionRefused(
            f"{where} {told(value)} begins with {value[0]!r}: a spreadsheet would take it for a formula. Begin with a "
            "letter."
        )
    return value


def slug(value: Any, where: str) -> str:
    """A name that is one file name everywhere: ``[a-z0-9][a-z0-9.-]{0,79}``. Raises SubmissionRefused."""
    if (
        not isinstance(value, str)
        or not _SLUG.fullmatch(value)
        or ".." in value
        or value[-1] in ".-"
        or _RESERVED.fullmatch(value)
    ):
        raise SubmissionRefused(
            f"{where} is {told(value)}; expected 1 to 80 of a-z, 0-9, '.' and '-', that begin and end with a letter or "
            "digit, without '..'."
        )
    return value


def address(value: Any, where: str) -> str:
    """A web address, http or https, of plain letters. Raises SubmissionRefused."""
    if not isinstance(value, str) or len(value) > 300 or not _ADDRESS.fullmatch(value):
        raise SubmissionRefused(
            f"{where} is {told(value)}; expected an address such as https://arxiv.org/abs/1234.56789."
        )
    return value


def sha256(value: Any, where: str) -> str:
    """64 hexadecimal digits. Raises SubmissionRefused."""
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise SubmissionRefused(f"{where} is {told(value)}; expected a SHA-256 of 64 hexadecimal digits.")
    return value


def whole(value: Any, where: str, low: int, high: int) -> int:
    """A whole number in a range. Raises SubmissionRefused."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise SubmissionRefused(f"{where} is {told(value)}; expected a whole number from {low:,} to {high:,}.")
    return value


def day(value: Any, where: str) -> str:
    """A date as YYYY-MM-DD. Raises SubmissionRefused."""
    try:
        if isinstance(value, str) and date.fromisoformat(value).isoformat() == value:
            return value
    except ValueError:
        pass
    raise SubmissionRefused(f"{where} is {told(value)}; expected a date as YYYY-MM-DD.")
