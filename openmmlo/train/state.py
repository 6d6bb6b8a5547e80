"""Where a training run stands, as an objective is told with every batch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StepState:
    """Where a training run stands.

    A step is one change of the weights, by one global batch; with accumulation several batches share a step.

    Attributes:
        seed: of the run; what is drawn by (seed, step, sample key) does not depend on the number of processes.
        step: steps done before this one; the first is 0.
        epoch: whole epochs done before this step.
        epoch_progress: share of the current epoch done before this step, in [0, 1).
        steps: steps of the whole run.
        rank: this process among ``world``.
        world: processes that share each global batch.
    """

    seed: int
    step: int
    epoch: int
    epoch_progress: float
    steps: int
    rank: int = 0
    world: int = 1

    @property
    def epochs_done(self) -> float:
        """Epochs done, with the share of the current one: what a ramp over epochs is measured in."""
        return self.epoch + self.epoch_progress
