"""Words of captions come in; who repeats itself, and how much, goes out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from openmmlo.building.measures.quality.pieces import Numbers, Ragged, grams, mixed

GRAM = 4
"""Words of the n-grams that are counted (Welleck et al., Neural Text Generation with Unlikelihood Training, ICLR 2020,
arXiv:1908.04319, count repeated 4-grams)."""

TIMES = 3
"""A caption repeats itself where one of its n-grams stands this often, ..."""

LOOPS = {1: 4, 2: 3, 3: 3}
"""... or where a phrase of so many words stands so often in a row. Longer phrases said three times repeat a 4-gram."""


class Repeats(NamedTuple):
    """(N,) each: whether a caption repeats itself, its n-grams, and those of them that stood in it before."""

    found: NDArray[np.bool_]
    grams: Numbers
    again: Numbers


def repeats(tokens: Ragged) -> Repeats:
    """Look for repetition in N captions of hashed words."""
    captions = len(tokens.starts) - 1
    hashes, rows = grams(tokens, GRAM)
    total = np.bincount(rows, minlength=captions)
    keys = hashes ^ mixed(rows.astype(np.uint64))  # one sort then parts n-grams and captions at once
    order = np.argsort(keys)
    ordered = keys[order]
    first = np.flatnonzero(np.append(ordered[:1] == ordered[:1], ordered[1:] != ordered[:-1]))
    owner = rows[order[first]]
    most = np.zeros(captions, np.int64)
    np.maximum.at(most, owner, np.diff(np.append(first, len(ordered))))
    return Repeats((most >= TIMES) | _loops(tokens), total, total - np.bincount(owner, minlength=captions))


def _loops(tokens: Ragged) -> NDArray[np.bool_]:
    found = np.zeros(len(tokens.starts) - 1, bool)
    rows, values = tokens.rows, tokens.values
    for length, times in LOOPS.items():
        needed = length * (times - 1)  # so many tokens in a row that each equal the one a phrase further on
        if len(values) < needed + length:
            continue
        same = (values[:-length] == values[length:]) & (rows[:-length] == rows[length:])
        run = np.concatenate([np.zeros(1, np.int64), np.cumsum(same)])
        found[rows[np.flatnonzero(run[needed:] - run[:-needed] == needed)]] = True
    return found
