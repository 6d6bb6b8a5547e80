"""Banks of images, captions and both come in; what the captions add goes out, with the audit of what they give away.

Captions are written by a model that saw the test image, so that an accuracy with captions says little by itself. Beside
it stand images alone, captions alone, masked captions and raw ones, and the leak audit of the data set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from openmmlo.data import BuiltDataset
from openmmlo.data.measures import load
from openmmlo.errors import DataError
from openmmlo.evaluate.classifiers import FeatureClassifier
from openmmlo.evaluate.features.bank import FeatureBank
from openmmlo.evaluate.features.blocks import blocks, unit
from openmmlo.evaluate.score import summary

Array = np.ndarray[Any, np.dtype[Any]]

Wording = Literal["masked", "raw"]
WORDINGS: tuple[Wording, ...] = ("masked", "raw")
"""Masked captions are the headline; raw ones show what masking takes away."""


@dataclass(frozen=True, eq=False)
class CaptionBanks:
    """One set of images as a model reads it in each way; every bank has the same rows.

    Attributes:
        images: image features.
        captions: wording -> caption features.
        pairs: wording -> features of image and caption together, for models that read pairs.
    """

    images: FeatureBank
    captions: Mapping[Wording, FeatureBank]
    pairs: Mapping[Wording, FeatureBank]


def measure_captions(
    train: CaptionBanks,
    test: CaptionBanks,
    validation: CaptionBanks | None,
    classes: int,
    groups: Sequence[str],
    classifier: FeatureClassifier | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Accuracy from images alone, captions alone, and both, each by the same kind of classifier on frozen features.

    Both: the pair banks where the model reads pairs, else unit image features beside unit caption features.

    Args:
        validation: where hyper-parameters are chosen; samples held out of ``train`` where None.
        classes: C.
        groups: (C,) shot group of each class, or empty.
        classifier: a linear probe where None.
        seed: of the hold-out.

    Returns:
        With R the summary of the predictions on the test set (``openmmlo.evaluate.score.summary``), ``choices`` and
        ``reads`` ("images", "captions", "concatenation" or "pairs"), and S its top1_samples, top1_classes and groups::

            {"classifier": name, "image_only": R,
             "masked": {"caption_only": R, "both": R} or None where some set has no such captions, "raw": the same,
             "majority": S, "chance": S,
             "gain": {"masked", "raw": top1_classes of both less that of image_only}}

    Raises:
        DataError: banks of one set with other rows, NaN or infinite features, or nothing to learn from.
    """
    from openmmlo.evaluate.classifiers.linear_probe import LinearProbe

    probe: FeatureClassifier = classifier or LinearProbe()
    sets = [train, test, *([validation] if validation is not None else [])]
    for item in sets:
        _check_rows(item)

    def measured(reads: str, banks: Sequence[FeatureBank]) -> dict[str, Any]:
        fitted = probe.fit(banks[0], classes, banks[2] if len(banks) > 2 else None, seed)
        predicted = fitted.predict(banks[1])
        return {
            "reads": reads,
            **summary(banks[1].labels, predicted, classes, tuple(groups)),
            "choices": fitted.choices,
        }

    found: dict[str, Any] = {
        "classifier": probe.name,
        "image_only": measured("images", [item.images for item in sets]),
    }
    for wording in WORDINGS:
        found[wording] = None
        if all(wording in item.captions for item in sets):
            paired = all(wording in item.pairs for item in sets)
            both = [
                item.pairs[wording] if paired else side_by_side(item.images, item.captions[wording]) for item in sets
            ]
            found[wording] = {
                "caption_only": measured("captions", [item.captions[wording] for item in sets]),
                "both": measured("pairs" if paired else "concatenation", both),
            }
    found |= guessing(train.images.labels, test.images.labels, classes, groups)
    with_captions = {wording: found[wording]["both"] for wording in WORDINGS if found[wording] is not None}
    found["gain"] = _gains(with_captions, found["image_only"])
    return found


def own_predictions(
    test: CaptionBanks, predict: Callable[[FeatureBank], Array], classes: int, groups: Sequence[str]
) -> dict[str, Any]:
    """The same for the model's own classifier, of images and of images with captions: nothing is fitted.

    Args:
        predict: bank -> (N,) classes that the model's own logits in it predict.
        classes: C.
        groups: (C,) shot group of each class, or empty.

    Returns:
        {"image_only": R, "masked": R or None where the test set has no such captions, "raw": the same,
        "gain": {"masked", "raw": top1_classes less that of image_only}}, with R the summary of the predictions.

    Raises:
        DataError: banks of one set with other rows.
    """
    _check_rows(test)
    found: dict[str, Any] = dict.fromkeys(("image_only", *WORDINGS))
    for name, bank in (("image_only", test.images), *test.pairs.items()):
        found[name] = summary(bank.labels, predict(bank), classes, tuple(groups))
    found["gain"] = _gains({wording: found[wording] for wording in WORDINGS}, found["image_only"])
    return found


def _gains(with_captions: Mapping[Wording, Any], images: Mapping[str, Any]) -> dict[str, float]:
    """What reading captions too adds to the mean of the class accuracies, for each wording that was read."""
    alone = images["top1_classes"]
    read = {wording: item["top1_classes"] for wording, item in with_captions.items() if item is not None}
    return {} if alone is None else {wording: value - alone for wording, value in read.items()}


def side_by_side(images: FeatureBank, captions: FeatureBank) -> FeatureBank:
    """One bank of (N, D + E) float32 rows: unit image features, then unit caption features."""
    width = images.features.shape[1]
    joined = np.empty((len(images), width + captions.features.shape[1]), np.float32)
    for columns, bank in ((slice(0, width), images), (slice(width, None), captions)):
        for place, rows in blocks(bank.features, f"Bank {bank.name!r}"):
            joined[place, columns] = unit(rows)
    return FeatureBank(images.name, images.sample_ids, images.class_keys, images.labels, joined)


def guessing(trained: Array, tested: Array, classes: int, groups: Sequence[str]) -> dict[str, Any]:
    """What is right without reading anything: always the largest training class, and at random among all classes."""
    counts = np.bincount(trained[trained >= 0], minlength=classes)
    always = summary(tested, np.full(len(tested), counts.argmax()), classes, tuple(groups))
    majority = {key: always[key] for key in ("top1_samples", "top1_classes", "groups")}

    def at_random(value: Any) -> Any:
        if isinstance(value, dict):
            return dict.fromkeys(value, 1 / classes)
        return None if value is None else 1 / classes

    return {"majority": majority, "chance": {key: at_random(value) for key, value in majority.items()}}


def audit_summary(dataset: BuiltDataset) -> dict[str, Any]:
    """What the leak audit of a built data set comes to, for a result that read its captions.

    Returns:
        What is None has a ``reason``; where no audit of these data was taken, there are only leak_rate and reason::

            {"level": mask level, "captions": n,
             "leak_rate": share of masked captions that tell their class, "leak_rate_raw": of those as written,
             "by_shot": {group: leak rate},
             "classifier": {"raw", "masked", "majority", "chance": {"all": mean over classes, "samples", "many",
                            "medium", "few"}} or None: a bag-of-words classifier,
             "interval": [low, high] of its accuracy on masked captions, over all classes, or None}

    Raises:
        DataError: audit.json is damaged.
    """
    audit = load(Path(dataset.folder), "audit", dataset.digest)
    if audit is None:
        reason = f"no audit of this data set: openmmlo audit {Path(dataset.folder).name} takes one"
        return {"leak_rate": None, "reason": reason}
    try:
        masked, raw, words = audit["leaks"]["all"], audit["unmasked"]["all"], audit["classifier"]
        found = {
            "level": audit["level"],
            "captions": masked["captions"],
            "leak_rate": masked["any"]["rate"],
            "leak_rate_raw": raw["any"]["rate"],
            "by_shot": {
                group: masked["groups"][group]["any"]["rate"]
                for group in ("many", "medium", "few")
                if masked["groups"][group]["captions"]
            },
            "classifier": words.get("results"),
            "interval": words["intervals"]["masked"]["all"] if "intervals" in words else None,
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"audit.json of {dataset.folder} does not hold what openmmlo audit writes ({error!r}). Run the audit again."
        ) from error
    return found | ({"reason": words["reason"]} if "reason" in words else {})


def _check_rows(banks: CaptionBanks) -> None:
    for bank in (*banks.captions.values(), *banks.pairs.values()):
        if not np.array_equal(bank.sample_ids, banks.images.sample_ids):
            raise DataError(
                f"Bank {bank.name!r} ({len(bank):,} rows) and the images of {banks.images.name!r} "
                f"({len(banks.images):,} rows) are not of the same samples in one order. Extract both from one list."
            )
