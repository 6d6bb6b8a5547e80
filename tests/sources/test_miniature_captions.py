"""Captions of the miniature are true: what they say is measured on the pixels, without asking the captions' code."""

from __future__ import annotations

import colorsys
import dataclasses
import itertools
import re

import numpy as np
import pytest

from openmmlo.sources.miniature import SPLITS, Miniature, picture_at
from openmmlo.sources.miniature_captions import (
    DOUBLE_FORMS,
    NOISE_FORMS,
    SINGLE_FORMS,
    SKETCH_FORMS,
    TEXTURE_FORMS,
    caption_of,
)
from openmmlo.sources.miniature_classes import CLASSES, FAR_OOD, NEAR_OOD, PICTOGRAPHS, indefinite, plural
from openmmlo.sources.miniature_render import draw
from openmmlo.sources.miniature_scenes import Picture

SIDE = 128


def pictures(split: str, count: int, seed: int = 0) -> list[Picture]:
    samples = itertools.islice(Miniature(seed=seed, sketch_per_class=count).samples(split), count)
    return [picture_at(sample.image.locator)[0] for sample in samples]


SCENES = pictures("train", 200) + pictures("near_ood", 40) + pictures("test", 80, seed=7)
SINGLES = [picture for picture in SCENES if len(picture.things) == 1]
DOUBLES = [picture for picture in SCENES if len(picture.things) == 2]
SKETCHES = pictures("sketch", 50)


def changed(picture: Picture) -> tuple[np.ndarray, np.ndarray]:
    """The image, and where it differs clearly from the same one without its things."""
    image = np.asarray(draw(picture, SIDE), dtype=float)
    empty = np.asarray(draw(dataclasses.replace(picture, things=()), SIDE), dtype=float)
    return image, np.abs(image - empty).sum(axis=2) > 90


def colour_word(rgb: np.ndarray) -> str:
    """A colour's everyday name from hue, saturation and value."""
    hue, saturation, value = colorsys.rgb_to_hsv(*(rgb / 255))
    degrees = 360 * hue
    if value < 0.25:
        return "black"
    if saturation < 0.12:
        return "white" if value > 0.85 else "grey"
    if degrees < 45 and value < 0.6:
        return "brown"
    for below, name in ((16, "red"), (42, "orange"), (65, "yellow"), (160, "green"), (195, "turquoise"),
                        (260, "blue"), (300, "purple"), (345, "pink"), (361, "red")):  # fmt: skip
        if degrees < below:
            return name
    raise AssertionError(degrees)


def place_words(text: str) -> tuple[str, str]:
    """Column and row that a caption's location phrase names."""
    found = re.search(
        r"[Ii]n the (top|upper|bottom|lower) (left|right)|[Nn]ear the (top|bottom)|[Ii]n the (upper|lower) part"
        r"|(?:[Oo]n|[Ii]n) the (left|right) (?:side|part)|[Ii]n the (centre|middle)",
        text,
    )
    assert found, text
    words = {word for word in found.groups() if word}
    column = "left" if "left" in words else "right" if "right" in words else "centre"
    row = "top" if words & {"top", "upper"} else "bottom" if words & {"bottom", "lower"} else "centre"
    return column, row


@pytest.mark.parametrize("kind", ["scenes", "sketches"])
def test_colour_at_the_glyph(kind: str) -> None:
    for picture in SINGLES + DOUBLES if kind == "scenes" else SKETCHES:
        image, where = changed(picture)
        inked = image[where]
        if kind == "sketches":
            distance = np.abs(inked - np.array(picture.backdrop.rgbs[0])).sum(axis=1)
            inked = inked[distance > 0.9 * distance.max()]
        colours, counts = np.unique(inked, axis=0, return_counts=True)
        word = colour_word(colours[counts.argmax()])
        nouns = "|".join(map(re.escape, names(picture)))
        said = caption_of(picture)
        pattern = rf"\b{word} (?:{nouns})\b|in {word}\b|\band {word}\b|\bis {word} and\b"
        assert re.search(pattern, said), (word, said)


def names(picture: Picture) -> list[str]:
    nouns = PICTOGRAPHS[picture.class_key].nouns
    return sorted((form for noun in nouns for form in (noun, plural(noun))), key=len, reverse=True)


def test_location_and_size_as_rendered() -> None:
    for picture in SINGLES + SKETCHES:
        image, where = changed(picture)
        rows, columns = np.nonzero(where)
        thing = picture.things[0]
        x, y = (columns.min() + columns.max() + 1) / 2 / SIDE, (rows.min() + rows.max() + 1) / 2 / SIDE
        said = caption_of(picture)
        column, row = place_words(said)
        for value, word, low, high in ((x, column, "left", "right"), (y, row, "top", "bottom")):
            assert (value < 0.425) == (word == low), (value, said)
            assert (value > 0.575) == (word == high), (value, said)
        upright = dataclasses.replace(picture, things=(dataclasses.replace(thing, angle=0.0, x=0.5, y=0.5),))
        rows, columns = np.nonzero(changed(upright)[1])
        longest = max(np.ptp(rows), np.ptp(columns)) / SIDE
        word = "small" if longest < 0.405 else "medium-sized" if longest < 0.535 else "large"
        assert re.search(rf"\b{word}\b", said), (longest, said)
        assert image.shape == (SIDE, SIDE, 3)


def test_two_are_two_and_where_they_are_said_to_be() -> None:
    assert len(DOUBLES) > 20
    for picture in DOUBLES:
        said = caption_of(picture)
        assert re.search(rf"\b(?:{'|'.join(plural(noun) for noun in PICTOGRAPHS[picture.class_key].nouns)})\b", said)
        _, where = changed(picture)
        across = "one on the left and the other on the right" in said
        assert across != ("one above the other" in said)
        halves = np.array_split(where, 2, axis=1 if across else 0)
        gap = where[:, SIDE // 2 - 4 : SIDE // 2 + 4] if across else where[SIDE // 2 - 4 : SIDE // 2 + 4]
        assert not gap.any()
        assert min(half.sum() for half in halves) > 0.6 * max(half.sum() for half in halves)


def test_neighbours_are_where_they_are_said_to_be() -> None:
    seen = 0
    pattern = re.compile(
        r"(\w+) (circle|square|triangle|bar)(?: lies)? ((?:above|below|and|to the left of|to the right of| )+)"
    )
    for picture in SINGLES:
        thing = picture.things[0]
        image = np.asarray(draw(picture, SIDE), dtype=float)
        for colour, shape, where in pattern.findall(caption_of(picture)):
            item = next(item for item in picture.bystanders if (item.colour, item.shape) == (colour, shape))
            assert colour_word(image[round(item.y * SIDE), round(item.x * SIDE)]) == colour
            right, down = item.x - thing.x, item.y - thing.y
            assert right < 0 or "left" not in where
            assert right > 0 or "right" not in where
            assert down < 0 or "above" not in where
            assert down > 0 or "below" not in where
            if "left" not in where and "right" not in where:
                assert abs(down) > abs(right)
            if "above" not in where and "below" not in where:
                assert abs(right) > abs(down)
            seen += 1
    assert seen > 200


def test_landscapes() -> None:
    """A thing said to be in the sky ends above the horizon, one on the ground begins below it."""
    seen = set()
    for picture in SCENES:
        if picture.backdrop.kind != "landscape":
            continue
        rows = np.nonzero(changed(picture)[1])[0] / SIDE
        said = caption_of(picture).lower()
        horizon = picture.backdrop.horizon
        if "sky above a" in said:
            assert rows.max() <= horizon + 0.02
            seen.add("sky")
        elif re.search(r"on a [a-z ]+ under a", said):
            assert rows.min() >= horizon - 0.02
            seen.add("ground")
        else:
            seen.add("both")
    assert seen == {"sky", "ground", "both"}


def test_every_caption_answers_the_prompt() -> None:
    """Name, size, colour, place and surroundings, in sentences."""
    for picture in SCENES + SKETCHES:
        said = caption_of(picture)
        assert said[0].isupper()
        assert said.endswith(".")
        assert not re.search(r"[{}]|  | ,| \.|\ba [aeiou]|\ban [^aeiou]", said), said
        assert re.search(r"\b(small|medium-sized|large)\b", said)
        assert any(re.search(rf"\b{re.escape(name)}\b", said) for name in names(picture)), said
        assert re.search(r"background|stripes|sky|paper", said), said


def test_sentences_and_synonyms_vary() -> None:
    told = [caption_of(picture) for picture in pictures("test", 600, seed=3)]
    assert len(set(told)) > 590
    for noun in ("umbrella", "parasol", "sunshade"):
        assert any(noun in caption_of(picture) for picture in _of("umbrella", 40))
    starts = {re.sub(r"\b(a|an|the|in|on|near) .*", "", text.split(",")[0]) for text in told}
    assert len(starts) > 3
    assert sum(1 for picture in _of("cat", 60) if len(re.findall(r"\b(?:cat|kitty)\b", caption_of(picture))) > 1) > 10


def _of(key: str, count: int) -> list[Picture]:
    return [picture_at(f"v1/s64/seed0/test/{key}-{index:06d}")[0] for index in range(count)]


def test_forms_hold_no_name_of_any_class() -> None:
    """Else masking would hide words that name nothing in the picture."""
    forms = " ".join((*SINGLE_FORMS, *DOUBLE_FORMS, *SKETCH_FORMS, *TEXTURE_FORMS, *NOISE_FORMS)).casefold()
    for item in (*CLASSES, *NEAR_OOD, *FAR_OOD):
        for name in item.names:
            for form in (name, plural(name)):
                assert not re.search(rf"\b{re.escape(form.casefold())}\b", forms), form


def test_a_caption_names_its_own_class_alone() -> None:
    for picture in SCENES + SKETCHES:
        left = caption_of(picture).casefold()
        for name in sorted(PICTOGRAPHS[picture.class_key].names, key=len, reverse=True):
            left = re.sub(rf"\b(?:{re.escape(plural(name))}|{re.escape(name)})\b", "", left)
        for item in (*CLASSES, *NEAR_OOD):
            for name in item.names:
                assert not re.search(rf"\b{re.escape(name)}\b", left), (name, left)


def test_far_ood_says_what_fills_the_picture() -> None:
    told = {picture.kind: caption_of(picture) for picture in pictures("far_ood", 12)}
    assert set(told) == {"scene", "texture", "noise"}
    assert re.search(r"\b(letter|character)\b", told["scene"])
    assert re.search(r"\b(texture|pattern)\b", told["texture"])
    assert re.search(r"\bnoise\b", told["noise"])


@pytest.mark.parametrize(("noun", "many"), [
    ("umbrella", "umbrellas"), ("kitty", "kitties"), ("key", "keys"), ("cup of coffee", "cups of coffee"),
    ("mouse", "mice"), ("die", "dice"), ("fish", "fish"), ("snowman", "snowmen"),
    ("pair of scissors", "pairs of scissors"), ("death's head", "death's heads"),
    ("bolt of lightning", "bolts of lightning"), ("wheelchair", "wheelchairs"),
])  # fmt: skip
def test_plurals(noun: str, many: str) -> None:
    assert plural(noun) == many


def test_articles() -> None:
    assert [indefinite(word) for word in ("aeroplane", "urn", "small urn", "Inuktitut letter")] == [
        "an aeroplane", "an urn", "a small urn", "an Inuktitut letter",
    ]  # fmt: skip


@pytest.mark.parametrize("split", SPLITS)
def test_captions_do_not_depend_on_the_size(split: str) -> None:
    small, large = (list(itertools.islice(Miniature(size=size).samples(split), 5)) for size in (64, 224))
    for one, other in zip(small, large, strict=True):
        assert caption_of(picture_at(one.image.locator)[0]) == caption_of(picture_at(other.image.locator)[0])
