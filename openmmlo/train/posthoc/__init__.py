"""A trained class layer comes in, with what the training data say; another one goes out, for which nothing is trained.

The result is a class layer like any other, so that a checkpoint of it is evaluated like any other. Letters: N samples,
C classes, W features of the class layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, runtime_checkable

from openmmlo.catalog import Catalog
from openmmlo.config import construct

if TYPE_CHECKING:
    import numpy as np

    from openmmlo.models.thp.configuration import HeadKind

    Array = np.ndarray[Any, np.dtype[Any]]

POSTHOC = Catalog(
    "post-hoc classifier",
    {
        "tau-norm": "openmmlo.train.posthoc.tau_norm:TauNorm",
        "logit-adjustment": "openmmlo.train.posthoc.logit_adjustment:PosthocLogitAdjustment",
        "ncm": "openmmlo.train.posthoc.ncm:NearestClassMean",
    },
)

Part = Literal["train", "validation"]


@dataclass(frozen=True, eq=False)
class ClassLayer:
    """Features -> class scores.

    Attributes:
        kind: linear is ``features @ weight.T + bias``; cosine is the cosine of features and rows, times ``scale``;
            other kinds are other functions of that cosine.
        weight: (C, W) float32.
        bias: (C,) float32 of a linear layer, else None.
        scale: 1 of a linear layer.
    """

    kind: HeadKind
    weight: Array
    bias: Array | None = None
    scale: float = 1.0


class Labelled(NamedTuple):
    """Features that a class layer reads, (N, W), of unaugmented images, and labels (N,) from 0 to C - 1."""

    features: Array
    labels: Array


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known beside the class layer; nothing of it is from a test set.

    Attributes:
        class_counts: (C,) training images of each class.
        train: features of the training split, where asked for.
        validation: of the split that is held out, where asked for and there is one.
    """

    class_counts: Array
    train: Labelled | None = None
    validation: Labelled | None = None


@dataclass(frozen=True, eq=False)
class Adjusted:
    """The new class layer, and a JSON value of what was chosen on the way."""

    layer: ClassLayer
    choices: dict[str, Any] = field(default_factory=dict)


@runtime_checkable
class Posthoc(Protocol):
    """One way to make a class layer without training: a frozen dataclass whose fields are its options."""

    @property
    def name(self) -> str: ...

    @property
    def needs(self) -> frozenset[Part]:
        """Features without which it cannot be applied."""
        ...

    def apply(self, layer: ClassLayer, evidence: Evidence) -> Adjusted:
        """Nothing that is given is changed.

        Raises:
            ConfigError: a layer of a kind that it is not for, or evidence that is missing.
            DataError: class counts or features that it cannot go by.
        """
        ...


def open_posthoc(name: str, options: Mapping[str, Any] | None = None) -> Posthoc:
    """Make one from its name in POSTHOC, or ``package.module:Class``, and values for its fields.

    Raises:
        UnknownName: no such one; the nearest name is proposed.
        ConfigError: an option that it does not have, with the nearest that it has, or a value out of range.
    """
    posthoc: Posthoc = construct(POSTHOC.load(name), dict(options or {}), f"posthoc {name}")
    return posthoc
