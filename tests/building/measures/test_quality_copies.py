"""Copies and near copies against brute-force Jaccard over every pair; clusters of any size in linear work."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest

from openmmlo.building.measures.quality import near
from openmmlo.building.measures.quality.copies import Captions, Copies, across_classes, exact_copies, find_copies
from openmmlo.building.measures.quality.pieces import Pieces
from openmmlo.building.word_counts import words

VOCABULARY = [f"w{chr(97 + place % 26)}{chr(97 + place // 26)}" for place in range(400)]


@dataclass(frozen=True)
class Said:
    text: str
    split: int
    kind: int


def captions_of(rows: Sequence[Said]) -> Captions:
    pieces = Pieces.split(pa.array([row.text for row in rows], pa.string()))
    shingles = near.shingles(pieces.words())
    bands, minima = near.sketches(shingles)
    splits, kinds = np.array([row.split for row in rows], np.int64), np.array([row.kind for row in rows], np.int64)
    return Captions(pieces.hashes(), splits, kinds, bands, minima, shingles)


def shingle_set(text: str) -> frozenset[tuple[str, ...]]:
    found = words(text)
    return (
        frozenset(tuple(found[place : place + 3]) for place in range(max(1, len(found) - 2))) if found else frozenset()
    )


def alike(a: Said, b: Said) -> bool:
    left, right = shingle_set(a.text), shingle_set(b.text)
    same = a.text.casefold().split() == b.text.casefold().split()
    return same or (bool(left) and 10 * len(left & right) >= 8 * len(left | right))


def brute_force(rows: Sequence[Said], split: int) -> tuple[list[bool], list[bool], list[bool], list[int]]:
    near_copy, across = [False] * len(rows), [False] * len(rows)
    cluster = list(range(len(rows)))
    of_split = [row.split == split for row in rows]
    for i, a in enumerate(rows):
        for j, b in enumerate(rows):
            if i != j and alike(a, b):
                near_copy[i] |= a.split == b.split
                across[i] |= a.kind != b.kind and min(a.kind, b.kind) >= 0
                of_split[i] |= b.split == split
                cluster = [cluster[j] if number == cluster[i] else number for number in cluster]
    return near_copy, across, of_split, cluster


def random_rows(count: int, seed: int, splits: int = 3) -> list[Said]:
    """Captions of which many are edited copies of others, around the threshold on both sides."""
    rng = random.Random(seed)
    rows: list[Said] = []
    for _ in range(count):
        said = rng.choices(VOCABULARY, k=rng.choice((0, 1, 2, 3, 9, 20, 40)))
        if rows and rng.random() < 0.6:
            said = rng.choice(rows).text.split()
            for _ in range(rng.choice((0, 0, 1, 1, 2, 3))):
                if said:
                    said[rng.randrange(len(said))] = rng.choice(VOCABULARY)
            said = [*said, *rng.choices(VOCABULARY, k=rng.choice((0, 0, 1, 2)))]
        text = " ".join(said)
        if rng.random() < 0.2:
            text = rng.choice((text.upper(), f" {text}\n", f"{text}."))
        rows.append(Said(text, rng.randrange(splits), rng.randint(-1, 4)))
    return rows


def same_groups(found: Sequence[int], expected: Sequence[int]) -> bool:
    pairs = set(zip(found, expected, strict=True))
    return len(pairs) == len(set(found)) == len(set(expected))


@pytest.mark.parametrize("seed", range(4))
def test_what_is_found_is_what_every_pair_says(seed: int) -> None:
    """Equal, not only a lower bound: no bucket of these is large, and a pair is missed once in a thousand at most."""
    rows = random_rows(250, seed)
    found = find_copies(captions_of(rows), split=0)
    near_copy, across, of_split, cluster = brute_force(rows, 0)
    assert found.near.tolist() == near_copy
    assert found.across_classes.tolist() == across
    assert found.of_split.tolist() == of_split
    assert same_groups(found.cluster.tolist(), cluster)
    for flags in (near_copy, across):
        assert 0.1 < np.mean(flags) < 0.9, "both outcomes are tested"


def test_splits_by_the_dozen() -> None:
    rows = random_rows(200, seed=9, splits=130)
    rows += [Said("one text in two splits", split, 0) for split in (0, 63, 64, 64, 127, 128)]
    found = find_copies(captions_of(rows), split=128)
    near_copy, across, of_split, _ = brute_force(rows, 128)
    assert found.near.tolist() == near_copy
    assert found.of_split.tolist() == of_split
    assert found.across_classes.tolist() == across
    assert found.near[-6:].tolist() == [False, False, True, True, False, False]


def test_exact_copies_and_other_classes_by_hand() -> None:
    texts = np.array([7, 7, 7, 8, 8, 9, 10, 10], np.uint64)
    splits = np.array([0, 0, 1, 0, 1, 0, 2, 2])
    classes = np.array([1, 1, 2, 3, 3, 4, -1, 5])
    assert exact_copies(texts, splits).tolist() == [True, True, False, False, False, False, True, True]
    assert across_classes(texts, classes).tolist() == [True, True, True] + [False] * 5


def test_a_single_caption_and_none() -> None:
    for rows in ([Said("a dog on grass", 0, 0)], [Said("", 0, -1)], []):
        found = find_copies(captions_of(rows), split=0)
        assert not found.near.any()
        assert not found.across_classes.any()
        assert found.of_split.tolist() == [True] * len(rows)
        assert len(found.cluster) == len(rows)
        assert not find_copies(captions_of(rows), split=None).of_split.any()


def test_sketches_estimate_the_similarity() -> None:
    """Over random pairs the share of equal minima is the Jaccard similarity, within its binomial error."""
    rng = random.Random(2)
    texts, expected = [], []
    for _ in range(1500):
        left = rng.choices(VOCABULARY, k=50)
        right = list(left)
        for _ in range(rng.randint(0, 12)):
            right[rng.randrange(50)] = rng.choice(VOCABULARY)
        texts += [" ".join(left), " ".join(right)]
        a, b = map(shingle_set, texts[-2:])
        expected.append(len(a & b) / len(a | b))
    minima = near.sketches(near.shingles(Pieces.split(pa.array(texts)).words())).minima
    estimated = (minima[::2] == minima[1::2]).mean(axis=1)
    true = np.array(expected)
    errors = estimated - (true + (1 - true) / 256)  # unequal bytes agree by chance
    spread = np.sqrt(true * (1 - true) / minima.shape[1])
    assert abs(errors.mean()) < 4 * np.sqrt((spread**2).mean() / len(errors))
    moving = spread > 0
    assert 0.9 < (errors[moving] / spread[moving]).std() < 1.1


def test_bands_meet_as_often_as_stated() -> None:
    stated = {0.8: 0.9996, 0.6: 0.80, 0.4: 0.19, 0.2: 0.006}
    for similarity, probability in stated.items():
        assert 1 - (1 - similarity**near.ROWS) ** near.BANDS == pytest.approx(probability, rel=0.1)
    rng = np.random.default_rng(4)
    common, own = 60, 20  # 60 / (60 + 2 * 20) = 0.6
    met = 0
    for _ in range(400):
        numbers = rng.choice(10**6, common + 2 * own, replace=False)
        pair = [numbers[: common + own], np.concatenate([numbers[:common], numbers[common + own :]])]
        texts = [" ".join(_word(number) for number in side) for side in pair]
        bands = near.sketches(_single_words(texts)).bands
        met += bool((bands[0] == bands[1]).any())
    assert met / 400 == pytest.approx(0.80, abs=0.07)


def _word(number: int) -> str:
    return "".join(chr(97 + int(digit)) for digit in str(number))


def _single_words(texts: list[str]) -> near.Ragged:
    """Sets of words in place of shingles: their similarity is then known exactly."""
    found = Pieces.split(pa.array(texts)).words()
    values = (found.values >> np.uint64(32)).astype(np.uint32)
    return near.Ragged(values, found.starts)


def big(texts: list[str]) -> tuple[Copies, float]:
    captions = captions_of([Said(text, place % 2, place % 7) for place, text in enumerate(texts)])
    start = time.process_time()
    return find_copies(captions, split=0), time.process_time() - start


def test_a_hundred_thousand_equal_captions_are_one_text() -> None:
    found, seconds = big(["A photo of a thing on a green field under a blue sky."] * 100_000)
    assert found.near.all()
    assert found.across_classes.all()
    assert len(set(found.cluster.tolist())) == 1
    assert seconds < 5


def test_thousands_of_near_copies_are_found_in_linear_work() -> None:
    """Every caption differs from every other in one word of 40, at its end: one bucket holds them all."""
    stem = " ".join(VOCABULARY[:39])
    found, seconds = big([f"{stem} {_word(number)}" for number in range(20_000)])
    assert found.near.all()
    assert found.across_classes.all()
    assert len(set(found.cluster.tolist())) == 1
    assert seconds < 20
