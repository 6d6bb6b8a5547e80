"""Logits and targets come in; a loss goes out, one a file.

Each loss of the table is made of class counts and its own options, which are the keyword arguments of its constructor
with the defaults of its paper. Letters: B samples of a batch, C classes, D features.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import field, fields, make_dataclass
from typing import TYPE_CHECKING, Any, Protocol, get_type_hints, runtime_checkable

from openmmlo.catalog import Catalog
from openmmlo.config import construct

if TYPE_CHECKING:
    from torch import Tensor, nn

LOSSES = Catalog(
    "loss",
    {
        "cross-entropy": "openmmlo.losses.cross_entropy:CrossEntropy",
        "focal": "openmmlo.losses.focal:Focal",
        "class-balanced": "openmmlo.losses.class_balanced:ClassBalanced",
        "ldam": "openmmlo.losses.ldam:LDAM",
        "logit-adjustment": "openmmlo.losses.logit_adjustment:LogitAdjustment",
        "balanced-softmax": "openmmlo.losses.balanced_softmax:BalancedSoftmax",
        "lade": "openmmlo.losses.lade:LADE",
    },
)


FEATURE_LOSSES = Catalog(
    "loss of features",
    {
        "supcon": "openmmlo.losses.supcon:SupCon",
        "cider": "openmmlo.losses.cider:CIDER",
    },
)
"""Losses of unit features (B, D) and targets (B,), without class scores."""

_GIVEN = frozenset({"class_counts", "classes", "width"})
"""What the data and the model say, and no option does."""


class Loss(Protocol):
    """A loss of class scores: an ``nn.Module`` made of class counts (C,) and options; its buffers follow the device.

    Half precision is widened to float32, float64 stays. The raw logits are what classifies at test time.
    """

    def __call__(self, logits: Tensor, targets: Tensor, scale: Tensor | float = 1.0) -> Tensor:
        """logits (B, C), targets (B,) int64 from 0 to C - 1 -> scalar, in nats.

        Args:
            scale: what the head has multiplied its similarities by, 1 in a linear head; a loss with a margin
                multiplies it by the same.
        """
        ...


@runtime_checkable
class Staged(Protocol):
    """A loss that changes in the course of a run."""

    def at(self, share: float) -> None:
        """Called before each step with the share of the run's steps that is done, from 0 to below 1."""
        ...


def loss_options(name: str) -> dict[str, Any]:
    """Option -> default of a loss.

    Raises:
        UnknownName: no such loss.
    """
    return {item.name: item.default for item in fields(_options_of(LOSSES.load(name)))}


def check_loss(name: str, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Every option of a loss by its value, those that are not given by their default.

    Raises:
        UnknownName: no such loss; the nearest name is proposed.
        ConfigError: an option that it does not have, with the nearest that it has, or a value of another type.
    """
    values: Any = construct(_options_of(LOSSES.load(name)), dict(options or {}), f"loss {name}")
    return dict(vars(values))


def make_loss(name: str, class_counts: Tensor, options: Mapping[str, Any] | None = None) -> nn.Module:
    """A loss from its name in LOSSES, or ``package.module:Class``.

    Args:
        class_counts: (C,) training images of each class.
        options: values for keyword arguments of its constructor.

    Raises:
        UnknownName: no such loss; the nearest name is proposed.
        ConfigError: an option that it does not have, or a value of another type or out of range.
        DataError: counts that are none, or a class without an image where the loss needs one of each.
    """
    loss: nn.Module = LOSSES.load(name)(class_counts, **check_loss(name, options))
    return loss


def make_feature_loss(name: str, classes: int, width: int, options: Mapping[str, Any] | None = None) -> nn.Module:
    """A loss from its name in FEATURE_LOSSES, or ``package.module:Class``.

    Args:
        classes, width: C and D; for those that hold something of each class.
        options: values for the other keyword arguments of its constructor.

    Raises:
        UnknownName: no such loss; the nearest name is proposed.
        ConfigError: an option that it does not have, or a value of another type or out of range.
    """
    kind = FEATURE_LOSSES.load(name)
    values = vars(construct(_options_of(kind), dict(options or {}), f"loss {name}"))
    known = {"classes": classes, "width": width}
    loss: nn.Module = kind(**{key: known[key] for key in inspect.signature(kind).parameters if key in known}, **values)
    return loss


def _options_of(loss: type) -> type:
    """The keyword arguments of a constructor as a dataclass, which ``config.construct`` fills and checks."""
    hints = get_type_hints(loss.__init__)  # type: ignore[misc]
    given = [item for item in inspect.signature(loss).parameters.values() if item.name not in _GIVEN]
    return make_dataclass("Options", [(item.name, hints[item.name], field(default=item.default)) for item in given])
