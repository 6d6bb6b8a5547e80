"""Thumbnails are small, upright, on white, and none for what cannot be decoded."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from stubs import jpeg

from openmmlo.building.report.thumbnails import LADDER, Step, thumbnail, thumbnails
from openmmlo.records import Status

SMALL = Step(64, 80)


def opened(data: bytes | None) -> Image.Image:
    assert data is not None
    image = Image.open(io.BytesIO(data))
    assert image.format == "WEBP"
    image.load()
    return image


def saved(image: Image.Image, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("step", LADDER)
def test_sides_are_at_most_those_of_the_step_and_keep_their_shape(step: Step) -> None:
    image = opened(thumbnail(jpeg(1, 900, 600), step))
    assert image.size == (step.edge, round(step.edge * 2 / 3))


def test_small_images_are_not_enlarged() -> None:
    assert opened(thumbnail(jpeg(1, 48, 32), SMALL)).size == (48, 32)


@pytest.mark.parametrize(("orientation", "corner"), [(1, (0, 0)), (3, (1, 1)), (6, (1, 0)), (8, (0, 1)), (2, (1, 0))])
def test_exif_orientation_is_followed(orientation: int, corner: tuple[int, int]) -> None:
    """The stored image has a red corner at the top left; where it is to be seen follows from the EXIF table."""
    pixels = np.full((200, 300, 3), 255, np.uint8)
    pixels[:80, :120] = (220, 0, 0)
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = opened(thumbnail(saved(Image.fromarray(pixels), "JPEG", exif=exif, quality=95), SMALL)).convert("RGB")
    assert (image.width > image.height) == (orientation < 5)
    x, y = (
        round(0.12 * size) if end == 0 else round(0.88 * size) for end, size in zip(corner, image.size, strict=True)
    )
    red, green, _ = image.getpixel((x, y))  # type: ignore[misc]
    assert red > 180
    assert green < 90
    assert not image.getexif()


def test_transparency_lies_on_white() -> None:
    clear = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    assert min(opened(thumbnail(saved(clear, "PNG"), SMALL)).convert("RGB").getpixel((20, 20))) > 250  # type: ignore[arg-type]


@pytest.mark.parametrize("data", [b"", b"no image", jpeg(1, 90, 60)[:300], b"RIFF\x00\x00\x00\x00WEBP"])
def test_broken_images_have_none(data: bytes) -> None:
    assert thumbnail(data, SMALL) is None


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_images_too_large_to_decode_in_passing_have_none() -> None:
    assert thumbnail(saved(Image.new("1", (10_000, 9_000)), "PNG"), SMALL) is None


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_odd_images_give_one_or_none(odd_images: Callable[[Path], dict[str, Status]], tmp_path: Path) -> None:
    outcomes = odd_images(tmp_path)
    good = [name for name, status in outcomes.items() if status is Status.OK and (tmp_path / name).is_file()]
    assert len(good) > 10
    for name in good:
        assert opened(thumbnail((tmp_path / name).read_bytes(), SMALL)), name
    for name in outcomes.keys() - set(good):
        if (tmp_path / name).is_file():
            thumbnail((tmp_path / name).read_bytes(), SMALL)


def test_many_come_in_order_and_equal_each_time() -> None:
    images = [(place, jpeg(place % 7, 300, 200) if place % 5 else b"broken") for place in range(60)]
    first, again = (list(thumbnails(iter(images), SMALL)) for _ in range(2))
    assert first == again
    assert [key for key, _ in first] == list(range(60))
    assert [data is None for _, data in first] == [place % 5 == 0 for place in range(60)]
    assert first[1][1] == thumbnail(images[1][1], SMALL)
