"""What an image file says besides its pixels, and the same file without it, pixel data untouched.

JPEG, PNG and WebP are walked block by block. Blocks that decide how pixels look stay (colour profile, gamma,
transparency, animation, Adobe's colour transform); EXIF, XMP, IPTC, comments, texts, times, previews and whatever
follows the end of the image go. Of EXIF the orientation alone is written anew, so that the image stays upright.
"""

from __future__ import annotations

import io
import re
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from PIL import Image

_ORIENTATION, _GPS = 0x0112, 0x8825
_TIFF_PERSONAL = frozenset({270, 271, 272, 305, 306, 315, 316, 700, 33432, 33723, 34377, 0x8769, _GPS})


class Metadata(NamedTuple):
    """What a file says besides its pixels: EXIF beyond the orientation, a place, and anything else of that kind."""

    exif: bool
    gps: bool
    other: bool


class Block(NamedTuple):
    """A piece of a file: what it is (empty: part of the image), its payload, and its bytes as they stand."""

    kind: str
    payload: bytes
    raw: bytes


class Unwalkable(Exception):
    """The file is not laid out as its format says."""


def look(data: bytes) -> Metadata:
    """What a file says besides its pixels; all False for a file of pixels alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of damaged metadata
        return _look(data)


def _look(data: bytes) -> Metadata:
    walk = _walker(data)
    try:
        blocks = [block for block in walk(data) if block.kind] if walk else None
    except Unwalkable:
        blocks = None
    if blocks is None:
        return _look_through_pillow(data)
    exif = gps = other = False
    for block in blocks:
        if block.kind == "exif":
            beyond, place = _exif(block.payload)
            exif, gps = exif or beyond, gps or place
        elif block.kind == "trailer" and (start := block.payload.find(b"\xff\xd8\xff")) >= 0:
            further = _look(block.payload[start:])
            exif, gps, other = exif or further.exif, gps or further.gps, True
        else:
            other = True
            gps = gps or b"GPSLatitude" in block.payload
    return Metadata(exif, gps, other)


def strip(data: bytes) -> bytes | None:
    """The file without what it says besides its pixels, pixel data as it was; None where that cannot be done.

    A file that says nothing is returned as it is.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of damaged metadata
        return _strip(data)


def _strip(data: bytes) -> bytes | None:
    walk = _walker(data)
    if walk is None:
        return data if not any(_look(data)) else None
    try:
        blocks = list(walk(data))
        if not any(_look(data)):
            return data
        orientation = _orientation(data)
        kept = [block.raw for block in blocks if not block.kind]
        stripped = _ASSEMBLE[walk](kept, orientation)
        same = _orientation(stripped) == orientation
    except (Unwalkable, OSError, ValueError, SyntaxError, struct.error, Image.DecompressionBombError):
        return None
    return stripped if same and not any(_look(stripped)) else None


def _walker(data: bytes) -> Callable[[bytes], Iterator[Block]] | None:
    if data.startswith(b"\xff\xd8\xff"):
        return _jpeg
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return _png
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _webp
    return None


_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_END, _SCAN, _COMMENT = 0xD9, 0xDA, 0xFE


def _jpeg(data: bytes) -> Iterator[Block]:
    yield Block("", b"", data[:2])
    at = 2
    while at < len(data):
        start = at
        if data[at] != 0xFF:
            raise Unwalkable
        while at < len(data) and data[at] == 0xFF:
            at += 1
        marker = data[at] if at < len(data) else _END
        at += 1
        if marker == _END:
            yield Block("", b"", b"\xff\xd9")
            if data[at:].strip(b"\0"):
                yield Block("trailer", data[at:], data[at:])
            return
        if marker == 0x01 or 0xD0 <= marker <= 0xD7:
            yield Block("", b"", data[start:at])
            continue
        length = int.from_bytes(data[at : at + 2], "big")
        if length < 2 or at + length > len(data):
            raise Unwalkable
        payload, end = data[at + 2 : at + length], at + length
        if marker == _SCAN:
            found = _MARKER.search(data, end)
            end = found.start() if found else len(data)
        yield Block(_jpeg_kind(marker, payload), payload, data[start:end])
        at = end


def _jpeg_kind(marker: int, payload: bytes) -> str:
    if marker == _COMMENT:
        return "comment"
    if 0xC0 <= marker <= 0xCF or 0xDA <= marker <= 0xDF:  # frames, scans and their tables
        return ""
    for number, start, kind in (
        (0xE0, b"JFIF\0", ""), (0xE1, b"Exif\0", "exif"), (0xE2, b"ICC_PROFILE\0", ""), (0xEE, b"Adobe", ""),
    ):  # fmt: skip
        if marker == number and payload.startswith(start):
            return kind
    return "application"


def _assemble_jpeg(kept: list[bytes], orientation: int) -> bytes:
    if orientation == 1:
        return b"".join(kept)
    payload = b"Exif\0\0" + _orientation_tiff(orientation)
    block = b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload
    place = 2 if len(kept) > 1 and kept[1].startswith(b"\xff\xe0") else 1  # JFIF's own block stands first
    return b"".join((*kept[:place], block, *kept[place:]))


_PNG_KEPT = frozenset(
    b"IHDR PLTE IDAT IEND tRNS cHRM gAMA iCCP sBIT sRGB cICP mDCV cLLI bKGD hIST pHYs sPLT acTL fcTL fdAT".split()
)


def _png(data: bytes) -> Iterator[Block]:
    yield Block("", b"", data[:8])
    at = 8
    while at < len(data):
        length, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 12 + length
        if len(name) < 4 or end > len(data):
            raise Unwalkable
        payload = data[at + 8 : end - 4]
        kept = name in _PNG_KEPT or name[:1].isupper()
        yield Block("" if kept else "exif" if name == b"eXIf" else "text", payload, data[at:end])
        at = end
        if name == b"IEND":
            if data[at:].strip(b"\0"):
                yield Block("trailer", data[at:], data[at:])
            return


def _assemble_png(kept: list[bytes], orientation: int) -> bytes:
    if orientation == 1:
        return b"".join(kept)
    body = b"eXIf" + _orientation_tiff(orientation)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    place = next(number for number, raw in enumerate(kept) if raw[4:8] == b"IDAT")
    return b"".join((*kept[:place], chunk, *kept[place:]))


_WEBP_KEPT = frozenset((b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"))
_HAS_EXIF, _HAS_XMP = 0x08, 0x04


def _webp(data: bytes) -> Iterator[Block]:
    yield Block("", b"", data[:12])
    at, last = 12, min(8 + int.from_bytes(data[4:8], "little"), len(data))
    while at + 8 <= last:
        name, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        end = at + 8 + length + length % 2
        if at + 8 + length > last:
            raise Unwalkable
        kind = "" if name in _WEBP_KEPT else "exif" if name == b"EXIF" else "text"
        yield Block(kind, data[at + 8 : at + 8 + length], data[at:end])
        at = end
    if data[last:].strip(b"\0"):
        yield Block("trailer", data[last:], data[last:])


def _assemble_webp(kept: list[bytes], orientation: int) -> bytes:
    chunks = list(kept[1:])
    for number, raw in enumerate(chunks):
        if raw.startswith(b"VP8X"):
            flags = raw[8] & ~(_HAS_EXIF | _HAS_XMP) | (_HAS_EXIF if orientation != 1 else 0)
            chunks[number] = raw[:8] + bytes((flags,)) + raw[9:]
    if orientation != 1:
        if not chunks[0].startswith(b"VP8X"):
            raise Unwalkable
        payload = _orientation_tiff(orientation)
        chunks.append(b"EXIF" + struct.pack("<I", len(payload)) + payload)
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


_ASSEMBLE: dict[Callable[[bytes], Iterator[Block]], Callable[[list[bytes], int], bytes]] = {
    _jpeg: _assemble_jpeg,
    _png: _assemble_png,
    _webp: _assemble_webp,
}


def _orientation_tiff(orientation: int) -> bytes:
    """A TIFF structure with one entry, the orientation; 26 bytes."""
    return b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, _ORIENTATION, 3, 1, orientation, 0, 0)


def _orientation(data: bytes) -> int:
    """The orientation that decoding goes by: EXIF's, wherever the file keeps it, else XMP's."""
    with Image.open(io.BytesIO(data)) as image:
        if image.format == "PNG":
            image.load()  # its metadata may follow the pixels
        try:
            value = image.getexif().get(_ORIENTATION, 1)
        except Exception:  # damaged EXIF raises anything; such an image is taken as it lies
            return 1
    return value if isinstance(value, int) and 2 <= value <= 8 else 1


def _exif(payload: bytes) -> tuple[bool, bool]:
    """Whether an EXIF block says more than the orientation, and whether it names a place."""
    exif = Image.Exif()
    try:
        exif.load(payload if payload.startswith(b"Exif\0\0") else b"Exif\0\0" + payload)
        tags = set(exif) - {_ORIENTATION}
        place = bool(exif.get_ifd(_GPS))
        more = len(payload) > len(b"Exif\0\0") + 26  # a preview or a second directory behind the first
    except Exception:  # damaged EXIF raises anything; what is in it cannot be told
        return True, False
    return bool(tags) or place or more, place


def _look_through_pillow(data: bytes) -> Metadata:
    """For formats that are not walked: what Pillow finds."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            tags = set(image.getexif())
            personal = tags & _TIFF_PERSONAL if image.format == "TIFF" else tags - {_ORIENTATION}
            gps = bool(image.getexif().get_ifd(_GPS))
            other = any(key in image.info for key in ("comment", "xmp", "photoshop", "XML:com.adobe.xmp"))
    except Exception:  # a broken file may raise anything; a row of the data set never is one
        return Metadata(False, False, True)
    return Metadata(bool(personal) or gps, gps, other)
