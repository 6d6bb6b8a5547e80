"""The CIFAR archives, read as data.

They are pickles that Python 2 wrote. Unpickling runs what a file asks for, so nothing here unpickles: a small machine
follows the two dozen instructions that these files use. It knows dicts, lists, tuples, bytes and numbers, and takes
the three NumPy names that wrap the pixels as labels; it has no way to import or to call anything.

``data`` in a batch is (N, 3072) uint8: 1,024 red, 1,024 green, 1,024 blue values, row by row of a 32 x 32 image.
"""

from __future__ import annotations

import ast
import mmap
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from openmmlo.errors import DataError
from openmmlo.sources.archives import unpacked

SIDE = 32
PIXELS = 3 * SIDE * SIDE

Rows = np.ndarray[Any, np.dtype[np.uint8]]

_WHOLE_TEXT = 255
_NAMES = {
    "numpy.core.multiarray _reconstruct": "reconstruct",
    "numpy._core.multiarray _reconstruct": "reconstruct",
    "numpy ndarray": "ndarray",
    "numpy dtype": "dtype",
}


def read_member(path: Path, member: str) -> dict[bytes, Any]:
    """Read one file of an archive, or of the folder extracted from it, into plain values.

    Args:
        path: the ``.tar.gz`` file, or the folder in which its top-level folder lies.
        member: the file's name in the archive, for example "cifar-100-python/train".

    Returns the dict with bytes keys; a NumPy array in it is (N, D) uint8 and read-only.

    Raises:
        DataError: damaged, or holding anything else than plain values and arrays; the instruction or name is given.
    """
    file = path / member if path.is_dir() else path
    try:
        stat = file.stat()
    except OSError as error:
        raise DataError(f"Cannot read {file}: {error.strerror}.") from error
    return _read_member(path, member, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=8)
def _read_member(path: Path, member: str, modified: int, size: int) -> dict[bytes, Any]:
    where = f"{path.name}: {member}"
    if path.is_dir():
        view = memoryview(_mapped(path / member))
    else:
        files = unpacked(path)
        if member not in files:
            raise DataError(f"{path} holds no {member}. Is it the archive of the Python version?")
        view = memoryview(files[member])
    values = _Machine(view, where).run()
    if not isinstance(values, dict):
        raise DataError(f"{where} holds a {type(values).__name__}; expected a CIFAR batch, a dict.")
    return {key: _array_of(item, where) for key, item in values.items()}


def _mapped(path: Path) -> mmap.mmap | bytes:
    try:
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except ValueError:  # an empty file cannot be mapped
        return b""
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror}.") from error


@dataclass
class _Array:
    """A NumPy array in the making; ``state`` is (version, shape, dtype, Fortran order, bytes)."""

    state: tuple[Any, ...] = ()


@dataclass
class _DType:
    code: bytes


@dataclass(frozen=True)
class _Name:
    meaning: str


def _array_of(value: Any, where: str) -> Any:
    """Turn an array in the making into a read-only uint8 array; leave every other value as it is."""
    if not isinstance(value, _Array):
        return value
    match value.state:
        case (int(), tuple(shape), _DType(code=b"u1"), False | 0, bytes() | memoryview() as raw):
            if len(shape) == 2 and all(isinstance(size, int) for size in shape) and shape[0] * shape[1] == len(raw):
                return np.frombuffer(raw, dtype=np.uint8).reshape(shape)
    raise DataError(f"{where} is damaged: its pixels are not a two-dimensional array of bytes in row order.")


@dataclass
class _Machine:
    """Follows pickle instructions of protocols 0 to 3 over a buffer.

    Long strings stay views of the buffer, so that 150 MB of pixels are neither copied nor read before use.
    """

    view: memoryview
    where: str
    position: int = 0
    stack: list[Any] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def run(self) -> Any:
        steps, stop = _STEPS, ord(".")
        try:
            while True:
                code = self.view[self.position]
                self.position += 1
                if code == stop:
                    return self.stack.pop()
                step = steps.get(code)
                if step is None:
                    raise self.refusal(f"the instruction {bytes([code])!r}")
                step(self)
        except (LookupError, TypeError, ValueError, SyntaxError, RecursionError) as error:
            raise DataError(f"{self.where} is damaged at byte {self.position:,} ({error}).") from error

    def refusal(self, what: str) -> DataError:
        return DataError(
            f"{self.where} asks for {what}, which no CIFAR file needs. It was refused and nothing was run. "
            "Use the archive that the data set's authors publish."
        )

    def take(self, count: int) -> memoryview:
        end = self.position + count
        if count < 0 or end > len(self.view):
            raise IndexError("the file ends early")
        taken = self.view[self.position : end]
        self.position = end
        return taken

    def number(self, size: int, signed: bool = False) -> int:
        return int.from_bytes(self.take(size), "little", signed=signed)

    def line(self) -> str:
        start = self.position
        while self.view[self.position] != 0x0A:
            self.position += 1
        self.position += 1
        return bytes(self.view[start : self.position - 1]).decode("ascii")

    def text(self, length: int) -> None:
        taken = self.take(length)
        self.stack.append(bytes(taken) if length <= _WHOLE_TEXT else taken)

    def quoted(self) -> None:
        value = ast.literal_eval("b" + self.line().strip())
        if not isinstance(value, bytes):
            raise ValueError("a quoted string was expected")
        self.stack.append(value)

    def integer_line(self) -> None:
        text = self.line()
        self.stack.append({"00": False, "01": True}[text] if text in {"00", "01"} else int(text))

    def since_mark(self) -> list[Any]:
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def last(self, count: int) -> list[Any]:
        start = len(self.stack) - count
        if start < 0:
            raise IndexError("the stack is empty")
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def new_dict(self, items: list[Any]) -> None:
        self.stack.append({})
        self.set_items(items)

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict) or len(items) % 2:
            raise TypeError("items for something that is not a dict")
        target.update(zip(items[::2], items[1::2], strict=True))

    def append_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, list):
            raise TypeError("items for something that is not a list")
        target.extend(items)

    def remember(self, number: int) -> None:
        self.memo[number] = self.stack[-1]

    def recall(self, number: int) -> None:
        self.stack.append(self.memo[number])

    def name(self) -> None:
        name = f"{self.line()} {self.line()}"
        if name not in _NAMES:
            raise self.refusal(f"the global {name.replace(' ', '.')!r}")
        self.stack.append(_Name(_NAMES[name]))

    def reduce(self) -> None:
        arguments, callee = self.stack.pop(), self.stack.pop()
        match (callee, arguments):
            case (_Name("reconstruct"), (_Name("ndarray"), tuple(), bytes())):
                self.stack.append(_Array())
            case (_Name("dtype"), (bytes() as code, *_)):
                self.stack.append(_DType(code))
            case _:
                raise self.refusal("a call")

    def build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, _Array) and isinstance(state, tuple):
            target.state = state
        elif not isinstance(target, _DType):
            raise self.refusal("an object's state")

    def protocol(self) -> None:
        if self.number(1) > 3:
            raise self.refusal("a pickle protocol above 3")


_STEPS: dict[int, Callable[[_Machine], None]] = {
    # values
    ord("}"): lambda m: m.stack.append({}),
    ord("]"): lambda m: m.stack.append([]),
    ord(")"): lambda m: m.stack.append(()),
    ord("N"): lambda m: m.stack.append(None),
    0x88: lambda m: m.stack.append(True),
    0x89: lambda m: m.stack.append(False),
    ord("K"): lambda m: m.stack.append(m.number(1)),
    ord("M"): lambda m: m.stack.append(m.number(2)),
    ord("J"): lambda m: m.stack.append(m.number(4, signed=True)),
    ord("I"): _Machine.integer_line,
    ord("U"): lambda m: m.text(m.number(1)),
    ord("T"): lambda m: m.text(m.number(4)),
    ord("C"): lambda m: m.text(m.number(1)),
    ord("B"): lambda m: m.text(m.number(4)),
    ord("S"): _Machine.quoted,
    # containers
    ord("("): lambda m: m.marks.append(len(m.stack)),
    ord("d"): lambda m: m.new_dict(m.since_mark()),
    ord("l"): lambda m: m.stack.append(m.since_mark()),
    ord("t"): lambda m: m.stack.append(tuple(m.since_mark())),
    0x85: lambda m: m.stack.append(tuple(m.last(1))),
    0x86: lambda m: m.stack.append(tuple(m.last(2))),
    0x87: lambda m: m.stack.append(tuple(m.last(3))),
    ord("s"): lambda m: m.set_items(m.last(2)),
    ord("u"): lambda m: m.set_items(m.since_mark()),
    ord("a"): lambda m: m.append_items(m.last(1)),
    ord("e"): lambda m: m.append_items(m.since_mark()),
    # values met again
    ord("p"): lambda m: m.remember(int(m.line())),
    ord("q"): lambda m: m.remember(m.number(1)),
    ord("r"): lambda m: m.remember(m.number(4)),
    ord("g"): lambda m: m.recall(int(m.line())),
    ord("h"): lambda m: m.recall(m.number(1)),
    ord("j"): lambda m: m.recall(m.number(4)),
    # the wrapping of arrays
    0x80: _Machine.protocol,
    ord("c"): _Machine.name,
    ord("R"): _Machine.reduce,
    ord("b"): _Machine.build,
}
