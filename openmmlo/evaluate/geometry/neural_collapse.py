"""Features with labels come in; how far they have collapsed to a simplex of class means goes out.

Papyan, Han and Donoho, Prevalence of neural collapse during the terminal phase of deep learning training, PNAS 2020
(arXiv:2008.08186). Raw features are read. They assume classes of one size; here each class weighs the same, whatever
its size, which is theirs where sizes are equal. Letters: N samples, C classes, D features.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from openmmlo.evaluate.features.blocks import BLOCK_NUMBERS, add_by_class, blocks, unit

Array = np.ndarray[Any, np.dtype[Any]]


def neural_collapse(features: Array, labels: Array, classes: int, what: str) -> dict[str, Any]:
    """NC1 and NC2; 0 everywhere is full collapse.

    - ``nc1``: trace(Sigma_W pinv(Sigma_B)) / C, variability within classes against that between their means.
    - ``nc2_equinorm``: coefficient of variation of the lengths of the centred class means.
    - ``nc2_equiangular``: standard deviation of the cosines between them.
    - ``nc2_angle``: mean over pairs of |cosine + 1 / (C - 1)|.

    C is the number of classes that have a sample. Values are None, with a ``reason``, where they are undefined.

    Args:
        labels: (N,) 0 to C - 1.
    """
    sums, counts = np.zeros((classes, features.shape[1])), np.bincount(labels, minlength=classes)
    for place, rows in blocks(features, what):
        add_by_class(sums, rows, np.asarray(labels[place]))
    present = counts > 0
    number = int(present.sum())
    found: dict[str, Any] = dict.fromkeys(("nc1", "nc2_equinorm", "nc2_equiangular", "nc2_angle"))
    found |= {"classes": number, "rows": len(labels)}
    if number < 2:
        return found | {"reason": f"features of {number} classes; it takes two"}
    means = sums / np.maximum(counts, 1)[:, None]
    centred = means[present] - means[present].mean(axis=0)
    _, lengths, axes = np.linalg.svd(centred, full_matrices=False)
    # Centring leaves rounding of the size of the means themselves, not of their differences, and one rank less.
    scale = float(np.linalg.norm(means[present]))
    kept = lengths > scale * max(centred.shape) * np.finfo(np.float64).eps
    kept[number - 1 :] = False
    if not kept.any():
        return found | {"reason": "the means of all classes are the same"}
    # Sigma_B = centred' centred / C, so that its pseudo-inverse is C axes' lengths^-2 axes: no matrix of D x D.
    whitened = axes[kept].T / lengths[kept]
    within = 0.0
    for place, rows in blocks(features, what):
        mine = np.asarray(labels[place])
        within += float((np.square((rows - means[mine]) @ whitened).sum(axis=1) / counts[mine]).sum())
    found["nc1"] = within / number
    norms = np.linalg.norm(centred, axis=1)
    found["nc2_equinorm"] = float(norms.std() / norms.mean())
    return found | _angles(unit(centred[norms > scale * 1e-14]), number)


def _angles(directions: Array, classes: int) -> dict[str, Any]:
    """Deviation of the cosines of all pairs, and their mean distance from those of a simplex, in blocks."""
    count = len(directions)
    if count < 2:
        return {}
    pairs = count * (count - 1) / 2
    ideal = -1 / (classes - 1)
    total = squares = away = 0.0
    size = max(1, BLOCK_NUMBERS // count)
    for start in range(0, count, size):
        off = directions[start : start + size] @ directions[start:].T - ideal
        above = np.arange(off.shape[1])[None, :] > np.arange(off.shape[0])[:, None]
        off = off[above]
        total, squares, away = total + off.sum(), squares + np.square(off).sum(), away + np.abs(off).sum()
    spread = max(0.0, squares / pairs - (total / pairs) ** 2) ** 0.5
    return {"nc2_equiangular": float(spread), "nc2_angle": float(away / pairs)}
