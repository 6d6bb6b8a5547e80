"""Views of images: keyed by seed, epoch and sample; what each kind does, and does not do, to pixels."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from openmmlo.data.transforms import PillowTransform
from openmmlo.train.augmentation import OPERATIONS, SMALLEST, View, random_box
from openmmlo.train.batch import sample_key
from openmmlo.train.recipe import Augmentation

KINDS: tuple[Augmentation, ...] = ("crop", "crop-flip", "blip")


@pytest.fixture
def image() -> Image.Image:
    """Smooth, wider than high, and not the same on its sides."""
    y, x = np.mgrid[0:40, 0:60]
    return Image.fromarray(np.stack([x * 4, y * 6, x + y], axis=-1).astype(np.uint8))


@pytest.mark.parametrize("kind", KINDS)
def test_a_view_follows_seed_epoch_and_sample_alone(image: Image.Image, kind: Augmentation) -> None:
    view = View(24, kind, seed=5)
    key = sample_key("n01440764_36")
    first = view(image, 2, key)
    assert first.shape == (3, 24, 24)
    assert first.dtype == np.uint8
    np.random.seed(0)
    view(image, 7, 123)
    assert np.array_equal(view(image, 2, key), first)
    others = [view(image, 3, key), view(image, 2, key + 1), View(24, kind, seed=6)(image, 2, key)]
    assert not any(np.array_equal(first, other) for other in others)


def test_none_is_what_an_evaluation_sees(image: Image.Image) -> None:
    pixels = View(24, "none")(image, 3, 17)
    transform = PillowTransform((24, 24), None, "bicubic", (0.5,) * 3, (0.25,) * 3)
    seen = (pixels.astype(np.float32) / np.float32(255) - np.float32(0.5)) / np.float32(0.25)
    assert np.array_equal(seen, transform(image).numpy())
    assert np.array_equal(View(40, "none")(image.crop((0, 0, 40, 40)), 0, 0)[0], np.asarray(image)[:, :40, 0])


def test_crop_never_mirrors_and_crop_flip_does_half_of_the_times(image: Image.Image) -> None:
    """Red rises to the right."""

    def mirrored(kind: Augmentation) -> float:
        views = [View(16, kind)(image, 0, key).astype(int) for key in range(300)]
        return float(np.mean([view[0, :, -1].mean() < view[0, :, 0].mean() for view in views]))

    assert mirrored("crop") == 0.0
    assert mirrored("crop-flip") == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("size", [(60, 40), (7, 90), (3, 3)])
@pytest.mark.parametrize("smallest", sorted(set(SMALLEST.values())))
def test_boxes_lie_in_the_image_with_the_area_and_aspect_promised(size: tuple[int, int], smallest: float) -> None:
    random = np.random.default_rng(0)
    shares = []
    for _ in range(500):
        left, top, right, bottom = random_box(size, smallest, random)
        assert 0 <= left < right <= size[0]
        assert 0 <= top < bottom <= size[1]
        if size == (60, 40):
            assert 0.7 < (right - left) / (bottom - top) < 1.4
        shares.append((right - left) * (bottom - top) / (size[0] * size[1]))
    if size == (60, 40):
        assert smallest - 0.03 < min(shares) < smallest + 0.05
        assert 0.8 < max(shares) <= 0.9


def test_operations_are_those_of_blip_at_magnitude_five(image: Image.Image) -> None:
    changed = [not np.array_equal(np.asarray(operation(image, 1.0)), np.asarray(image)) for operation in OPERATIONS]
    assert changed == [False, True, True, False, False, True, True, True, True, True]
    shifted = np.asarray(OPERATIONS[7](image, 1.0))
    assert np.array_equal(shifted[:, :55], np.asarray(image)[:, 5:])
    assert (shifted[:, 56:] == 128).all()
    assert np.array_equal(np.asarray(OPERATIONS[8](image, -1.0))[5:], np.asarray(image)[:-5])
    turned = [np.asarray(OPERATIONS[9](image, sign)) for sign in (1.0, -1.0)]
    assert not np.array_equal(*turned)
