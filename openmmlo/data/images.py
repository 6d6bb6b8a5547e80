"""Bytes of an image file to upright RGB pixels, or to the reason why not.

Real folders hold palette, grey with alpha, 16-bit, CMYK, rotated, animated, truncated, gigantic and mislabelled files.
Every one of them ends here as a :class:`DecodedImage` or as a :class:`~openmmlo.errors.SampleFailed`, never otherwise.
"""

from __future__ import annotations

import hashlib
import io
import re
import threading
import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from openmmlo.errors import SampleFailed
from openmmlo.records import Status

MAX_PIXELS = 178_956_970
"""Largest width x height that is decoded: where Pillow, as shipped, stops with an error."""

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000", "AVIF", "PPM", "ICO")
"""Pillow's names of what is decoded (its JPEG includes MPO).

EPS, PDF and WMF would start other programs; TGA has no signature, so that damaged files of other kinds pass for it.
"""

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION = 0x0112
_ALPHA_MODES = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})
_REASON_LENGTH = 200


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """An image ready for a captioner.

    ``image`` is upright RGB, detached from its file and without metadata; ``width`` and ``height`` are its size.
    ``sha256`` and ``num_bytes`` are of the original bytes; ``format`` is Pillow's name in lower case ("jpeg").
    """

    image: Image.Image
    sha256: str
    width: int
    height: int
    format: str
    num_bytes: int


def decode(data: bytes, max_pixels: int = MAX_PIXELS) -> DecodedImage:
    """Decode all pixels of the first frame, turn them upright by EXIF and convert them to RGB.

    For opaque 8-bit images the pixels equal ``Image.open(...).convert("RGB")``. Deviations, where that conversion
    gives arbitrary or clipped colours: transparency is laid over white; 16-bit grey, and 32-bit integers within
    0 to 65,535, are scaled linearly to 8 bits; floating-point pixels within 0 to 1 are multiplied by 255.

    Args:
        data: the file's bytes, whatever its name says.
        max_pixels: width x height above which the image is refused, from its header, before pixels are decoded.

    Raises:
        SampleFailed: ``UNREADABLE`` (empty, truncated, not an image, no agreed brightness scale) or ``TOO_LARGE``,
            with a one-line reason that is the same on every machine.
    """
    if not data:
        raise SampleFailed(Status.UNREADABLE, "the file is empty")
    with _STRICT_PILLOW.limit(max_pixels):
        try:
            image, file_format = _open(data, max_pixels)
        except (SampleFailed, MemoryError):
            raise
        except Image.DecompressionBombError as error:
            raise SampleFailed(Status.TOO_LARGE, f"more than {max_pixels:,} pixels") from error
        except Exception as error:  # a broken file may raise anything in Pillow's decoders
            raise SampleFailed(Status.UNREADABLE, _reason(error, data)) from error
    return DecodedImage(
        image=image,
        sha256=hashlib.sha256(data).hexdigest(),
        width=image.width,
        height=image.height,
        format=file_format,
        num_bytes=len(data),
    )


def _open(data: bytes, max_pixels: int) -> tuple[Image.Image, str]:
    with Image.open(io.BytesIO(data), formats=_known_formats()) as opened:
        _check_size(opened.size, max_pixels)
        file_format = (opened.format or "").lower()
        opened.load()
        # An icon's entry may be larger than its directory says.
        _check_size(opened.size, max_pixels)
        turn = _UPRIGHT.get(_orientation(opened))
        image = to_rgb(opened)
    if turn is not None:
        image = image.transpose(turn)
    image.info = {}
    return image, file_format


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        reason = f"{width:,} x {height:,} pixels are more than {max_pixels:,}"
        raise SampleFailed(Status.TOO_LARGE, reason)


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1 to 8; 1 where the metadata is damaged, for the pixels are still good."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
        return value if isinstance(value, int) else 1
    except Exception:  # damaged EXIF raises anything from SyntaxError to struct.error
        return 1


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert a loaded image of any Pillow mode to a new RGB image; see :func:`decode` for the rules.

    Raises:
        ValueError: the mode has no agreed brightness scale or no conversion.
    """
    mode = image.mode
    if mode == "RGB" and "transparency" not in image.info:
        return image.copy()
    if mode.startswith("I;16"):
        return _from_grey16(image, np.asarray(image).astype(np.uint16))
    if mode == "I":
        values = np.asarray(image)
        low, high = int(values.min()), int(values.max())
        if low < 0 or high > 65_535:
            raise ValueError(f"32-bit integer pixels from {low} to {high}; only 0 to 65535 has an agreed brightness")
        return _from_grey16(image, values.astype(np.uint16))
    if mode == "F":
        return _from_float(image)
    if mode in _ALPHA_MODES or "transparency" in image.info or _has_alpha_palette(image):
        return _over_white(image.convert("RGBA"))
    return image.convert("RGB")


def _has_alpha_palette(image: Image.Image) -> bool:
    return image.mode == "P" and image.palette is not None and image.palette.mode == "RGBA"


def _over_white(image: Image.Image) -> Image.Image:
    if image.getchannel("A").getextrema() == (255, 255):
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, image).convert("RGB")


def _from_grey16(image: Image.Image, values: np.ndarray[Any, np.dtype[np.uint16]]) -> Image.Image:
    grey = ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return Image.fromarray(grey).convert("RGB")


def _from_float(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    low, high = float(values.min()), float(values.max())
    if not (low >= 0.0 and high <= 1.0):
        raise ValueError(f"floating-point pixels from {low:g} to {high:g}; only 0 to 1 has an agreed brightness")
    return Image.fromarray(np.rint(values * 255.0).astype(np.uint8)).convert("RGB")


def _reason(error: Exception, data: bytes) -> str:
    """One short line, the same on every run: no addresses of objects, no line breaks."""
    if isinstance(error, UnidentifiedImageError):
        return f"not an image that can be read; it begins with {data[:12]!r}"
    text = re.sub(r"<[^<>]* object at 0x[0-9a-fA-F]+>", "the file", str(error))
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return (line or type(error).__name__)[:_REASON_LENGTH]


@cache
def _known_formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


class _StrictPillow:
    """Pillow's global switches, as decoding needs them, while any thread decodes.

    Pillow keeps its pixel limit and its leave to accept truncated files in module variables that other libraries
    change; the warnings filter is global too. The first thread in sets them, the last one out puts them back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._limits: list[int] = []
        self._before: tuple[int | None, bool] = (None, False)
        self._warnings: warnings.catch_warnings[None] | None = None

    def limit(self, max_pixels: int) -> _Limit:
        return _Limit(self, max_pixels)

    def enter(self, max_pixels: int) -> None:
        with self._lock:
            if not self._limits:
                self._before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)
                ImageFile.LOAD_TRUNCATED_IMAGES = False
                self._warnings = warnings.catch_warnings()
                self._warnings.__enter__()
                warnings.simplefilter("ignore")
            self._limits.append(max_pixels)
            # Pillow refuses above twice this number.
            Image.MAX_IMAGE_PIXELS = (max(self._limits) + 1) // 2

    def leave(self, max_pixels: int) -> None:
        with self._lock:
            self._limits.remove(max_pixels)
            if not self._limits:
                Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = self._before
                if self._warnings is not None:
                    self._warnings.__exit__(None, None, None)


@dataclass(frozen=True, slots=True)
class _Limit:
    settings: _StrictPillow
    max_pixels: int

    def __enter__(self) -> None:
        self.settings.enter(self.max_pixels)

    def __exit__(self, *_: object) -> None:
        self.settings.leave(self.max_pixels)


_STRICT_PILLOW = _StrictPillow()
