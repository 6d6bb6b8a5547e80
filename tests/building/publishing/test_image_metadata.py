"""Metadata is found in files that Pillow and hand-made blocks put it in, and goes without a change of pixels."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps, PngImagePlugin

from openmmlo.building.publishing.image_metadata import look, strip
from openmmlo.data.images import decode

ORIENTATION, GPS, MAKE = 0x0112, 0x8825, 0x010F
PICTURE = Image.fromarray(np.random.default_rng(3).integers(0, 256, (24, 36, 3), dtype=np.uint8))
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf exif:GPSLatitude="48,51N"/></x:xmpmeta>'
PROFILE = b"\0" * 132  # what a profile says does not matter here


def _exif(orientation: int = 1, make: str = "", place: bool = False) -> Image.Exif:
    exif = Image.Exif()
    if orientation != 1:
        exif[ORIENTATION] = orientation
    if make:
        exif[MAKE] = make
    if place:
        exif.get_ifd(GPS).update({1: "N", 2: (48.0, 51.0, 0.0)})
    return exif


def _saved(kind: str, **how: Any) -> bytes:
    buffer = io.BytesIO()
    PICTURE.save(buffer, kind, **how)
    return buffer.getvalue()


KINDS = ["JPEG", "PNG", "WEBP"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_goes_and_the_image_stays_upright(kind: str, orientation: int) -> None:
    data = _saved(kind, exif=_exif(orientation, "Maker", place=True), icc_profile=PROFILE)
    assert look(data) == (True, True, False)
    clean = strip(data)
    assert clean is not None
    assert not any(look(clean))
    assert b"Maker" not in clean
    with Image.open(io.BytesIO(data)) as before, Image.open(io.BytesIO(clean)) as after:
        assert after.getexif().get(ORIENTATION, 1) == orientation
        assert set(after.getexif()) <= {ORIENTATION}
        assert after.info.get("icc_profile") == PROFILE
        assert np.array_equal(np.asarray(before), np.asarray(after))
        assert np.array_equal(np.asarray(ImageOps.exif_transpose(before)), np.asarray(ImageOps.exif_transpose(after)))
    assert np.array_equal(np.asarray(decode(data).image), np.asarray(decode(clean).image))


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_alone_and_an_orientation_alone_are_left_as_they_are(kind: str) -> None:
    for data in (_saved(kind), _saved(kind, exif=_exif(6)), _saved(kind, icc_profile=PROFILE)):
        assert not any(look(data))
        assert strip(data) is data


def _jpeg_with(marker: int, payload: bytes) -> bytes:
    data = _saved("JPEG")
    return data[:2] + bytes((0xFF, marker)) + struct.pack(">H", len(payload) + 2) + payload + data[2:]


def _png_with(name: bytes, payload: bytes, behind_pixels: bool = False) -> bytes:
    data = _saved("PNG")
    chunk = struct.pack(">I", len(payload)) + name + payload + struct.pack(">I", zlib.crc32(name + payload))
    place = data.index(b"IEND") - 4 if behind_pixels else 33
    return data[:place] + chunk + data[place:]


OTHERS: dict[str, tuple[Callable[[], bytes], tuple[bool, bool, bool]]] = {
    "JPEG comment": (lambda: _saved("JPEG", comment=b"by Jane"), (False, False, True)),
    "JPEG XMP": (lambda: _jpeg_with(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP), (False, True, True)),
    "JPEG IPTC": (lambda: _jpeg_with(0xED, b"Photoshop 3.0\x008BIM by Jane"), (False, False, True)),
    "JPEG preview": (lambda: _jpeg_with(0xE0, b"JFXX\0\x10" + b"x" * 50), (False, False, True)),
    "JPEG of two images": (
        lambda: _saved("MPO", save_all=True, append_images=[PICTURE], exif=_exif(1, "Maker")),
        (True, False, True),
    ),
    "JPEG with something behind": (lambda: _saved("JPEG") + b"by Jane", (False, False, True)),
    "JPEG behind a JPEG": (lambda: _saved("JPEG") + _saved("JPEG", exif=_exif(place=True)), (True, True, True)),
    "progressive JPEG": (lambda: _saved("JPEG", progressive=True, exif=_exif(3, "M")), (True, False, False)),
    "CMYK JPEG": (lambda: _cmyk(), (True, False, False)),
    "PNG text": (lambda: _saved("PNG", pnginfo=_png_text()), (False, False, True)),
    "PNG time": (lambda: _png_with(b"tIME", b"\x07\xe9\x01\x01\x01\x01\x01"), (False, False, True)),
    "PNG EXIF behind the pixels": (
        lambda: _png_with(b"eXIf", _exif(6, "M").tobytes().removeprefix(b"Exif\0\0"), behind_pixels=True),
        (True, False, False),
    ),
    "WebP XMP": (lambda: _saved("WEBP", xmp=XMP), (False, True, True)),
}


def _png_text() -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_text("Author", "Jane")
    info.add_itxt("XML:com.adobe.xmp", "Jane")
    return info


def _cmyk() -> bytes:
    buffer = io.BytesIO()
    PICTURE.convert("CMYK").save(buffer, "JPEG", exif=_exif(8, "M"))
    return buffer.getvalue()


@pytest.mark.parametrize("name", OTHERS)
def test_other_places_of_metadata(name: str) -> None:
    make, expected = OTHERS[name]
    data = make()
    assert look(data) == expected
    clean = strip(data)
    assert clean is not None
    assert not any(look(clean))
    assert b"Jane" not in clean
    assert np.array_equal(np.asarray(decode(data).image), np.asarray(decode(clean).image))


def test_xmp_alone_can_turn_an_image() -> None:
    turned = XMP.replace(b"<rdf ", b'<rdf tiff:Orientation="6" ')
    data = _jpeg_with(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + turned)
    clean = strip(data)
    assert clean is not None
    assert decode(data).image.size == decode(clean).image.size == (24, 36)


def test_formats_that_cannot_be_stripped_say_so() -> None:
    tiff = _saved("TIFF", exif=_exif(1, "Maker"))
    assert look(tiff).exif
    assert strip(tiff) is None
    plain = _saved("BMP")
    assert strip(plain) is plain
    gif = io.BytesIO()
    PICTURE.convert("P").save(gif, "GIF", comment=b"Jane")
    assert look(gif.getvalue()).other
    assert strip(gif.getvalue()) is None


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, 4000), place=st.integers(0, 4000), byte=st.integers(0, 255))
def test_broken_files_raise_nothing_and_leak_nothing(kind: str, cut: int, place: int, byte: int) -> None:
    data = bytearray(_saved(kind, exif=_exif(3, "Maker Maker Maker")))
    data[place % len(data)] = byte
    broken = bytes(data[: len(data) - cut % len(data)])
    clean = strip(broken)
    assert clean is None or (not any(look(clean)) and b"Maker Maker" not in clean)
