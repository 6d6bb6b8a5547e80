"""Multinomial logistic regression by L-BFGS, its rows in blocks. Letters: N samples, C classes, D features."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from openmmlo.evaluate.features.blocks import blocks

if TYPE_CHECKING:
    import torch

Array = np.ndarray[Any, np.dtype[Any]]

Precision = Literal["float32", "float64"]

EXACT_PRODUCTS = 1 << 26
"""Products of one pass (N x C x D) up to which float64 is used, and one thread: float32 takes half the time of larger
ones, and threads wait for each other over smaller ones, for long where other work has their cores."""

BLOCK_LOGITS = 1 << 23

MOST_KEPT = 1 << 28
"""Numbers of training features that stay in memory between steps, 1 GiB in float32; of more, blocks are read anew."""

MOST_TURNED = 4096
"""Width up to which features are turned to their principal axes, which takes a matrix of its square."""

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

    Divided by C N, the loss is a mean over samples (as in scikit-learn's LogisticRegression, with which it agrees).
    One object serves a whole sweep of C.

    The minimum is that of the raw features, but L-BFGS sees other coordinates, in which the loss is about equally
    curved in every direction, and so takes a tenth of the steps: features less their mean (the bias takes the
    difference up without a penalty), turned to their principal axes, each weight in units of one over the square root
    of its curvature where every sample is given the classes' shares as probabilities. What all classes share is taken
    out, for softmax does not see it and the penalty alone would have to bring it to zero.

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
        self.small = products <= EXACT_PRODUCTS
        self.precision: Precision = precision or ("float64" if self.small else "float32")
        self.features, self.labels, self.device = features, np.asarray(labels, np.int64), device
        self.block_rows = block_rows or max(1, BLOCK_LOGITS // max(classes, features.shape[1]))
        total = np.zeros(features.shape[1])
        for _, values in blocks(features, "training features", "float64", self.block_rows):
            total += values.sum(axis=0)
        self.centre = total / max(1, self.rows)
        shares = np.bincount(self.labels, minlength=classes) / max(1, self.rows)
        self._curvature = shares * (1 - shares)
        self._kept: list[tuple[torch.Tensor, torch.Tensor]] = []

    def fit(self, penalty: float, start: Array | None, most_iterations: int, tolerance: float) -> Solution:
        """Minimise for one C.

        Args:
            penalty: C, the inverse of the regularisation's strength.
            start: flat weight and bias to begin at, :func:`flat` of another solution; zeros where None.
            most_iterations: of L-BFGS.
            tolerance: of the largest entry of the gradient of the mean loss in L-BFGS's coordinates, where half its
                squared length is about what is left to gain.
        """
        import torch
        from scipy.optimize import minimize

        classes, width = self.shape
        shrink = 1 / (penalty * self.rows)
        spread, axes = self._principal
        forth = None if axes is None else torch.from_numpy(axes).to(self.device)
        units = 1 / np.sqrt(np.outer(self._curvature, spread) + shrink)
        bias_units = 1 / np.sqrt(np.maximum(self._curvature, 1 / self.rows**2))

        def turned(values: Array, back: bool = False) -> Array:
            if forth is None:
                return values
            found = torch.from_numpy(values).to(self.device) @ (forth.T if back else forth)
            return np.asarray(found.cpu().numpy())

        def to_centred(coordinates: Array) -> Array:
            weight = _apart(coordinates[: classes * width].reshape(classes, width) * units)
            return np.concatenate(
                [turned(weight, back=True).ravel(), _apart(coordinates[classes * width :] * bias_units)]
            )

        def of_coordinates(coordinates: Array) -> tuple[float, Array]:
            value, slope = self.loss_and_gradient(to_centred(coordinates), shrink)
            weight_slope = _apart(turned(slope[: classes * width].reshape(classes, width))) * units
            return value, np.concatenate([weight_slope.ravel(), _apart(slope[classes * width :]) * bias_units])

        begin = np.zeros(classes * (width + 1))
        if start is not None:
            centred = self._shifted(start, 1)
            weight = turned(centred[: classes * width].reshape(classes, width)) / units
            begin = np.concatenate([weight.ravel(), centred[classes * width :] / bias_units])
        with _one_thread() if self.small else nullcontext():
            found = minimize(
                of_coordinates,
                begin,
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
        solved = self._shifted(to_centred(found.x), -1)
        weight, bias = solved[: classes * width].reshape(classes, width), solved[classes * width :]
        return Solution(weight, bias - bias.mean(), int(found.nit), bool(found.success), str(found.message))

    @cached_property
    def _principal(self) -> tuple[Array, Array | None]:
        """(D,) variances along the principal axes, and (D, D) these, columns; of very wide features along their own."""
        width = self.shape[1]
        if width > MOST_TURNED:
            variances = np.zeros(width)
            for _, values in blocks(self.features, "training features", "float64", self.block_rows):
                variances += np.square(values - self.centre).sum(axis=0)
            return variances / self.rows, None
        moment = np.zeros((width, width))
        for _, values in blocks(self.features, "training features", "float64", self.block_rows):
            values -= self.centre
            moment += values.T @ values
        spread, axes = np.linalg.eigh(moment / self.rows)
        return np.maximum(spread, 0), axes

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
        loss = torch.zeros((), dtype=torch.float64, device=self.device)
        slope = torch.zeros_like(weight)
        bias_slope = torch.zeros_like(bias)
        for rows, mine in self._centred():
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

    def _centred(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Features less their mean with their labels, in blocks on the device; they stay there if they are not many."""
        import torch

        if self._kept:
            yield from self._kept
            return
        keep = self.rows * self.shape[1] <= MOST_KEPT
        kept = []
        centre = torch.from_numpy(self.centre).to(self.device, getattr(torch, self.precision))
        for place, values in blocks(self.features, "training features", self.precision, self.block_rows):
            pair = (
                torch.from_numpy(values).to(self.device).sub_(centre),
                torch.from_numpy(self.labels[place]).to(self.device),
            )
            if keep:
                kept.append(pair)
            yield pair
        self._kept = kept


@contextmanager
def _one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _apart(values: Array) -> Array:
    """Less the mean over classes, which come first."""
    found: Array = values - values.mean(axis=0)
    return found


def flat(solution: Solution) -> Array:
    """What the next fit of a sweep may begin at."""
    return np.concatenate([solution.weight.ravel(), solution.bias])


def _flat(slope: torch.Tensor, bias_slope: torch.Tensor) -> Array:
    import torch

    found: Array = torch.cat([slope.reshape(-1), bias_slope]).cpu().numpy()
    return found
