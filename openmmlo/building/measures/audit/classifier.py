"""Captions and classes come in; how well words alone tell the class goes out, before masking and after.

Multinomial naive Bayes with equal class priors. With the usual pseudo-count for each word, classes of few captions are
hardly ever chosen; here the words of a class are smoothed with those of all captions, in the two stages of Zhai and
Lafferty, Two-Stage Language Models for Information Retrieval, SIGIR 2002:

    p(w|c) = (1 - LAMBDA) (n_cw + MU p(w)) / (N_c + MU) + LAMBDA p(w)

n_cw: occurrences of word w in captions of class c, N_c: all words of them, p(w): share of w in all captions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openmmlo.building.measures.audit.leaks import wilson
from openmmlo.building.measures.audit.reading import Words

MODEL = "multinomial naive Bayes, equal class priors, two-stage smoothing"
FEATURES = "word counts, letters alone, lower case; [mask] is a word"

LAMBDA = 0.9
"""Weight of the words of all captions in every class: most words of a caption have nothing to do with its class."""

MU = 1000.0
"""Weight of the words of all captions in classes of few captions, in words. Among 0.1 to 0.9 and 10 to 3,000, these
two told the most classes from raw captions, of the miniature and of random Zipf words, equally in every shot group."""

VOCABULARY = 50_000
"""Most words: the most frequent of the training captions."""

MOST_TESTED = 50_000
"""Most captions to test on; of more every k-th is taken."""

RESAMPLES = 1000

_BLOCK_BYTES = 1 << 27
_CAPTIONS = 20_000  # so many are scored at once

Numbers = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Texts:
    """Bags of words.

    Attributes:
        words: word numbers, caption after caption.
        ends: (N,) where each caption ends.
    """

    words: Numbers
    ends: Numbers

    @classmethod
    def of(cls, texts: Words) -> Texts:
        return cls(np.frombuffer(texts.numbers, np.int32), np.frombuffer(texts.ends, np.int64))

    def tokens(self, rows: Numbers) -> tuple[Numbers, Numbers]:
        """For each word of some captions the place of its caption in ``rows``, and its number."""
        starts = np.concatenate([[0], self.ends])[rows]
        lengths = self.ends[rows] - starts
        before = np.cumsum(lengths) - lengths
        owners = np.repeat(np.arange(len(rows)), lengths)
        return owners, self.words[np.arange(lengths.sum()) + np.repeat(starts - before, lengths)]


@dataclass(frozen=True)
class Bayes:
    """A fitted classifier.

    Attributes:
        columns: (words,) column of each word of the vocabulary, -1 where it has none.
        classes: (C,) labels, rising; only these are predicted.
        gains: (V, C) sparse: what one occurrence of a word adds to a class's score.
        costs: (C,) what one occurrence of any word takes from it.
    """

    columns: Numbers
    classes: Numbers
    gains: Any
    costs: Floats


def fit(texts: Texts, rows: Numbers, labels: Numbers, words: int) -> Bayes:
    """Fit on some captions.

    Args:
        labels: (rows,) their classes.
        words: numbers of words run below it.
    """
    from scipy import sparse

    owners, tokens = texts.tokens(rows)
    counts = np.bincount(tokens, minlength=words)
    kept = np.lexsort((np.arange(words), -counts))[:VOCABULARY]
    kept = np.sort(kept[counts[kept] > 0])
    columns = np.full(words, -1, np.int64)
    columns[kept] = np.arange(len(kept))
    classes, targets = np.unique(labels, return_inverse=True)
    known = columns[tokens] >= 0
    pairs = targets[owners[known]] * max(len(kept), 1) + columns[tokens[known]]
    cells, amounts = np.unique(pairs, return_counts=True)
    places = np.divmod(cells, max(len(kept), 1))
    background = counts[kept] / max(int(counts[kept].sum()), 1)
    # log p(w|c) - log p(w) = log(s + t n_cw / p(w)) = log(s) + log(1 + t / s n_cw / p(w)), t and s of the class alone;
    # the last is zero for words that the class lacks.
    sizes = np.bincount(places[0], amounts, len(classes))
    scale = (1 - LAMBDA) / (sizes + MU)
    shared = LAMBDA + MU * scale
    gains = sparse.csc_array(
        (np.log1p((scale / shared)[places[0]] * amounts / background[places[1]]), places[::-1]),
        shape=(len(kept), len(classes)),
    )
    costs = -np.log(shared)
    return Bayes(columns, classes, gains, costs)


def predict(model: Bayes, texts: Texts, rows: Numbers) -> Numbers:
    """(rows,) the most probable class of each caption; of equally probable ones the lowest."""
    from scipy import sparse

    chosen = [np.zeros(0, np.int64)]
    width = model.gains.shape[0]
    step = max(1, _BLOCK_BYTES // (8 * max(width, _CAPTIONS)))
    for start in range(0, len(rows), _CAPTIONS):
        part = rows[start : start + _CAPTIONS]
        owners, tokens = texts.tokens(part)
        known = model.columns[tokens] >= 0
        places = owners[known], model.columns[tokens[known]]
        bags = sparse.csr_array((np.ones(len(places[0])), places), shape=(len(part), width))
        lengths = bags.sum(1)
        best, at = np.full(len(part), -np.inf), np.zeros(len(part), np.int64)
        for first in range(0, len(model.classes), step):
            scores = bags @ model.gains[:, first : first + step].toarray(order="C")
            scores -= lengths[:, None] * model.costs[first : first + step]
            here = scores.argmax(1)
            value = scores[np.arange(len(part)), here]
            # Sums of the same terms in another order differ in the last bits: a tie is not to be won by that.
            better = value > best + 1e-9
            best[better], at[better] = value[better], here[better] + first
        chosen.append(model.classes[at])
    return np.concatenate(chosen)


def classifier_table(
    raw: Texts,
    masked: Texts,
    labels: Numbers,
    folds: Numbers,
    trained_on: str,
    tested_on: str,
    groups: Mapping[int, str],
    words: int,
) -> dict[str, Any]:
    """Accuracy of the classifier on captions as written and on masked ones, of the largest class, and of chance.

    Args:
        labels: (N,) classes of the captions.
        folds: (N,) 0 to train and -1 to test; or all from 0 on, each fold tested by the others.
        groups: class -> its shot group.
        words: numbers of words run below it.
    """
    testing = [-1] if (folds < 0).any() else np.unique(folds).tolist()
    parts = [(np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)) for fold in testing]
    every = -(-sum(len(test) for _, test in parts) // MOST_TESTED)
    parts = [(train, test[:: max(every, 1)]) for train, test in parts]
    parts = [(train, test) for train, test in parts if len(train) and len(test)]
    known = np.unique(np.concatenate([labels[train] for train, _ in parts])) if parts else np.zeros(0)
    if not parts or len(known) < 2:
        return {"reason": f"captions of {len(known)} classes to train on; it takes two, and others to test on"}
    truth = np.concatenate([labels[test] for _, test in parts])
    table: dict[str, Any] = {}
    intervals: dict[str, Any] = {}
    sizes: list[int] = []
    for name, texts in (("raw", raw), ("masked", masked)):
        said = []
        for train, test in parts:
            model = fit(texts, train, labels[train], words)
            said.append(predict(model, texts, test))
            sizes.append(model.gains.shape[0])
        right = np.concatenate(said) == truth
        table[name] = accuracies(right, truth, groups)
        intervals[name] = {"all": _of_classes(right, truth), "samples": list(wilson(int(right.sum()), len(right)))}
    largest = [_largest(labels[train]) for train, _ in parts]
    always = np.concatenate([labels[test] == label for label, (_, test) in zip(largest, parts, strict=True)])
    table["majority"] = accuracies(always, truth, groups)
    table["chance"] = {key: None if value is None else 1 / len(known) for key, value in table["raw"].items()}
    return {
        "model": MODEL,
        "features": FEATURES,
        "trained_on": trained_on,
        "tested_on": tested_on,
        "captions": {"train": len(np.unique(np.concatenate([train for train, _ in parts]))), "test": len(truth)},
        "classes": {"train": len(known), "test": len(np.unique(truth))},
        "vocabulary": max(sizes),
        "results": table,
        "intervals": intervals,
    }


def accuracies(right: NDArray[np.bool_], truth: Numbers, groups: Mapping[int, str]) -> dict[str, float | None]:
    """Mean accuracy over classes, of all and of each shot group, and over ``samples``."""
    classes, rates = _rates(right, truth)
    named = np.array([groups.get(label, "") for label in classes.tolist()])
    table: dict[str, float | None] = {"all": float(rates.mean()), "samples": float(right.mean())}
    for group in ("many", "medium", "few"):
        table[group] = float(rates[named == group].mean()) if (named == group).any() else None
    return table


def _rates(right: NDArray[np.bool_], truth: Numbers) -> tuple[Numbers, Floats]:
    classes, places, counts = np.unique(truth, return_inverse=True, return_counts=True)
    return classes, np.bincount(places, right) / counts


def _of_classes(right: NDArray[np.bool_], truth: Numbers) -> list[float]:
    """95 % interval of the mean over classes: bootstrap over the classes, seeded."""
    _, rates = _rates(right, truth)
    generator = np.random.default_rng(0)
    means = [rates[generator.integers(0, len(rates), len(rates))].mean() for _ in range(RESAMPLES)]
    return [float(value) for value in np.percentile(means, [2.5, 97.5])]


def _largest(labels: Numbers) -> int:
    classes, counts = np.unique(labels, return_counts=True)
    return int(classes[counts.argmax()])
