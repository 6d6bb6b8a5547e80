"""Pairs of label and noun come in; label_noun_counts.csv goes out: which nouns captions of a class are written with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from openmmlo.building.measures.statistics.tally import MASKED, RAW, Pairs
from openmmlo.building.word_counts import cell, write_csv
from openmmlo.records import OOD_LABEL, DatasetInfo

FILE = "label_noun_counts.csv"

MOST_ROWS = 1_000_000
"""A spreadsheet holds 1,048,576 rows."""


def write_label_nouns(
    folder: Path, pairs: Pairs, words: Sequence[str], info: DatasetInfo, most_rows: int = MOST_ROWS
) -> dict[str, Any]:
    """Write the table, byte for byte equal for equal counts, and say what it holds.

    Labels come in order, out of distribution (-1) last; within a label nouns come by falling count in captions as
    written, then masked, then by spelling. Of more than ``most_rows`` pairs those are left out whose count in captions
    as written and in masked ones are both below a least count, the smallest with which the rest fits.
    """
    pairs.settle()
    most = pairs.counts.max(axis=1, initial=0)
    least = 1
    if len(most) > most_rows:
        least = int(np.sort(most)[::-1][most_rows]) + 1
    kept = np.flatnonzero(most >= least)
    labels, nouns, counts = pairs.labels[kept], pairs.words[kept], pairs.counts[kept]
    spelling = np.empty(len(words), np.int64)
    spelling[sorted(range(len(words)), key=words.__getitem__)] = np.arange(len(words))
    last = np.where(labels == OOD_LABEL, len(info.classes), labels)
    order = np.lexsort((spelling[nouns], -counts[:, MASKED], -counts[:, RAW], last))

    def rows() -> Iterator[Sequence[str | int]]:
        yield "label", "class_key", "noun", "raw", "masked"
        for place in order.tolist():
            label = int(labels[place])
            key = cell(info.classes[label].key) if label != OOD_LABEL else ""
            raw, masked = counts[place].tolist()
            yield label, key, cell(words[nouns[place]]), raw, masked

    write_csv(folder / FILE, rows())
    return {"file": FILE, "pairs": len(most), "rows": len(kept), "least_count": least}
