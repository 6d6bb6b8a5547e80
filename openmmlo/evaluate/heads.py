"""Every classifier that a model and its features allow, and the one whose predictions are scored."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from openmmlo.errors import ModelError
from openmmlo.evaluate.configuration import Choice
from openmmlo.evaluate.features.bank import FeatureBank
from openmmlo.evaluate.head import Head
from openmmlo.evaluate.predictions import softmax_confidence
from openmmlo.models.encoder import Classifier

ORDER = ("model", "zero-shot", "linear-probe", "ncm")
"""In which order ``auto`` takes them."""

BLOCK = 16_384
"""Rows whose logits are held at a time."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A head with what was chosen for it."""

    head: Head
    choices: dict[str, Any] = field(default_factory=dict)


def model_head(classifier: Classifier, columns: np.ndarray[Any, np.dtype[np.int64]]) -> Head:
    """The model's own classifier as a head over the benchmark's classes.

    Args:
        columns: (C,) which of its outputs belongs to each class.
    """
    chosen = np.asarray(columns, dtype=np.int64)
    weight = bias = None
    if classifier.weight is not None:
        weight = np.ascontiguousarray(classifier.weight[chosen], dtype=np.float32)
        bias = None if classifier.bias is None else np.asarray(classifier.bias, dtype=np.float32)[chosen]
    return Head("model", len(chosen), weight=weight, bias=bias, columns=chosen)


def choose(candidates: dict[str, Candidate], wanted: Choice, reasons: dict[str, str], model: str) -> str:
    """Which candidate is scored.

    Raises:
        ModelError: the wanted one, or any, cannot be had; the reason is named.
    """
    if wanted != "auto":
        if wanted not in candidates:
            have = ", ".join(candidates) or "none"
            reason = reasons.get(wanted, "unknown")
            raise ModelError(f"{model} cannot be scored by {wanted}: {reason} It can be scored by: {have}.")
        return wanted
    for kind in ORDER:
        if kind in candidates:
            return kind
    listed = " ".join(f"{kind}: {reason}" for kind, reason in reasons.items())
    raise ModelError(f"Nothing makes {model} predict the classes of this benchmark. {listed}")


def predict(head: Head, bank: FeatureBank) -> tuple[np.ndarray, np.ndarray]:
    """(N,) int32 predicted classes and (N,) float64 confidences of a bank's rows, read in blocks."""
    parts = [softmax_confidence(head.logits(bank, slice(start, start + BLOCK))) for start in range(0, len(bank), BLOCK)]
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
