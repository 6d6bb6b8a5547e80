"""Training images of every class of a benchmark, by digest: they decide which classes are few-shot.

Predictions bring the counts along. Their sum and the sizes of the shot groups are the definition's to check, but with
both kept they could still be dealt among the classes so that easy ones count as few-shot.
"""

from __future__ import annotations

from collections.abc import Mapping

from openmmlo.errors import SubmissionRefused
from openmmlo.evaluate.predictions import Predictions
from openmmlo.records import digest_of

DIGESTS: Mapping[str, str] = {
    "cifar100-lt-ood": "5a3c2091f0bff13eed31adda6c36b59d30e1c80e1f81a09958fc93c2d0b46e27",
    "miniature": "96fd920af8c84de0d60a9f8a51d4dfe7ff59cb48d7cd45b30d2693c8fd0a2d73",
    "openood-cifar100": "35eb6c5cd542e7fc1e4dbae7dab9a46d9420ac923fa66e6c04b9e4d54031c6c4",
    "places-lt": "7300c5e5f26ac700806d993d9bcc3a968bc8b022dc9c4e55e131e51091999945",
    "places-lt-open": "7300c5e5f26ac700806d993d9bcc3a968bc8b022dc9c4e55e131e51091999945",
}
"""Benchmark -> SHA-256 of the counts in label order (:func:`openmmlo.records.digest_of` of their list). Of the others
the training list was not at hand when this was written; there sum and group sizes are what is checked."""


def check_counts(predictions: Predictions, what: str) -> None:
    """Raises SubmissionRefused where the counts that predictions bring are not the benchmark's."""
    expected = DIGESTS.get(predictions.benchmark)
    if predictions.train_counts is None or expected is None:
        return
    if digest_of(list(predictions.train_counts)) != expected:
        raise SubmissionRefused(
            f"{what} bring other numbers of training images a class than {predictions.benchmark} has, so other classes "
            "would count as few-shot. Evaluate the model on the benchmark's own training list."
        )
