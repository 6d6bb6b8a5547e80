"""True captions: a Picture comes in, and what it shows goes out in words.

Each answers the paper's prompt (section 2.4): size, location, colour and the relation to the surroundings. The words
are chosen by (version, seed, sample_id) alone; what they say is read off the Picture's numbers.
"""

from __future__ import annotations

from openmmlo.sources.miniature_classes import LETTER, NOISE, PICTOGRAPHS, TEXTURE, VERSION, indefinite, plural
from openmmlo.sources.miniature_scenes import NEAR_EDGE, Backdrop, Dice, Picture, Thing

CAPTIONS_VERSION = "1"
"""A new one whenever a caption changes; pictures keep theirs."""

SINGLE_FORMS = (
    "{A:size colour noun} is {where}, {behind}.",
    "The picture shows {a:colour noun} {where}. It is {size} and is seen {behind}.",
    "This is {a:noun}. The {other} is {size} and {colour}, and it is placed {where}, {behind}.",
    "{Where} there is {a:size noun} in {colour}, {behind}.",
    "{A:colour noun}, {size} compared with the picture, appears {where} {behind}.",
    "{Behind}, {a:size colour noun} can be seen {where}.",
    "There is {a:size colour noun} {where}. The {other} is shown {behind}.",
    "{A:size colour noun} is visible {where}. The surroundings of the {other} are simple: it is shown {behind}.",
)

DOUBLE_FORMS = (
    "Two {size} {colour} {nouns} are shown {behind}, {where}.",
    "The picture shows two {nouns}, {where}. Both are {size} and {colour}, and they are seen {behind}.",
    "There are two {nouns} in {colour}, {where}. The {others} are {size} and appear {behind}.",
    "{Behind}, two {size} {colour} {nouns} can be seen, {where}.",
)

SKETCH_FORMS = (
    "An outline drawing of {a:size noun} in {colour} ink. It is {where}, on plain {paper} paper.",
    "{A:size noun} is drawn in {colour} lines {where}, on {paper} paper with nothing around it.",
    "{Where} of a sheet of {paper} paper there is a sketch of {a:noun}. The {other} is {size} and {colour}.",
    "This is a simple line drawing. {A:size noun} in {colour} is {where}, alone on {paper} paper.",
)

TEXTURE_FORMS = (
    "A {noun} of {detail} fills the whole picture from edge to edge; no object is in front of it.",
    "The picture shows nothing but {detail}, one {noun} that covers everything.",
)

NOISE_FORMS = (
    "The whole picture is filled with {noun} {detail}; no object can be made out.",
    "From edge to edge there is only {noun} {detail}, without any object or background.",
)

_PLACES = {
    ("left", "top"): ("in the top left corner", "in the upper left part"),
    ("centre", "top"): ("near the top", "in the upper part"),
    ("right", "top"): ("in the top right corner", "in the upper right part"),
    ("left", "centre"): ("on the left side", "in the left part"),
    ("centre", "centre"): ("in the centre", "in the middle"),
    ("right", "centre"): ("on the right side", "in the right part"),
    ("left", "bottom"): ("in the bottom left corner", "in the lower left part"),
    ("centre", "bottom"): ("near the bottom", "in the lower part"),
    ("right", "bottom"): ("in the bottom right corner", "in the lower right part"),
}

_NOISES = {
    "colour": "in many colours",
    "grey": "in shades of grey",
    "speckle": "of white speckles on black",
    "block": "of square blocks in many colours",
}


def caption_of(picture: Picture) -> str:
    """Describe a picture in one to four English sentences."""
    dice = Dice("caption", CAPTIONS_VERSION, VERSION, picture.seed, picture.sample_id)
    if picture.kind == "texture":
        return dice.pick(TEXTURE_FORMS).format(noun=dice.pick(TEXTURE.nouns), detail=_texture(picture))
    if picture.kind == "noise":
        return dice.pick(NOISE_FORMS).format(noun=dice.pick(NOISE.nouns), detail=_NOISES[picture.detail])
    nouns = PICTOGRAPHS[picture.class_key].nouns
    if picture.class_key == LETTER.key:
        nouns = tuple(f"{picture.detail} {noun}" for noun in nouns)
    noun, other = dice.pick(nouns), dice.pick(nouns)
    thing = picture.things[0]
    if picture.kind == "sketch":
        words = _words(picture, noun, other, place(thing, dice))
        return _fill(dice.pick(SKETCH_FORMS), words | {"paper": picture.backdrop.names[0]})
    if len(picture.things) == 1:
        where = place(thing, dice) + dice.pick(("", " of the picture"))
        words = _words(picture, noun, other, where) | {"behind": behind(picture.backdrop, picture.things)}
        sentences = [_fill(dice.pick(SINGLE_FORMS), words)]
        if abs(thing.angle) >= 10 and dice.chance(0.5):
            sentences.append(f"It is turned a little {'anticlockwise' if thing.angle > 0 else 'clockwise'}.")
        sentences += _beside(picture, other, dice)
        return " ".join(sentences)
    first, second = picture.things
    across = abs(first.x - second.x) > abs(first.y - second.y)
    where = "one on the left and the other on the right" if across else "one above the other"
    words = _words(picture, plural(noun), plural(other), where) | {"behind": behind(picture.backdrop, picture.things)}
    words |= {"nouns": plural(noun), "others": plural(other)}
    return " ".join([_fill(dice.pick(DOUBLE_FORMS), words), *_also(picture, dice)])


def _words(picture: Picture, noun: str, other: str, where: str) -> dict[str, str]:
    return {
        "size": picture.size_word,
        "colour": picture.things[0].colour,
        "noun": noun,
        "other": other,
        "where": where,
    }


def _fill(form: str, words: dict[str, str]) -> str:
    """Fill a sentence form: {word}, {Word} with a capital, {a:word word} and {A:word word} with their article."""
    parts = []
    for index, piece in enumerate(form.replace("}", "{").split("{")):
        if index % 2 == 0:
            parts.append(piece)
            continue
        article, colon, names = piece.rpartition(":")
        text = " ".join(words[name.lower()] for name in names.split())
        if colon:
            text = indefinite(text)
        upper = (article or piece)[0].isupper()
        parts.append(text[0].upper() + text[1:] if upper else text)
    return "".join(parts)


def place(thing: Thing, dice: Dice) -> str:
    """Where the centre of a thing is, in words: a third of the picture, with nothing near the borders between."""
    column = "left" if thing.x <= NEAR_EDGE else "right" if thing.x >= 1 - NEAR_EDGE else "centre"
    row = "top" if thing.y <= NEAR_EDGE else "bottom" if thing.y >= 1 - NEAR_EDGE else "centre"
    return dice.pick(_PLACES[column, row])


def behind(backdrop: Backdrop, things: tuple[Thing, ...]) -> str:
    """What is behind the things, as a clause that follows a verb or a comma."""
    names = backdrop.names
    if backdrop.kind == "plain":
        return f"against a plain {names[0]} background"
    if backdrop.kind == "gradient":
        return f"against {indefinite(names[0])} background that darkens towards the {backdrop.direction} edge"
    if backdrop.kind == "stripes":
        return f"in front of {backdrop.direction} stripes in {names[0]} and {names[1]}"
    if backdrop.kind == "chequers":
        return f"on a chequered background of {names[0]} and {names[1]}"
    if backdrop.kind == "dots":
        return f"on {indefinite(names[0])} background with {names[1]} dots"
    sky, ground = names
    if all(thing.y + thing.reach < backdrop.horizon for thing in things):
        return f"in {indefinite(sky)} above {indefinite(ground)}"
    if all(thing.y - thing.reach > backdrop.horizon for thing in things):
        return f"on {indefinite(ground)} under {indefinite(sky)}"
    return f"in front of {indefinite(ground)} and {indefinite(sky)}"


def relation(bystander: Thing, thing: Thing) -> str:
    """Where one thing lies as seen from another, as words before the other's name."""
    right, down = bystander.x - thing.x, bystander.y - thing.y
    side = "to the right of" if right > 0 else "to the left of"
    level = "below" if down > 0 else "above"
    if abs(right) > 2 * abs(down):
        return side
    return level if abs(down) > 2 * abs(right) else f"{level} and {side}"


def _beside(picture: Picture, noun: str, dice: Dice) -> list[str]:
    """Sentences on the bystanders, two of them at most."""
    if not picture.bystanders:
        return [dice.pick(("Nothing else is near it.", "It stands alone."))] if dice.chance(0.5) else []
    thing, name = picture.things[0], dice.pick(("it", f"the {noun}"))
    seen = [(indefinite(f"{item.colour} {item.shape}"), relation(item, thing)) for item in picture.bystanders[:2]]
    shape, where = seen[0]
    sentence = (
        f"There is {shape} {where} {name}" if dice.chance(0.5) else f"{shape[0].upper()}{shape[1:]} lies {where} {name}"
    )
    if len(seen) == 2:
        sentence += f", and {seen[1][0]} {seen[1][1]} it"
    return [sentence + "."]


def _also(picture: Picture, dice: Dice) -> list[str]:
    if not picture.bystanders:
        return []
    shapes = " and ".join(indefinite(f"{item.colour} {item.shape}") for item in picture.bystanders[:2])
    return [f"{dice.pick(('Around them there is', 'The picture also holds'))} {shapes}."]


def _texture(picture: Picture) -> str:
    first, second = picture.backdrop.names
    if picture.detail == "stripes":
        return f"{picture.backdrop.direction} stripes in {first} and {second}"
    if picture.detail == "bricks":
        return f"{first} bricks with {second} joints"
    return f"{second} {picture.detail} on {first}"
