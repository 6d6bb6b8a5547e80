"""An append-only file of finished batches: what a killed build has already paid for.

A frame is a magic word, the payload's length and CRC-32, then the payload (JSON). Appending ends with a sync, so a
frame that is read back whole was finished; a torn tail is cut before anything is appended after it.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_MAGIC = b"OMJ1"
_HEADER = struct.Struct("<4sII")


class Journal:
    """The journal of one shard; the caller holds the shard's lock.

    Args:
        path: the file; it is made by the first append.

    A frame is a mapping with ``records`` (one per sample) and what else is known of the batch.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[dict[str, Any]]:
        """Return every whole frame and cut whatever follows the last one."""
        frames, whole = self.peek()
        if self.path.exists() and self.path.stat().st_size != whole:
            with self.path.open("r+b") as file:
                file.truncate(whole)
                os.fsync(file.fileno())
        return frames

    def peek(self) -> tuple[list[dict[str, Any]], int]:
        """Every whole frame and where the last one ends; needs no lock, for it changes nothing."""
        frames: list[dict[str, Any]] = []
        whole = 0
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return frames, whole
        with file:
            while len(header := file.read(_HEADER.size)) == _HEADER.size:
                magic, length, checksum = _HEADER.unpack(header)
                payload = file.read(length) if magic == _MAGIC else b""
                if magic != _MAGIC or len(payload) != length or zlib.crc32(payload) != checksum:
                    break
                frames.append(json.loads(payload))
                whole = file.tell()
        return frames, whole

    def append(self, frame: dict[str, Any]) -> None:
        """Add one frame and wait until the disk has it. Raises OSError with the file as it was before."""
        payload = _encode(frame)
        # Unbuffered: a buffer that could not be written would be written again on closing, behind the cut.
        with self.path.open("ab", buffering=0) as file:
            before = file.tell()
            try:
                rest = memoryview(payload)
                while rest:
                    rest = rest[file.write(rest) :]
                os.fsync(file.fileno())
            except OSError:
                os.ftruncate(file.fileno(), before)
                raise

    def replace(self, frames: Iterable[dict[str, Any]]) -> None:
        """Write a whole journal at once, aside and renamed."""
        aside = self.path.with_suffix(".tmp")
        with aside.open("wb") as file:
            for frame in frames:
                file.write(_encode(frame))
            file.flush()
            os.fsync(file.fileno())
        aside.replace(self.path)


def _encode(frame: dict[str, Any]) -> bytes:
    payload = json.dumps(frame, separators=(",", ":")).encode("ascii")
    return _HEADER.pack(_MAGIC, len(payload), zlib.crc32(payload)) + payload
