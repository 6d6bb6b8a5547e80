"""A list file comes in, as the official releases write it; its paths and labels go out, or the line that is wrong.

One image a line: relative path, white space, integer label. Plain text or gzip, UTF-8, any line ending. The label is
the last field, so paths may hold spaces.
"""

from __future__ import annotations

import gzip
import re
import zlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from openmmlo.errors import DataError
from openmmlo.records import OOD_LABEL

Kind = Literal["classes", "open"]

EXPECTED_LINE = "expected a relative path, white space and an integer label"

_UNUSUAL = re.compile(r"[\\\x00-\x1f\x7f-\x9f]|\.\.|//|\./|/\.?$|^/|^.:|^\.?$")
"""Finds every path that needs a closer look, and few others."""

_UNUSUAL_TEXT = ("\\", "..", "//", "./", "/ ", "/. ", "\n/", " /", "\n.", "\t", ":")
_CONTROL = re.compile(r"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]")
"""Control characters, and white space beyond ASCII: stripping it may lay a path bare that leaves the root."""


@dataclass(frozen=True, slots=True)
class ListFile:
    """What a list holds, in its own order: ``paths`` and ``labels`` (N,), both without a single malformed row.

    ``row`` is what messages call one entry: a line of a text list, or an image of a JSON file.
    """

    file: Path
    paths: Sequence[str] = field(repr=False)
    labels: Sequence[int] = field(repr=False)
    row: Literal["line", "image"] = "line"

    def __len__(self) -> int:
        return len(self.paths)

    def where(self, index: int) -> str:
        """Where row ``index`` stands, for messages: ``FILE:LINE``."""
        return f"{self.file}:{index + 1}" if self.row == "line" else f"{self.file}: image {index + 1}"


def read_list(file: Path, kind: Kind | None = None, classes: int | None = None) -> ListFile:
    """Read and validate a list.

    Args:
        file: text, or gzip where its name ends in ``.gz``.
        kind: ``classes`` wants labels from 0, ``open`` wants -1 throughout, None takes either.
        classes: number of classes, where it is known; labels reach from 0 to one less.

    Raises:
        DataError: ``FILE:LINE: what, expected, do`` for the first line that is malformed, leaves the image root,
            or has a label that ``kind`` or ``classes`` excludes; also for an unreadable or empty file.
    """
    text = _read_text(file)
    plain = not _unusual_somewhere(text)
    lines = text.split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise DataError(f"{file}: no line in it; {EXPECTED_LINE} on each. Fetch the list again.")
    paths: list[str] = []
    labels = array("q")
    values: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        fields = line.rsplit(None, 1)
        if len(fields) != 2:
            raise DataError(f"{file}:{number}: {_shown(line)} is not a list line; {EXPECTED_LINE}. Correct the line.")
        label = values.get(fields[1])
        if label is None:
            label = values[fields[1]] = _label(fields[1], kind, classes, f"{file}:{number}")
        path = fields[0].strip()
        if not plain and _UNUSUAL.search(path):
            path = _plain_path(path, f"{file}:{number}")
        paths.append(path)
        labels.append(label)
    return ListFile(file, paths, labels)


def count_rows(file: Path) -> int:
    """Lines of a text list that are not blank; nothing of them is validated."""
    return sum(1 for line in read_bytes(file).splitlines() if line.strip())


def find_list(names: Sequence[str], folders: Sequence[Path]) -> Path | None:
    """The first of ``names`` in the first of ``folders`` that has it, plain or as ``.gz``; else None."""
    for folder in folders:
        for name in names:
            for candidate in (folder / name, folder / f"{name}.gz"):
                if candidate.is_file():
                    return candidate
    return None


def read_bytes(file: Path) -> bytes:
    """The bytes of a file, decompressed where its name ends in ``.gz``.

    Raises:
        DataError: it cannot be read or decompressed.
    """
    try:
        data = file.read_bytes()
        return gzip.decompress(data) if file.suffix == ".gz" else data
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{file}: broken gzip file ({error}). Fetch it again.") from error
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror or error}).") from error


def _read_text(file: Path) -> str:
    data = read_bytes(file)
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{file}:{number}: not valid UTF-8 (byte 0x{data[error.start]:02x}). Save the list as UTF-8."
        ) from error


def _unusual_somewhere(text: str) -> bool:
    """Whether any path of a whole list could be unusual: a few scans of the text spare one search a line."""
    return text[:1] in ("/", ".") or any(part in text for part in _UNUSUAL_TEXT) or bool(_CONTROL.search(text))


def _label(text: str, kind: Kind | None, classes: int | None, where: str) -> int:
    """The label a text stands for. Raises DataError for one that is no integer, or not one of this list."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
        raise DataError(f"{where}: label {_shown(text)} is not an integer; {EXPECTED_LINE}. Correct the line.")
    label = int(text)
    if kind == "open" and label != OOD_LABEL:
        raise DataError(f"{where}: label {label} in an open-set list; expected {OOD_LABEL} throughout. Another split?")
    if label < OOD_LABEL or (kind == "classes" and label < 0):
        last = "upwards" if classes is None else f"to {classes - 1}"
        raise DataError(f"{where}: label {label} in a list of known classes; expected 0 {last}. Another split?")
    if classes is not None and label >= classes:
        raise DataError(
            f"{where}: label {label} is outside the class table; expected 0 to {classes - 1}. Correct the line."
        )
    return label


def _plain_path(path: str, where: str) -> str:
    """The path without empty and ``.`` segments. Raises DataError for one that does not lie below the root."""
    parts = path.split("/")
    if path.startswith("/"):
        fault = "is absolute"
    elif "\\" in path:
        fault = "has a backslash; write / between folders"
    elif path[1:2] == ":":
        fault = "starts with a drive"
    elif ".." in parts:
        fault = "leaves the image root by '..'"
    elif any(ord(character) < 32 or 0x7F <= ord(character) < 0xA0 for character in path):
        fault = "has a control character"
    elif parts[-1] in ("", "."):
        fault = "names no file"
    else:
        return "/".join(part for part in parts if part not in ("", "."))
    raise DataError(
        f"{where}: path {_shown(path)} {fault}; expected a path below the image root, such as train/class/image.jpg. "
        "Correct the line."
    )


def _shown(text: str) -> str:
    """The text quoted, control characters escaped, long ones cut: foreign input goes to a terminal."""
    return repr(text if len(text) <= 120 else f"{text[:117]}...")
