"""Labels, predictions and scores come in as NumPy arrays; numbers go out. Nothing here needs torch.

Rates are fractions in float64. What is undefined (an empty shot group, one side without a sample) is None.
"""

from __future__ import annotations

from openmmlo.catalog import Catalog

METRICS = Catalog(
    "metric",
    {
        "top1-samples": "openmmlo.evaluate.metrics.accuracy:top1_samples",
        "top1-classes": "openmmlo.evaluate.metrics.accuracy:top1_classes",
        "groups": "openmmlo.evaluate.metrics.accuracy:group_accuracies",
        "harmonic-mean": "openmmlo.evaluate.metrics.accuracy:harmonic_mean",
        "worst-10-percent": "openmmlo.evaluate.metrics.accuracy:worst_tenth",
        "false-head-rate": "openmmlo.evaluate.metrics.accuracy:false_head_rate",
        "calibration-error": "openmmlo.evaluate.metrics.calibration:calibration_error",
        "test-priors": "openmmlo.evaluate.metrics.label_shift:prior_accuracies",
        "auroc": "openmmlo.evaluate.metrics.ood:auroc",
        "aupr-in": "openmmlo.evaluate.metrics.ood:aupr_in",
        "aupr-out": "openmmlo.evaluate.metrics.ood:aupr_out",
        "fpr95-id-positive": "openmmlo.evaluate.metrics.ood:fpr95_id_positive",
        "fpr95-ood-positive": "openmmlo.evaluate.metrics.ood:fpr95_ood_positive",
        "landing": "openmmlo.evaluate.metrics.accuracy:landing",
        "oltr-f-measure": "openmmlo.evaluate.metrics.open_set:oltr_f_measure",
    },
)

LOWER_IS_BETTER = frozenset({"false-head-rate", "calibration-error", "fpr95-id-positive", "fpr95-ood-positive"})
"""Metrics of METRICS where less is better; of the others more is."""
