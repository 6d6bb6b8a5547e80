"""What is in a picture, decided by (version, seed, sample_id) alone: things, their places and colours, the backdrop.

Lengths are fractions of the picture's side, x to the right and y down; angles are degrees, anticlockwise.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from openmmlo.sources.miniature_classes import SCRIPTS, VERSION
from openmmlo.sources.miniature_colours import INKS, LANDSCAPES, PAIRS, TONES, Rgb, contrasting, shade

T = TypeVar("T")

SIZES: dict[str, tuple[float, float]] = {"small": (0.32, 0.37), "medium-sized": (0.44, 0.50), "large": (0.57, 0.64)}
"""Size word -> range of the longer side before rotation."""

NEAR_EDGE, NEAR_CENTRE = 0.40, 0.05
"""A centre left of 0.40 (right of 0.60) is 'left' ('right'), within 0.05 of 0.5 is 'centre'; nothing lies between."""

PaintKind = Literal["plain", "gradient", "stripes", "chequers", "dots", "landscape"]
PictureKind = Literal["scene", "sketch", "texture", "noise"]


class Dice:
    """Random choices that are the same in every process, and on every Python.

    Only ``Random.random()`` is promised to give the same numbers in all Python versions; everything is built on it.
    """

    def __init__(self, *parts: object) -> None:
        text = "/".join(str(part) for part in parts)
        self._random = random.Random(int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big"))

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self._random.random()

    def chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def pick(self, options: Sequence[T]) -> T:
        return options[int(self._random.random() * len(options))]

    def weighted(self, options: Mapping[T, float]) -> T:
        left = self._random.random() * sum(options.values())
        for option, weight in options.items():
            left -= weight
            if left < 0:
                return option
        return next(reversed(list(options)))


@dataclass(frozen=True, slots=True)
class Thing:
    """Something placed in a picture; ``extent`` is its longer side before rotation."""

    shape: str
    x: float
    y: float
    extent: float
    angle: float
    mirrored: bool
    colour: str
    rgb: Rgb

    @property
    def reach(self) -> float:
        """Half the side of an upright square that holds it at its angle; only bare corners may leave it."""
        return _reach(self.extent, self.angle)


@dataclass(frozen=True, slots=True)
class Backdrop:
    """What is behind the things: the words for its colours, the colours, and how they are laid out."""

    kind: PaintKind
    names: tuple[str, ...]
    rgbs: tuple[Rgb, ...]
    pitch: float = 0.0
    direction: str = ""
    horizon: float = 0.0


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything that decides the pixels and the caption of one image.

    ``things`` are one or two of one kind; ``bystanders`` are plain shapes (circle, square, triangle, bar) that are no
    pictograph of any class. ``detail`` is the script of a letter, or the kind of texture, noise or hatching.
    """

    kind: PictureKind
    class_key: str
    sample_id: str
    seed: int
    size_word: str
    things: tuple[Thing, ...]
    bystanders: tuple[Thing, ...]
    backdrop: Backdrop
    detail: str = ""


def _reach(extent: float, angle: float) -> float:
    turned = math.radians(abs(angle))
    return extent / 2 * (math.cos(turned) + 0.8 * math.sin(turned))


def compose(class_key: str, sample_id: str, seed: int) -> Picture:
    """Decide what one image shows. The split is the first part of the sample id."""
    dice = Dice("miniature", VERSION, seed, sample_id)
    if class_key == "texture":
        return _texture(dice, sample_id, seed)
    if class_key == "noise":
        kind = dice.pick(("colour", "grey", "speckle", "block"))
        return Picture("noise", class_key, sample_id, seed, "", (), (), _plain("white"), kind)
    if sample_id.startswith("sketch/"):
        return _sketch(dice, class_key, sample_id, seed)
    script, shape = "", class_key
    if class_key == "letter":
        script = dice.pick(tuple(SCRIPTS))
        shape = dice.pick(SCRIPTS[script])
    backdrop = _paint(dice)
    ink = dice.pick(contrasting(backdrop.rgbs))
    if dice.chance(0.12):
        word, things = "small", _two(dice, shape, ink)
    else:
        word = dice.weighted({"small": 0.25, "medium-sized": 0.4, "large": 0.35})
        things = (_place(dice, shape, word, ink),)
    bystanders = _bystanders(dice, things, backdrop)
    return Picture("scene", class_key, sample_id, seed, word, things, bystanders, backdrop, script)


def _texture(dice: Dice, sample_id: str, seed: int) -> Picture:
    names = dice.pick(PAIRS) if dice.chance(0.4) else (dice.pick(("white", "cream", "black")), dice.pick(_VIVID))
    rgbs = tuple(TONES.get(name) or INKS[name] for name in names)
    kind = dice.pick(("stripes", "chequers", "dots", "waves", "bricks", "blotches"))
    paint = Backdrop("plain", names, rgbs, dice.between(0.06, 0.16), dice.pick(("diagonal", "vertical")))
    return Picture("texture", "texture", sample_id, seed, "", (), (), paint, kind)


def _sketch(dice: Dice, class_key: str, sample_id: str, seed: int) -> Picture:
    word = dice.weighted({"small": 0.15, "medium-sized": 0.4, "large": 0.45})
    thing = _place(dice, class_key, word, dice.pick(("black", "blue", "brown", "purple")))
    paper = _plain(dice.pick(("white", "cream", "light grey")))
    return Picture("sketch", class_key, sample_id, seed, word, (thing,), (), paper, dice.pick(_HATCHINGS))


_VIVID = ("red", "orange", "green", "turquoise", "blue", "purple", "pink", "brown")
_HATCHINGS = ("diagonal", "crossed", "none")
_PAINTS: dict[PaintKind, float] = {
    "plain": 0.24,
    "gradient": 0.16,
    "stripes": 0.15,
    "chequers": 0.1,
    "dots": 0.15,
    "landscape": 0.2,
}


def _plain(name: str) -> Backdrop:
    return Backdrop("plain", (name,), (TONES[name],))


def _paint(dice: Dice) -> Backdrop:
    kinds: dict[PaintKind, float] = {
        "plain": 0.24, "gradient": 0.16, "stripes": 0.15, "chequers": 0.1, "dots": 0.15, "landscape": 0.2,
    }  # fmt: skip
    kind = dice.weighted(kinds)
    if kind == "landscape":
        sky, above, ground, below = dice.pick(LANDSCAPES)
        return Backdrop(kind, (sky, ground), (above, below), horizon=dice.between(0.36, 0.72))
    if kind == "plain":
        return _plain(dice.pick(tuple(TONES)))
    if kind == "gradient":
        name = dice.pick(tuple(TONES))
        rgb = TONES[name]
        return Backdrop(kind, (name,), (rgb, shade(rgb, 0.78)), direction=dice.pick(("bottom", "right")))
    names = dice.pick(PAIRS)
    direction = dice.pick(("horizontal", "vertical", "diagonal")) if kind == "stripes" else ""
    return Backdrop(kind, names, (TONES[names[0]], TONES[names[1]]), dice.between(0.09, 0.18), direction)


def _jitter(dice: Dice, colour: str) -> Rgb:
    """The colour a little lighter or darker, so that no channel value gives a class away; its name stays true."""
    lighter = dice.between(-9, 9)
    red, green, blue = (min(255, max(0, round(part + lighter + dice.between(-3, 3)))) for part in INKS[colour])
    return red, green, blue


def _place(dice: Dice, shape: str, word: str, ink: str) -> Thing:
    extent = dice.between(*SIZES[word])
    most = 12 if word == "large" else 25
    angle = dice.between(-most, most) if dice.chance(0.6) else dice.between(-4, 4)
    reach = _reach(extent, angle)
    x, y = _coordinate(dice, reach), _coordinate(dice, reach)
    return Thing(shape, x, y, extent, angle, shape in _MIRRORED and dice.chance(0.5), ink, _jitter(dice, ink))


# fmt: off
_MIRRORED = frozenset((
    "aeroplane", "cat", "cloud", "cow", "fish", "flag", "hand", "house", "key", "knight", "lightning", "monkey", "moon",
    "mouse", "pencil", "sailboat", "scissors", "snowman", "swords", "teacup", "telephone", "tree", "umbrella",
    "wheelchair", "alembic", "arrow", "pen-nib", "writing-hand",
))
# fmt: on
"""Kinds that may be seen from either side; a mirrored note or letter would be another sign, or none."""


def _coordinate(dice: Dice, reach: float) -> float:
    """One coordinate of a centre: near an edge or near the middle, never in the doubtful strip between."""
    low, high = reach + 0.01, 1 - reach - 0.01
    zones = [(0.5 - NEAR_CENTRE, 0.5 + NEAR_CENTRE)]
    zones += [(low, NEAR_EDGE)] if low < NEAR_EDGE else []
    zones += [(1 - NEAR_EDGE, high)] if high > 1 - NEAR_EDGE else []
    return dice.between(*dice.pick(zones))


def _two(dice: Dice, shape: str, ink: str) -> tuple[Thing, ...]:
    """Two alike, side by side or one above the other."""
    extent, angle, rgb = dice.between(*SIZES["small"]), dice.between(-12, 12), _jitter(dice, ink)
    mirrored = shape in _MIRRORED and dice.chance(0.5)
    along, across = dice.between(0.24, 0.28), dice.between(0.3, 0.7)
    low, high = (along, across), (1 - along, across)
    if dice.chance(0.35):
        low, high = low[::-1], high[::-1]
    return (
        Thing(shape, *low, extent, angle, mirrored, ink, rgb),
        Thing(shape, *high, extent, -angle, mirrored, ink, rgb),
    )


def _bystanders(dice: Dice, things: tuple[Thing, ...], backdrop: Backdrop) -> tuple[Thing, ...]:
    """Up to three plain shapes that touch neither the things nor one another; fewer where there is no room."""
    wanted = dice.weighted({0: 0.22, 1: 0.4, 2: 0.26, 3: 0.12})
    colours = contrasting(backdrop.rgbs)
    placed: list[Thing] = []
    for _ in range(12 * wanted):
        if len(placed) == wanted:
            break
        shape, colour = dice.pick(("circle", "square", "triangle", "bar")), dice.pick(colours)
        extent = dice.between(0.11, 0.19)
        x, y = dice.between(0.1, 0.9), dice.between(0.1, 0.9)
        near = [(other, other.reach * 1.15) for other in things] + [(other, other.extent * 0.7) for other in placed]
        clear = all(max(abs(x - other.x), abs(y - other.y)) > reach + extent * 0.6 for other, reach in near)
        fresh = all((shape, colour) != (other.shape, other.colour) for other in placed)
        if clear and fresh:
            placed.append(Thing(shape, x, y, extent, 0.0, False, colour, _jitter(dice, colour)))
    return tuple(placed)
