"""A file of a built data set comes in; what is to be known of each of its captions goes out, as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openmmlo.building.measures.quality import near, phrases
from openmmlo.building.measures.quality.pieces import MASK_HASH, Numbers, Pieces, Ragged, grams, starts_of
from openmmlo.building.measures.quality.repetition import repeats
from openmmlo.building.measures.quality.truncation import Counter
from openmmlo.building.word_counts import words

COLUMNS = ("label", "class_key", "caption", "masked_caption")

ECHO = 5
"""So many words in a row from the prompt make an echo; a shorter prompt has none."""


@dataclass(frozen=True)
class Look:
    """What to look for, besides what is always looked for.

    Attributes:
        counters: tokenizer -> who counts its tokens.
        prompt: what the captioner was asked, or empty.
    """

    counters: Mapping[str, Counter]
    prompt: str = ""


@dataclass(frozen=True)
class Facts:
    """Of N captions, row by row.

    Attributes:
        labels: (N,) -1 is out of distribution.
        class_keys: (N,) numbers into ``keys``.
        words, characters: (N,) of captions as written.
        tokens: tokenizer -> (2, N), of the masked captions and of those as written.
        grams, again: (N,) n-grams of words, and those of them that stood in the caption before.
        defects: kind -> (N,) whether a caption has it.
        ended: (N,) ends as a sentence does.
        texts, masked_texts: (N,) hashes of the normalised captions, as written and masked.
        bands, minima, shingles: see :mod:`near`.
    """

    labels: Numbers
    class_keys: Numbers
    keys: tuple[str, ...]
    words: NDArray[np.int32]
    characters: NDArray[np.int32]
    tokens: dict[str, NDArray[np.int32]]
    grams: NDArray[np.int32]
    again: NDArray[np.int32]
    defects: dict[str, NDArray[np.bool_]]
    ended: NDArray[np.bool_]
    texts: NDArray[np.uint64]
    masked_texts: NDArray[np.uint64]
    bands: NDArray[np.uint32]
    minima: NDArray[np.uint8]
    shingles: Ragged


def prompt_echo(prompt: str) -> bool:
    """Whether an echo of this prompt can be told from a caption: it has enough words."""
    return len(words(prompt)) >= ECHO


def look(batch: Any, wanted: Look) -> Facts:
    """Look at the captions of a record batch with :data:`COLUMNS`."""
    import pyarrow.compute as pc

    raw, masked = batch.column("caption"), batch.column("masked_caption")
    pieces, masked_pieces = Pieces.split(raw), Pieces.split(masked)
    found, masked_words = pieces.words(), masked_pieces.words()
    repeated = repeats(pieces.tokens())
    shingles = near.shingles(found)
    sketches = near.sketches(shingles)
    keys = batch.column("class_key").dictionary_encode()
    left = Ragged((masked_words.values != MASK_HASH).astype(np.int64), masked_words.starts).sums()
    defects = {
        "empty": phrases.empty(raw),
        "repeated_ngrams": repeated.found,
        **{kind: phrases.matches(raw, kind) for kind in phrases.PATTERNS},
        "prompt_echoes": _echoes(found, wanted.prompt),
        "other_script": phrases.other_script(raw),
        "only_mask": (left == 0) & (masked_words.lengths > 0),
    }
    return Facts(
        labels=batch.column("label").to_numpy().astype(np.int64),
        class_keys=keys.indices.to_numpy(zero_copy_only=False).astype(np.int64),
        keys=tuple(keys.dictionary.to_pylist()),
        words=found.lengths.astype(np.int32),
        characters=pc.utf8_length(raw).to_numpy(zero_copy_only=False).astype(np.int32),
        tokens={
            name: np.stack([counter.count(masked_pieces, masked), counter.count(pieces, raw)]).astype(np.int32)
            for name, counter in wanted.counters.items()
        },
        grams=repeated.grams.astype(np.int32),
        again=repeated.again.astype(np.int32),
        defects=defects,
        ended=phrases.ended(raw),
        texts=pieces.hashes(),
        masked_texts=masked_pieces.hashes(),
        bands=sketches.bands,
        minima=sketches.minima,
        shingles=shingles,
    )


def _echoes(found: Ragged, prompt: str) -> NDArray[np.bool_]:
    result = np.zeros(len(found.starts) - 1, bool)
    if prompt_echo(prompt):
        import pyarrow as pa

        asked, _ = grams(Pieces.split(pa.array([prompt])).words(), ECHO)
        said, rows = grams(found, ECHO)
        result[rows[np.isin(said, asked)]] = True
    return result


def joined(parts: Sequence[Facts]) -> Facts:
    """The facts of one caption after another."""
    keys = {key: place for place, key in enumerate(dict.fromkeys(key for part in parts for key in part.keys))}
    renumbered = [np.array([keys[key] for key in part.keys], np.int64)[part.class_keys] for part in parts]
    plain = {
        item.name: np.concatenate([getattr(part, item.name) for part in parts])
        for item in fields(Facts)
        if item.name not in ("class_keys", "keys", "tokens", "defects", "shingles")
    }
    shingles = np.concatenate([part.shingles.values for part in parts])
    lengths = np.concatenate([part.shingles.lengths for part in parts])
    return Facts(
        **plain,
        class_keys=np.concatenate(renumbered),
        keys=tuple(keys),
        tokens={name: np.concatenate([part.tokens[name] for part in parts], axis=1) for name in parts[0].tokens},
        defects={kind: np.concatenate([part.defects[kind] for part in parts]) for kind in parts[0].defects},
        shingles=Ragged(shingles, starts_of(lengths)),
    )
