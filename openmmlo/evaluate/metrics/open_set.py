"""Open-set F-measure as OLTR counts it.

Liu et al., Large-Scale Long-Tailed Recognition in an Open World, CVPR 2019 (arXiv:1904.05160), as their code defines
it; other papers count otherwise, so it carries OLTR's name.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

THRESHOLD = 0.1


def oltr_f_measure(
    labels: Array, predicted: Array, confidence: Array, ood_confidence: Array, threshold: float = THRESHOLD
) -> float | None:
    """F-measure where a sample of confidence below 0.1 is rejected as unknown.

    True positives are ID samples with the right class; false positives are all other ID samples, the rejected ones
    included; false negatives are OOD samples that are not rejected. None without a sample on either side.

    Args:
        labels, predicted, confidence: (n,) of ID samples; confidence is the largest softmax probability.
        ood_confidence: (m,) of OOD samples.
    """
    if not len(labels) or not len(ood_confidence):
        return None
    right = int(np.sum((confidence >= threshold) & (labels == predicted)))
    accepted = int(np.sum(ood_confidence >= threshold))
    precision = right / len(labels)
    recall = right / (right + accepted) if right + accepted else 0.0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
