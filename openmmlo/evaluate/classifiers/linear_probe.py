"""Linear probe: logistic regression on frozen features. Letters: N samples, C classes, D features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from openmmlo.errors import ConfigError
from openmmlo.evaluate.classifiers import FittedClassifier
from openmmlo.evaluate.classifiers.heads import NEVER, check_readable, check_training, of_head
from openmmlo.evaluate.classifiers.penalty_sweep import sweep
from openmmlo.evaluate.classifiers.softmax_regression import SoftmaxRegression, Solution, flat
from openmmlo.evaluate.features.bank import FeatureBank
from openmmlo.evaluate.head import Head
from openmmlo.evaluate.metrics.accuracy import class_accuracies, top1_classes
from openmmlo.sources.longtail import seeded_order

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class LinearProbe:
    """Multinomial logistic regression by L-BFGS on raw features, C chosen on validation samples.

    The linear probe of CLIP (Radford et al., ICML 2021, arXiv:2103.00020): features as they are, neither standardised
    nor of unit length. Deviations: C is chosen by the mean accuracy over classes, which is theirs on a balanced set;
    a benchmark's validation set is not trained on, for that would alter its long tail; and the fits of the search stop
    early, each beginning where its neighbour ended.

    Args:
        penalty: C, the inverse of the strength of regularisation, in place of a search.
        most_iterations: of the last L-BFGS fit.
        sweep_iterations: of each fit of the search for C, which only has to rank them.
        tolerance: of the largest entry of the gradient of the mean loss, in L-BFGS's coordinates.
        held_out: share of each class's training samples that C is chosen on where there is no validation set; classes
            of one sample stay in training.
        device: where the products are taken.
        precision: of the products; float64 up to a size, then float32, where None.
    """

    penalty: float | None = None
    most_iterations: int = 1000
    sweep_iterations: int = 50
    tolerance: float = 1e-4
    held_out: float = 0.2
    device: str = "cpu"
    precision: Literal["float32", "float64"] | None = None

    def __post_init__(self) -> None:
        if self.penalty is not None and not 0 < self.penalty < float("inf"):
            raise ConfigError(f"linear-probe: penalty is {self.penalty:g}; expected a finite number above 0.")
        if min(self.most_iterations, self.sweep_iterations) < 1 or not self.tolerance > 0 or not 0 < self.held_out < 1:
            raise ConfigError(
                f"linear-probe: most_iterations is {self.most_iterations}, sweep_iterations "
                f"{self.sweep_iterations}, tolerance {self.tolerance:g} and held_out "
                f"{self.held_out:g}; expected at least 1, above 0, and between 0 and 1."
            )

    @property
    def name(self) -> str:
        return "linear-probe"

    def fit(
        self, train: FeatureBank, classes: int, validation: FeatureBank | None = None, seed: int = 0
    ) -> FittedClassifier:
        """Choose C, then fit on all training features; where C was chosen on some of these, they are in it.

        A class without a training image is never predicted. Raises DataError as usual; it takes two classes.
        """
        counts = check_training(train, classes, least=2)
        width = train.features.shape[1]
        choices: dict[str, Any] = {
            "trained_on": train.name,
            "rows": len(train),
            "features": "raw",
            "classes_without_images": int(np.sum(counts == 0)),
        }
        start: Solution | None = None
        penalty = self.penalty
        if penalty is not None:
            choices |= {"C": penalty, "chosen_on": None}
        else:
            if validation is not None and len(validation):
                check_readable(validation, width)
                check_training(validation, classes)
                learn, tune = np.arange(len(train)), validation
                choices |= {"chosen_on": validation.name, "held_out": None}
            else:
                learn, held = hold_out(train, self.held_out, seed)
                tune = rows_of(train, held)
                choices |= {
                    "chosen_on": f"{len(held):,} training samples held out by seed {seed}",
                    "held_out": {"share": self.held_out, "rows": len(held), "seed": seed},
                }
            choices["chosen_by"] = "mean accuracy over classes"
            if len(tune):
                penalty, start, searched = self._choose(rows_of(train, learn), tune, classes)
                choices |= searched
            else:
                penalty = 1.0
                choices["chosen_on"] = "nothing: no class has a sample to spare, so C is 1"
            choices["C"] = penalty
        fitted = self._fitter(train, classes)
        solution = fitted.problem.fit(penalty, None if start is None else flat(start), *self._limits)
        choices |= {
            "precision": fitted.problem.precision,
            "iterations": solution.iterations,
            "most_iterations": self.most_iterations,
            "sweep_iterations": self.sweep_iterations,
            "tolerance": self.tolerance,
            "converged": solution.converged,
            "stopped": solution.message,
        }
        return of_head(fitted.head(solution), width, choices)

    @property
    def _limits(self) -> tuple[int, float]:
        return self.most_iterations, self.tolerance

    def _fitter(self, train: FeatureBank, classes: int) -> _Fitter:
        present, labels = np.unique(train.labels, return_inverse=True)
        problem = SoftmaxRegression(train.features, labels, len(present), self.device, self.precision)
        return _Fitter(problem, present, classes)

    def _choose(self, learn: FeatureBank, tune: FeatureBank, classes: int) -> tuple[float, Solution, dict[str, Any]]:
        """C, its fit, and what the search saw; each fit starts at that of the nearest C tried."""
        fitter = self._fitter(learn, classes)
        fits: dict[float, Solution] = {}

        def score(penalty: float) -> float:
            near = min(fits, key=lambda other: abs(np.log(other / penalty)), default=None)
            begin = None if near is None else flat(fits[near])
            fits[penalty] = fitter.problem.fit(penalty, begin, self.sweep_iterations, self.tolerance)
            predicted = of_head(fitter.head(fits[penalty]), fitter.width, {}).predict(tune)
            return top1_classes(class_accuracies(tune.labels, predicted, classes)) or 0.0

        penalty, tried = sweep(score)
        searched = {
            "sweep": [
                {
                    "C": value,
                    "accuracy": found,
                    "iterations": fits[value].iterations,
                    "converged": fits[value].converged,
                }
                for value, found in tried.items()
            ]
        }
        return penalty, fits[penalty], searched


@dataclass(frozen=True, eq=False)
class _Fitter:
    """One problem over the classes that have samples, and the way back to all classes."""

    problem: SoftmaxRegression
    present: Array
    classes: int

    @property
    def width(self) -> int:
        width: int = self.problem.shape[1]
        return width

    def head(self, solution: Solution) -> Head:
        weight = np.zeros((self.classes, self.width), np.float32)
        bias = np.full(self.classes, NEVER, np.float32)
        weight[self.present], bias[self.present] = solution.weight, solution.bias
        return Head(kind="linear-probe", classes=self.classes, weight=weight, bias=bias)


def hold_out(bank: FeatureBank, share: float, seed: int) -> tuple[Array, Array]:
    """Rows to learn from and rows held out: of each class a share, one at least, ranked by SHA-256 of (seed, id).

    A class of one sample stays whole in the first; every other class leaves one there.
    """
    rows: dict[int, list[int]] = {}
    for row, label in enumerate(np.asarray(bank.labels).tolist()):
        rows.setdefault(label, []).append(row)
    held = np.zeros(len(bank), bool)
    for mine in rows.values():
        if len(mine) < 2:
            continue
        place = {str(bank.sample_ids[row]): row for row in mine}
        count = min(max(1, round(share * len(mine))), len(mine) - 1)
        held[[place[item] for item in seeded_order(place, seed)[:count]]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)


def rows_of(bank: FeatureBank, rows: Array) -> FeatureBank:
    """Some rows of a bank; the bank itself, still mapped, where it is all of them."""
    if len(rows) == len(bank):
        return bank
    return FeatureBank(
        bank.name, bank.sample_ids[rows], bank.class_keys[rows], bank.labels[rows], np.asarray(bank.features[rows])
    )
