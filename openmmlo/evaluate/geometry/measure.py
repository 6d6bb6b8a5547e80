"""The geometry of one model on one benchmark: Table 4 and Fig. 1 of the T-hp paper (arXiv:2405.13459), and more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from openmmlo.errors import DataError
from openmmlo.evaluate.features.bank import FeatureBank
from openmmlo.evaluate.features.blocks import unit, unit_sample
from openmmlo.evaluate.geometry import class_angles, spread
from openmmlo.evaluate.geometry.kmeans import spherical_centres
from openmmlo.evaluate.geometry.neural_collapse import neural_collapse
from openmmlo.evaluate.geometry.over_classes import over_classes, plain
from openmmlo.evaluate.head import Head

Array = np.ndarray[Any, np.dtype[Any]]

CENTRES = 100

ROWS_A_CENTRE = 256
"""Rows a centre that k-means reads; of more OOD rows a seeded sample of that size is."""

NO_TEXTS = "the model reads no texts, or none were given"

Alone = Literal["image", "text"]
"""What the bank's own features are of; it is part of the names of the angles among them."""


def measure_geometry(
    test: FeatureBank,
    classes: int,
    *,
    train_counts: Sequence[int] | None = None,
    groups: Sequence[str] = (),
    captions: Array | None = None,
    prompts: Array | None = None,
    ood: Sequence[FeatureBank] = (),
    ood_texts: Sequence[Array] = (),
    head: Head | None = None,
    train: FeatureBank | None = None,
    seed: int = 0,
    centres: int = CENTRES,
    alone: Alone = "image",
    without_texts: str = NO_TEXTS,
) -> dict[str, Any]:
    """Measure the feature space of one model; angles in degrees, everything a JSON value.

    Args:
        test: the test set; its labels are 0 to C - 1.
        classes: C.
        train_counts: (C,) training images, for slopes.
        groups: (C,) shot group of each class, or empty.
        captions: (N, D) features of the test images' captions, row by row.
        prompts: (C, D) text embedding of each class, read where there are no captions.
        ood: the OOD sets; their rows are pooled.
        ood_texts: (n, D) text features of OOD captions, or of the names of OOD classes; pooled too.
        head: whose weights are compared (Fig. 1b); linear ones alone have any.
        train: bank that neural collapse is measured on; ``test`` where None.
        seed: of k-means and of samples of rows.
        centres: M, OOD centres a modality.
        alone: what the features of ``test`` are of; "text" for a model that reads texts alone.
        without_texts: why there are no captions and prompts to compare with, where there are none.

    Returns:
        With a_c and b_c the mean of class c's unit image and text features, at unit length, and o_m the OOD centres::

            {"basis": "captions" | "prompts" | "images" | "texts",    # what b_c is made of; the last two: there is none
             "classes": {NAME: [degrees or None, ...] (C values) or None},
             "summary": {NAME: {"mean", "std", "classes", "by_shot": {"many", "medium", "few"}, "std_by_shot",
                                "slope", "slope_interval": [low, high], "r_squared", "slope_classes"} or None},
             "modality_gap": {"distance", "angle"} or None,
             "uniformity": of ``test``, "uniformity_texts": of the texts, "alignment": number or None,
             "weights": {"head": kind, "rows": OOD samples, "classes": {"inter", "ood"}, "summary": {"inter", "ood"}}
                        or None,
             "neural_collapse": {"nc1", "nc2_equinorm", "nc2_equiangular", "nc2_angle", "classes", "rows", "bank"},
             "centres": {"image": n, "text": n or None, "asked": M, "rows": {"image", "text"}: rows k-means read},
             "rows": {"test", "ood", "zero": all-zero rows of the test set, "uniformity", "uniformity_texts"},
             "seed": seed, "slope_unit": "degrees per tenfold training images",
             "reasons": {key that is None: why}}

        NAME is of the paper's kind: ``intra`` (a_c to b_c, smaller is better), ``inter`` (mean of a_c to b_c' of other
        classes, larger is better), ``ood`` (mean of a_c to the OOD text centres, larger is better); or of images
        alone, and not to be mistaken for those: ``image_intra`` (mean of a class's samples to a_c), ``image_inter``
        (a_c to a_c' of other classes), ``image_ood`` (a_c to the OOD image centres). They are called ``text_...`` where
        the features are of texts alone.

        In ``weights``, with w_c the rows of the linear layer (its bias is left out): ``inter`` (w_c to w_c' of other
        classes), ``ood`` (w_c to OOD samples).

    Raises:
        DataError: NaN or infinite features, labels outside the map, all-zero features, banks of different widths.
    """
    what = f"Bank {test.name!r}"
    class_angles.check_labels(test.labels, classes, what)
    _check_widths(test, {"captions": captions, "prompts": prompts}, [*ood, *([train] if train else [])], ood_texts)
    if captions is not None and len(captions) != len(test):
        raise DataError(f"{what} has {len(test):,} rows, its captions {len(captions):,}; expected one each.")
    if prompts is not None and len(prompts) != classes:
        raise DataError(f"{len(prompts):,} class embeddings for {classes:,} classes; expected one each.")
    reasons: dict[str, str] = {}
    images = class_angles.class_centres(test.features, test.labels, classes, what)
    if np.isnan(images).all():
        raise DataError(f"{what}: no class has a direction (no row, or all-zero features). Check model and weights.")
    texts = _text_centres(test, classes, captions, prompts)
    basis = f"{alone}s" if texts is None else "prompts" if captions is None else "captions"

    most = centres * ROWS_A_CENTRE
    own_rows = unit_sample([bank.features for bank in ood], [f"Bank {bank.name!r}" for bank in ood], most, seed)
    text_rows = unit_sample(ood_texts, [f"OOD texts {place}" for place in range(len(ood_texts))], most, seed)
    own_ood, text_ood = (spherical_centres(rows, centres, seed) for rows in (own_rows, text_rows))
    found: dict[str, Array | None] = dict.fromkeys(("intra", "inter", "ood"))
    if texts is None:
        reasons |= dict.fromkeys(found, without_texts)
    else:
        found["intra"] = class_angles.own_angles(images, texts)
        found["inter"] = class_angles.mean_angles(images, texts, leave_out_own=True)
        if len(text_ood):
            found["ood"] = class_angles.mean_angles(images, text_ood)
        else:
            reasons["ood"] = "no text features of OOD samples; image_ood has the angles to image centres"
    found[f"{alone}_intra"] = class_angles.sample_angles(test.features, test.labels, images, what)
    found[f"{alone}_inter"] = class_angles.mean_angles(images, images, leave_out_own=True)
    found[f"{alone}_ood"] = class_angles.mean_angles(images, own_ood) if len(own_ood) else None
    if not len(own_ood):
        reasons[f"{alone}_ood"] = "no features of OOD samples"
    summary = _summaries(found, groups, train_counts)
    for name, value in summary.items():
        if value is None:
            reasons.setdefault(name, "no class has a value (a class by itself is compared with none)")

    sentences = captions if captions is not None else prompts
    owners = None if captions is not None else test.labels
    spreads, paired = _spreads(test, sentences, owners, seed, reasons, without_texts)
    collapse = train if train is not None else test
    class_angles.check_labels(collapse.labels, classes, f"Bank {collapse.name!r}")
    return {
        "basis": basis,
        "classes": {name: None if value is None else plain(value) for name, value in found.items()},
        "summary": summary,
        **spreads,
        "weights": _weights(head, ood, groups, train_counts, test.features.shape[1], reasons),
        "neural_collapse": {
            **neural_collapse(collapse.features, collapse.labels, classes, f"Bank {collapse.name!r}"),
            "bank": collapse.name,
        },
        "centres": {
            "image": None,
            "text": len(text_ood) if len(ood_texts) else None,
            alone: len(own_ood),
            "asked": centres,
            "rows": {"image": None, "text": len(text_rows) if len(ood_texts) else None, alone: len(own_rows)},
        },
        "rows": {
            "test": len(test),
            "ood": sum(map(len, ood)),
            "zero": _zero_rows(test.features),
            **paired,
        },
        "seed": seed,
        "slope_unit": "degrees per tenfold training images",
        "reasons": reasons,
    }


def _check_widths(
    test: FeatureBank, texts: Mapping[str, Array | None], banks: Sequence[FeatureBank], ood_texts: Sequence[Array]
) -> None:
    width = test.features.shape[1]
    widths = {name: value.shape[1] for name, value in texts.items() if value is not None}
    widths |= {f"Bank {bank.name!r}": bank.features.shape[1] for bank in banks}
    widths |= {f"OOD texts {place}": value.shape[1] for place, value in enumerate(ood_texts)}
    for name, found in widths.items():
        if found != width:
            raise DataError(f"{name}: {found} features a row; bank {test.name!r} has {width}. Use one model for all.")


def _text_centres(test: FeatureBank, classes: int, captions: Array | None, prompts: Array | None) -> Array | None:
    """(C, D) b_c, or None where there are no texts."""
    if captions is not None:
        return class_angles.class_centres(captions, test.labels, classes, f"Captions of bank {test.name!r}")
    if prompts is None:
        return None
    return class_angles.class_centres(prompts, np.arange(classes), classes, "The class embeddings")


def _zero_rows(features: Array) -> int:
    parts = range(0, len(features), 8192)
    return sum(int((~np.asarray(features[start : start + 8192]).any(axis=1)).sum()) for start in parts)


def _spreads(
    test: FeatureBank, texts: Array | None, owners: Array | None, seed: int, reasons: dict[str, str], without: str
) -> tuple[dict[str, Any], dict[str, int | None]]:
    """Modality gap, uniformity and alignment, and how many rows uniformity paired."""
    what = f"Bank {test.name!r}"
    found: dict[str, Any] = dict.fromkeys(("modality_gap", "uniformity", "uniformity_texts", "alignment"))
    paired: dict[str, int | None] = {"uniformity": None, "uniformity_texts": None}
    found["uniformity"], paired["uniformity"] = spread.uniformity(test.features, what, seed)
    if texts is None:
        reasons |= dict.fromkeys(("modality_gap", "uniformity_texts", "alignment"), without)
    else:
        means = spread.mean_direction(test.features, what), spread.mean_direction(texts, f"Texts of bank {test.name!r}")
        found["modality_gap"] = spread.modality_gap(*means)
        found["uniformity_texts"], paired["uniformity_texts"] = spread.uniformity(
            texts, f"Texts of bank {test.name!r}", seed
        )
        found["alignment"] = spread.alignment(test.features, texts, what, owners)
    for name in found:
        if found[name] is None:
            reasons.setdefault(name, "too few rows that are not all zero")
    return found, paired


def _summaries(
    values: Mapping[str, Array | None], groups: Sequence[str], train_counts: Sequence[int] | None
) -> dict[str, Any]:
    return {
        name: None if value is None else over_classes(value, groups, train_counts) for name, value in values.items()
    }


def _weights(
    head: Head | None,
    ood: Sequence[FeatureBank],
    groups: Sequence[str],
    train_counts: Sequence[int] | None,
    width: int,
    reasons: dict[str, str],
) -> dict[str, Any] | None:
    """Fig. 1b: angles between the rows of a linear layer, and to what it reads of OOD samples."""
    if head is None or head.weight is None or head.weight.shape[1] != width:
        reasons["weights"] = "no linear head on these features"
        return None
    rows = np.asarray(head.weight, np.float64)
    if not np.isfinite(rows).all():
        bad = int((~np.isfinite(rows).all(axis=1)).sum())
        raise DataError(f"The {head.kind} head has {bad:,} rows with NaN or infinite weights; expected finite ones.")
    directions = unit(rows)
    directions[~rows.any(axis=1)] = np.nan
    values: dict[str, Array | None] = {
        "inter": class_angles.mean_angles(directions, directions, leave_out_own=True),
        "ood": None,
    }
    total = 0
    if ood:
        values["ood"], total = class_angles.outside_angles(
            directions, [bank.features for bank in ood], [f"Bank {bank.name!r}" for bank in ood]
        )
    return {
        "head": head.kind,
        "rows": total,
        "classes": {name: None if value is None else plain(value) for name, value in values.items()},
        "summary": _summaries(values, groups, train_counts),
    }
