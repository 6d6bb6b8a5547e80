"""The types that travel: hashes that do not depend on order or layout, and the shot groups of the paper."""

from __future__ import annotations

import hashlib
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmmlo.records import ClassInfo, DatasetInfo, Status, canonical_json, digest_of, list_hash, shot_group

PAIRS = st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


def info(*keys: str, counts: tuple[int, ...] | None = None) -> DatasetInfo:
    return DatasetInfo("example", "1", "cc0-1.0", tuple(ClassInfo(key, key.upper()) for key in keys), counts)


@pytest.mark.parametrize(
    ("count", "paper", "oltr"),
    [
        (5, "few", "few"),
        (19, "few", "few"),
        (20, "medium", "few"),
        (21, "medium", "medium"),
        (99, "medium", "medium"),
        (100, "medium", "many"),
        (101, "many", "many"),
        (4980, "many", "many"),
    ],
)
def test_shot_groups_at_their_borders(count: int, paper: str, oltr: str) -> None:
    assert shot_group(count) == paper
    assert shot_group(count, "oltr") == oltr


def test_cifar100_lt_groups_are_those_known_of_it() -> None:
    counts = tuple(int(500 * 0.01 ** (index / 99)) for index in range(100))
    assert sum(counts) == 10_847
    groups = info(*map(str, range(100)), counts=counts).shot_groups()
    assert [groups.count(name) for name in ("many", "medium", "few")] == [35, 35, 30]


def test_groups_are_empty_where_counts_are_unknown() -> None:
    assert info("a", "b").shot_groups() == ()


def test_label_map_hash_sees_order_and_keys_but_not_names() -> None:
    assert info("a", "b").label_map_hash == hashlib.sha256(b"a\nb").hexdigest()
    assert info("a", "b").label_map_hash != info("b", "a").label_map_hash
    renamed = DatasetInfo("other", "2", "x", (ClassInfo("a", "first"), ClassInfo("b", "second")))
    assert renamed.label_map_hash == info("a", "b").label_map_hash


@given(PAIRS, st.randoms(use_true_random=False))
def test_list_hash_does_not_depend_on_order(pairs: list[tuple[str, str]], chance: random.Random) -> None:
    shuffled = list(pairs)
    chance.shuffle(shuffled)
    assert list_hash(shuffled) == list_hash(iter(pairs))


def test_list_hash_is_what_it_says() -> None:
    expected = hashlib.sha256(b"a\tx\nb\ty\n").hexdigest()
    assert list_hash([("b", "y"), ("a", "x")]) == expected
    assert list_hash([("a", "y"), ("b", "x")]) != expected


@given(JSON)
def test_canonical_json_reads_back_and_ignores_key_order(value: object) -> None:
    assert json.loads(canonical_json(value)) == value
    if isinstance(value, dict):
        turned = dict(reversed(value.items()))
        assert canonical_json(turned) == canonical_json(value)
        assert digest_of(turned) == digest_of(value)


def test_digest_takes_text_that_is_no_valid_unicode() -> None:
    assert digest_of("\udcff") != digest_of("\udcfe")


def test_statuses_are_words_for_people() -> None:
    assert [str(status) for status in Status] == [
        "ok", "missing", "link", "name", "unreadable", "too-large", "changed", "captioner", "no-caption",
    ]  # fmt: skip
