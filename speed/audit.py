"""Names of all classes at once in every caption, against one expression that holds all of them.

Classes: ImageNet's 1,000 with their synonyms, of which the timm package has the table. Captions: 258 characters of
random words of a Zipf-like vocabulary, of which two in three name a class, in any letter case.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Sequence

from measure import Line, interleaved

from openmmlo.building.masking import Lexicon, build_lexicon
from openmmlo.building.masking.finder import ClassFinder
from openmmlo.sources.imagenet_lt import ImageNetLT

CAPTIONS = 20_000
FOR_PEER = 400  # a pair of 20,000 would take a minute
CHARACTERS = 258


def measure(pairs: int) -> list[Line]:
    """One line: captions a second over those of one alternation of all names, case ignored, between word boundaries."""
    lexicon = build_lexicon(ImageNetLT().info(), ("strict",))
    forms = sorted({form.text for key in lexicon.entries for form in lexicon.forms(key, "strict")})
    texts = captions(forms)
    finder = ClassFinder(lexicon, level="strict")
    ordered = sorted(forms, key=lambda form: (-len(form), form))
    expression = re.compile(rf"\b(?:{'|'.join(map(re.escape, ordered))})(?!\w)", re.IGNORECASE)
    misses = missed(texts[:FOR_PEER], lexicon, finder, expression)
    if misses:
        raise AssertionError(f"the finder misses names that the expression finds, for example {misses[0]}")
    line = interleaved(
        "Names of 1,000 classes at once in captions of 258 characters",
        lambda: rate(finder.find, texts),
        lambda: rate(expression.findall, texts[:FOR_PEER]),
        peer_name=f"one alternation of their {len(forms):,} names",
        bar=50,
        at_least=True,
        pairs=pairs,
        detail=lambda ours, theirs: f"{ours:,.0f} and {theirs:,.0f} captions/s",
    )
    return [line]


def captions(forms: Sequence[str]) -> list[str]:
    generator = random.Random(0)
    letters = "etaoinshrdlucmfwypvbgk"
    weights = [1 / rank for rank in range(1, len(letters) + 1)]
    words = ["".join(generator.choices(letters, weights, k=generator.randrange(2, 10))) for _ in range(5000)]
    shares = [1 / rank for rank in range(1, len(words) + 1)]
    texts = []
    for _ in range(CAPTIONS):
        said = generator.choices(words, shares, k=60)
        if generator.random() < 2 / 3:
            name = generator.choice(forms)
            said.insert(generator.randrange(30), name.title() if generator.random() < 0.2 else name)
        texts.append(" ".join(said)[: CHARACTERS - 1] + ".")
    return texts


def missed(texts: Sequence[str], lexicon: Lexicon, finder: ClassFinder, expression: re.Pattern[str]) -> list[str]:
    """Names that the expression finds and the finder does not; but for those of one letter case only ("IT")."""
    cased = {form.text.lower() for key in lexicon.entries for form in lexicon.forms(key, "strict") if form.cased}
    found = []
    for text in texts:
        spans = {(spot.start, spot.end) for spot in finder.spots(text)}
        found += [
            match.group()
            for match in expression.finditer(text)
            if match.span() not in spans and match.group().lower() not in cased
        ]
    return found


def rate(find: Callable[[str], object], texts: Sequence[str]) -> float:
    """Captions a second."""
    started = time.perf_counter()
    for text in texts:
        find(text)
    return len(texts) / (time.perf_counter() - started)
