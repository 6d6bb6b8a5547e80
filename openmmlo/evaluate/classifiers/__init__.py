"""A bank of training features comes in; a classifier of the benchmark's classes goes out, with what it chose.

Each reads frozen features alone. Letters: N samples, C classes, D features.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from openmmlo.catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import torch

    from openmmlo.evaluate.features.bank import FeatureBank
    from openmmlo.evaluate.head import Head

CLASSIFIERS = Catalog(
    "classifier",
    {
        "linear-probe": "openmmlo.evaluate.classifiers.linear_probe:LinearProbe",
        "ncm": "openmmlo.evaluate.classifiers.class_means:ClassMeans",
        "knn": "openmmlo.evaluate.classifiers.neighbours_vote:NeighboursVote",
    },
)


@dataclass(frozen=True, eq=False)
class FittedClassifier:
    """A classifier that has seen its training features.

    Attributes:
        predict: bank -> (N,) int64 class of each row.
        head: its logits from features; None where they are not linear in these.
        choices: JSON value: hyper-parameters, how they were chosen, and what the data made necessary.
    """

    predict: Callable[[FeatureBank], np.ndarray]
    head: Head | None
    choices: dict[str, Any] = field(default_factory=dict)


@runtime_checkable
class FeatureClassifier(Protocol):
    """One way to classify frozen features: a frozen dataclass whose fields are its hyper-parameters."""

    @property
    def name(self) -> str: ...

    def fit(
        self, train: FeatureBank, classes: int, validation: FeatureBank | None = None, seed: int = 0
    ) -> FittedClassifier:
        """Learn from training features; choose on validation features, else on training features held out.

        Args:
            train: labels 0 to C - 1.
            classes: C.
            validation: where hyper-parameters are chosen; never the test set.
            seed: of whatever is drawn.

        Raises:
            DataError: NaN or infinite features, all-zero features, labels outside the map, too few classes.
        """
        ...


def open_classifier(name: str, device: torch.device | str = "cpu") -> FeatureClassifier:
    """A classifier with its defaults; what computes on a device does so where the model is, if that is a CUDA device.

    Raises:
        UnknownName: no such classifier.
    """
    kind: Any = CLASSIFIERS.load(name)
    if str(device).startswith("cuda") and any(item.name == "device" for item in fields(kind)):
        kind = partial(kind, device=str(device))
    made: FeatureClassifier = kind()
    return made
