"""Captions come in, one shard at a time; words and classes are counted, and the counts of all shards add up.

A word is a run of letters with the apostrophes and hyphens inside it, in NFC and case-folded: ``lion's`` and
``well-lit`` are one word each, digits and punctuation are none. A masked name counts as the word ``[mask]``, with or
without a plural or possessive s.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from openmmlo.errors import DataError
from openmmlo.records import OOD_LABEL, Caption, DatasetInfo, canonical_json
from openmmlo.writing import write_aside

MASK_WORD = "[mask]"

_ASCII_WORD = re.compile(r"\[mask\]|[a-z]+(?:['\-][a-z]+)*")
_APOSTROPHES_AND_HYPHENS = str.maketrans({"\u2019": "'", "\u02bc": "'", "\u2010": "-", "\u2011": "-", "\u00ad": ""})


def words(text: str) -> list[str]:
    """The words of a caption, in order."""
    if text.isascii():
        folded, expression = text.lower(), _ASCII_WORD
    else:
        folded = unicodedata.normalize("NFC", text).translate(_APOSTROPHES_AND_HYPHENS).casefold()
        expression = _unicode_word()
    if MASK_WORD in folded:
        folded = folded.replace("[mask]s", MASK_WORD).replace("[mask]'s", MASK_WORD)
    return expression.findall(folded)


@cache
def _unicode_word() -> re.Pattern[str]:
    """Like the ASCII expression, with every letter and with the marks that Python does not count as letters."""
    marks = "".join(chr(code) for code in range(0x300, 0x10000) if unicodedata.category(chr(code)) in ("Mn", "Mc"))
    letters = f"[^\\W\\d_][^\\W\\d_]*(?:[{marks}]+[^\\W\\d_]*)*"
    return re.compile(rf"\[mask\]|{letters}(?:['\-]{letters})*")


@dataclass
class SplitCounts:
    """Counts over the captions of one split.

    Attributes:
        rows: captions.
        masked_rows: captions in which something was masked.
        class_rows: class key -> captions; the empty key stands for an unknown class.
        raw_words: word -> occurrences in the captions as written.
        masked_words: word -> occurrences in the masked captions.
    """

    rows: int = 0
    masked_rows: int = 0
    class_rows: Counter[str] = field(default_factory=Counter)
    raw_words: Counter[str] = field(default_factory=Counter)
    masked_words: Counter[str] = field(default_factory=Counter)

    def add(self, class_key: str, caption: Caption) -> None:
        self.rows += 1
        self.class_rows[class_key] += 1
        raw = words(caption.text)
        self.raw_words.update(raw)
        if caption.spans:
            self.masked_rows += 1
            raw = words(caption.masked)
        self.masked_words.update(raw)

    def merge(self, other: SplitCounts) -> None:
        self.rows += other.rows
        self.masked_rows += other.masked_rows
        self.class_rows.update(other.class_rows)
        self.raw_words.update(other.raw_words)
        self.masked_words.update(other.masked_words)


@dataclass
class ShardCounts:
    """Counts per split. Shards are added up with :meth:`merge`, in any order, to the same result."""

    splits: dict[str, SplitCounts] = field(default_factory=dict)

    def add(self, split: str, class_key: str, caption: Caption) -> None:
        """Count one caption."""
        counts = self.splits.get(split)
        if counts is None:
            counts = self.splits[split] = SplitCounts()
        counts.add(class_key, caption)

    def merge(self, other: ShardCounts) -> None:
        """Add the counts of another shard to these."""
        for split, counts in other.splits.items():
            self.splits.setdefault(split, SplitCounts()).merge(counts)

    def to_json(self) -> str:
        """One JSON text, equal for equal counts."""
        return canonical_json(
            {
                split: {
                    "rows": counts.rows,
                    "masked_rows": counts.masked_rows,
                    "class_rows": counts.class_rows,
                    "raw_words": counts.raw_words,
                    "masked_words": counts.masked_words,
                }
                for split, counts in self.splits.items()
            }
        )

    @classmethod
    def from_json(cls, text: str) -> ShardCounts:
        """Read what :meth:`to_json` wrote.

        Raises:
            DataError: not the counts of a shard.
        """
        try:
            value = json.loads(text)
            return cls({str(split): _split_counts(counts) for split, counts in value.items()})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"Not the counts of a shard: {error!r}. Expected what a build wrote; build again."
            ) from error


def _split_counts(value: Mapping[str, Any]) -> SplitCounts:
    # Words are few and shards are many: interning keeps one copy of each while hundreds of shards are added up.
    tables = [
        Counter({sys.intern(key): int(count) for key, count in value[name].items()})
        for name in ("class_rows", "raw_words", "masked_words")
    ]
    return SplitCounts(int(value["rows"]), int(value["masked_rows"]), *tables)


def write_counts(folder: Path, counts: ShardCounts, info: DatasetInfo) -> list[Path]:
    """Write ``class_counts.csv`` and ``word_counts.csv`` into a folder, byte for byte equal for equal counts.

    Classes come in label order, then the out-of-distribution ones (label -1) by key. Words come by falling count in
    the captions as written, then by spelling. A class key or name that a spreadsheet would read as a formula gets a
    leading apostrophe; the label is the column to join on.
    """
    classes, frequencies = folder / "class_counts.csv", folder / "word_counts.csv"
    write_csv(classes, _class_table(counts, info))
    raw: Counter[str] = Counter()
    masked: Counter[str] = Counter()
    for split in counts.splits.values():
        raw.update(split.raw_words)
        masked.update(split.masked_words)
    order = sorted(raw.keys() | masked.keys(), key=lambda word: (-raw[word], -masked[word], word))
    write_csv(frequencies, [("word", "raw", "masked"), *((word, raw[word], masked[word]) for word in order)])
    return [classes, frequencies]


def _class_table(counts: ShardCounts, info: DatasetInfo) -> Iterable[Sequence[str | int]]:
    splits = sorted(counts.splits, key=lambda split: (_SPLIT_ORDER.get(split, len(_SPLIT_ORDER)), split))
    groups = info.shot_groups() or ("",) * len(info.classes)
    yield ["label", "class_key", "name", *splits, "shot_group"]
    for label, (item, group) in enumerate(zip(info.classes, groups, strict=True)):
        rows = [counts.splits[split].class_rows[item.key] for split in splits]
        yield [label, cell(item.key), cell(item.name), *rows, group]
    known = {item.key for item in info.classes}
    names = {item.key: item.name for item in info.ood_classes}
    for key in sorted({key for split in counts.splits.values() for key in split.class_rows} - known):
        rows = [counts.splits[split].class_rows[key] for split in splits]
        yield [OOD_LABEL, cell(key), cell(names.get(key, "")), *rows, ""]


_SPLIT_ORDER = {split: place for place, split in enumerate(("train", "val", "test", "open"))}


def cell(text: str) -> str:
    """Text that a spreadsheet takes as text: what it would read as a formula gets a leading apostrophe."""
    return f"'{text}" if text.startswith(_FORMULAS) else text


_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "'", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def write_csv(path: Path, rows: Iterable[Sequence[str | int]]) -> None:
    """Write a table: UTF-8, lines end with a line feed, surrogates escaped; text cells are the caller's to guard."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_aside(path, text.getvalue().encode("utf-8", "backslashreplace"))
