"""Words of captions come in; their shingles and MinHash bands go out, by which near copies find each other.

Broder, On the Resemblance and Containment of Documents, SEQUENCES 1997; banding after Leskovec, Rajaraman and Ullman,
Mining of Massive Datasets, chapter 3. A pair of Jaccard similarity s shares a band with probability
``1 - (1 - s ** ROWS) ** BANDS``: 0.9996 at 0.8, 0.80 at 0.6, 0.19 at 0.4, 0.006 at 0.2.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from openmmlo.building.measures.quality.pieces import Numbers, Ragged, grams, mixed, starts_of

WORDS = 3
"""Words of a shingle. A shorter caption is one shingle."""

BANDS, ROWS = 20, 5

_RNG = np.random.default_rng(20_240_405)  # any number does, the same one always: results are reproducible
_FACTORS = _RNG.integers(0, 2**63, BANDS * ROWS, np.uint64) * np.uint64(2) + np.uint64(1)
_OFFSETS = _RNG.integers(0, 2**64, BANDS * ROWS, np.uint64)


def shingles(words: Ragged) -> Ragged:
    """The distinct shingles of each caption as sorted 32-bit hashes; none of a caption without a word."""
    hashes, rows = grams(words, WORDS)
    lengths = words.lengths
    short = np.flatnonzero((lengths > 0) & (lengths < WORDS))
    if len(short):
        whole = words.take(short)
        place = np.arange(whole.starts[-1]) - np.repeat(whole.starts[:-1], whole.lengths)
        own = Ragged(mixed(whole.values + place.astype(np.uint64)), whole.starts).sums()
        hashes, rows = np.concatenate([hashes, own]), np.concatenate([rows, short])
    keys = np.unique(rows.astype(np.uint64) << np.uint64(32) | mixed(hashes) >> np.uint64(32))
    counts = np.bincount((keys >> np.uint64(32)).astype(np.int64), minlength=len(lengths))
    return Ragged(keys.astype(np.uint32), starts_of(counts))


class Sketches(NamedTuple):
    """Of N captions; zeros of one without a shingle.

    Attributes:
        bands: (N, BANDS) one number a band: equal where all its ROWS minima are.
        minima: (N, BANDS * ROWS) the last byte of each minimum: the share of equal ones estimates the similarity.
    """

    bands: NDArray[np.uint32]
    minima: NDArray[np.uint8]


def sketches(found: Ragged) -> Sketches:
    """MinHash of each caption's shingles."""
    captions = len(found.starts) - 1
    some = np.flatnonzero(found.lengths)
    result = Sketches(np.zeros((captions, BANDS), np.uint32), np.zeros((captions, BANDS * ROWS), np.uint8))
    if not len(some):
        return result
    values = found.values.astype(np.uint64)
    starts: Numbers = found.starts[:-1][some]
    for band in range(BANDS):
        key = np.zeros(len(some), np.uint64)
        for row in range(band * ROWS, (band + 1) * ROWS):
            least = np.minimum.reduceat(values * _FACTORS[row] + _OFFSETS[row], starts)
            result.minima[some, row] = mixed(least).astype(np.uint8)
            key = mixed(key + least)
        result.bands[some, band] = key >> np.uint64(32)
    return result
