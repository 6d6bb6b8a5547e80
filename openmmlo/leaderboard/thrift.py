"""Thrift's compact protocol, read so far as counting what it would become: footers and page headers of parquet files.

What a few bytes announce, a parquet reader makes room for before it looks further. So these bytes are walked here
first, in time and memory of the order of their number, and refused where they announce too much.
"""

from __future__ import annotations

from typing import Any

ELEMENTS = 100_000
_DEPTH = 12
_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)
_WHOLE = (_I16, _I32, _I64)


class TooMuch(ValueError):
    """More, deeper or longer than it may be, or no compact protocol at all."""


class Walk:
    """A position in bytes of the compact protocol.

    Args:
        data: the bytes.
        elements: fields and items that may come in all.
    """

    def __init__(self, data: bytes, elements: int = ELEMENTS) -> None:
        self.data = data
        self.place = 0
        self.left = elements

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """The fields of a struct: field id -> whole number, bool or struct. Texts and lists are walked, not kept.

        Raises:
            TooMuch: these bytes are no struct, or one of too many parts.
        """
        found: dict[int, Any] = {}
        field = 0
        while head := self._byte():
            kind, step = head & 0x0F, head >> 4
            field = field + step if step else self._zigzag()
            found[field] = kind == _TRUE if kind in (_TRUE, _FALSE) else self._value(kind, depth)
        return found

    def _value(self, kind: int, depth: int) -> Any:
        self.left -= 1
        if self.left < 0 or depth > _DEPTH:
            raise TooMuch("too many parts" if self.left < 0 else f"nested deeper than {_DEPTH} levels")
        if kind in _WHOLE:
            return self._zigzag()
        if kind == _STRUCT:
            return self.struct(depth + 1)
        if kind == _BINARY:
            self._skip(self._varint())
        elif kind in (_BYTE, _TRUE, _FALSE):  # a bool in a list is a byte
            self._skip(1)
        elif kind == _DOUBLE:
            self._skip(8)
        elif kind in (_LIST, _SET):
            head = self._byte()
            count = head >> 4 if head >> 4 < 15 else self._varint()
            for _ in range(min(count, self.left + 1)):
                self._value(head & 0x0F, depth + 1)
        else:
            raise TooMuch(f"a part of kind {kind}")
        return None

    def _byte(self) -> int:
        if self.place >= len(self.data):
            raise TooMuch("it ends early")
        self.place += 1
        return self.data[self.place - 1]

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise TooMuch("a number without end")

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

    def _skip(self, count: int) -> None:
        self.place += count
        if self.place > len(self.data):
            raise TooMuch("it ends early")
