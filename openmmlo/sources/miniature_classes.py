"""The class table of the miniature, as data: 50 classes, 15 held-out pictographs, letters, textures and noise.

Changing a row, or anything that changes a picture, needs a new VERSION: sample ids and locators carry it, and results
of two versions must not be compared. Labels are the alphabetical order of the keys. The frequency rank of a class is a
column of its own, drawn once at random, so that a label says nothing of how many images its class has.
"""

from __future__ import annotations

from dataclasses import dataclass

VERSION = "1"


@dataclass(frozen=True, slots=True)
class Pictograph:
    """One kind of thing a picture can show.

    Attributes:
        key: class key, part of every sample id.
        rank: 0 is the most frequent of the 50 classes; -1 for kinds that occur only out of distribution.
        glyph: code point in DejaVu Sans; None where the shape is a polygon of miniature_glyphs.
        nouns: count nouns that captions call it by; the first is the class name.
        also: further names of it that captions do not use.
    """

    key: str
    rank: int
    glyph: int | None
    nouns: tuple[str, ...]
    also: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return self.nouns + self.also


CLASSES: tuple[Pictograph, ...] = (
    Pictograph("aeroplane", 39, 0x2708, ("aeroplane", "airplane", "plane"), ("aircraft",)),
    Pictograph("anchor", 49, 0x2693, ("anchor",), ("ship's anchor",)),
    Pictograph("atom", 31, 0x269B, ("atom", "atom symbol")),
    Pictograph("biohazard", 18, 0x2623, ("biohazard symbol", "biohazard sign"), ("biohazard",)),
    Pictograph("cat", 41, 0x1F431, ("cat", "kitty"), ("pussycat", "cat face")),
    Pictograph("cloud", 5, 0x2601, ("cloud", "cumulus cloud"), ("cumulus",)),
    Pictograph("cow", 25, 0x1F42E, ("cow", "heifer"), ("cow face",)),
    Pictograph("die", 11, 0x2684, ("die", "gaming die")),
    Pictograph("envelope", 23, 0x2709, ("envelope", "mailing envelope")),
    Pictograph("fish", 34, None, ("fish", "goldfish")),
    Pictograph("flag", 46, 0x2691, ("flag", "banner", "pennant")),
    Pictograph("flower", 14, 0x2698, ("flower", "blossom", "bloom")),
    Pictograph("gear", 13, 0x2699, ("gear", "cogwheel", "cog"), ("gearwheel",)),
    Pictograph("hand", 0, 0x261B, ("pointing hand", "hand", "pointing finger"), ("index finger",)),
    Pictograph("heart", 33, 0x2764, ("heart", "love heart")),
    Pictograph("house", 3, None, ("house", "cottage", "cabin")),
    Pictograph("key", 15, None, ("key", "door key")),
    Pictograph("keyboard", 48, 0x2328, ("keyboard", "computer keyboard")),
    Pictograph("knight", 4, 0x265E, ("chess knight", "knight"), ("chess horse",)),
    Pictograph("lightning", 40, 0x26A1, ("lightning bolt", "bolt of lightning", "thunderbolt"), ("lightning",)),
    Pictograph("monkey", 30, 0x1F435, ("monkey", "chimpanzee"), ("chimp", "monkey face")),
    Pictograph("moon", 10, None, ("crescent moon", "moon", "crescent"), ("half-moon",)),
    Pictograph("mouse", 28, 0x1F42D, ("mouse", "rodent"), ("mouse face",)),
    Pictograph("mushroom", 22, None, ("mushroom", "toadstool")),
    Pictograph("musical-note", 38, 0x266B, ("musical note", "music note")),
    Pictograph("pawn", 19, 0x265F, ("chess pawn", "pawn")),
    Pictograph("pencil", 44, 0x270F, ("pencil", "lead pencil")),
    Pictograph("queen", 8, 0x265B, ("chess queen", "queen")),
    Pictograph("radiation", 32, 0x2622, ("radiation sign", "radiation symbol"), ("radioactivity sign",)),
    Pictograph("recycling", 12, 0x267B, ("recycling symbol", "recycling sign"), ("recycling logo",)),
    Pictograph("reel", 17, 0x2707, ("film reel", "tape reel", "spool")),
    Pictograph("rook", 24, 0x265C, ("chess rook", "rook"), ("chess castle",)),
    Pictograph("sailboat", 43, None, ("sailboat", "sailing boat", "yacht")),
    Pictograph("scales", 16, 0x2696, ("pair of scales", "balance scale", "weighing scale"), ("scales",)),
    Pictograph("scissors", 45, 0x2702, ("pair of scissors", "pair of shears"), ("scissors", "shears")),
    Pictograph("shamrock", 21, 0x2618, ("shamrock", "clover", "three-leaf clover")),
    Pictograph("skull", 7, 0x2620, ("skull", "death's head"), ("skull and crossbones",)),
    Pictograph("smiley", 47, 0x263B, ("smiley", "smiley face", "smiling face"), ("happy face",)),
    Pictograph("snowflake", 35, 0x2744, ("snowflake", "snow crystal")),
    Pictograph("snowman", 29, None, ("snowman", "snow figure")),
    Pictograph("star", 27, 0x2605, ("star", "five-pointed star")),
    Pictograph("sun", 26, 0x2600, ("sun", "sunburst")),
    Pictograph(
        "swords", 2, 0x2694, ("pair of swords", "pair of crossed swords"), ("crossed swords", "swords", "sword")
    ),
    Pictograph("teacup", 37, 0x2615, ("teacup", "coffee cup", "cup of coffee"), ("cup",)),
    Pictograph("telephone", 6, 0x260E, ("telephone", "phone", "rotary phone")),
    Pictograph("tree", 42, None, ("fir tree", "tree", "conifer"), ("fir",)),
    Pictograph("umbrella", 36, 0x2602, ("umbrella", "parasol", "sunshade"), ("brolly",)),
    Pictograph("vase", 1, 0x26B1, ("vase", "urn", "amphora")),
    Pictograph("warning", 20, 0x26A0, ("warning sign", "caution sign", "warning triangle")),
    Pictograph("wheelchair", 9, 0x267F, ("wheelchair symbol", "wheelchair sign"), ("wheelchair",)),
)

NEAR_OOD: tuple[Pictograph, ...] = (
    Pictograph("alembic", -1, 0x2697, ("alembic", "retort")),
    Pictograph("arrow", -1, 0x27A1, ("arrow", "arrow sign")),
    Pictograph("asterisk", -1, 0x2731, ("asterisk",)),
    Pictograph("benzene-ring", -1, 0x23E3, ("benzene ring", "benzene molecule"), ("benzene",)),
    Pictograph("check-mark", -1, 0x2714, ("check mark", "tick mark"), ("tick",)),
    Pictograph("domino", -1, 0x1F061, ("domino", "domino tile")),
    Pictograph("draughts-piece", -1, 0x26C3, ("draughts piece", "checkers piece")),
    Pictograph("eject-symbol", -1, 0x23CF, ("eject symbol", "eject button")),
    Pictograph("exclamation-mark", -1, 0x2762, ("exclamation mark", "exclamation point")),
    Pictograph("hot-spring", -1, 0x2668, ("hot spring", "thermal spring")),
    Pictograph("pen-nib", -1, 0x2712, ("pen nib", "fountain pen"), ("nib",)),
    Pictograph("playing-card", -1, 0x1F0A0, ("playing card",)),
    Pictograph("spade", -1, 0x2660, ("spade", "spade suit sign")),
    Pictograph("sunglasses-face", -1, 0x1F60E, ("face with sunglasses",), ("sunglasses",)),
    Pictograph("writing-hand", -1, 0x270D, ("writing hand",)),
)

SCRIPTS: dict[str, str] = {
    "Arabic": "بجدرسشصطعفقكلمنهوي",
    "Armenian": "ԱԲԳԴԶԷԸԹԺԽԾԿՀՁՂՃՄՅՆՇՉՋՍՎՐՑՔ",
    "Cyrillic": "БГДЖЗИЛПФЦЧШЩЪЫЭЮЯ",
    "Georgian": "აბგდვზთკლმნჟრსუფქღყშჩცძწჭხჯჰ",
    "Greek": "ΓΔΘΛΞΠΣΦΨΩαβγδεζηθλμξπφψω",
    "Hebrew": "אבגדהזחטכלמנעפצקרש",
    "Inuktitut": "ᐱᐳᐸᑎᑐᑕᑭᑯᑲᒋᒍᒐᒥᒧᒪᓂᓄᓇᓯᓱᓴᓕᓗᓚᔨᔪᔭ",
    "Lao": "ກຂຄງຈຊຍດຕຖທນບປຜຝພຟມຢຣລວສຫອຮ",
}
"""Script -> letters that DejaVu Sans draws in isolation and that look like no pictograph of the table."""

LETTER = Pictograph(
    "letter",
    -1,
    None,
    ("letter", "character"),
    tuple(f"{script} {noun}" for script in SCRIPTS for noun in ("letter", "character")),
)
TEXTURE = Pictograph("texture", -1, None, ("texture", "pattern"))
NOISE = Pictograph("noise", -1, None, ("noise", "random noise"))
FAR_OOD: tuple[Pictograph, ...] = (LETTER, TEXTURE, NOISE)

PICTOGRAPHS: dict[str, Pictograph] = {item.key: item for item in (*CLASSES, *NEAR_OOD, *FAR_OOD)}

LABELS: dict[str, int] = {item.key: label for label, item in enumerate(CLASSES)}

_PLURALS = {
    "aircraft": "aircraft",
    "die": "dice",
    "domino": "dominoes",
    "face with sunglasses": "faces with sunglasses",
    "fish": "fish",
    "gaming die": "gaming dice",
    "goldfish": "goldfish",
    "mouse": "mice",
    "snowman": "snowmen",
}


def plural(noun: str) -> str:
    """Plural of a noun of this table: 'cups of coffee', 'mice', 'kitties'."""
    if noun in _PLURALS:
        return _PLURALS[noun]
    first, of, rest = noun.partition(" of ")
    if of:
        return plural(first) + of + rest
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"


def indefinite(phrase: str) -> str:
    """The phrase with 'a' or 'an' before it; by letter, which is right for every word this table and captions use."""
    return ("an " if phrase[0].lower() in "aeiou" else "a ") + phrase
