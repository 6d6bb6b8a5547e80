"""Feature banks and a head come in; scores go out, larger for samples further out of distribution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from openmmlo.catalog import Catalog

if TYPE_CHECKING:
    import numpy as np

    from openmmlo.evaluate.features.bank import FeatureBank
    from openmmlo.evaluate.head import Head

DETECTORS = Catalog("OOD detector", {})


@runtime_checkable
class Detector(Protocol):
    """One OOD detector: a dataclass whose fields are its hyper-parameters, with the defaults of its paper."""

    name: str

    def unfit(self, head: Head, train: FeatureBank | None) -> str | None:
        """Why it cannot be applied to such a model or without such a bank; None where it can."""
        ...

    def fit(self, train: FeatureBank | None, head: Head) -> None:
        """Learn what it needs from in-distribution training data alone."""
        ...

    def score(self, bank: FeatureBank, head: Head) -> np.ndarray:
        """(N,) float64, larger = more out of distribution."""
        ...
