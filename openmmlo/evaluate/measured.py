"""The ``measured`` block of a result: what needs features and cannot be computed again from predictions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from openmmlo.data import open_dataset
from openmmlo.evaluate.banks import Banks
from openmmlo.evaluate.captions import audit_summary, measure_captions, own_predictions
from openmmlo.evaluate.classifiers import FittedClassifier, open_classifier
from openmmlo.evaluate.detectors.run import Detections
from openmmlo.evaluate.head import Head
from openmmlo.evaluate.heads import Candidate, predict
from openmmlo.evaluate.image_sets import Resolved
from openmmlo.evaluate.metrics import ood as ood_metrics
from openmmlo.evaluate.score import summary
from openmmlo.models.encoder import Classifier

NO_SHARED_SPACE = "the model's features of texts and of images share no space"


def measure(
    resolved: Resolved,
    banks: Banks,
    head: Head,
    candidates: dict[str, Candidate],
    fitted: dict[str, FittedClassifier],
    detections: Detections,
    groups: tuple[str, ...],
    seed: int,
) -> dict[str, Any]:
    """Every classifier side by side, detectors over k, geometry, and what captions add.

    Args:
        head: whose predictions are scored.
        candidates: heads by kind; ``fitted`` has those that learnt from training features, with or without a head.
        groups: (C,) shot group of each class, or empty.
    """
    return {
        "classifiers": _summaries(banks, candidates, fitted, resolved.benchmark.classes, groups),
        "k_sweep": _sweep(banks, detections),
        "geometry": _geometry(resolved, banks, head, candidates, groups, seed),
        **_captions(resolved, banks, candidates, groups, seed),
    }


def _summaries(
    banks: Banks, candidates: dict[str, Candidate], fitted: dict[str, FittedClassifier], classes: int,
    groups: tuple[str, ...],
) -> dict[str, Any]:  # fmt: skip
    """Every classifier on the test set."""
    test = banks.test
    found = {}
    for name in [*candidates, *(name for name in fitted if name not in candidates)]:
        predicted = predict(candidates[name].head, test)[0] if name in candidates else fitted[name].predict(test)
        choices = candidates[name].choices if name in candidates else fitted[name].choices
        found[name] = summary(test.labels, np.asarray(predicted), classes, groups) | {"choices": choices}
        del found[name]["per_class"]
    return found


def _sweep(banks: Banks, detections: Detections) -> dict[str, Any]:
    """OOD metrics for every k."""
    found: dict[str, Any] = {}
    outside = [bank.name for bank in banks.with_role("ood")]
    for name, by_k in detections.sweep.items():
        for k, by_set in by_k.items():
            inside = ood_metrics.sort_scores(by_set[banks.test.name], f"detector {name!r}, k = {k}")
            found.setdefault(name, {})[str(k)] = {
                other: ood_metrics.from_sorted(inside, ood_metrics.sort_scores(by_set[other], f"detector {name!r}"))
                for other in outside
            }
    return found


def _geometry(
    resolved: Resolved, banks: Banks, head: Head, candidates: dict[str, Candidate], groups: tuple[str, ...], seed: int
) -> dict[str, Any]:
    from openmmlo.evaluate.geometry import measure_geometry
    from openmmlo.evaluate.geometry.measure import NO_TEXTS

    zero_shot = candidates.get("zero-shot")
    apart = banks.texts_apart
    return measure_geometry(
        banks.test,
        resolved.benchmark.classes,
        train_counts=resolved.info.train_counts,
        groups=groups,
        captions=None if apart else banks.caption_features(banks.test.name),
        prompts=zero_shot.head.weight if zero_shot is not None else None,
        ood=banks.with_role("ood"),
        ood_texts=[] if apart else banks.ood_caption_features(),
        head=_directions(head, banks.encoder.classifier),
        train=banks.train,
        seed=seed,
        alone="text" if banks.mode == "text" else "image",
        without_texts=NO_SHARED_SPACE if apart else NO_TEXTS,
    )


def _directions(head: Head, own: Classifier | None) -> Head | None:
    """A head whose weights point where its classes lie; where logits follow angles, the classes' centres are that."""
    if head.is_linear:
        return head
    if head.columns is None or own is None or own.centres is None:
        return None
    return replace(head, weight=own.centres[head.columns])


def _captions(
    resolved: Resolved, banks: Banks, candidates: dict[str, Candidate], groups: tuple[str, ...], seed: int
) -> dict[str, Any]:
    """The caption ablation and the leak audit, where the data set has captions and the model reads texts."""
    if not banks.has_captions:
        return {"captions": None, "audit": None}
    train, validation, classes = banks.train, banks.validation, resolved.benchmark.classes
    audit = audit_summary(open_dataset(resolved.benchmark.folder)) if resolved.benchmark.folder else None
    test = banks.caption_banks(banks.test)
    found: dict[str, Any] = {}
    if train is not None:
        found = measure_captions(
            banks.caption_banks(train),
            test,
            banks.caption_banks(validation) if validation is not None else None,
            classes,
            groups,
            classifier=open_classifier("linear-probe", banks.encoder.device),
            seed=seed,
        )
    if "model" in candidates and test.pairs:
        head = candidates["model"].head
        found["own"] = own_predictions(test, lambda bank: predict(head, bank)[0], classes, groups)
    return {"captions": found or None, "audit": audit}
