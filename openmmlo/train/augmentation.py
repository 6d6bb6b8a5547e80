"""Random views of an image, keyed by (seed, turn, sample id, number): who computes one, and when, changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageEnhance, ImageOps

from openmmlo.train.recipe import Augmentation

Pixels = npt.NDArray[np.uint8]

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}

SMALLEST = {"crop": 0.5, "crop-flip": 0.5, "blip": 0.2}
"""Smallest share of the image's area in a random crop."""

MIRRORED = frozenset({"crop-flip", "blip"})

_GREY = (128, 128, 128)
_TRIES = 10
_OPERATIONS, _CHANCE, _STRENGTH = 2, 0.5, 0.5  # of BLIP: two operations, each with probability 1/2, magnitude 5 of 10


@dataclass(frozen=True)
class View:
    """How an image becomes the pixels of a training batch.

    ``none`` resizes to a square, as validation does. ``crop`` takes a random part of half the area or more, resized;
    it does not mirror, for captions speak of left and right. ``crop-flip`` also mirrors half of the times, as the
    paper's release trains. ``blip`` is what BLIP pre-trains with (Li et al., arXiv:2201.12086, their code): a part of
    a fifth or more, mirrored half of the times, then two operations of RandAugment (Cubuk et al., arXiv:1909.13719)
    at magnitude 5, each applied half of the times; at that magnitude brightness and sharpness change nothing.

    Attributes:
        size: of the square, in pixels.
        augmentation: none, crop, crop-flip or blip.
        interpolation: Pillow's filter.
        seed: of the run.
    """

    size: int
    augmentation: Augmentation = "none"
    interpolation: str = "bicubic"
    seed: int = 0

    def __call__(self, image: Image.Image, turn: int, key: int, number: int = 0) -> Pixels:
        """An upright RGB image -> (3, size, size) uint8.

        Args:
            turn: epoch, or whatever counts how often the sample has come.
            key: of the sample, :func:`openmmlo.train.batch.sample_key`.
            number: of the view, where a turn has several of a sample; the first is 0.
        """
        if self.augmentation == "none":
            return as_channels(self._resized(image, None))
        words = [self.seed, turn, key, number] if number else [self.seed, turn, key]
        random = np.random.Generator(np.random.PCG64(np.random.SeedSequence(words)))
        seen = self._resized(image, random_box(image.size, SMALLEST[self.augmentation], random))
        if self.augmentation in MIRRORED and random.random() < 0.5:
            seen = seen.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if self.augmentation == "blip":
            seen = randomly_augmented(seen, random)
        return as_channels(seen)

    def _resized(self, image: Image.Image, box: tuple[int, int, int, int] | None) -> Image.Image:
        """A part of the image as a square. Pillow's filters look at the pixels of the part alone."""
        square = (self.size, self.size)
        part = image if box is None else image.crop(box)
        return part if part.size == square else part.resize(square, FILTERS[self.interpolation])


def as_channels(image: Image.Image) -> Pixels:
    """(3, H, W) uint8 of an RGB image."""
    return np.ascontiguousarray(np.asarray(image, dtype=np.uint8).transpose(2, 0, 1))


def random_box(size: tuple[int, int], smallest: float, random: np.random.Generator) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of a part with an area share from ``smallest`` to 1 and an aspect of 3/4 to 4/3.

    The shares are even, the aspects even in their logarithm (Szegedy et al., arXiv:1409.4842). Where ten tries do
    not fit into the image, it is the largest centred part of an allowed aspect.
    """
    width, height = size
    for _ in range(_TRIES):
        area = width * height * random.uniform(smallest, 1.0)
        aspect = np.exp(random.uniform(np.log(3 / 4), np.log(4 / 3)))
        wide, high = round(float(np.sqrt(area * aspect))), round(float(np.sqrt(area / aspect)))
        if 0 < wide <= width and 0 < high <= height:
            left, top = int(random.integers(width - wide + 1)), int(random.integers(height - high + 1))
            return left, top, left + wide, top + high
    wide, high = min(width, round(height * 4 / 3)), min(height, round(width * 4 / 3))
    left, top = (width - wide) // 2, (height - high) // 2
    return left, top, left + wide, top + high


def randomly_augmented(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """BLIP's RandAugment: operations drawn with repetition, geometric ones filled with grey."""
    for index in random.integers(len(OPERATIONS), size=_OPERATIONS):
        applied, sign = random.random() < _CHANCE, 1.0 if random.random() < 0.5 else -1.0
        if applied:
            image = OPERATIONS[index](image, sign)
    return image


def _affine(image: Image.Image, coefficients: tuple[float, ...]) -> Image.Image:
    method: Any = Image.Transform.AFFINE
    return image.transform(image.size, method, coefficients, Image.Resampling.BILINEAR, fillcolor=_GREY)


_FACTOR = 0.1 + 1.8 * _STRENGTH
_SHEAR = 0.3 * _STRENGTH
_SHIFT = 10 * _STRENGTH  # pixels
_ANGLE = 30 * _STRENGTH  # degrees

OPERATIONS: tuple[Callable[[Image.Image, float], Image.Image], ...] = (
    lambda image, _: image,
    lambda image, _: ImageOps.autocontrast(image),
    lambda image, _: ImageOps.equalize(image),
    lambda image, _: ImageEnhance.Brightness(image).enhance(_FACTOR),
    lambda image, _: ImageEnhance.Sharpness(image).enhance(_FACTOR),
    lambda image, sign: _affine(image, (1, sign * _SHEAR, 0, 0, 1, 0)),
    lambda image, sign: _affine(image, (1, 0, 0, sign * _SHEAR, 1, 0)),
    lambda image, sign: _affine(image, (1, 0, sign * _SHIFT, 0, 1, 0)),
    lambda image, sign: _affine(image, (1, 0, 0, 0, 1, sign * _SHIFT)),
    lambda image, sign: image.rotate(sign * _ANGLE, Image.Resampling.BILINEAR, fillcolor=_GREY),
)
"""Identity, autocontrast, equalise, brightness, sharpness, shear and shift along x and y, rotate."""
