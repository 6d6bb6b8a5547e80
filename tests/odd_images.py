"""Makes the kinds of image files that real folders hold, each with what must become of it."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, features

from openmmlo.records import Status


def picture(width: int = 48, height: int = 32) -> Image.Image:
    """A smooth RGB picture whose four corners differ, so that turning it wrongly shows."""
    across, down = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([across, down, 255 - across], axis=-1).astype(np.uint8))


def encoded(image: Image.Image, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def with_orientation(value: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = value
    return encoded(picture(), "JPEG", exif=exif, quality=95)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_bomb(width: int = 60_000, height: int = 60_000) -> bytes:
    """A valid header that promises 3.6 billion pixels, and hardly any data."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(bytes(1000))) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def png_text_bomb() -> bytes:
    """Text that unpacks to 64 MB from 64 KB, before the pixels."""
    plain = encoded(picture(), "PNG")
    text = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(64 << 20), 9))
    return plain[:33] + text + plain[33:]


def jpeg_bomb() -> bytes:
    """An ordinary JPEG whose header says 65,000 x 65,000."""
    data = bytearray(encoded(picture(), "JPEG"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", 65_000, 65_000)
    return bytes(data)


def tiff_pages() -> bytes:
    first = Image.fromarray(np.linspace(0, 65_535, 48 * 32).reshape(32, 48).astype(np.uint16))
    return encoded(first, "TIFF", save_all=True, append_images=[first])


def grey16() -> Image.Image:
    return Image.fromarray(np.linspace(0, 65_535, 48 * 32).reshape(32, 48).astype(np.uint16))


def palette_with_transparency() -> bytes:
    return encoded(picture().quantize(16), "PNG", transparency=3)


def frames() -> list[Image.Image]:
    return [picture(), picture().rotate(180), picture().convert("L").convert("RGB")]


def animated(file_format: str) -> bytes:
    first, *rest = frames()
    return encoded(first, file_format, save_all=True, append_images=rest, duration=50)


def plain_files() -> Iterator[tuple[str, bytes, Status]]:
    """(name, content, what must become of it) of everything that is an ordinary file."""
    rgb, ok, bad, large = picture(), Status.OK, Status.UNREADABLE, Status.TOO_LARGE
    jpeg, png = encoded(rgb, "JPEG"), encoded(rgb, "PNG")
    alpha = Image.fromarray(np.linspace(0, 255, 48 * 32).reshape(32, 48).astype(np.uint8))
    yield "ordinary.jpg", jpeg, ok
    yield "grey.jpg", encoded(rgb.convert("L"), "JPEG"), ok
    yield "progressive.jpg", encoded(rgb, "JPEG", progressive=True), ok
    yield "cmyk.jpg", encoded(rgb.convert("CMYK"), "JPEG"), ok
    yield "upper.JPG", jpeg, ok
    yield "palette.png", encoded(rgb.quantize(16), "PNG"), ok
    yield "palette-transparent.png", palette_with_transparency(), ok
    yield "grey-alpha.png", encoded(Image.merge("LA", (rgb.convert("L"), alpha)), "PNG"), ok
    yield "rgba.png", encoded(Image.merge("RGBA", (*rgb.split(), alpha)), "PNG"), ok
    yield "16-bit.png", encoded(grey16(), "PNG"), ok
    yield "1-bit.png", encoded(rgb.convert("1"), "PNG"), ok
    yield "16-bit-pages.tif", tiff_pages(), ok
    yield "cmyk.tiff", encoded(rgb.convert("CMYK"), "TIFF"), ok
    yield "lab.tif", encoded(ImageCms.applyTransform(rgb, lab_transform()) or rgb, "TIFF"), ok
    yield "float-unit.tif", encoded(Image.fromarray(np.full((8, 8), 0.5, np.float32)), "TIFF"), ok
    yield "float-wild.tif", encoded(Image.fromarray(np.full((8, 8), 300.0, np.float32)), "TIFF"), bad
    yield "integers-wild.tif", encoded(Image.fromarray(np.full((8, 8), -5, np.int32)), "TIFF"), bad
    yield "animated.gif", animated("GIF"), ok
    yield "animated.webp", animated("WEBP"), ok
    yield "animated.png", animated("PNG"), ok
    yield "two-views.mpo", encoded(rgb, "MPO", save_all=True, append_images=[rgb.rotate(180)]), ok
    yield "windows.bmp", encoded(rgb, "BMP"), ok
    yield "wavelets.jp2", encoded(rgb, "JPEG2000"), ok
    if features.check("avif"):
        yield "modern.avif", encoded(rgb, "AVIF"), ok
    yield "plain.ppm", encoded(rgb, "PPM"), ok
    yield "deep.pgm", b"P5 8 4 65535\n" + np.linspace(0, 65_535, 32).astype(">u2").tobytes(), ok
    yield "icon.ico", encoded(rgb, "ICO", sizes=[(16, 16)]), ok
    for value in range(1, 9):
        yield f"turned-{value}.jpg", with_orientation(value), ok
    yield "broken-exif.jpg", encoded(rgb, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff garbage"), ok
    yield "huge-profile.jpg", encoded(rgb, "JPEG", icc_profile=bytes(2 << 20)), ok
    yield "one-pixel.png", encoded(Image.new("RGB", (1, 1), "red"), "PNG"), ok
    yield "strip.png", encoded(Image.new("RGB", (1, 5000), "red"), "PNG"), ok
    yield "png-inside.jpg", png, ok
    yield "jpeg-inside.png", jpeg, ok
    yield "truncated.jpg", jpeg[: len(jpeg) // 2], bad
    yield "truncated.png", png[: len(png) // 2], bad
    yield "truncated-header.png", png[:20], bad
    yield "truncated.gif", encoded(rgb, "GIF")[:120], bad
    yield "truncated.webp", encoded(rgb, "WEBP")[:60], bad
    yield "truncated.bmp", encoded(rgb, "BMP")[:500], bad
    yield "truncated.tif", encoded(rgb, "TIFF", compression="tiff_lzw")[:300], bad
    yield "wrong-checksum.png", png[:40] + bytes([png[40] ^ 1]) + png[41:], bad
    yield "empty.jpg", b"", bad
    yield "text.jpg", b"This is not an image.\n", bad
    yield "page.jpg", b"<!DOCTYPE html><html><body>404 Not Found</body></html>", bad
    yield "zeros.jpg", bytes(4096), bad
    yield "postscript.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n", bad
    yield "pixel-bomb.png", png_bomb(), large
    yield "pixel-bomb.jpg", jpeg_bomb(), large
    yield "text-bomb.png", png_text_bomb(), bad
    yield "name with spaces.jpg", jpeg, ok
    yield "Ünïcode-猫-👩‍🚀.jpg", jpeg, ok
    yield "quo'te\"s & <b>html</b>, =1+1.jpg".replace("/", "_"), jpeg, ok
    yield "line\nbreak\tand tab.jpg", jpeg, ok
    yield "-rf.jpg", jpeg, ok
    yield "%2e%2e;$(id)`id`.jpg", jpeg, ok
    yield "n" * 251 + ".jpg", jpeg, ok


def lab_transform() -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")


def make_odd_images(folder: Path, outside: Path) -> dict[str, Status]:
    """Fill ``folder`` and return what must become of each image file in it.

    Names are given as a sample_id shows them: bytes that are not UTF-8 as backslash escapes. Beside them lies a
    folder called ``folder.jpg``, which is no image file.

    Args:
        folder: where the files go; it is made.
        outside: a folder outside every root, for links to point to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    outside.mkdir(parents=True, exist_ok=True)
    expected: dict[str, Status] = {}
    for name, content, status in plain_files():
        (folder / name).write_bytes(content)
        expected[name] = status
    (outside / "secret.jpg").write_bytes(encoded(picture(), "JPEG"))
    links = {
        "link-inside.jpg": (Path("ordinary.jpg"), Status.OK),
        "link-outside.jpg": (outside / "secret.jpg", Status.LINK),
        "link-to-nothing.jpg": (Path("nowhere.jpg"), Status.MISSING),
        "link-to-itself.jpg": (Path("link-to-itself.jpg"), Status.MISSING),
    }
    for name, (target, status) in links.items():
        (folder / name).symlink_to(target)
        expected[name] = status
    os.mkfifo(folder / "pipe.jpg")
    expected["pipe.jpg"] = Status.UNREADABLE
    Path(os.fsdecode(os.fsencode(folder) + b"/latin-\xe9.jpg")).write_bytes(encoded(picture(), "JPEG"))
    expected["latin-\\xe9.jpg"] = Status.NAME
    (folder / "folder.jpg").mkdir()
    return expected
