"""Labels, predictions and scores come in as NumPy arrays; numbers go out. Nothing here needs torch.

Rates are fractions in float64. What is undefined (an empty shot group, one side without a sample) is None or absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from openmmlo.catalog import Catalog

METRICS = Catalog(
    "metric",
    {
        "top1-samples": "openmmlo.evaluate.metrics.accuracy:top1_samples",
        "top1-classes": "openmmlo.evaluate.metrics.accuracy:top1_classes",
        "groups": "openmmlo.evaluate.metrics.accuracy:group_accuracies",
        "harmonic-mean": "openmmlo.evaluate.metrics.accuracy:harmonic_mean",
        "worst-10-percent": "openmmlo.evaluate.metrics.accuracy:worst_tenth",
        "false-head-rate": "openmmlo.evaluate.metrics.shot_confusion:false_head_rate",
        "group-confusion": "openmmlo.evaluate.metrics.shot_confusion:group_confusion",
        "landing": "openmmlo.evaluate.metrics.shot_confusion:landing",
        "calibration-error": "openmmlo.evaluate.metrics.calibration:calibration_error",
        "test-priors": "openmmlo.evaluate.metrics.label_shift:prior_accuracies",
        "auroc": "openmmlo.evaluate.metrics.ood:auroc",
        "aupr-in": "openmmlo.evaluate.metrics.ood:aupr_in",
        "aupr-out": "openmmlo.evaluate.metrics.ood:aupr_out",
        "fpr95-id-positive": "openmmlo.evaluate.metrics.ood:fpr95_id_positive",
        "fpr95-ood-positive": "openmmlo.evaluate.metrics.ood:fpr95_ood_positive",
        "oltr-f-measure": "openmmlo.evaluate.metrics.open_set:oltr_f_measure",
    },
)

DIRECTIONS: Mapping[str, Literal["higher", "lower", "none"]] = {
    "top1-samples": "higher",
    "top1-classes": "higher",
    "groups": "higher",
    "harmonic-mean": "higher",
    "worst-10-percent": "higher",
    "false-head-rate": "lower",
    "group-confusion": "none",
    "landing": "none",
    "calibration-error": "lower",
    "test-priors": "higher",
    "auroc": "higher",
    "aupr-in": "higher",
    "aupr-out": "higher",
    "fpr95-id-positive": "lower",
    "fpr95-ood-positive": "lower",
    "oltr-f-measure": "higher",
}
"""Which way is better, for every entry of METRICS; ``none``: it describes, and ranks nothing."""
