"""Masked captions that must come out exactly so. A case: source, names of the class, caption, masked caption."""

from __future__ import annotations

import pytest

from openmmlo.building.masking import Masker, build_lexicon
from openmmlo.records import ClassInfo, DatasetInfo

PLAIN, IMAGENET, PLACES, INATURALIST = "imagefolder", "imagenet-lt", "places-lt", "inaturalist2018"
PANDA = "lesser panda|red panda|panda|bear cat|cat bear|Ailurus fulgens"

CASES = [
    # The paper's own examples (figure 4).
    (IMAGENET, PANDA, "The red panda is holding a leaf", "The [mask] is holding a leaf"),
    (IMAGENET, "bighorn|bighorn sheep|Ovis canadensis", "Bighorns are found in the mountainous regions",
     "[mask]s are found in the mountainous regions"),
    # Spellings: space, hyphen, underscore, joined, in any combination.
    (PLAIN, "sea lion", "a sea lion", "a [mask]"),
    (PLAIN, "sea lion", "a sea-lion", "a [mask]"),
    (PLAIN, "sea lion", "a sea_lion", "a [mask]"),
    (PLAIN, "sea lion", "a sealion", "a [mask]"),
    (PLAIN, "sea_lion", "a sea  lion", "a [mask]"),
    (PLAIN, "sea-lion", "two sea\nlions", "two [mask]s"),
    (PLAIN, "SeaLion", "a sea lion and a sealion", "a [mask] and a [mask]"),
    (PLAIN, "sealion", "a sea lion", "a sea lion"),
    (PLAIN, "great white shark", "a greatwhite-shark", "a [mask]"),
    (PLAIN, "great white shark", "Great-White_Sharks!", "[mask]s!"),
    (PLAIN, "great white shark", "a great whiteshark", "a [mask]"),
    (PLAIN, "great white shark", "a great, white shark", "a great, white shark"),
    (PLAIN, "sea lion", "sea‐lion, sea–lion, sea\u00a0lion, sea\u00adlion", "[mask], [mask], [mask], [mask]"),
    (PLAIN, "sea lion", "a_sea_lion_here", "a_[mask]_here"),
    (PLAIN, "jack-o'-lantern", "a jack o lantern, a jack-o’-lantern, jack-o'-lanterns",
     "a [mask], a [mask], [mask]s"),
    # Word boundaries.
    (PLAIN, "lion", "The lion, a dandelion, a lioness, lionfish", "The [mask], a dandelion, a lioness, lionfish"),
    (PLAIN, "ant", "an elephant wants plants, an ant", "an elephant wants plants, an [mask]"),
    (PLAIN, "lion", "(lion) \"lion\" lion; lion. lion… lion/lion",
     "([mask]) \"[mask]\" [mask]; [mask]. [mask]… [mask]/[mask]"),
    (PLAIN, "lion", "lion2 2lion élion lioné", "lion2 2lion élion lioné"),
    (PLAIN, "lion", "lion-like mountain-lion", "[mask]-like mountain-[mask]"),
    (PLAIN, "lion", "LION Lion lIoN", "[mask] [mask] [mask]"),
    (PLAIN, "lion", "lion", "[mask]"),
    (PLAIN, "lion", "", ""),
    # Possessives, with either apostrophe.
    (PLAIN, "lion", "the lion's mane", "the [mask]'s mane"),
    (PLAIN, "lion", "the lion’s mane", "the [mask]’s mane"),
    (PLAIN, "lion", "the lions' manes", "the [mask]s' manes"),
    (PLAIN, "lion", "the lions’ manes", "the [mask]s’ manes"),
    (PLAIN, "woman", "women's hats", "[mask]s's hats"),
    (PLAIN, "walrus", "the walrus's tusks", "the [mask]'s tusks"),
    (IMAGENET, "carpenter's plane", "a carpenter’s plane, a carpenters plane", "a [mask], a [mask]"),
    (PLAIN, "dog", "dog’s’ dogs’s", "[mask]’s’ [mask]s’s"),
    # Articles stay.
    (PLAIN, "apple", "An apple. The apples. A few apples", "An [mask]. The [mask]s. A few [mask]s"),
    # Plurals.
    (PLAIN, "man", "a man and three men", "a [mask] and three [mask]s"),
    (PLAIN, "tooth", "white teeth", "white [mask]s"),
    (PLAIN, "lens", "a lens, two lenses", "a [mask], two [mask]s"),
    (PLAIN, "leaf", "leaves", "[mask]s"),
    (PLAIN, "mouse", "mice", "[mask]s"),
    (PLAIN, "goose", "geese and a mongoose", "[mask]s and a mongoose"),
    (PLAIN, "mongoose", "mongooses, geese", "[mask]s, geese"),
    (PLAIN, "person", "people, persons, a person", "[mask]s, [mask]s, a [mask]"),
    (PLAIN, "goldfish", "two goldfish, three goldfishes", "two [mask], three [mask]s"),
    (PLAIN, "sheep", "a flock of sheep", "a flock of [mask]"),
    (PLAIN, "butterfly", "butterflies", "[mask]s"),
    (PLAIN, "octopus", "octopuses, octopi, octopodes", "[mask]s, [mask]s, [mask]s"),
    (PLAIN, "cactus", "cacti and cactuses", "[mask]s and [mask]s"),
    (PLAIN, "wolf", "wolves", "[mask]s"),
    (PLAIN, "volcano", "volcanos, volcanoes", "[mask]s, [mask]s"),
    (PLAIN, "snowman", "snowmen", "[mask]s"),
    (PLAIN, "bus", "busses buses bus", "[mask]s [mask]s [mask]"),
    (PLAIN, "school bus", "school buses and a bus", "[mask]s and a bus"),
    (PLAIN, "bird of paradise", "birds of paradise", "[mask]s"),
    (PLAIN, "jack-in-the-box", "jacks-in-the-box, jack-in-the-boxes", "[mask]s, [mask]s"),
    (PLAIN, "maple leaf", "maple leaves, a mapleleaf", "[mask]s, a [mask]"),
    (PLAIN, "ox", "oxen, boxes", "[mask]s, boxes"),
    # Names that are plural as they stand.
    (IMAGENET, "sunglasses|dark glasses|shades", "sunglasses in the shade", "[mask]s in the shade"),
    (IMAGENET, "pajama|pyjama|pj's|jammies", "pajamas, pyjama, PJ’s", "[mask]s, [mask], [mask]s"),
    (PLAIN, "pajama, pyjama", "a pyjama and pajamas", "a [mask] and [mask]s"),
    (PLAIN, "cats", "a cat and two cats", "a [mask] and two [mask]s"),
    (PLAIN, "policemen", "a policeman, policemen", "a [mask], [mask]s"),
    (PLAIN, "scissors", "a pair of scissors", "a pair of [mask]s"),
    (PLAIN, "binoculars", "her binoculars", "her [mask]s"),
    (PLAIN, "bus|glass|iris|atlas", "a bus, a glass, an iris, an atlas", "a [mask], a [mask], an [mask], an [mask]"),
    # Longest first, leftmost.
    (IMAGENET, PANDA, "a red panda bear", "a [mask] bear"),
    (IMAGENET, "giant panda|panda|panda bear", "a giant panda bear, panda bears", "a [mask] bear, [mask]s"),
    (PLAIN, "tiger|tiger shark", "a tiger shark, a tiger", "a [mask], a [mask]"),
    (PLAIN, "bear cat|cat bear", "bear cat bear", "[mask] bear"),
    (PLAIN, "a b c d e|d e f g h i", "a b c d e f g h i", "[mask] f g h i"),
    # Scientific names.
    (IMAGENET, PANDA, "Ailurus fulgens (A. fulgens)", "[mask] ([mask])"),
    (INATURALIST, "Quercus alba", "Quercus alba, Q. alba, Q.alba, a Quercus", "[mask], [mask], [mask], a [mask]"),
    (INATURALIST, "Quercus alba", "Quercus-alba QUERCUS ALBA quercus", "[mask] [mask] [mask]"),
    (INATURALIST, "Acalypha minor", "a minor road, A. minor, major", "a minor road, [mask], major"),
    (INATURALIST, "Iris germanica|bearded iris", "irises; bearded irises", "[mask]s; [mask]s"),
    (INATURALIST, "Anas platyrhynchos domesticus", "Anas platyrhynchos; A. p. domesticus; Anas",
     "[mask]; [mask]; [mask]"),
    (INATURALIST, "Salix ×fragilis", "Salix fragilis, Salix × fragilis, Salix ×fragilis", "[mask], [mask], [mask]"),
    (IMAGENET, "Siamese cat|Siamese", "a Siamese cat, siamese, a cat", "a [mask], [mask], a cat"),
    (IMAGENET, "English setter", "English people and an English setter", "English people and an [mask]"),
    # Places.
    (PLACES, "apartment_building/outdoor", "an apartment building, an outdoor apartment building",
     "an [mask], an [mask]"),
    (PLACES, "apartment_building-outdoor", "apartment buildings, an apartment building outdoors",
     "[mask]s, an [mask] outdoors"),
    (PLACES, "church-indoor", "an indoor church; a church indoor; outdoor", "an [mask]; a [mask]; outdoor"),
    (PLACES, "train_station-platform", "a train station platform, a train station", "a [mask], a [mask]"),
    (PLACES, "lake-natural", "a natural lake, lakes", "a [mask], [mask]s"),
    (PLACES, "artists_loft", "an artist's loft, artists' loft, artists loft", "an [mask], [mask], [mask]"),
    (PLAIN, "library-indoor", "an indoor library, libraries", "an [mask], [mask]s"),
    (PLAIN, "trap-door", "a trap, a trapdoor", "a trap, a [mask]"),
    (PLAIN, "crane (bird)", "a crane, cranes", "a [mask], [mask]s"),
    (IMAGENET, "missile (n03773504)", "missiles", "[mask]s"),
    # Accents: composed and decomposed are one, offsets stay those of the caption.
    (PLAIN, "café", "a café, a cafe\u0301, CAFÉS", "a [mask], a [mask], [mask]s"),
    (PLAIN, "cafe\u0301", "a café", "a [mask]"),
    (PLAIN, "cafe", "a café, a cafe\u0301", "a café, a cafe\u0301"),
    (PLAIN, "straße", "die Straße, die STRASSE", "die [mask], die [mask]"),
    (PLAIN, "lion", "İ İİ lion LİON, lıon", "İ İİ [mask] [mask], [mask]"),
    (PLAIN, "fish", "a ﬁſh", "a [mask]"),
    (PLAIN, "kelp", "\u212aelp", "[mask]"),
    (PLAIN, "lion", "🦁🦁 lion 🦁 e\u0301 lion", "🦁🦁 [mask] 🦁 e\u0301 [mask]"),
    (PLAIN, "狮子", "一只狮子在草地上", "一只[mask]在草地上"),
    (PLAIN, "лев", "лев и ЛЕВ, левый", "[mask] и [mask], левый"),
    # Acronyms that are also words of every sentence.
    (PLAIN, "IT", "it is an IT office", "it is an [mask] office"),
    (PLAIN, "it", "it is IT", "it is [mask]"),
    (PLAIN, "US", "give us the US flag", "give us the [mask] flag"),
    (PLAIN, "TV", "a tv, TVs and a TV's screen", "a [mask], [mask]s and a [mask]'s screen"),
    (PLAIN, "SUV", "two SUVs, an suv", "two [mask]s, an [mask]"),
    # Punctuation inside names.
    (PLAIN, "St. Bernard", "a St. Bernard, a St Bernard, St.Bernards", "a [mask], a [mask], [mask]s"),
    (PLAIN, "bed & breakfast", "a bed and breakfast, bed & breakfast", "a [mask], [mask]"),
    (PLAIN, "AT&T|3+", "an at&t sign, 3+", "an [mask] sign, 3+"),
    (PLAIN, "c++ book", "c++book, c book", "[mask], c book"),
    (PLAIN, "T-shirt", "a t-shirt, T shirts, tshirt", "a [mask], [mask]s, [mask]"),
    # Names from which nothing sensible can be searched.
    (PLAIN, "x", "x y z", "x y z"),
    (PLAIN, "", "a caption", "a caption"),
    (PLAIN, " -_.!", "a - caption.!", "a - caption.!"),
    (PLAIN, "7", "7 of 77", "7 of 77"),
    # Captions that already hold masks.
    (PLAIN, "mask", "a mask and [mask], [mask]s, [MASK]", "a [mask] and [mask], [mask]s, [MASK]"),
    (PLAIN, "ski mask", "ski [mask], ski mask", "ski [mask], [mask]"),
    # Markup and metacharacters are letters like others.
    (PLAIN, "<b>lion</b>|lion", "<b>lion</b>", "<[mask]</b>"),
    (PLAIN, "a.c|(x)+", "abc a.c", "abc [mask]"),
    (PLAIN, "lion|.*|[a-z]+|\\", "a lion .* [a-z]+ \\", "a [mask] .* [[mask] \\"),
]  # fmt: skip


def _masker(source: str, names: str) -> Masker:
    synonyms = tuple(names.split("|"))
    info = DatasetInfo(source, "1", "", (ClassInfo("key", synonyms[0], synonyms),))
    return Masker(build_lexicon(info), ["key"])


@pytest.mark.parametrize(("source", "names", "text", "masked"), CASES)
def test_caption_is_masked_as_written_here(source: str, names: str, text: str, masked: str) -> None:
    masker = _masker(source, names)
    for ood in (False, True):
        caption = masker.mask("sample", text, "key", ood)
        assert caption.masked == masked
        assert (caption.sample_id, caption.text) == ("sample", text)


def test_places_key_brings_the_name_without_its_setting() -> None:
    info = DatasetInfo("places-lt", "1", "", (ClassInfo("lake-natural", "lake natural", ("lake natural",)),))
    masker = Masker(build_lexicon(info), ["lake-natural"])
    assert masker.mask("s", "a lake", "lake-natural", False).masked == "a [mask]"


def test_spans_are_where_the_names_stood() -> None:
    text = "İ a cafe\u0301's CAFÉS"
    caption = _masker(PLAIN, "café").mask("s", text, "key", False)
    assert [text[start:end] for start, end in caption.spans] == ["cafe\u0301", "CAFÉS"]
    assert caption.spans == ((4, 9), (12, 17))
