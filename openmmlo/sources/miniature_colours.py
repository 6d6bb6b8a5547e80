"""Colours of the miniature by the word a caption uses: inks for things, tones for what is behind them."""

from __future__ import annotations

import math
from collections.abc import Sequence

Rgb = tuple[int, int, int]

INKS: dict[str, Rgb] = {
    "red": (214, 36, 38),
    "orange": (255, 135, 15),
    "yellow": (250, 218, 40),
    "green": (38, 150, 60),
    "turquoise": (40, 195, 190),
    "blue": (38, 88, 225),
    "purple": (128, 50, 170),
    "pink": (248, 125, 190),
    "brown": (122, 72, 36),
    "black": (22, 22, 24),
    "white": (246, 246, 246),
    "grey": (128, 128, 130),
}

TONES: dict[str, Rgb] = {
    "white": (252, 252, 252),
    "cream": (250, 241, 214),
    "light grey": (205, 206, 208),
    "dark grey": (66, 68, 72),
    "black": (16, 16, 18),
    "light blue": (178, 216, 246),
    "dark blue": (22, 40, 100),
    "light green": (192, 232, 182),
    "dark green": (18, 70, 44),
    "lavender": (216, 202, 242),
    "beige": (216, 196, 160),
    "maroon": (92, 18, 32),
}

PAIRS: tuple[tuple[str, str], ...] = (
    ("white", "light grey"),
    ("cream", "beige"),
    ("white", "light blue"),
    ("light green", "cream"),
    ("lavender", "white"),
    ("black", "dark grey"),
    ("dark blue", "black"),
    ("dark green", "black"),
    ("maroon", "dark grey"),
)

LANDSCAPES: tuple[tuple[str, Rgb, str, Rgb], ...] = (
    ("light blue sky", TONES["light blue"], "green meadow", (132, 200, 104)),
    ("light blue sky", TONES["light blue"], "sandy beach", (232, 212, 160)),
    ("light grey sky", TONES["light grey"], "snowy field", (250, 250, 252)),
    ("dark blue sky", TONES["dark blue"], "dark green meadow", TONES["dark green"]),
    ("black sky", TONES["black"], "dark blue sea", (20, 48, 112)),
)


def contrasting(rgbs: Sequence[Rgb]) -> list[str]:
    """Ink names that stand out from every one of these colours, in lightness and in colour."""
    return [name for name, rgb in INKS.items() if all(_contrast(rgb, other) for other in rgbs)]


def _contrast(one: Rgb, other: Rgb) -> bool:
    lightness = abs(sum(w * (a - b) for w, a, b in zip((0.299, 0.587, 0.114), one, other, strict=True)))
    return lightness > 48 and math.dist(one, other) > 110


def shade(rgb: Rgb, factor: float) -> Rgb:
    """A colour made darker."""
    return (round(rgb[0] * factor), round(rgb[1] * factor), round(rgb[2] * factor))
