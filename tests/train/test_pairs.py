"""Pairs of a split: what is held out, and tokens that are made once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from openmmlo.train.batch import sample_key, sample_keys
from openmmlo.train.pairs import Pairs, class_counts, held_out, tokenised

MARK, END, PAD = 1, 2, 0


def tokenise(texts: Sequence[str], length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A token a letter between two marks, cut before the last one."""
    rows = [[MARK, *map(ord, text[: length - 2]), END] for text in texts]
    longest = max(map(len, rows))
    tokens = torch.tensor([row + [PAD] * (longest - len(row)) for row in rows])
    return tokens, torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])


def lengths(texts: Sequence[str]) -> list[int]:
    return [len(text) + 2 for text in texts]


def test_keys_are_63_bits_of_the_ids_sha256() -> None:
    """printf 'abc' | sha256sum begins with ba7816bf8f01cfea."""
    assert sample_key("abc") == 0xBA7816BF8F01CFEA >> 1
    assert sample_keys(["abc", "d"]).tolist() == [sample_key("abc"), sample_key("d")]
    assert 0 <= min(sample_key(str(n)) for n in range(1000)) <= max(sample_key(str(n)) for n in range(1000)) < 2**63


def test_a_share_of_each_class_is_held_out_by_its_ids() -> None:
    ids = [f"image-{number}" for number in range(170)]
    labels = np.array([0] * 100 + [1] * 50 + [2] * 15 + [3] * 4 + [4])
    keys = sample_keys(ids).numpy()
    chosen = held_out(labels, keys, 0.2)
    assert [int(chosen[labels == label].sum()) for label in range(5)] == [20, 10, 3, 1, 0]
    assert keys[(labels == 0) & chosen].max() < keys[(labels == 0) & ~chosen].min()
    shuffled = np.random.default_rng(0).permutation(170)
    assert np.array_equal(held_out(labels[shuffled], keys[shuffled], 0.2), chosen[shuffled])
    assert not held_out(labels, keys, 0.0).any()
    assert held_out(labels, keys, 0.99).sum() == 170 - 5


def test_subsets_keep_rows_with_their_captions() -> None:
    pairs = Pairs("train", np.arange(4), tuple("abcd"), np.array([0, 1, -1, 1]), np.arange(4), tuple("wxyz"))
    part = pairs.subset(np.array([False, True, True, False]))
    assert (part.sample_ids, part.texts, part.rows.tolist(), part.labels.tolist()) == (
        ("b", "c"), ("x", "y"), [1, 2], [1, -1]
    )  # fmt: skip
    assert len(part) == 2
    assert class_counts(pairs, 3).tolist() == [1, 2, 0]


@pytest.mark.parametrize("length", [3, 6, 100])
def test_tokens_are_those_of_the_tokenizer(length: int) -> None:
    texts = ["a" * (number % 9) for number in range(2500)]
    table = tokenised(texts, tokenise, lengths, length, PAD)
    at = np.array([8, 0, 1003, 2499])
    tokens, mask = table.padded(at, table.length(at))
    expected, expected_mask = tokenise([texts[position] for position in at], length)
    assert torch.equal(tokens, expected)
    assert torch.equal(mask, expected_mask)
    wider, wider_mask = table.padded(at, table.length(at) + 2)
    assert torch.equal(wider[:, :-2], tokens)
    assert not wider_mask[:, -2:].any()
    assert table.cut == sum(len(text) + 2 > length for text in texts)
    assert table.longest == 10
