"""Words counted in bulk against words counted caption by caption, whatever the captions hold."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from openmmlo.building.measures.statistics.tally import MASKED, RAW, Pairs, Ragged, Table, Tally, pair_keys
from openmmlo.building.word_counts import words

PLAIN = ["a", "Lion's", "lion’s", "well-lit", "[mask]", "[mask]s", "[MASK]'s", "[mask]some", "--x--", "3rd", "'"]
ODD = [
    "straße",
    "İ",
    "ﬁne",
    "e\u0301",
    "\u0301",
    "\u00ad",
    "सिंह",
    "x\u00a0y",
    "x\u2028y",
    "\x1c",
    "\x85z",
    "\u2003",
    "\0",
    "🦁",
]
GAPS = st.sampled_from([" ", "", "\n", "\t", "\v", ", "])
TEXT = st.one_of(st.text(max_size=30), st.lists(st.tuples(st.sampled_from(PLAIN + ODD), GAPS)))
CAPTION = TEXT.map(lambda found: found if isinstance(found, str) else "".join(map("".join, found)))
ROWS = st.lists(st.tuples(st.integers(-1, 3), CAPTION), max_size=12)


@given(ROWS, ROWS, ROWS)
def test_bulk_counts_are_those_of_single_captions(
    both: list[tuple[int, str]], raw: list[tuple[int, str]], masked: list[tuple[int, str]]
) -> None:
    tally = Tally(with_pairs=True)
    for both_now, raw_now, masked_now in ((both, raw, masked), (masked, both, raw)):  # what is taken is forgotten
        expected: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
        expected_pairs: tuple[Counter[tuple[int, str]], Counter[tuple[int, str]]] = (Counter(), Counter())
        for rows, columns in ((both_now, (RAW, MASKED)), (raw_now, (RAW,)), (masked_now, (MASKED,))):
            labels = np.array([label for label, _ in rows], np.int64)
            tally.count(pa.array([text for _, text in rows], pa.string()), labels, RAW in columns, MASKED in columns)
            for column in columns:
                for label, text in rows:
                    expected[column].update(words(text))
                    expected_pairs[column].update((label, word) for word in words(text))
        found, table, pairs = tally.take()
        assert pairs is not None
        assert len(table.counts) == len(found) == len(set(found))
        named = [(int(label), found[word]) for label, word in zip(pairs.labels, pairs.words, strict=True)]
        assert len(set(named)) == len(named)
        for column in (RAW, MASKED):
            counts = zip(found, table.counts[:, column].tolist(), strict=True)
            assert {word: count for word, count in counts if count} == expected[column]
            counted = zip(named, pairs.counts[:, column].tolist(), strict=True)
            assert {pair: count for pair, count in counted if count} == expected_pairs[column]


@given(st.lists(st.lists(st.integers(0, 40), max_size=9), max_size=9), st.integers(0, 60))
def test_tables_grow_with_the_numbers_that_come(parts: list[list[int]], size: int) -> None:
    table = Table()
    for part in parts:
        table.add(np.array(part, np.int64), np.ones((len(part), 2), np.int64) * [1, 2])
    expected = Counter(number for part in parts for number in part)
    assert table.rows(size).tolist() == [[expected[number], 2 * expected[number]] for number in range(size)]


@given(st.lists(st.lists(st.integers(0, 9), max_size=3), min_size=1, max_size=8), st.data())
def test_ragged_lists_are_laid_end_to_end(lists: list[list[int]], data: st.DataObject) -> None:
    places = data.draw(st.lists(st.integers(0, len(lists) - 1), max_size=10))
    expected = [number for place in places for number in lists[place]]
    assert Ragged(lists).of(np.array(places, np.int64)).tolist() == expected


def test_pairs_add_up_however_they_come() -> None:
    generator = np.random.default_rng(0)
    labels, numbers = generator.integers(-1, 40, 30_000), generator.integers(0, 300, 30_000)
    counts = generator.integers(0, 5, (30_000, 2))
    expected: Counter[tuple[int, int]] = Counter()
    for label, number, count in zip(labels.tolist(), numbers.tolist(), counts[:, RAW].tolist(), strict=True):
        expected[label, number] += count
    once, often = Pairs(), Pairs()
    once.add(pair_keys(labels, numbers), counts)
    for start in range(0, 30_000, 700):
        often.add(pair_keys(labels[start : start + 700], numbers[start : start + 700]), counts[start : start + 700])
        if start % 2100 == 0:
            often.settle()
    for pairs in (once.settle(), often.settle()):
        found = zip(pairs.labels.tolist(), pairs.words.tolist(), pairs.counts[:, RAW].tolist(), strict=True)
        assert {(label, number): count for label, number, count in found} == dict(expected)
    assert Pairs().settle().keys.size == 0
