"""Plurals and singulars of English nouns: inflect's rules, and a small table where they fail."""

from __future__ import annotations

from functools import cache
from typing import Any

_PLURALS = {
    "octopus": ("octopi",),
    "platypus": ("platypi",),
    "walrus": ("walri",),
    "crocus": ("croci",),
    "hibiscus": ("hibisci",),
    "abacus": ("abaci",),
    "syllabus": ("syllabi",),
    "cumulus": ("cumuli",),
    "fish": ("fishes",),
    "shrimp": ("shrimp",),
    "squid": ("squid",),
    "larva": ("larvae",),
    "pupa": ("pupae",),
    "nova": ("novae",),
    "alga": ("algas",),
    "planetarium": ("planetaria",),
    "auditorium": ("auditoria",),
    "terrarium": ("terraria",),
    "automaton": ("automata",),
    "polyhedron": ("polyhedra",),
    "mitochondrion": ("mitochondria",),
    "metropolis": ("metropoles",),
    "proboscis": ("proboscises", "proboscides"),
    "mantis": ("mantes", "mantids"),
    "bus": ("busses",),
    "gas": ("gasses",),
    "roof": ("rooves",),
    "hoof": ("hoofs", "hooves"),
    "dwarf": ("dwarfs",),
    "scarf": ("scarfs",),
    "wharf": ("wharfs",),
    "handkerchief": ("handkerchieves",),
    "staff": ("staves",),
    "die": ("dice",),
    "mouse": ("mouses",),
    "mongoose": ("mongeese",),
    "person": ("persons", "people"),
    "cello": ("celli",),
    "bijou": ("bijoux",),
    "chassis": ("chassis",),
    "bison": ("bison", "bisons"),
}
"""Plurals that captions use and inflect does not give, by singular."""

_PLURAL_ONLY = {
    "binoculars", "boxers", "briefs", "clothes", "dungarees", "eyeglasses", "forceps", "glasses", "goggles", "jeans",
    "knickers", "leggings", "overalls", "pajamas", "pants", "pincers", "pliers", "pyjamas", "scissors", "shears",
    "shorts", "spectacles", "sunglasses", "tights", "tongs", "trousers", "tweezers",
}  # fmt: skip
"""Nouns that are plural as they stand."""

_SINGULAR = {
    "abdomen", "acumen", "albumen", "ananas", "asbestos", "atlas", "biceps", "bitumen", "candelabra", "canvas",
    "cerastes", "chaos", "christmas", "corps", "cosmos", "cyclamen", "cyclops", "dolmen", "eyas", "gas", "hymen",
    "lens", "lumen", "madras", "mathematics", "molasses", "news", "omen", "opera", "pampas", "pancreas", "patas",
    "pavlova", "pharos", "physics", "pothos", "pyrenees", "ramen", "regimen", "reredos", "rhinoceros", "rooibos",
    "sassafras", "semen", "series", "species", "specimen", "stamen", "stegoceras", "supernova", "teargas", "texas",
    "thermos", "thrips", "triceps", "velours",
}  # fmt: skip
"""Nouns that look plural and are not."""

_US_IS_PLURALS = {
    "bureaus", "caribous", "chateaus", "emus", "gnus", "haikus", "menus", "plateaus", "tableaus", "tutus",
    "alibis", "bikinis", "jacuzzis", "khakis", "kiwis", "martinis", "okapis", "rabbis", "safaris", "salamis",
    "samurais", "saris", "skis", "taxis", "tsunamis", "yetis", "zucchinis",
}  # fmt: skip
"""The few plurals in -us and -is; other nouns in -us and -is are singular."""


@cache
def plurals(word: str) -> tuple[str, ...]:
    """Every plural of a noun that a caption may use, in order of spelling; the noun itself where it has none.

    inflect's modern and classical plurals together, both spellings of nouns in -o, -f and -man, and the table above.
    """
    lower = word.casefold()
    spellings = {lower} if word == lower or word.isupper() else {lower, word}
    found = set(_PLURALS.get(lower, ()))
    for engine in _engines():
        found.update(engine.plural_noun(spelling) or spelling for spelling in spellings)
    found.update(lower[: -len(end)] + form for end, forms in _PLURALS_BY_END for form in forms if lower.endswith(end))
    for end, extra in _PLURALS.items():
        # Compounds inflect as their last part does: "starfish", "dormouse".
        if len(end) > 3 and lower.endswith(end) and lower != end:
            found.update(lower[: -len(end)] + form for form in extra)
    return tuple(sorted(form.casefold() for form in found))


_PLURALS_BY_END = (
    ("man", ("mans", "men")),
    *((consonant + "o", (consonant + "os", consonant + "oes")) for consonant in "bcdfghjklmnpqrstvwxz"),
)


@cache
def singular(word: str) -> str | None:
    """The singular of a noun that is plural as it stands ("sunglasses", "men"); None where it is singular.

    For nouns without a singular ("scissors") the singular is what is left without its "s".
    """
    lower = word.casefold()
    if lower in _SINGULAR or lower.endswith("ceratops") or (len(lower) < 4 and lower != "men"):
        return None
    if lower.endswith("ss") or (lower.endswith(("us", "is")) and lower not in _US_IS_PLURALS):
        return None
    if lower in _PLURAL_ONLY:
        return lower[:-2] if lower.endswith("sses") else lower[:-1]
    for engine in _engines():
        found = engine.singular_noun(lower)
        if found and found != lower and lower in plurals(found):
            return str(found)
    return None


@cache
def _engines() -> tuple[Any, Any]:
    import inflect

    modern, classical = inflect.engine(), inflect.engine()
    classical.classical(all=True)
    return modern, classical
