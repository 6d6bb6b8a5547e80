"""Images of noise: no two alike, each of another size."""

from __future__ import annotations

import numpy as np
from PIL import Image


def noise_images(count: int, seed: int = 0) -> list[Image.Image]:
    """RGB images between 33 and 90 pixels a side, smooth enough that shrinking them leaves something."""
    generator = np.random.default_rng(seed)
    found = []
    for index in range(count):
        coarse = generator.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        size = (33 + 7 * index % 57, 90 - 5 * index % 57)
        found.append(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))
    return found
