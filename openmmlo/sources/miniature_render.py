"""Draws a Picture: the backdrop, the bystanders, then the things, with Pillow alone."""

from __future__ import annotations

import hashlib
import io
import math

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from openmmlo.sources.miniature_classes import VERSION
from openmmlo.sources.miniature_colours import Rgb
from openmmlo.sources.miniature_glyphs import master_mask
from openmmlo.sources.miniature_scenes import Backdrop, Picture, Thing

_FINE = 2
"""Backdrops and outlines are drawn twice as large and reduced, which smooths their edges."""


def png_bytes(image: Image.Image) -> bytes:
    """Encode as PNG; equal images give equal bytes on one version of Pillow and zlib."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def draw(picture: Picture, size: int) -> Image.Image:
    """Render a picture as an RGB image of ``size`` x ``size`` pixels."""
    if picture.kind == "noise":
        return _noise(picture, size)
    if picture.kind == "texture":
        return _texture(picture, size * _FINE).reduce(_FINE)
    canvas = _paint(picture.backdrop, size * _FINE)
    pen = ImageDraw.Draw(canvas)
    for bystander in picture.bystanders:
        _plain_shape(pen, bystander, size * _FINE)
    image = canvas.reduce(_FINE)
    for thing in picture.things:
        mask = thing_mask(thing, size)
        if picture.kind == "sketch":
            mask = _sketched(thing, size, picture.detail)
        corner = (round(thing.x * size - mask.width / 2), round(thing.y * size - mask.height / 2))
        image.paste(thing.rgb, corner, mask)
    return image


def thing_mask(thing: Thing, size: int, fine: int = _FINE) -> Image.Image:
    """Ink of a thing at its size and angle, as a mask just large enough to hold it.

    Args:
        fine: how many times larger it is drawn before it is reduced.
    """
    master = master_mask(thing.shape, 256 if size <= 160 else 1024)
    scale = thing.extent * size * fine / max(master.size)
    wide, high = max(2, round(master.width * scale)), max(2, round(master.height * scale))
    mask = Image.new("L", (wide + 4, high + 4))  # the empty rim smooths edges that rotation would cut hard
    mask.paste(master.resize((wide, high), Image.Resampling.LANCZOS, reducing_gap=2.0), (2, 2))
    if thing.mirrored:
        mask = mask.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    turned = mask.rotate(thing.angle, Image.Resampling.BICUBIC, expand=True).reduce(fine)
    return turned.crop(turned.getbbox())  # so that the middle of the ink lies where the picture puts it


def _sketched(thing: Thing, size: int, hatching: str) -> Image.Image:
    """Outline of a thing, hatched inside, as a mask of the same size as its solid one."""
    solid = thing_mask(thing, size * _FINE, fine=1)
    mask = Image.new("L", (solid.width + 8, solid.height + 8))
    mask.paste(solid, (4, 4))
    lines = Image.new("L", mask.size)
    pen = ImageDraw.Draw(lines)
    gap = max(5, round(size * _FINE * 0.055))
    width = max(1, round(size * _FINE / 110))
    for start in range(-mask.height, mask.width + mask.height, gap):
        if hatching in ("diagonal", "crossed"):
            pen.line((start, 0, start + mask.height, mask.height), fill=200, width=width)
        if hatching == "crossed":
            pen.line((start, mask.height, start + mask.height, 0), fill=200, width=width)
    stroke = 3 if size <= 96 else 2 * round(size * _FINE / 90) + 1
    outline = ImageChops.subtract(mask.filter(ImageFilter.MaxFilter(stroke)), mask.filter(ImageFilter.MinFilter(3)))
    drawn = ImageChops.lighter(outline, ImageChops.multiply(lines, mask))
    return drawn.reduce(_FINE)


def _plain_shape(pen: ImageDraw.ImageDraw, thing: Thing, side: int) -> None:
    half = thing.extent * side / 2
    x, y = thing.x * side, thing.y * side
    if thing.shape == "circle":
        pen.ellipse((x - half, y - half, x + half, y + half), fill=thing.rgb)
    elif thing.shape == "triangle":
        pen.polygon([(x - half, y + half), (x + half, y + half), (x, y - half)], fill=thing.rgb)
    else:
        height = half if thing.shape == "square" else half * 0.4
        pen.rectangle((x - half, y - height, x + half, y + height), fill=thing.rgb)


def _paint(backdrop: Backdrop, side: int) -> Image.Image:
    first = backdrop.rgbs[0]
    canvas = Image.new("RGB", (side, side), first)
    if len(backdrop.rgbs) == 1:
        return canvas
    second = backdrop.rgbs[1]
    pen = ImageDraw.Draw(canvas)
    if backdrop.kind == "landscape":
        pen.rectangle((0, round(backdrop.horizon * side), side, side), fill=second)
    elif backdrop.kind == "gradient":
        ramp = Image.linear_gradient("L").resize((side, side), Image.Resampling.BILINEAR)
        if backdrop.direction == "right":
            ramp = ramp.transpose(Image.Transpose.TRANSPOSE)
        canvas.paste(second, (0, 0), ramp)
    elif backdrop.kind == "stripes":
        _stripes(pen, side, backdrop.pitch, backdrop.direction, second)
    elif backdrop.kind == "chequers":
        _chequers(pen, side, backdrop.pitch, second)
    elif backdrop.kind == "dots":
        _dots(pen, side, backdrop.pitch, second)
    return canvas


def _stripes(pen: ImageDraw.ImageDraw, side: int, pitch: float, direction: str, rgb: Rgb) -> None:
    width = pitch * side
    for index in range(-2 * math.ceil(1 / pitch), 2 * math.ceil(1 / pitch), 2):
        low, high = index * width, (index + 1) * width
        if direction == "horizontal":
            pen.rectangle((0, round(low), side, round(high) - 1), fill=rgb)
        elif direction == "vertical":
            pen.rectangle((round(low), 0, round(high) - 1, side), fill=rgb)
        else:
            pen.polygon([(low, 0), (high, 0), (high + side, side), (low + side, side)], fill=rgb)


def _chequers(pen: ImageDraw.ImageDraw, side: int, pitch: float, rgb: Rgb) -> None:
    width, count = pitch * side, math.ceil(1 / pitch)
    for row in range(count):
        for column in range(row % 2, count, 2):
            corner = (round(column * width), round(row * width))
            pen.rectangle((*corner, round((column + 1) * width) - 1, round((row + 1) * width) - 1), fill=rgb)


def _dots(pen: ImageDraw.ImageDraw, side: int, pitch: float, rgb: Rgb) -> None:
    width, count = pitch * side, math.ceil(1 / pitch) + 1
    radius = 0.28 * width
    for row in range(count):
        for column in range(count):
            x, y = (column + 0.5 * (row % 2)) * width + width / 4, row * width + width / 4
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=rgb)


def _texture(picture: Picture, side: int) -> Image.Image:
    paint = picture.backdrop
    first, second = paint.rgbs
    canvas = Image.new("RGB", (side, side), first)
    pen = ImageDraw.Draw(canvas)
    width, count = paint.pitch * side, math.ceil(1 / paint.pitch) + 1
    if picture.detail == "stripes":
        _stripes(pen, side, paint.pitch, paint.direction, second)
    elif picture.detail == "chequers":
        _chequers(pen, side, paint.pitch, second)
    elif picture.detail == "dots":
        _dots(pen, side, paint.pitch, second)
    elif picture.detail == "waves":
        for row in range(-1, 2 * count):
            points = [
                (x, (row + 0.35 * math.sin(2 * math.pi * x / (2 * width))) * width) for x in range(0, side + 8, 4)
            ]
            pen.line(points, fill=second, width=max(2, round(width * 0.3)), joint="curve")
    elif picture.detail == "bricks":
        line = max(2, round(width * 0.15))
        for row in range(count):
            y = round(row * width)
            pen.line((0, y, side, y), fill=second, width=line)
            for column in range(count):
                x = round((2 * column + row % 2) * width)
                pen.line((x, y, x, y + round(width)), fill=second, width=line)
    else:
        cells = max(4, round(0.7 / paint.pitch))
        coarse = Image.frombytes("L", (cells, cells), _random_bytes(picture, cells * cells))
        blotches = coarse.resize((side, side), Image.Resampling.BICUBIC).point([0] * 118 + [255] * 138)
        canvas.paste(second, (0, 0), blotches)
    return canvas


def _noise(picture: Picture, size: int) -> Image.Image:
    if picture.detail == "colour":
        return Image.frombytes("RGB", (size, size), _random_bytes(picture, 3 * size * size))
    if picture.detail == "block":
        cells = 12
        coarse = Image.frombytes("RGB", (cells, cells), _random_bytes(picture, 3 * cells * cells))
        return coarse.resize((size, size), Image.Resampling.NEAREST)
    grey = Image.frombytes("L", (size, size), _random_bytes(picture, size * size))
    if picture.detail == "speckle":
        grey = grey.point([0] * 190 + [255] * 66)
    return grey.convert("RGB")


def _random_bytes(picture: Picture, count: int) -> bytes:
    """As many random bytes as wanted, the same everywhere: no generator's stream is promised over its versions."""
    seed = f"noise/{VERSION}/{picture.seed}/{picture.sample_id}"
    return hashlib.shake_256(seed.encode()).digest(count)
