"""Masking of captions on one core, against NLTK's tokeniser and lemmatiser on the same captions.

Captions are of 258 characters, one of a class of ImageNet each; three in four name their class by one of its names, as
it is, in the plural, in capitals or with a hyphen. The peer splits a caption with NLTK's Treebank tokeniser, lemmatises
every token as a noun with its WordNet lemmatiser, and looks for the lemmas of the class's names. Every caption in which
it finds a name must lose one to the mask: otherwise the measurement ends with an error. Time is processor time: each
side is one thread that waits for nothing.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from measure import Line, bootstrap, interleaved
from tqdm import tqdm

from openmmlo.building.masking import LEVELS, Masker, bundled
from openmmlo.building.masking.inflections import plurals
from openmmlo.building.wordnet import find_wordnet, set_up
from openmmlo.records import ClassInfo, DatasetInfo
from openmmlo.sources.imagenet_lt import class_table

CAPTIONS = 5000
ROUNDS = 10  # times that our side goes over them: it would end too soon for the clock
LENGTH = 258
DICT = Path("/usr/share/wordnet")
FILLER = """
the image shows a on in of and with its it is are this that next to behind near large small white brown green wooden
standing sitting lying grass field water table wall fence tree trees sky background foreground surrounded by several
other objects location appears be outdoors indoors looking at camera size color relationship surroundings people holding
background giving sense scale while there also some left right side front which has been placed bright dark long short
"""

Named = list[tuple[str, str]]
"""Class key and caption."""


def measure(pairs: int) -> list[Line]:
    """Two lines: the ratio to NLTK, and captions a second."""
    classes = class_table()
    lexicon = bundled(DatasetInfo("imagenet-lt", "1", "", classes))
    if lexicon is None:
        raise RuntimeError("the bundled lexicon of imagenet-lt is of another version; run openmmlo lexicon build")
    captions = written(classes)
    keys = [item.key for item in classes]
    maskers = {level: Masker(lexicon, keys, level) for level in LEVELS}

    def rate(level: str, rounds: int = ROUNDS) -> float:
        masker = maskers[level]
        started = time.process_time()
        for _ in range(rounds):
            for key, text in captions:
                masker.mask("sample", text, key, False)
        return rounds * len(captions) / (time.process_time() - started)

    for level in LEVELS:
        rate(level, 1)  # each class's expression is compiled once
    with tempfile.TemporaryDirectory() as temporary:
        find = lemmatising(classes, Path(temporary))
        found = [find(key, text) for key, text in captions]
        masked = [bool(maskers["strict"].mask("sample", text, key, False).spans) for key, text in captions]
        missed = [caption for caption, theirs, ours in zip(captions, found, masked, strict=True) if theirs and not ours]
        if missed:
            raise RuntimeError(f"{len(missed)} captions in which NLTK finds a name are not masked: {missed[:3]}")

        def peer() -> float:
            started = time.process_time()
            for key, text in captions:
                find(key, text)
            return len(captions) / (time.process_time() - started)

        seen = (
            f"of {CAPTIONS:,} captions NLTK finds a name in {sum(found):,}, all of them masked; {sum(masked):,} masked"
        )
        ratio = interleaved(
            "Masking, 1,000 classes of ImageNet, level strict",
            lambda: rate("strict"),
            peer,
            peer_name="NLTK: Treebank tokeniser and WordNet lemmatiser",
            bar=25,
            at_least=True,
            pairs=pairs,
            detail=lambda ours, theirs: f"{ours:,.0f} and {theirs:,.0f} captions/s; {seen}",
        )
    rates = {
        level: np.array([rate(level) for _ in tqdm(range(pairs), desc=f"masking, level {level}")]) for level in LEVELS
    }
    low, value, high = bootstrap(rates["strict"] / 1000)
    others = "; ".join(f"level {level} {np.median(rates[level]) / 1000:,.0f}" for level in LEVELS if level != "strict")
    name = f"Masking on one core, captions of {LENGTH} characters, level strict"
    return [ratio, Line(name, "none", "thousand captions/s", value, low, high, 100, True, pairs, others)]


def written(classes: tuple[ClassInfo, ...], seed: int = 0) -> Named:
    """Captions of LENGTH characters; three in four name their class, once or twice."""
    draw = random.Random(seed)
    words = FILLER.split()
    captions: Named = []
    for _ in range(CAPTIONS):
        item = draw.choice(classes)
        said = [draw.choice(words) for _ in range(LENGTH // 4)]
        for _ in range(draw.choice((0, 1, 1, 2))):
            said.insert(draw.randrange(24), spelt(draw.choice(item.synonyms), draw))
        captions.append((item.key, " ".join(said)[:LENGTH]))
    return captions


def spelt(name: str, draw: random.Random) -> str:
    """A name as captions write it."""
    *first, last = name.split(" ")
    ways: tuple[Callable[[], str], ...] = (
        lambda: name,
        lambda: name,
        lambda: " ".join((*first, draw.choice(plurals(last)))),
        lambda: name.capitalize(),
        lambda: name.replace(" ", "-"),
    )
    return draw.choice(ways)()


def lemmatising(classes: tuple[ClassInfo, ...], temporary: Path) -> Callable[[str, str], bool]:
    """The peer: whether a caption holds the lemmas of a name of a class one after another."""
    if find_wordnet() is None:
        set_up(DICT, temporary)
    import nltk.data
    from nltk.stem import WordNetLemmatizer
    from nltk.tokenize import TreebankWordTokenizer

    nltk.data.path.append(str(temporary))
    split, lemma = TreebankWordTokenizer().tokenize, WordNetLemmatizer().lemmatize
    names = {
        item.key: {tuple(lemma(word) for word in split(name.lower())) for name in item.synonyms} for item in classes
    }
    lengths = {key: sorted({len(name) for name in found}) for key, found in names.items()}

    def find(key: str, text: str) -> bool:
        lemmas = [lemma(word) for word in split(text.lower())]
        wanted = names[key]
        return any(
            tuple(lemmas[start : start + length]) in wanted
            for length in lengths[key]
            for start in range(len(lemmas) - length + 1)
        )

    return find
