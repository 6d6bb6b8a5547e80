"""Shapes as masks: pictographs and letters of DejaVu Sans, and polygons drawn in code where it has none.

The font comes with matplotlib, so that no image or font is shipped here.
"""

from __future__ import annotations

import hashlib
from functools import cache, lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from openmmlo.errors import DataError
from openmmlo.sources.miniature_classes import PICTOGRAPHS

FONT_SHA256 = "3fdf69cabf06049ea70a00b5919340e2ce1e6d02b0cc3c4b44fb6801bd1e0d22"
"""DejaVu Sans as matplotlib 3.10 and 3.11 ship it; another file may draw other pixels."""

_Shape = tuple[str, int, tuple[float, ...]]
"""What to draw (ellipse, polygon), ink (1 shape, 0 hole), and x, y, x, y ... on a canvas of 100 x 100."""

POLYGONS: dict[str, tuple[_Shape, ...]] = {
    "fish": (
        ("ellipse", 1, (2, 26, 74, 74)),
        ("polygon", 1, (62, 50, 98, 24, 90, 50, 98, 76)),
        ("polygon", 1, (30, 30, 48, 12, 60, 32)),
        ("polygon", 1, (36, 70, 48, 86, 54, 70)),
        ("ellipse", 0, (14, 40, 24, 50)),
        ("polygon", 0, (33, 34, 38, 50, 33, 66, 36, 66, 42, 50, 36, 34)),
    ),
    "house": (
        ("polygon", 1, (50, 6, 98, 50, 86, 50, 86, 96, 14, 96, 14, 50, 2, 50)),
        ("polygon", 1, (70, 10, 82, 10, 82, 40, 70, 30)),
        ("polygon", 0, (56, 62, 74, 62, 74, 97, 56, 97)),
        ("polygon", 0, (24, 56, 44, 56, 44, 76, 24, 76)),
        ("polygon", 1, (32, 56, 36, 56, 36, 76, 32, 76)),
        ("polygon", 1, (24, 64, 44, 64, 44, 68, 24, 68)),
    ),
    "key": (
        ("ellipse", 1, (2, 30, 42, 70)),
        ("ellipse", 0, (12, 40, 32, 60)),
        ("polygon", 1, (38, 45, 98, 45, 98, 55, 38, 55)),
        ("polygon", 1, (88, 55, 98, 55, 98, 76, 88, 76)),
        ("polygon", 1, (70, 55, 80, 55, 80, 70, 70, 70)),
    ),
    "moon": (
        ("ellipse", 1, (4, 4, 96, 96)),
        ("ellipse", 0, (32, -6, 112, 84)),
    ),
    "mushroom": (
        ("ellipse", 1, (2, 6, 98, 110)),
        ("polygon", 0, (0, 56, 100, 56, 100, 112, 0, 112)),
        ("polygon", 1, (36, 56, 64, 56, 70, 96, 30, 96)),
        ("ellipse", 0, (18, 30, 36, 46)),
        ("ellipse", 0, (44, 14, 64, 32)),
        ("ellipse", 0, (66, 34, 80, 48)),
    ),
    "sailboat": (
        ("polygon", 1, (2, 74, 98, 74, 82, 96, 18, 96)),
        ("polygon", 1, (48, 2, 53, 2, 53, 74, 48, 74)),
        ("polygon", 1, (57, 8, 94, 66, 57, 66)),
        ("polygon", 1, (44, 20, 44, 66, 14, 66)),
    ),
    "snowman": (
        ("ellipse", 1, (22, 50, 78, 100)),
        ("ellipse", 1, (32, 22, 68, 58)),
        ("polygon", 1, (36, 2, 64, 2, 64, 20, 36, 20)),
        ("polygon", 1, (26, 20, 74, 20, 74, 26, 26, 26)),
        ("polygon", 1, (2, 44, 6, 40, 34, 58, 31, 63)),
        ("polygon", 1, (98, 44, 94, 40, 66, 58, 69, 63)),
        ("ellipse", 0, (40, 32, 46, 38)),
        ("ellipse", 0, (54, 32, 60, 38)),
        ("polygon", 0, (47, 41, 53, 41, 50, 51)),
        ("ellipse", 0, (47, 64, 53, 70)),
        ("ellipse", 0, (47, 80, 53, 86)),
    ),
    "tree": (
        ("polygon", 1, (50, 2, 74, 34, 26, 34)),
        ("polygon", 1, (50, 20, 84, 60, 16, 60)),
        ("polygon", 1, (50, 42, 94, 84, 6, 84)),
        ("polygon", 1, (43, 84, 57, 84, 57, 98, 43, 98)),
    ),
}


@cache
def font_path() -> Path:
    """DejaVu Sans inside matplotlib's data.

    Raises:
        DataError: this matplotlib came without its fonts.
    """
    from matplotlib import get_data_path

    path = Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    if not path.is_file():
        raise DataError(
            "The miniature draws with DejaVu Sans, which matplotlib ships as fonts/ttf/DejaVuSans.ttf; this "
            "installation has no such file. Mend it: pip install --force-reinstall matplotlib."
        )
    return path


def font_is_known() -> bool:
    """Whether the font is the file the miniature was drawn with."""
    return hashlib.sha256(font_path().read_bytes()).hexdigest() == FONT_SHA256


@cache
def _font(pixels: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(font_path()), pixels, layout_engine=ImageFont.Layout.BASIC)


def missing_glyphs() -> tuple[str, ...]:
    """Keys of the table whose pictograph the font lacks."""
    font = _font(32)
    absent = bytes(font.getmask(chr(0x10FFFE)))
    return tuple(k for k, item in PICTOGRAPHS.items() if item.glyph and bytes(font.getmask(chr(item.glyph))) == absent)


@lru_cache(maxsize=512)
def master_mask(shape: str, side: int) -> Image.Image:
    """A shape cropped to its ink, its longer side ``side`` pixels; cached a process, so never to be drawn on.

    Args:
        shape: a key of the class table, or one character.
    """
    item = PICTOGRAPHS.get(shape)
    if shape in POLYGONS:
        drawn = _polygon(POLYGONS[shape], 2 * side)
    else:
        drawn = _character(chr(item.glyph) if item and item.glyph else shape, 2 * side)
    box = drawn.getbbox() or (0, 0, 1, 1)
    width, height = box[2] - box[0], box[3] - box[1]
    longer = max(width, height)
    target = (max(1, round(width * side / longer)), max(1, round(height * side / longer)))
    return drawn.resize(target, Image.Resampling.LANCZOS, box=box)


def _character(character: str, pixels: int) -> Image.Image:
    font = _font(pixels)
    left, top, right, bottom = (round(edge) for edge in font.getbbox(character))
    canvas = Image.new("L", (right - left + 4, bottom - top + 4))
    ImageDraw.Draw(canvas).text((2 - left, 2 - top), character, fill=255, font=font)
    return canvas


def _polygon(shapes: tuple[_Shape, ...], pixels: int) -> Image.Image:
    canvas = Image.new("L", (pixels, pixels))
    draw = ImageDraw.Draw(canvas)
    for kind, ink, numbers in shapes:
        points = [number * pixels / 100 for number in numbers]
        if kind == "ellipse":
            draw.ellipse(points, fill=255 * ink)
        else:
            draw.polygon(points, fill=255 * ink)
    return canvas
