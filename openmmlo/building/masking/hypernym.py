"""Mask level hypernym: what the level head hides, and what WordNet says is broader than the class.

Which synset a class is: ImageNet's keys say it, and senses.py where a person did; of a species the species, else what
most known members of its genus have in common, besides the group that the source names; of any other class the
likeliest noun sense of the first of its names that WordNet knows, else of the first head noun. docs/masking.md says
where the broader terms stop.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache

from openmmlo.building.function_words import FUNCTION_WORDS
from openmmlo.building.masking.head import head_of, telling_names
from openmmlo.building.masking.lexicon import Form, Naming
from openmmlo.building.masking.names import Words, bases, phrases, qualifiers
from openmmlo.building.masking.strict import BINOMIAL, phrase_forms
from openmmlo.building.wordnet import Synset, WordNet, need_wordnet
from openmmlo.records import ClassInfo

TOPS = frozenset({"animal.n.01", "plant.n.02", "person.n.01", "food.n.01"})
"""The synsets of WordNet's top file that are hidden: those that captions use in place of a class's name."""

LEAST_SHARE = 0.5
"""A word is hidden as a broader term where it means that at least half as often as what it means most often."""

GROUPS: Mapping[str, str] = {
    "Actinopterygii": "n02512053",
    "Amphibia": "n01627424",
    "Animalia": "n00015388",
    "Arachnida": "n01769347",
    "Aves": "n01503061",
    "Bacteria": "n01348530",
    "Fungi": "n12992868",
    "Insecta": "n02159955",
    "Mammalia": "n01861778",
    "Mollusca": "n01940736",
    "Plantae": "n00017222",
    "Protozoa": "n01389507",
    "Reptilia": "n01661091",
}
"""Groups of species -> the synset of their members: fish, amphibian, animal, arachnid, bird ..."""

_THINGS = (
    frozenset({"noun.animal"}),
    frozenset({"noun.artifact", "noun.body", "noun.food", "noun.object", "noun.plant"}),
)
"""Lexicographer files of what pictures are of, the likelier first."""

_LEMMAS = Naming(dictionary=True)


def forms(item: ClassInfo, naming: Naming) -> Iterator[Form]:
    """Broader terms of one class, in both numbers; possibly repeated.

    Raises:
        DataError: WordNet is not at hand.
    """
    wordnet = need_wordnet("Mask level 'hypernym'")
    for synset in broader(item, naming, wordnet):
        yield from _synset_forms(wordnet, synset)


def broader(item: ClassInfo, naming: Naming, wordnet: WordNet) -> list[Synset]:
    """The synsets of one class and those above them that are hidden; empty where WordNet does not know its names."""
    found: dict[Synset, None] = {}
    for synset in _meanings(item, naming, wordnet):
        found |= dict.fromkeys((synset, *wordnet.hypernyms(synset)))
    return [synset for synset in found if synset.lexname() != "noun.Tops" or synset.name() in TOPS]


def _meanings(item: ClassInfo, naming: Naming, wordnet: WordNet) -> list[Synset]:
    offset = item.key if naming.synsets else naming.senses.get(item.key)
    if offset is not None:
        try:
            return [wordnet.synset(offset)]
        except KeyError:
            pass
    if naming.taxa:
        groups = [wordnet.synset(GROUPS[group]) for group in item.groups if group in GROUPS]
        return [*_taxon(item, wordnet), *groups]
    names = (item.name, *item.synonyms)
    known = [words for name in telling_names(item, naming) for words in bases(name, naming)]
    hints = {" ".join(words).casefold() for name in names for words in (*phrases(name, naming), *qualifiers(name))}
    heads = [(head,) for words in known if (head := head_of(words)) is not None]
    for words in dict.fromkeys((*known, *heads)):
        senses = _senses(words, wordnet)
        if senses:
            return [_likeliest(words, senses, hints, wordnet)]
    return []


def _senses(words: Words, wordnet: WordNet) -> Sequence[Synset]:
    """Senses of a name in any of its spellings, without those that are one person, place or work."""
    for gap in (" ", "-", ""):
        senses = [sense for sense in wordnet.senses(gap.join(words)) if not sense.instance_hypernyms()]
        if senses:
            return senses
    return ()


def _likeliest(words: Words, senses: Sequence[Synset], hints: set[str], wordnet: WordNet) -> Synset:
    """The first sense that another of the class's names shares, else is above, else has a word of in its gloss.

    Of senses that are about as frequent as the first an animal, then another thing that a picture shows, goes before
    the rest: the skunk that is an animal before the one that is a person.
    """
    others = hints - {" ".join(words).casefold()}
    told = {word for name in hints for word in name.split() if len(word) > 3} - {word.casefold() for word in words}
    for said, known in (
        (_lemmas, others),
        (lambda sense: set().union(*map(_lemmas, wordnet.hypernyms(sense))), others),
        (lambda sense: set(re.findall(r"\w+", sense.definition().casefold())), told),
    ):
        for sense in senses:
            if said(sense) & known:
                return sense
    shared = set.intersection(*map(_lemmas, senses))  # the name as WordNet spells it, in its base form
    if not shared:
        return senses[0]
    shares = [wordnet.share(min(shared), sense) for sense in senses]
    near = [sense for sense, share in zip(senses, shares, strict=True) if share >= LEAST_SHARE * shares[0]]
    likely = (sense for files in _THINGS for sense in near if sense.lexname() in files)
    return next(likely, senses[0])


def _lemmas(synset: Synset) -> set[str]:
    return {name.replace("_", " ").casefold() for name in synset.lemma_names()}


def _taxon(item: ClassInfo, wordnet: WordNet) -> list[Synset]:
    """Of a species: itself where WordNet knows one of its names, else what most members of its genus share."""
    for name in (item.name, *item.synonyms):
        senses = wordnet.senses(name.strip()) if len(name.split()) > 1 else []
        if senses:
            return senses[:1]
    if not BINOMIAL.fullmatch(item.name.strip()):
        return []
    return list(_genus(item.name.split()[0], wordnet))


@cache
def _genus(name: str, wordnet: WordNet) -> tuple[Synset, ...]:
    """The synsets that are at or above more than half of the members of a genus that WordNet lists."""
    for sense in wordnet.senses(name):
        if f"genus_{name}" in sense.lemma_names():
            members = sense.member_meronyms()
            above = Counter(over for member in members for over in (member, *wordnet.hypernyms(member)))
            return tuple(synset for synset, count in above.items() if 2 * count > len(members))
    return ()


@cache
def _synset_forms(wordnet: WordNet, synset: Synset) -> tuple[Form, ...]:
    """The lemmas of a synset in their spellings and numbers, but for words that mostly mean something else."""
    found: dict[Form, None] = {}
    for lemma in synset.lemma_names():
        name = lemma.replace("_", " ")
        if not _is_meant(name, synset, wordnet):
            continue
        for words in phrases(name, _LEMMAS):
            if len(words) == 1 and words[0].casefold() in FUNCTION_WORDS:
                continue
            found |= {replace(form, kind="hypernym"): None for form in phrase_forms(words, _LEMMAS)}
    return tuple(found)


def _is_meant(name: str, synset: Synset, wordnet: WordNet) -> bool:
    """Whether a caption that uses this word may well mean this synset ("craft", not "way" or "piece").

    Also where its most frequent sense stands beside this one ("cat" for big cats) or is itself hidden above ("food").
    """
    if wordnet.share(name, synset) >= LEAST_SHARE:
        return True
    first = wordnet.senses(name)[0]
    return first.name() in TOPS or bool(set(first.hypernyms()) & set(synset.hypernyms()))
