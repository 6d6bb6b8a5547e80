"""One image as it travels to a server: the file's own bytes where they hold pixels alone, else a JPEG made here.

Where and with what a photograph was taken is nobody's business but its owner's: a file that holds anything beside
pixels and their colour space (EXIF, XMP, comments, a film behind the picture) is encoded anew.
"""

from __future__ import annotations

import base64
import io
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

ENCODING = "original bytes of plain RGB files, else jpeg quality 95"
"""What this module does, as it stands in manifests; another way of encoding needs other words here."""

_QUALITY = 95
_SHRINK = 0.75
_PNG_CHUNKS = frozenset({b"IHDR", b"IDAT", b"IEND", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"pHYs", b"sBIT", b"bKGD"})
_WEBP_CHUNKS = frozenset({b"VP8 ", b"VP8L", b"VP8X", b"ICCP"})


@dataclass(frozen=True, slots=True)
class SentImage:
    """Bytes of an image file and their media type."""

    media_type: str
    data: bytes

    @property
    def nbytes(self) -> int:
        return len(self.data)

    def uri(self) -> str:
        """The image as a ``data:`` address."""
        return f"data:{self.media_type};base64,{base64.b64encode(self.data).decode('ascii')}"


def sent_image(image: Image, original: bytes | None, max_side: int | None, max_bytes: int) -> SentImage:
    """Choose or make the bytes to send.

    Args:
        image: upright RGB pixels.
        original: bytes of the file they were decoded from; None where they cannot be had.
        max_side: longest side in pixels; a larger image is shrunk. None sends every size.
        max_bytes: largest file; an image that stays larger as a JPEG is shrunk until it fits.
    """
    wanted = image.size
    if max_side is not None and max(wanted) > max_side:
        share = max_side / max(wanted)
        wanted = (max(1, round(wanted[0] * share)), max(1, round(wanted[1] * share)))
    elif original is not None and len(original) <= max_bytes:
        media_type = plain_type(original, image.size)
        if media_type is not None:
            return SentImage(media_type, original)
    while True:
        data = _jpeg(image, wanted)
        if len(data) <= max_bytes or wanted == (1, 1):
            return SentImage("image/jpeg", data)
        wanted = (max(1, int(wanted[0] * _SHRINK)), max(1, int(wanted[1] * _SHRINK)))


def plain_type(data: bytes, size: tuple[int, int]) -> str | None:
    """Media type of a JPEG, PNG or WebP file that holds one RGB image of this size and nothing else, or None."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=tuple(_HOLDS_PIXELS_ALONE)) as opened:
                found = opened.format or ""
                if opened.mode != "RGB" or opened.size != size or getattr(opened, "n_frames", 1) != 1:
                    return None
        return f"image/{found.lower()}" if _HOLDS_PIXELS_ALONE[found](data) else None
    except Exception:  # a damaged file may raise anything; its pixels, as far as they were decoded, are sent anew
        return None


def _jpeg_holds_pixels_alone(data: bytes) -> bool:
    """Whether all segments before the scan are tables, JFIF, Adobe's colour mark or a colour profile."""
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        (length,) = struct.unpack_from(">H", data, place + 2)
        content = data[place + 4 : place + 2 + length]
        if marker == 0xDA:
            return data.endswith(b"\xff\xd9")  # a film behind the picture would end otherwise
        if marker == 0xE2 and not content.startswith(b"ICC_PROFILE\0"):
            return False
        if marker == 0xE0 and not (content.startswith(b"JFIF\0") and len(content) == 14):  # no thumbnail
            return False
        if marker == 0xFE or (0xE0 <= marker <= 0xEF and marker not in (0xE0, 0xE2, 0xEE)):
            return False
        place += 2 + length
    return False


def _png_holds_pixels_alone(data: bytes) -> bool:
    place, kind = 8, b""
    while place + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        if kind not in _PNG_CHUNKS:
            return False
        place += 12 + length
    return kind == b"IEND" and place == len(data)


def _webp_holds_pixels_alone(data: bytes) -> bool:
    return set(_riff_chunks(data)) <= _WEBP_CHUNKS


def _riff_chunks(data: bytes) -> Iterator[bytes]:
    place = 12
    while place + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, place)
        yield kind
        place += 8 + length + length % 2
    if place < len(data):
        yield b"rest"


_HOLDS_PIXELS_ALONE = {
    "JPEG": _jpeg_holds_pixels_alone,
    "PNG": _png_holds_pixels_alone,
    "WEBP": _webp_holds_pixels_alone,
}


def _jpeg(image: Image, size: tuple[int, int]) -> bytes:
    from PIL import Image

    sized = image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    sized.convert("RGB").save(buffer, "JPEG", quality=_QUALITY, subsampling=0)
    return buffer.getvalue()


def plain_picture() -> SentImage:
    """A plain picture that no server has a reason to refuse: a gradient of 224 × 224 pixels."""
    from PIL import Image

    grey = Image.linear_gradient("L").resize((224, 224))
    return SentImage("image/jpeg", _jpeg(Image.merge("RGB", (grey, grey.rotate(90), grey.rotate(180))), (224, 224)))
