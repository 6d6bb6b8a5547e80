"""The bag-of-words classifier against its formula word by word, and scikit-learn; AUROC against theirs and SciPy's."""

from __future__ import annotations

import math
import random
from array import array
from collections import Counter
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from sklearn.naive_bayes import MultinomialNB

from openmmlo.building.measures.audit import classifier
from openmmlo.building.measures.audit.classifier import Texts, accuracies, classifier_table, fit, predict
from openmmlo.building.measures.audit.leaks import wilson
from openmmlo.building.measures.audit.reading import Words
from openmmlo.building.measures.audit.shortcuts import auroc, shortcut_table


def texts_of(captions: list[list[int]]) -> Texts:
    words = Words()
    for caption in captions:
        words.add(caption)
    return Texts.of(words)


def random_captions(count: int, words: int, seed: int) -> list[list[int]]:
    generator = random.Random(seed)
    return [[generator.randrange(words) for _ in range(generator.randrange(9))] for _ in range(count)]


def by_formula(
    train: list[list[int]], labels: list[int], test: list[list[int]], share: float, weight: float
) -> list[list[float]]:
    """log p(caption | class) for each test caption and class, term by term as the module's docstring has it."""
    everything = Counter(word for caption in train for word in caption)
    total = everything.total()
    scores = []
    for caption in test:
        row = []
        for label in sorted(set(labels)):
            own = Counter(word for text, owner in zip(train, labels, strict=True) if owner == label for word in text)
            score = 0.0
            for word in caption:
                if word in everything:
                    mix = everything[word] / total
                    said = (own[word] + weight * mix) / (own.total() + weight)
                    score += math.log((1 - share) * said + share * mix)
            row.append(score)
        scores.append(row)
    return scores


@pytest.mark.parametrize(("share", "weight"), [(0.9, 1000.0), (0.0, 5.0), (0.5, 0.5)])
@pytest.mark.parametrize("seed", range(4))
def test_predictions_are_those_of_the_formula(
    monkeypatch: pytest.MonkeyPatch, share: float, weight: float, seed: int
) -> None:
    monkeypatch.setattr(classifier, "LAMBDA", share)
    monkeypatch.setattr(classifier, "MU", weight)
    monkeypatch.setattr(classifier, "_BLOCK_BYTES", 8 * 20 * 3)  # three classes at a time
    monkeypatch.setattr(classifier, "_CAPTIONS", 20)
    train, test = random_captions(60, 15, seed), random_captions(50, 20, seed + 100)
    generator = random.Random(seed)
    labels = [generator.choice([3, 5, 6, 7, 9, 11, 40]) for _ in train]
    texts = texts_of([*train, *test])
    model = fit(texts, np.arange(60), np.array(labels), 20)
    said = predict(model, texts, np.arange(60, 110))
    known = sorted(set(labels))
    for label, scores in zip(said.tolist(), by_formula(train, labels, test, share, weight), strict=True):
        assert scores[known.index(label)] == pytest.approx(max(scores), abs=1e-7)


def test_predictions_are_those_of_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier, "LAMBDA", 0.0)
    monkeypatch.setattr(classifier, "MU", 30.0)
    generator = np.random.default_rng(0)
    bags = generator.poisson(0.4, (300, 40))
    bags[:, 0] += 1  # every caption has a word
    labels = generator.integers(0, 12, 300)
    texts = texts_of([np.repeat(np.arange(40), bag).tolist() for bag in bags])
    model = fit(texts, np.arange(200), labels[:200], 40)
    mix = bags[:200].sum(0) / bags[:200].sum()
    theirs = MultinomialNB(alpha=30 * mix, fit_prior=False).fit(bags[:200], labels[:200])
    ours = predict(model, texts, np.arange(200, 300))
    probable = theirs.predict_joint_log_proba(bags[200:])
    places = [theirs.classes_.tolist().index(label) for label in ours.tolist()]
    np.testing.assert_allclose(probable[np.arange(100), places], probable.max(1), atol=1e-9)
    assert (ours == theirs.predict(bags[200:])).mean() > 0.95


def test_the_vocabulary_is_capped_at_the_most_frequent_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier, "VOCABULARY", 2)
    texts = texts_of([[0, 1, 1], [2, 2, 2, 3], [3]])
    model = fit(texts, np.arange(3), np.array([0, 1, 2]), 6)
    assert model.columns.tolist() == [-1, 0, 1, -1, -1, -1]  # 1 and 3 are as frequent: the lower is kept
    assert model.gains.shape == (2, 3)


def table(raw: list[list[int]], masked: list[list[int]], labels: list[int], folds: list[int]) -> dict[str, Any]:
    groups = {0: "many", 1: "many", 2: "medium", 3: "few"}
    size = 1 + max(word for text in (*raw, *masked) for word in text)
    arrays = np.array(labels), np.array(folds)
    return classifier_table(texts_of(raw), texts_of(masked), *arrays, "train", "test", groups, size)


def test_captions_with_the_label_give_all_and_shuffled_ones_nothing_but_chance() -> None:
    generator = random.Random(5)
    labels = [place % 4 for place in range(4000)]
    folds = [0 if place < 2000 else -1 for place in range(4000)]
    noise = [[4 + generator.randrange(30) for _ in range(12)] for _ in labels]
    raw = [[*text, label] for text, label in zip(noise, labels, strict=True)]
    found = table(raw, noise, labels, folds)
    results, intervals = found["results"], found["intervals"]
    assert results["raw"] == {"all": 1.0, "samples": 1.0, "many": 1.0, "medium": 1.0, "few": 1.0}
    assert results["masked"]["samples"] == pytest.approx(0.25, abs=0.03)
    assert results["chance"] == dict.fromkeys(results["raw"], 0.25)
    assert results["majority"] == {"all": 0.25, "samples": 0.25, "many": 0.5, "medium": 0.0, "few": 0.0}
    low, high = intervals["masked"]["samples"]
    assert low < 0.25 < high
    assert high - low < 0.05
    assert intervals["raw"] == {"all": [1.0, 1.0], "samples": pytest.approx([0.998, 1.0], abs=0.001)}
    assert (found["captions"], found["classes"]) == ({"train": 2000, "test": 2000}, {"train": 4, "test": 4})


def test_folds_are_each_tested_by_the_others() -> None:
    labels = [place % 2 for place in range(50)]
    words = [[label] for label in labels]
    found = table(words, words, labels, [place // 10 for place in range(50)])
    assert found["results"]["raw"]["samples"] == 1.0
    assert found["captions"] == {"train": 50, "test": 50}
    # A class that is in one fold alone is never told: when it is tested, no other fold has it.
    alone = table(words, words, labels, labels)
    assert alone["results"]["raw"]["samples"] == 0.0


def test_more_captions_than_are_tested_are_thinned_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier, "MOST_TESTED", 10)
    labels = [place % 2 for place in range(200)]
    words = [[label] for label in labels]
    found = table(words, words, labels, [0] * 101 + [-1] * 99)
    assert found["captions"] == {"train": 101, "test": 10}


@pytest.mark.parametrize(("labels", "folds"), [([], []), ([1, 1, 1, 1], [0, 0, -1, -1]), ([0, 1], [0, 0])])
def test_without_two_classes_or_without_a_test_there_is_a_reason(labels: list[int], folds: list[int]) -> None:
    words = [[0]] * len(labels)
    empty = np.zeros(0, np.int64)
    arrays = (np.array(labels), np.array(folds)) if labels else (empty, empty)
    found = classifier_table(texts_of(words), texts_of(words), *arrays, "a", "b", {}, 1)
    assert set(found) == {"reason"}
    assert "two" in found["reason"]


def test_accuracy_is_a_mean_over_classes_and_over_samples() -> None:
    truth = np.array([0, 0, 0, 0, 1, 2])
    right = np.array([True, True, True, False, False, True])
    found = accuracies(right, truth, {0: "many", 1: "few", 2: "few"})
    assert found == {"all": (0.75 + 0 + 1) / 3, "samples": 4 / 6, "many": 0.75, "medium": None, "few": 0.5}


@pytest.mark.parametrize(("count", "total"), [(0, 10), (10, 10), (3, 17), (500, 1000)])
def test_wilson_is_that_of_scipy(count: int, total: int) -> None:
    theirs = scipy.stats.binomtest(count, total).proportion_ci(method="wilson")
    assert wilson(count, total) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=40), st.lists(st.integers(0, 6), min_size=1, max_size=40))
def test_auroc_is_that_of_scikit_learn_and_of_mann_and_whitney(inside: list[int], outside: list[int]) -> None:
    truth = [0] * len(inside) + [1] * len(outside)
    value = auroc(array("i", inside), array("i", outside))
    assert value == pytest.approx(roc_auc_score(truth, inside + outside), abs=1e-12)
    statistic = scipy.stats.mannwhitneyu(outside, inside).statistic
    assert value == pytest.approx(statistic / (len(inside) * len(outside)), abs=1e-12)


def test_shortcuts_are_per_split_and_say_why_there_are_none() -> None:
    scores = {"words": np.array([1, 2, 3, 4, 9, 9])}
    inside = np.array([True, True, False, False, False, False])
    outside = np.array([False, False, False, True, True, True])
    splits = {"near": np.array([0, 0, 1, 1, 0, 0], bool), "far": np.array([0, 0, 0, 0, 1, 1], bool)}
    found = shortcut_table(scores, inside, outside, splits, "test")
    assert found["id"] == "test"
    assert found["words"]["auroc"] == 1.0
    assert found["words"]["ood"] == pytest.approx(22 / 3)
    assert found["words"]["splits"]["near"] == {"auroc": 1.0, "separation": 1.0, "id": 1.5, "ood": 4.0}
    reverse = shortcut_table(scores, outside, inside, splits | {"rest": inside}, "test")
    assert reverse["words"]["auroc"] == 0.0
    assert reverse["words"]["separation"] == 1.0
    assert "out of distribution" in shortcut_table(scores, inside, outside & False, splits, "test")["reason"]
    assert "in distribution" in shortcut_table(scores, inside & False, outside, splits, "test")["reason"]
    assert auroc([], [1]) is None
