"""Feature banks and a head come in; scores go out, larger for samples further out of distribution.

A detector is a frozen dataclass of hyper-parameters; ``fit`` turns it into a function of rows. What several detectors
need of the same rows or of the training bank is computed once, by ``Rows`` and ``Training``. ``run.detect`` does all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from openmmlo.catalog import Catalog
from openmmlo.config import construct
from openmmlo.errors import DataError

if TYPE_CHECKING:
    import numpy as np

    from openmmlo.evaluate.detectors.rows import Rows
    from openmmlo.evaluate.detectors.training import Training
    from openmmlo.evaluate.features.bank import FeatureBank
    from openmmlo.evaluate.head import Head

DETECTORS = Catalog(
    "OOD detector",
    {
        "msp": "openmmlo.evaluate.detectors.msp:MSP",
        "max-logit": "openmmlo.evaluate.detectors.max_logit:MaxLogit",
        "energy": "openmmlo.evaluate.detectors.energy:Energy",
        "odin": "openmmlo.evaluate.detectors.odin:ODIN",
        "mahalanobis": "openmmlo.evaluate.detectors.mahalanobis:Mahalanobis",
        "knn": "openmmlo.evaluate.detectors.knn:KNN",
        "thp-knn": "openmmlo.evaluate.detectors.knn:ThpKNN",
        "vim": "openmmlo.evaluate.detectors.vim:ViM",
        "react": "openmmlo.evaluate.detectors.react:ReAct",
        "ash-s": "openmmlo.evaluate.detectors.ash:AshS",
        "ash-b": "openmmlo.evaluate.detectors.ash:AshB",
        "she": "openmmlo.evaluate.detectors.she:SHE",
        "gradnorm": "openmmlo.evaluate.detectors.gradnorm:GradNorm",
        "mcm": "openmmlo.evaluate.detectors.mcm:MCM",
    },
)


class Unfit(DataError):
    """A detector that cannot be applied to these data; its message is the reason, in one sentence."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """A detector that has seen its training data.

    Attributes:
        score: rows of a bank -> (n,) float64, larger = more out of distribution.
        learned: what the training data decided, beside the hyper-parameters.
    """

    score: Callable[[Rows], np.ndarray]
    learned: dict[str, float | int] = field(default_factory=dict)


@runtime_checkable
class Detector(Protocol):
    """One OOD detector: a frozen dataclass whose fields are its hyper-parameters, with the defaults of its paper."""

    post_relu: ClassVar[bool]
    """It presumes features after a ReLU; where some are negative it runs, and the result carries a caution."""

    @property
    def name(self) -> str: ...

    def unfit(self, head: Head, train: FeatureBank | None, banks: Sequence[FeatureBank] = ()) -> str | None:
        """Why it cannot be applied, in one sentence; None where it can.

        Args:
            head: of the model.
            train: the bank of in-distribution training images, if there is one.
            banks: those that are to be scored.
        """
        ...

    def fit(self, training: Training | None, head: Head) -> Fitted:
        """Learn what it needs from in-distribution training data alone.

        Raises:
            Unfit: for a reason that the data alone could tell.
        """
        ...


def open_detector(name: str, options: Mapping[str, Any] | None = None) -> Detector:
    """Make a detector from its name in DETECTORS, or ``package.module:Class``, and values for its fields.

    Raises:
        UnknownName: no such detector; the nearest name is proposed.
        ConfigError: an option that it does not have, or a value out of range.
    """
    detector: Detector = construct(DETECTORS.load(name), dict(options or {}), f"detector {name}")
    return detector
