"""Test priors against SADE's published lists and the closed form of their profile."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmmlo.errors import DataError
from openmmlo.evaluate.metrics.label_shift import PRIORS, listed_accuracies, prior_accuracies, prior_counts


def counts_of(path: Path) -> np.ndarray:
    with gzip.open(path, "rt") as file:
        found = Counter(int(line.split()[1]) for line in file)
    return np.array([found[label] for label in range(1000)])


def test_profile_is_that_of_the_published_imagenet_lists(official_splits: Path) -> None:
    forward = counts_of(official_splits / "ImageNet_LT_test_forward50.txt.gz")
    backward = counts_of(official_splits / "ImageNet_LT_test_backward50.txt.gz")
    available = counts_of(official_splits / "ImageNet_LT_test.txt.gz")
    assert available.tolist() == [50] * 1000
    assert forward.sum() == backward.sum() == 12_058
    # Ranks that the published lists give the classes; where counts are equal both of them decide.
    ranking = np.lexsort((backward, -forward))
    stand_in = np.empty(1000, dtype=int)
    stand_in[ranking] = np.arange(1000, 0, -1)
    assert prior_counts(50, False, stand_in.tolist(), available).tolist() == forward.tolist()
    assert prior_counts(50, True, stand_in.tolist(), available).tolist() == backward.tolist()


@pytest.mark.parametrize("ratio", [50, 25, 10, 5, 2, 1])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_balanced_test_set_is_cut_to_the_exponential_profile(ratio: int, reverse: bool) -> None:
    counts = prior_counts(ratio, reverse, list(range(100, 0, -1)), np.full(100, 100))
    ranks = np.arange(100)[::-1] if reverse else np.arange(100)
    assert counts.tolist() == [int(100 * ratio ** (-rank / 99) + 1e-9) for rank in ranks]


@given(st.lists(st.integers(0, 60), min_size=1, max_size=15), st.integers(1, 12), st.booleans(), st.randoms())
def test_a_prior_is_the_largest_that_the_test_set_can_fill(
    available: list[int], ratio: int, reverse: bool, random: object
) -> None:
    train = list(range(len(available)))
    random.shuffle(train)  # type: ignore[attr-defined]
    counts = prior_counts(ratio, reverse, train, np.array(available))
    tested = [label for label, count in enumerate(available) if count]
    if counts is None:
        return
    assert (counts <= available).all()
    assert ((counts > 0) == (np.array(available) > 0)).all()
    order = sorted(tested, key=lambda label: train[label] if reverse else -train[label])
    assert counts[order].tolist() == sorted(counts[order], reverse=True)
    steps = max(len(order) - 1, 1)
    # One image more in the largest class, and some class could not follow.
    more = [(counts[order[0]] + 1) * ratio ** (-rank / steps) for rank in range(len(order))]
    assert any(want > available[label] - 1e-6 for want, label in zip(more, order, strict=True))


def test_a_prior_whose_smallest_class_would_be_empty_is_undefined() -> None:
    """iNaturalist has three test images a class: SADE's priors end at ratio 3 there."""
    ids = [f"{label}-{number}" for label in range(4) for number in range(3)]
    labels = np.repeat(np.arange(4), 3)
    found = prior_accuracies(ids, labels, np.ones(12, dtype=bool), [40, 30, 20, 10])
    assert found["forward-5"] == found["backward-50"] == {"rows": 0, "top1_samples": None}
    assert found["uniform"] == {"rows": 12, "top1_samples": 1.0}
    assert found["forward-2"]["rows"] == sum(int(3 * 2 ** (-rank / 3) + 1e-9) for rank in range(4))
    assert prior_counts(2, False, [5, 4], np.zeros(2, dtype=int)) is None


def test_priors_go_from_long_tailed_over_uniform_to_reversed() -> None:
    assert list(PRIORS) == [
        "forward-50", "forward-25", "forward-10", "forward-5", "forward-2", "uniform",
        "backward-2", "backward-5", "backward-10", "backward-25", "backward-50",
    ]  # fmt: skip


def test_a_model_that_knows_the_head_alone_falls_from_forward_to_backward() -> None:
    classes, each = 20, 60
    labels = np.repeat(np.arange(classes), each)
    ids = [f"image-{number}" for number in range(len(labels))]
    train = [1000 - 50 * label for label in range(classes)]
    found = prior_accuracies(ids, labels, labels < classes // 2, train)
    values = [found[prior]["top1_samples"] for prior in PRIORS]
    assert values == sorted(values, reverse=True)
    assert found["uniform"]["top1_samples"] == 0.5
    for prior, (ratio, reverse) in PRIORS.items():
        counts = prior_counts(ratio, reverse, train, np.full(classes, each))
        assert found[prior] == {"rows": counts.sum(), "top1_samples": counts[: classes // 2].sum() / counts.sum()}


def test_images_that_stay_depend_on_ids_and_seed_and_not_on_order() -> None:
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(5), 50)
    ids = [f"n{number:05}" for number in range(250)]
    right = random.random(250) < 0.5
    train = [500, 400, 300, 200, 100]
    found = prior_accuracies(ids, labels, right, train)
    order = random.permutation(250)
    assert prior_accuracies([ids[place] for place in order], labels[order], right[order], train) == found
    assert prior_accuracies(ids, labels, right, train, seed=1) != found
    # Nested: a steeper prior keeps, of each class, a part of what a flatter one keeps.
    only = {prior: prior_accuracies(ids, labels, labels == 0, train)[prior]["rows"] for prior in PRIORS}
    assert only["forward-50"] < only["forward-2"] < only["uniform"] == 250


def test_given_lists_are_scored_as_they_are(official_splits: Path) -> None:
    with gzip.open(official_splits / "ImageNet_LT_test.txt.gz", "rt") as file:
        rows = [line.split() for line in file]
    ids = [Path(path).stem for path, _ in rows]
    right = np.array([int(label) % 2 == 0 for _, label in rows])
    lists = {}
    for prior in ("forward50", "backward50"):
        with gzip.open(official_splits / f"ImageNet_LT_test_{prior}.txt.gz", "rt") as file:
            lists[prior] = [line.split() for line in file]
    found = listed_accuracies(ids, right, {name: (Path(path).stem for path, _ in held) for name, held in lists.items()})
    for name, held in lists.items():
        even = sum(int(label) % 2 == 0 for _, label in held)
        assert found[name] == {"rows": 12_058, "top1_samples": even / 12_058}


def test_a_list_of_other_samples_is_refused() -> None:
    with pytest.raises(DataError, match="Test prior 'mine': 1 of 2 samples were not predicted, the first is 'x'"):
        listed_accuracies(["a", "b"], np.ones(2, dtype=bool), {"mine": ["a", "x"]})
    assert listed_accuracies(["a"], np.ones(1, dtype=bool), {"none": []})["none"]["top1_samples"] is None
