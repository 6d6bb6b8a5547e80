"""Digests of training counts, held to the sources that know them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from miniature_results import predicted_miniature

from openmmlo.errors import SubmissionRefused
from openmmlo.evaluate.benchmark import benchmark_names, load_benchmark
from openmmlo.leaderboard.training_counts import DIGESTS, check_counts
from openmmlo.records import digest_of
from openmmlo.sources import open_source


def test_they_are_of_known_benchmarks() -> None:
    assert set(DIGESTS) <= set(benchmark_names())


def test_those_that_are_drawn_or_follow_a_formula() -> None:
    assert DIGESTS["miniature"] == digest_of(list(open_source("miniature", {}).info().train_counts or ()))
    cifar = [int(500 * 0.01 ** (label / 99)) for label in range(100)]  # Cao et al., LDAM, NeurIPS 2019
    assert sum(cifar) == load_benchmark("cifar100-lt-ood").train_rows == 10_847
    assert DIGESTS["cifar100-lt-ood"] == digest_of(cifar)
    assert load_benchmark("openood-cifar100").train_rows == 50_000
    assert DIGESTS["openood-cifar100"] == digest_of([500] * 100)


def test_those_of_official_lists(official_splits: Path) -> None:
    counts = open_source("places-lt", {"lists": official_splits}).info().train_counts
    assert sum(counts or ()) == load_benchmark("places-lt").train_rows
    assert DIGESTS["places-lt"] == DIGESTS["places-lt-open"] == digest_of(list(counts or ()))


def test_counts_dealt_otherwise_are_refused() -> None:
    found = predicted_miniature()
    check_counts(found, "Predictions")
    check_counts(replace(found, train_counts=None), "Predictions")
    counts = list(found.train_counts or ())
    counts[0], counts[1] = counts[1], counts[0]
    with pytest.raises(SubmissionRefused, match="Predictions bring other numbers of training images"):
        check_counts(replace(found, train_counts=tuple(counts)), "Predictions")
    check_counts(replace(found, train_counts=tuple(counts), benchmark="imagenet-lt"), "Predictions")
