"""A head: logits of the benchmark's classes from features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from openmmlo.errors import DataError
from openmmlo.evaluate.features.bank import FeatureBank

Array = np.ndarray[Any, np.dtype[Any]]

HeadKind = Literal["model", "zero-shot", "linear-probe", "ncm", "knn"]


@dataclass(frozen=True, eq=False)
class Head:
    """What turns features into logits over the C classes of a benchmark, in its label order.

    Attributes:
        kind: where it comes from: the model's own classifier, text embeddings of class names, a probe on training
            features, nearest class means.
        classes: C.
        weight: (C, D) float32; None where the model's own logits are not linear in its features.
        bias: (C,) float32; None means zero.
        unit_features: features are brought to unit length before the linear layer.
        scale: what the linear layer's output is multiplied by. A zero-shot head holds unit text embeddings in
            ``weight`` and the model's logit scale here, so that scale 1 gives cosines.
        columns: (C,) which column of a bank's own logits belongs to each class; for kind "model".
    """

    kind: HeadKind
    classes: int
    weight: Array | None = None
    bias: Array | None = None
    unit_features: bool = False
    scale: float = 1.0
    columns: Array | None = None

    @property
    def is_linear(self) -> bool:
        return self.weight is not None

    def inputs(self, features: Array) -> Array:
        """(N, D) float32: what the linear layer reads.

        The direction of an all-zero feature is undefined; it stays zero.
        """
        found: Array = np.asarray(features, dtype=np.float32)
        if not self.unit_features:
            return found
        unit: Array = found / (np.linalg.norm(found, axis=1, keepdims=True) + np.float32(1e-10))
        return unit

    def apply(self, inputs: Array) -> Array:
        """(N, D) inputs of the linear layer -> (N, C) float32 logits.

        Raises:
            DataError: the head is not linear.
        """
        if self.weight is None:
            raise DataError("This model's own classifier is not linear in its features; its logits come from the bank.")
        found: Array = np.asarray(inputs, dtype=np.float32) @ self.weight.T
        if self.bias is not None:
            found = found + self.bias
        return found * np.float32(self.scale)

    def logits(self, bank: FeatureBank, rows: slice = slice(None)) -> Array:
        """(N, C) float32 logits of a bank's rows, or of a part of them.

        Raises:
            DataError: neither a linear head nor logits in the bank.
        """
        if self.weight is not None:
            return self.apply(self.inputs(bank.features[rows]))
        if bank.logits is None or self.columns is None:
            raise DataError(f"Bank {bank.name!r} holds no logits, and the head is not linear. Extract it with logits.")
        logits: Array = np.asarray(bank.logits[rows], dtype=np.float32)[:, self.columns]
        return logits
