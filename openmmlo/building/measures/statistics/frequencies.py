"""Counts of classes, words and pairs come in; the blocks of stats.json that describe them go out."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmmlo.building.measures.statistics.counting import DatasetCounts, SplitCounts
from openmmlo.building.measures.statistics.naming import Named, Naming
from openmmlo.building.measures.statistics.tails import (
    LARGEST,
    WORDS_FITTED_FROM,
    gini,
    imbalance_factor,
    pareto_share,
    rank_frequency,
    spearman,
    zipf_fit,
)
from openmmlo.building.measures.statistics.tally import MASKED, RAW, Pairs
from openmmlo.records import DatasetInfo, shot_group

TOP_WORDS = 50
TOP_PAIRS = 20

Counts = NDArray[np.integer[Any]]


def class_block(counts: ArrayLike) -> dict[str, Any]:
    """How images spread over classes.

    ``min`` is the smallest count of a class that has images, ``empty`` how many have none. Gini and Pareto ratio take
    every class of the table, empty ones included.
    """
    images = np.asarray(counts, np.int64)
    positive = images[images > 0]
    return {
        "classes": len(images),
        "empty": len(images) - len(positive),
        "images": int(images.sum()),
        "max": int(positive.max()) if len(positive) else None,
        "min": int(positive.min()) if len(positive) else None,
        "imbalance_factor": imbalance_factor(images),
        "gini": gini(images),
        "pareto": {"classes": LARGEST, "images": pareto_share(images)},
        "zipf": _zipf(images, 1),
    }


def training_block(counts: Sequence[int]) -> dict[str, Any]:
    """The classes by their training images, with the shot groups."""
    groups = [shot_group(count) for count in counts]
    return {
        **class_block(counts),
        "shot_groups": {name: groups.count(name) for name in ("many", "medium", "few")},
    }


def split_block(
    counts: SplitCounts, counted: DatasetCounts, info: DatasetInfo, training: Sequence[int]
) -> dict[str, Any]:
    """Everything about one split, or about all together."""
    known = {key: rows for key, rows in counts.ood_keys.items() if key}
    ood_rows = counts.ood_keys.total()
    ood = {"rows": ood_rows, "unknown": ood_rows - sum(known.values()), **class_block(list(known.values()))}
    return {
        "rows": counts.rows,
        "masked_rows": counts.masked_rows,
        "mask_rate": counts.masked_rows / counts.rows if counts.rows else None,
        "classes": class_block([counts.labels[label] for label in range(len(info.classes))]),
        "ood": ood if ood_rows else None,
        "raw": _column(counts, counted, info, RAW),
        "masked": _column(counts, counted, info, MASKED),
        "naming": None if counts.naming is None else naming_block(counts.naming, training),
    }


def _column(counts: SplitCounts, counted: DatasetCounts, info: DatasetInfo, column: int) -> dict[str, Any]:
    words = counted.vocabulary.words
    found = counts.words.rows(len(words))[:, column]
    block = frequency_block(found, words.__getitem__, TOP_WORDS)
    block["nouns"] = block["label_nouns"] = None
    if counted.nouns is not None and counts.pairs is not None:
        nouns = np.where(counted.nouns.of(counted.vocabulary), found, 0)
        block["nouns"] = frequency_block(nouns, words.__getitem__, TOP_WORDS)
        block["label_nouns"] = _pair_block(counts.pairs.settle(), column, words, info)
    return block


def frequency_block(counts: Counts, name: Callable[[int], str], top: int) -> dict[str, Any]:
    """How occurrences spread over types; types without an occurrence are left out.

    Args:
        counts: (V,) occurrences.
        name: the word of a place in ``counts``.
    """
    present = np.flatnonzero(counts)
    found = counts[present]
    return {
        "tokens": int(found.sum()),
        "types": len(found),
        "hapaxes": int(np.count_nonzero(found == 1)),
        "gini": gini(found),
        "pareto": {"types": LARGEST, "tokens": pareto_share(found)},
        "zipf": _zipf(found, WORDS_FITTED_FROM),
        "top": [[name(int(place)), int(counts[place])] for place in most_frequent(counts, name, top)],
        "rank_frequency": [list(point) for point in rank_frequency(found)],
    }


def most_frequent(counts: Counts, name: Callable[[int], str], top: int) -> list[int]:
    """Places of the ``top`` largest counts above zero, equal ones by name."""
    present = np.flatnonzero(counts)
    if 0 < top < len(present):
        least = np.partition(counts[present], -top)[-top]
        present = present[counts[present] >= least]
    return heapq.nsmallest(top, present.tolist(), key=lambda place: (-int(counts[place]), name(place)))


def _pair_block(pairs: Pairs, column: int, words: Sequence[str], info: DatasetInfo) -> dict[str, Any]:
    counts, labels, nouns = pairs.counts[:, column], pairs.labels, pairs.words
    keys = [item.key for item in info.classes]

    def name(place: int) -> str:
        return f"{int(labels[place]):010d} {words[nouns[place]]}"

    block = frequency_block(counts, name, 0)
    del block["rank_frequency"]
    block["top"] = [
        [keys[labels[place]] if labels[place] >= 0 else "", words[nouns[place]], int(counts[place])]
        for place in most_frequent(counts, name, TOP_PAIRS)
    ]
    return block


def naming_block(naming: Naming, training: Sequence[int]) -> dict[str, Any]:
    """How often captions name classes, against how many training images these have.

    The upper values are of captions as written, those under ``masked`` of masked ones.
    """
    return {**_named(naming.raw, training), "masked": _named(naming.masked, training)}


def _named(named: Named, training: Sequence[int]) -> dict[str, Any]:
    found = spearman(named.per_class, training)
    return {
        "spearman": None if found is None else {"rho": found[0], "p": found[1], "classes": len(training)},
        "captions_naming_a_class": named.any_class,
        "captions_naming_own_class": named.own,
        "captions_naming_another_class": named.another,
        "classes_named": int(np.count_nonzero(named.per_class)),
    }


def _zipf(counts: Counts, least_count: int) -> dict[str, Any] | None:
    fit = zipf_fit(counts, least_count)
    return None if fit is None else dict(fit._asdict())
