"""Five OOD metrics of ten million scores, against scikit-learn's functions one after the other.

Ours: AUROC, AUPR-in, AUPR-out and both FPR95. The peer: roc_auc_score, average_precision_score and roc_curve, which is
AUROC, one AUPR and the curve that one FPR95 is read from. Both get the same scores, five million ID and as many OOD,
normal, half of them rounded so that there are ties; the numbers must agree to 1e-12, or the measurement ends with an
error. Time is processor time of one thread.

Additional memory is the peak of what is allocated while it runs (tracemalloc), over the bytes of the scores given, for
float64 and for float32 scores, of which the larger counts.
"""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
from measure import Line, interleaved, repeated
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from openmmlo.evaluate.metrics.ood import ood_metrics

SCORES = 10_000_000


def measure(pairs: int) -> list[Line]:
    """Two lines: the ratio of speeds to scikit-learn, and additional memory."""
    inside, outside = drawn(SCORES // 2)
    truth = np.r_[np.zeros(len(inside), dtype=np.int8), np.ones(len(outside), dtype=np.int8)]
    scores = np.r_[inside, outside]
    agree(ood_metrics(inside, outside), truth, scores)

    def ours() -> float:
        started = time.process_time()
        ood_metrics(inside, outside)
        return SCORES / (time.process_time() - started)

    def peer() -> float:
        started = time.process_time()
        roc_auc_score(truth, scores)
        average_precision_score(truth, scores)
        roc_curve(truth, scores)
        return SCORES / (time.process_time() - started)

    def memory() -> float:
        return max(additional(inside.astype(kind), outside.astype(kind)) for kind in (np.float64, np.float32))

    ratio = interleaved(
        "Five OOD metrics of 10 million scores",
        ours,
        peer,
        peer_name="scikit-learn's roc_auc_score + average_precision_score + roc_curve",
        bar=5,
        at_least=True,
        pairs=pairs,
        detail=lambda one, two: f"{SCORES / one:.2f} s against {SCORES / two:.2f} s; equal to 1e-12",
    )
    peak = repeated(
        "Additional memory of them",
        memory,
        unit="× the scores",
        bar=3,
        pairs=min(pairs, 3),  # it is the same every time
        peer_name="bytes of the scores",
    )
    return [ratio, peak]


def drawn(size: int) -> tuple[np.ndarray, np.ndarray]:
    """ID and OOD scores; every other one is rounded to three digits."""
    random = np.random.default_rng(0)
    sides = random.normal(size=size), random.normal(1, 1, size)
    for side in sides:
        side[::2] = np.round(side[::2], 3)
    return sides


def agree(found: dict[str, float], truth: np.ndarray, scores: np.ndarray) -> None:
    """Raises RuntimeError where a number is not scikit-learn's."""
    wanted = {
        "auroc": roc_auc_score(truth, scores),
        "aupr_out": average_precision_score(truth, scores),
        "aupr_in": average_precision_score(1 - truth, -scores),
    }
    for name, positive, values in (("fpr95_ood_positive", truth, scores), ("fpr95_id_positive", 1 - truth, -scores)):
        false, true, _ = roc_curve(positive, values, drop_intermediate=False)
        wanted[name] = false[np.searchsorted(true, 0.95 - 1e-12)]
    for name, value in wanted.items():
        if abs(found[name] - value) > 1e-12:
            raise RuntimeError(f"{name} is {found[name]!r}; scikit-learn has {value!r}")


def additional(inside: np.ndarray, outside: np.ndarray) -> float:
    """Peak of memory allocated for the metrics, over that of the scores."""
    tracemalloc.start()
    try:
        ood_metrics(inside, outside)
        return tracemalloc.get_traced_memory()[1] / (inside.nbytes + outside.nbytes)
    finally:
        tracemalloc.stop()
