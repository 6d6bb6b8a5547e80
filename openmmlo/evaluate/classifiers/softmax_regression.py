"""Multinomial logistic regression by L-BFGS, its rows in blocks. Letters: N samples, C classes, D features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from openmmlo.evaluate.features.blocks import blocks

if TYPE_CHECKING:
    import torch

Array = np.ndarray[Any, np.dtype[Any]]

Precision = Literal["float32", "float64"]

EXACT_PRODUCTS = 1 << 26
"""Products of one pass (N x C x D) up to which float64 is used; float32 takes half the time of larger ones."""

BLOCK_LOGITS = 1 << 23

_CORRECTIONS = 10  # pairs that L-BFGS remembers, and steps of a line search: as scikit-learn has them
_LINE_STEPS = 50

_STANDSTILL = {"float64": 64 * np.finfo(np.float64).eps, "float32": 1e-9}
"""Relative step of the loss below which it stands still. That of float32 lies where rounding takes over: single terms
are known to 1e-7, but the loss is a mean of many."""


@dataclass(frozen=True, eq=False)
class Solution:
    """A fit.

    Attributes:
        weight: (C, D) float64.
        bias: (C,) float64, of mean zero: softmax does not see a constant.
        iterations: steps taken.
        converged: the largest entry of the gradient is below the tolerance, or the loss stands still.
        message: why it stopped.
    """

    weight: Array
    bias: Array
    iterations: int
    converged: bool
    message: str


class SoftmaxRegression:
    """Minimises C sum_i -log softmax(W x_i + b)[y_i] + ||W||^2 / 2; the bias is not penalised.

    Divided by C N, the loss is a mean over samples, so that a tolerance means the same for every C (as in
    scikit-learn's LogisticRegression, with which it agrees). One object serves a whole sweep of C.

    L-BFGS sees the features less their mean: the bias takes the difference up without a penalty, so the minimum is the
    same, and it is reached in far fewer steps where features lie far from the origin.

    Args:
        features: (N, D) finite, raw; in the order of ``labels``.
        labels: (N,) 0 to classes - 1, every class with a sample.
        classes: number of classes.
        device: where the products are taken.
        precision: of the products; sums over blocks are float64. By size where None.
    """

    def __init__(
        self,
        features: Array,
        labels: Array,
        classes: int,
        device: str = "cpu",
        precision: Precision | None = None,
        block_rows: int | None = None,
    ) -> None:
        self.shape = (classes, features.shape[1])
        self.rows = len(features)
        products = self.rows * classes * features.shape[1]
        self.precision: Precision = precision or ("float64" if products <= EXACT_PRODUCTS else "float32")
        self.features, self.labels, self.device = features, np.asarray(labels, np.int64), device
        self.block_rows = block_rows or max(1, BLOCK_LOGITS // max(classes, features.shape[1]))
        total = np.zeros(features.shape[1])
        for _, values in blocks(features, "training features", "float64", self.block_rows):
            total += values.sum(axis=0)
        self.centre = total / max(1, self.rows)

    def fit(self, penalty: float, start: Array | None, most_iterations: int, tolerance: float) -> Solution:
        """Minimise for one C.

        Args:
            penalty: C, the inverse of the regularisation's strength.
            start: flat weight and bias to begin at, :func:`flat` of another solution; zeros where None.
            most_iterations: of L-BFGS.
            tolerance: of the largest entry of the gradient of the mean loss.
        """
        from scipy.optimize import minimize

        classes, width = self.shape
        begin = np.zeros(classes * (width + 1)) if start is None else self._shifted(start, 1)
        shrink = 1 / (penalty * self.rows)
        found = minimize(
            self.loss_and_gradient,
            begin,
            args=(shrink,),
            jac=True,
            method="L-BFGS-B",
            options={
                "maxiter": most_iterations,
                "maxfun": most_iterations * _LINE_STEPS,
                "maxls": _LINE_STEPS,
                "maxcor": _CORRECTIONS,
                "gtol": tolerance,
                "ftol": _STANDSTILL[self.precision],
            },
        )
        solved = self._shifted(found.x, -1)
        weight, bias = solved[: classes * width].reshape(classes, width), solved[classes * width :]
        return Solution(weight, bias - bias.mean(), int(found.nit), bool(found.success), str(found.message))

    def _shifted(self, flat_values: Array, sign: int) -> Array:
        """The same classifier for features less their mean (1), or for features as they are (-1)."""
        classes, width = self.shape
        weight = flat_values[: classes * width].reshape(classes, width)
        return np.concatenate(
            [flat_values[: classes * width], flat_values[classes * width :] + sign * (weight @ self.centre)]
        )

    def loss_and_gradient(self, flat_values: Array, shrink: float) -> tuple[float, Array]:
        """Mean loss with its penalty on centred features, and its gradient, both float64, over all blocks."""
        import torch

        classes, width = self.shape
        weight = torch.from_numpy(flat_values[: classes * width].reshape(classes, width)).to(self.device)
        bias = torch.from_numpy(flat_values[classes * width :]).to(self.device)
        kind = getattr(torch, self.precision)
        narrow_weight, narrow_bias = weight.to(kind), bias.to(kind)
        centre = torch.from_numpy(self.centre).to(self.device, kind)
        loss = torch.zeros((), dtype=torch.float64, device=self.device)
        slope = torch.zeros_like(weight)
        bias_slope = torch.zeros_like(bias)
        for place, values in blocks(self.features, "training features", self.precision, self.block_rows):
            rows = torch.from_numpy(values).to(self.device) - centre
            mine = torch.from_numpy(self.labels[place]).to(self.device)
            logits = torch.addmm(narrow_bias, rows, narrow_weight.T)
            logs = torch.log_softmax(logits, dim=1)
            loss -= logs.gather(1, mine[:, None]).sum(dtype=torch.float64)
            error = logs.exp_()
            error[torch.arange(len(mine), device=self.device), mine] -= 1
            slope += (error.T @ rows).to(torch.float64)
            bias_slope += error.sum(dim=0, dtype=torch.float64)
        value = loss / self.rows + 0.5 * shrink * weight.square().sum()
        slope = slope / self.rows + shrink * weight
        return float(value), _flat(slope, bias_slope / self.rows)


def flat(solution: Solution) -> Array:
    """What the next fit of a sweep may begin at."""
    return np.concatenate([solution.weight.ravel(), solution.bias])


def _flat(slope: torch.Tensor, bias_slope: torch.Tensor) -> Array:
    import torch

    found: Array = torch.cat([slope.reshape(-1), bias_slope]).cpu().numpy()
    return found
