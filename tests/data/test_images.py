"""Odd and broken images: the right pixels, or the right reason; nothing else ever leaves the decoder."""

from __future__ import annotations

import hashlib
import io
import pickle
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import odd_images
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, ImageOps

from openmmlo.data.images import MAX_PIXELS, DecodedImage, decode
from openmmlo.errors import SampleFailed
from openmmlo.records import Status


def plain(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def shown(data: bytes) -> np.ndarray:
    image = decode(data).image
    assert image.mode == "RGB"
    assert image.info == {}
    return np.asarray(image)


def noise(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, channels), dtype=np.uint8)


def ending(data: bytes, max_pixels: int = MAX_PIXELS) -> DecodedImage | SampleFailed:
    try:
        return decode(data, max_pixels)
    except SampleFailed as failure:
        return failure


def test_every_odd_image_ends_as_expected() -> None:
    made = list(odd_images.plain_files())
    assert len(made) >= 50
    for name, content, status in made:
        end = ending(content)
        assert (end.status if isinstance(end, SampleFailed) else Status.OK) == status, name
        if isinstance(end, SampleFailed):
            assert 0 < len(end.reason) <= 200, name
            assert end.reason.isprintable(), name
            again = ending(bytes(bytearray(content)))
            assert isinstance(again, SampleFailed)
            assert again.reason == end.reason


ORDINARY = {
    "jpeg": ("JPEG", "RGB", {"quality": 90}),
    "jpeg-444": ("JPEG", "RGB", {"subsampling": 0}),
    "jpeg-progressive": ("JPEG", "RGB", {"progressive": True}),
    "jpeg-grey": ("JPEG", "L", {}),
    "jpeg-cmyk": ("JPEG", "CMYK", {}),
    "png": ("PNG", "RGB", {}),
    "png-grey": ("PNG", "L", {}),
    "png-palette": ("PNG", "P", {}),
    "png-1": ("PNG", "1", {}),
    "gif": ("GIF", "P", {}),
    "bmp": ("BMP", "RGB", {}),
    "tiff": ("TIFF", "RGB", {}),
    "tiff-ycbcr": ("TIFF", "YCbCr", {}),
    "tiff-cmyk": ("TIFF", "CMYK", {}),
    "webp": ("WEBP", "RGB", {}),
    "jpeg2000": ("JPEG2000", "RGB", {}),
    "ppm": ("PPM", "RGB", {}),
    "opaque-rgba": ("PNG", "RGBA", {}),
    "opaque-la": ("PNG", "LA", {}),
}


@pytest.mark.parametrize("kind", ORDINARY)
def test_ordinary_images_equal_pillows_conversion_bit_for_bit(kind: str) -> None:
    file_format, mode, options = ORDINARY[kind]
    for height, width in ((37, 53), (1, 1), (375, 500)):
        buffer = io.BytesIO()
        Image.fromarray(noise(height, width)).convert(mode).save(buffer, file_format, **options)
        data = buffer.getvalue()
        decoded = decode(data)
        np.testing.assert_array_equal(np.asarray(decoded.image), plain(data))
        assert (decoded.width, decoded.height, decoded.num_bytes) == (width, height, len(data))
        assert decoded.sha256 == hashlib.sha256(data).hexdigest()
        assert decoded.format == file_format.lower()


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_orientation_is_applied(value: int, file_format: str) -> None:
    stored = odd_images.picture()
    exif = Image.Exif()
    exif[0x0112] = value
    try:
        data = odd_images.encoded(stored, file_format, exif=exif, quality=95)
    except (KeyError, OSError):
        pytest.skip(f"this Pillow writes no {file_format}")
    decoded = decode(data)
    # Orientation says which side of the scene row 0 and column 0 are on (EXIF 2.32, tag 0x0112).
    pixels = np.asarray(stored).astype(int)
    upright = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.transpose(1, 0, 2),
        6: pixels.transpose(1, 0, 2)[:, ::-1],
        7: pixels.transpose(1, 0, 2)[::-1, ::-1],
        8: pixels.transpose(1, 0, 2)[::-1],
    }[value]
    assert (decoded.width, decoded.height) == ((48, 32) if value < 5 else (32, 48))
    assert np.abs(np.asarray(decoded.image).astype(int) - upright).mean() < 6
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(
            np.asarray(decoded.image), np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
        )


def test_16_bit_grey_is_scaled_linearly() -> None:
    values = np.arange(65_536, dtype=np.uint16).reshape(256, 256)
    expected = np.repeat(np.rint(values / 257.0).astype(np.uint8)[..., None], 3, axis=2)
    for file_format in ("PNG", "TIFF"):
        buffer = io.BytesIO()
        Image.fromarray(values).save(buffer, file_format)
        np.testing.assert_array_equal(shown(buffer.getvalue()), expected)
    big_endian = b"P5 256 256 65535\n" + values.astype(">u2").tobytes()
    np.testing.assert_array_equal(shown(big_endian), expected)


def test_16_bit_grey_in_either_byte_order() -> None:
    values = np.linspace(0, 65_535, 64, dtype=np.uint16).reshape(8, 8)
    buffer = io.BytesIO()
    Image.frombytes("I;16B", (8, 8), values.astype(">u2").tobytes()).save(buffer, "TIFF")
    np.testing.assert_array_equal(shown(buffer.getvalue())[..., 0], np.rint(values / 257.0))


def test_floats_within_one_are_scaled_and_others_refused() -> None:
    def tiff(values: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(values.astype(np.float32)).save(buffer, "TIFF")
        return buffer.getvalue()

    ramp = np.linspace(0, 1, 256).reshape(16, 16)
    np.testing.assert_array_equal(shown(tiff(ramp))[..., 1].ravel(), np.arange(256))
    for wild in (ramp * 255, ramp - 0.5, np.where(ramp > 0.5, np.nan, ramp), np.where(ramp > 0.5, np.inf, ramp)):
        with pytest.raises(SampleFailed, match="floating-point pixels"):
            decode(tiff(wild))


def test_integers_beyond_16_bits_are_refused_with_their_range() -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.array([[0, 70_000]], np.int32)).save(buffer, "TIFF")
    with pytest.raises(SampleFailed, match="from 0 to 70000"):
        decode(buffer.getvalue())


def over_white(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[..., None].astype(float) / 255
    return colour * share + 255 * (1 - share)


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "TIFF"])
def test_transparency_is_laid_over_white(file_format: str) -> None:
    rgba = noise(20, 30, 4)
    buffer = io.BytesIO()
    Image.fromarray(rgba).save(
        buffer, file_format, **({"lossless": True, "exact": True} if file_format == "WEBP" else {})
    )
    expected = over_white(rgba[..., :3], rgba[..., 3])
    assert np.abs(shown(buffer.getvalue()) - expected).max() <= 1


def test_grey_with_alpha_and_transparent_colours_are_laid_over_white() -> None:
    pixels = noise(20, 30, 2)
    buffer = io.BytesIO()
    Image.fromarray(pixels, mode=None).save(buffer, "PNG")
    grey = np.repeat(pixels[..., :1], 3, axis=2)
    assert np.abs(shown(buffer.getvalue()) - over_white(grey, pixels[..., 1])).max() <= 1

    for mode, colour in (("L", 7), ("RGB", (1, 2, 3)), ("P", 5)):
        image = Image.new(mode, (4, 4), colour)
        if mode == "P":
            image.putpalette([value for index in range(256) for value in (index, 0, 0)])
        image.putpixel((0, 0), (9, 9, 9) if mode == "RGB" else 9)
        buffer = io.BytesIO()
        image.save(buffer, "PNG", transparency=colour)
        result = shown(buffer.getvalue())
        assert (result[1:, 1:] == 255).all(), mode
        assert result[0, 0].tolist() == ([9, 0, 0] if mode == "P" else [9, 9, 9])


def test_a_transparent_value_in_16_bit_grey_becomes_white() -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.array([[1000, 30_000]], np.uint16)).save(buffer, "PNG", transparency=1000)
    assert shown(buffer.getvalue())[0, :, 0].tolist() == [255, round(30_000 / 257)]


def test_palette_with_a_transparency_of_its_own_per_colour() -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image.putdata([0, 1, 2])
    buffer = io.BytesIO()
    image.save(buffer, "PNG", transparency=bytes([0, 128, 255]))
    colours = np.array([[[10, 20, 30], [40, 50, 60], [70, 80, 90]]])
    expected = over_white(colours, np.array([[0, 128, 255]]))
    assert np.abs(shown(buffer.getvalue()) - expected).max() <= 1


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG"])
def test_the_first_frame_of_an_animation_is_shown(file_format: str) -> None:
    first = np.asarray(odd_images.picture()).astype(int)
    assert np.abs(shown(odd_images.animated(file_format)).astype(int) - first).mean() < 12


def test_inverted_cmyk_of_adobe_is_upright_in_colour() -> None:
    data = odd_images.encoded(odd_images.picture().convert("CMYK"), "JPEG", quality=95)
    assert b"Adobe" in data
    assert np.abs(shown(data).astype(int) - np.asarray(odd_images.picture()).astype(int)).mean() < 6


def test_size_is_checked_before_pixels_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def must_not_load(_: object) -> None:
        raise AssertionError("pixels were decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", must_not_load)
    with pytest.raises(SampleFailed, match="pixels") as failure:
        decode(odd_images.png_bomb(20_000, 10_000))
    assert failure.value.status is Status.TOO_LARGE


@pytest.mark.parametrize("limit_of_others", [None, 10, MAX_PIXELS])
def test_the_limit_is_ours_whatever_others_set(limit_of_others: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit_of_others)
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    buffer = io.BytesIO()
    Image.fromarray(noise(30, 40)).save(buffer, "PNG")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode(buffer.getvalue(), max_pixels=1200).image.size == (40, 30)
        with pytest.raises(SampleFailed) as failure:
            decode(buffer.getvalue(), max_pixels=1199)
        assert failure.value.status is Status.TOO_LARGE
        with pytest.raises(SampleFailed):
            decode(buffer.getvalue()[:-900])
    assert limit_of_others == Image.MAX_IMAGE_PIXELS
    assert ImageFile.LOAD_TRUNCATED_IMAGES


def test_threads_share_the_strictness_and_put_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    before, filters = Image.MAX_IMAGE_PIXELS, list(warnings.filters)
    cut = odd_images.encoded(Image.fromarray(noise(200, 200)), "JPEG")[:-2000]
    accepted: list[int] = []

    def work(number: int) -> None:
        for _ in range(40):
            if not isinstance(ending(cut), SampleFailed):
                accepted.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert accepted == []
    assert before == Image.MAX_IMAGE_PIXELS
    assert ImageFile.LOAD_TRUNCATED_IMAGES
    assert list(warnings.filters) == filters


def test_out_of_memory_is_not_called_a_broken_image(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Image, "open", no_memory)
    with pytest.raises(MemoryError):
        decode(b"anything")


@pytest.mark.parametrize(
    "error",
    [
        OSError("x"),
        SyntaxError("x"),
        ValueError(),
        ZeroDivisionError("y"),
        RecursionError("z"),
        EOFError(),
        KeyError(1),
    ],
)
def test_whatever_a_decoder_raises_becomes_a_reason(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Image, "open", broken)
    with pytest.raises(SampleFailed) as failure:
        decode(b"anything")
    assert failure.value.status is Status.UNREADABLE
    assert failure.value.reason


def broken_variants(data: bytes, file_format: str) -> Iterator[bytes]:
    random = np.random.default_rng(len(data) + len(file_format))
    for _ in range(60):
        changed = bytearray(data)
        for position in random.integers(0, len(data), 4):
            changed[position] = random.integers(0, 256)
        yield bytes(changed[: random.integers(1, len(data) + 1)])


@pytest.mark.parametrize(
    "file_format", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "JPEG2000", "PPM", "ICO", "MPO", "AVIF"]
)
def test_damage_anywhere_ends_in_pixels_or_a_reason(file_format: str) -> None:
    try:
        data = odd_images.encoded(odd_images.picture(), file_format)
    except (KeyError, OSError):
        pytest.skip(f"this Pillow writes no {file_format}")
    for variant in broken_variants(data, file_format):
        end = ending(variant, max_pixels=10**6)
        if isinstance(end, SampleFailed):
            assert end.status in {Status.UNREADABLE, Status.TOO_LARGE}
        else:
            assert end.image.size == (end.width, end.height)


@given(st.binary(max_size=200))
@settings(max_examples=200)
def test_arbitrary_bytes_end_in_a_reason(data: bytes) -> None:
    end = ending(data, max_pixels=10**6)
    assert not isinstance(end, SampleFailed) or end.reason.isprintable()


def test_reasons_hold_no_local_paths(tmp_path: Path) -> None:
    path = tmp_path / "private.jpg"
    path.write_bytes(b"<!DOCTYPE html>")
    with pytest.raises(SampleFailed, match="begins with b'<!DOCTYPE ht'") as failure:
        decode(path.read_bytes())
    assert str(tmp_path) not in failure.value.reason


def test_decoded_images_travel_between_processes() -> None:
    decoded = decode(odd_images.with_orientation(6))
    copy = pickle.loads(pickle.dumps(decoded))  # noqa: S301 - our own
    assert copy.image.tobytes() == decoded.image.tobytes()
    assert copy.sha256 == decoded.sha256
