"""The bytes of an image file come in, a small upright WebP goes out; or nothing, if it cannot be shown.

Sizes and qualities are steps of a ladder: a page of few images has them large and crisp, one of many has them small.
"""

from __future__ import annotations

import io
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from PIL import Image, ImageOps

from openmmlo.building.machine import cores
from openmmlo.data.images import FORMATS, to_rgb

Key = TypeVar("Key")

MOST_PIXELS = 80_000_000
"""Larger images are not decoded for a thumbnail, unless they are JPEGs, which decode at a fraction of their size."""


@dataclass(frozen=True, slots=True)
class Step:
    """A size of thumbnail: pixels of its longer side, and WebP's quality."""

    edge: int
    quality: int


LADDER = (Step(320, 72), Step(256, 68), Step(224, 62), Step(192, 58), Step(160, 54), Step(136, 48), Step(112, 42))
"""From the best step to the smallest that is still worth looking at."""


def thumbnail(data: bytes, step: Step) -> bytes | None:
    """A WebP of at most ``step.edge`` pixels a side; None where the bytes are no image that can be shown.

    Never larger than the image itself. Transparent pixels lie on white, as they did for the captioner; EXIF
    orientation is followed; no metadata is kept.
    """
    try:
        return _webp(data, step)
    except Exception:  # decoders raise anything from OSError to struct.error; a page shows a placeholder instead
        return None


def _webp(data: bytes, step: Step) -> bytes | None:
    with Image.open(io.BytesIO(data), formats=_known_formats()) as image:
        # What is left of a JPEG after this is at least twice the thumbnail, so that reducing it loses nothing.
        image.draft("RGB", (2 * step.edge, 2 * step.edge))
        if image.width * image.height > MOST_PIXELS:
            return None
        image.load()
        small = to_rgb(_upright(image))
    # An image that needs no reducing is shown enlarged, where losses are seen.
    quality = step.quality if max(small.size) > step.edge else min(90, step.quality + 18)
    small.thumbnail((step.edge, step.edge), Image.Resampling.LANCZOS, reducing_gap=2.0)
    small.info = {}
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=quality, method=2)
    return buffer.getvalue()


@cache
def _known_formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF: the pixels are still good
        return image


def thumbnails(images: Iterable[tuple[Key, bytes]], step: Step) -> Iterator[tuple[Key, bytes | None]]:
    """Yield a thumbnail for each image, in order, made on all cores: Pillow's work leaves the interpreter free.

    Reads only a few images ahead.
    """
    with warnings.catch_warnings(), ThreadPoolExecutor(cores()) as pool:
        warnings.simplefilter("ignore")  # of large images, damaged EXIF and the like: they are shown, or not, anyway
        waiting: deque[tuple[Key, Future[bytes | None]]] = deque()
        for key, data in images:
            waiting.append((key, pool.submit(thumbnail, data, step)))
            if len(waiting) > 4 * cores():
                first, made = waiting.popleft()
                yield first, made.result()
        for key, made in waiting:
            yield key, made.result()
