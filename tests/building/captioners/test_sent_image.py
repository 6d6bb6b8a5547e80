"""Which bytes of an image travel to a server: pixels, and nothing that was written beside them."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from stubs import jpeg

from openmmlo.building.captioners.sent_image import SentImage, plain_picture, plain_type, sent_image
from openmmlo.data.images import decode

LIMITS: dict[str, Any] = {"max_side": 2048, "max_bytes": 4 * 2**20}
GPS = Image.Exif()
GPS[0x8825] = {1: "N", 2: (48.0, 12.0, 30.0)}


def picture(width: int = 64, height: int = 48) -> Image.Image:
    return Image.open(io.BytesIO(jpeg(3, width, height))).convert("RGB")


def encoded(kind: str, image: Image.Image | None = None, **options: Any) -> bytes:
    buffer = io.BytesIO()
    (image or picture()).save(buffer, kind, **options)
    return buffer.getvalue()


def noise(side: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("options", [{}, {"icc_profile": b"a profile of colours"}], ids=["bare", "profile"])
def test_plain_files_travel_as_they_are(kind: str, options: dict[str, Any]) -> None:
    data = encoded(kind, **options)
    sent = sent_image(decode(data).image, data, **LIMITS)
    assert sent == SentImage(f"image/{kind.lower()}", data)
    assert base64.b64decode(sent.uri().partition(",")[2]) == data
    assert sent.uri().startswith(f"data:image/{kind.lower()};base64,")
    assert sent.nbytes == len(data)


def text_chunk() -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_text("where", "48.2 N")
    return info


@pytest.mark.parametrize(
    "data",
    [
        encoded("JPEG", exif=GPS),
        encoded("JPEG", comment=b"48.2 N"),
        encoded("JPEG", xmp=b"<x:xmpmeta>48.2 N</x:xmpmeta>"),
        encoded("JPEG") + b"a film of the same place",
        encoded("PNG", exif=GPS),
        encoded("PNG", pnginfo=text_chunk()),
        encoded("PNG") + b"more",
        encoded("WEBP", exif=GPS),
        encoded("WEBP", xmp=b"48.2 N"),
        encoded("JPEG", picture().convert("L")),
        encoded("JPEG", picture().convert("CMYK")),
        encoded("PNG", picture().convert("RGBA")),
        encoded("PNG", picture().convert("P")),
        encoded("BMP"),
        encoded("GIF", save_all=True, append_images=[noise(64)]),
        encoded("WEBP", save_all=True, append_images=[noise(64).resize((64, 48))]),
    ],
)
def test_all_other_files_travel_as_pixels_alone(data: bytes) -> None:
    decoded = decode(data)
    sent = sent_image(decoded.image, data, **LIMITS)
    assert sent.media_type == "image/jpeg"
    assert plain_type(sent.data, decoded.image.size) == "image/jpeg", "what is made here must be plain itself"
    again = decode(sent.data).image
    difference = np.abs(np.asarray(again, dtype=int) - np.asarray(decoded.image, dtype=int))
    assert difference.mean() < 5


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xe0", b"RIFF", jpeg(1, 40, 30)[:200], b"no image"])
def test_damaged_files_are_not_plain(data: bytes) -> None:
    assert plain_type(data, (40, 30)) is None


def test_a_file_of_another_size_is_not_the_image() -> None:
    assert plain_type(jpeg(1, 40, 30), (30, 40)) is None


def test_an_image_without_its_file_travels_too() -> None:
    sent = sent_image(picture(), None, **LIMITS)
    assert decode(sent.data).image.size == (64, 48)


@pytest.mark.parametrize(
    ("size", "side", "expected"),
    [((64, 48), 32, (32, 24)), ((48, 64), 32, (24, 32)), ((64, 1), 16, (16, 1)), ((64, 48), 64, (64, 48))],
)
def test_large_images_are_shrunk_in_proportion(size: tuple[int, int], side: int, expected: tuple[int, int]) -> None:
    data = jpeg(3, *size)
    sent = sent_image(decode(data).image, data, side, 4 * 2**20)
    assert decode(sent.data).image.size == expected
    assert (sent.data == data) is (size == expected)


def test_none_sends_every_size() -> None:
    data = jpeg(3, 3000, 20)
    assert sent_image(decode(data).image, data, None, 4 * 2**20).data == data


def test_large_files_are_encoded_anew_and_shrunk_until_they_fit() -> None:
    image = noise(256)
    data = encoded("PNG", image)
    sent = sent_image(image, data, 2048, 20_000)
    assert len(data) > 20_000 >= len(sent.data)
    width, height = decode(sent.data).image.size
    assert 16 <= width == height < 256


def test_the_same_image_gives_the_same_bytes() -> None:
    assert sent_image(picture(), None, **LIMITS) == sent_image(picture(), None, **LIMITS)


def test_the_plain_picture_is_plain() -> None:
    assert plain_type(plain_picture().data, (224, 224)) == "image/jpeg"
