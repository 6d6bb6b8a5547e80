"""What the training loop asks of an objective, and nothing else: the loop knows no model and no loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch

from openmmlo.train.batch import Batch
from openmmlo.train.state import StepState


@runtime_checkable
class Objective(Protocol):
    """An ``nn.Module`` that turns batches into losses.

    Its ``state_dict`` holds everything that a step changes besides the optimiser: weights, momentum copies, queues.
    Then a run that was killed goes on exactly. Under several processes the loop wraps it in DistributedDataParallel
    and calls it; the hooks are called on the module itself, on every process.

    Attributes:
        model: what is trained and saved; ``save_pretrained(folder)`` writes it.
        sparse: whether a step may leave a trained parameter without gradient, such as one of a part that it passes by;
            several processes then look for those in every step.
    """

    model: Any
    sparse: bool

    def __call__(self, batch: Batch, state: StepState) -> Mapping[str, torch.Tensor]:
        """Scalars: ``loss``, whose gradient is taken, and its parts, detached, which are logged.

        With R processes the gradients of R losses are averaged, so each is the mean over the process's own rows.
        """
        ...

    def parameter_groups(self) -> list[dict[str, Any]]:
        """What the optimiser changes: ``params``, and where they differ from the recipe ``lr_factor`` (1.0) and
        ``weight_decay`` (the recipe's). A parameter that is in no group is not trained."""
        ...

    def before_step(self, state: StepState) -> None:
        """Once a step, before its first batch: moves momentum copies."""
        ...

    def after_step(self, state: StepState) -> None:
        """Once a step, after the weights changed: clamps what must stay within bounds."""
        ...

    def validate(self, batch: Batch, state: StepState) -> Mapping[str, tuple[Any, Any]]:
        """Measures of one validation batch, each as (sum, count), so that batches and processes add up to a mean.

        Sum and count are numbers, or tensors (C,) on the CPU, one entry a class: then the mean over the classes that
        have a count is taken of their means.

        It changes nothing: no queue, no momentum copy.
        """
        ...

    # Of nn.Module, what the loop calls.

    def train(self, mode: bool = True) -> Any: ...

    def eval(self) -> Any: ...

    def to(self, device: Any) -> Any: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any: ...

    def named_parameters(self) -> Any: ...
