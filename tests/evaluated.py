"""Evaluations drawn from a seed: predictions of a long-tailed benchmark, and the result that is made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from openmmlo.evaluate.detectors import DETECTORS
from openmmlo.evaluate.geometry.over_classes import over_classes, plain
from openmmlo.evaluate.metrics.ood import ood_metrics
from openmmlo.evaluate.predictions import PredictedSet, Predictions
from openmmlo.evaluate.score import score, summary

ADJECTIVES = ("red", "great", "little", "common", "spotted", "white-throated", "northern", "black", "river", "mountain")
NOUNS = ("fox", "heron", "kettle", "lantern", "viaduct", "tree frog", "trolleybus", "plover", "umbrella", "teapot")

OUTSIDE = (("near-open", "near", 400), ("svhn", "far", 500), ("textures", "far", 300))
DISTANCE = {"near": 0.7, "far": 1.6}


def predicted(
    classes: int = 60,
    per_class: int = 20,
    outside: Sequence[tuple[str, str, int]] = OUTSIDE,
    detectors: Sequence[str] = ("msp", "energy", "knn", "mahalanobis"),
    counts: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
    shifted: bool = True,
    seed: int = 0,
) -> Predictions:
    """Rare classes are harder, errors fall on larger classes, OOD scores lie above ID scores with overlap."""
    random = np.random.default_rng(seed)
    if counts is None:
        counts = [max(5, round(1280 * (5 / 1280) ** (place / max(1, classes - 1)))) for place in range(classes)]
        counts = random.permutation(counts).tolist()
    weights = np.asarray(counts, np.float64) + 1
    keys = [f"n{place:08d}" for place in range(classes)]
    if names is None:
        names = [
            f"{ADJECTIVES[p % 10]} {NOUNS[p // 10 % 10]}{f' {p // 100 + 1}' if p >= 100 else ''}"
            for p in range(classes)
        ]
    skill = 1 / (1 + np.exp(-(0.9 * np.log(weights / 30) + random.normal(0, 0.7, classes))))
    sets = [("test", "test", "", per_class), *([("sketch", "shifted", "", max(1, per_class // 2))] if shifted else [])]
    labels, set_names, right = [], [], []
    for name, _, _, each in sets:
        own = np.repeat(np.arange(classes), each)
        labels.append(own)
        set_names += [name] * len(own)
        right.append(random.random(len(own)) < skill[own] * (1 if name == "test" else 0.55))
    described = [PredictedSet(name, role, group, each * classes) for name, role, group, each in sets]
    for name, group, rows in outside:
        labels.append(np.full(rows, -1))
        set_names += [name] * rows
        right.append(np.zeros(rows, bool))
        described.append(PredictedSet(name, "ood", group, rows))
    label, correct = np.concatenate(labels), np.concatenate(right)
    guesses = random.choice(classes, len(label), p=weights**0.6 / (weights**0.6).sum())
    guesses = np.where((guesses == label) & ~correct, (guesses + 1) % classes, guesses)
    said = np.where(correct, label, guesses)
    correct = said == label
    groups = {item.name: item.group for item in described}
    away = np.array([DISTANCE.get(groups[name], 0.0) for name in set_names])
    confidence = 1 / (1 + np.exp(-(random.normal(0.4, 1.2, len(label)) + 1.6 * correct - 0.5 * away)))
    scores = {
        name: 10.0 ** (place % 3) * (random.gamma(4, 0.4, len(label)) + away * (0.5 + place % 4 / 2) - 0.3 * correct)
        for place, name in enumerate(detectors)
    }
    ids = [f"{name}/{place}" for place, name in enumerate(set_names)]
    return Predictions(
        benchmark="imagenet-lt", version=1, definition="d" * 64, shots="paper",
        classes=tuple(zip(keys, names, strict=True)), train_counts=tuple(int(count) for count in counts),
        sets=tuple(described), model="hf:openai/clip-vit-base-patch16", seed=0,
        sample_ids=np.array(ids, dtype=object), set_names=np.array(set_names, dtype=object),
        class_keys=np.array([keys[place] if place >= 0 else "" for place in label], dtype=object),
        labels=label.astype(np.int32), predicted=said.astype(np.int32), confidence=confidence, scores=scores,
    )  # fmt: skip


def result_of(predictions: Predictions, seed: int = 0) -> dict[str, Any]:
    """What result.json would hold, with every block filled."""
    random = np.random.default_rng(seed)
    scored = score(predictions)
    return {
        "format": 1,
        "openmmlo": "0.4.0",
        "benchmark": {
            "name": predictions.benchmark, "version": predictions.version, "shots": predictions.shots,
            "title": "Long-tailed ImageNet with an open set.", "classes": len(predictions.classes),
            "papers": ["Liu et al., CVPR 2019"],
        },
        "model": {"name": predictions.model, "identity": {"library": "transformers", "revision": "0123456789ab"}},
        "seed": 0,
        "classifier": {
            "kind": "zero-shot", "choices": {"templates": "imagenet-80", "scale": 100.0},
            "not_available": {"model": "It has no classifier of its own."},
        },
        "protocol": {
            "transform": {"resize": 224, "crop": 224, "interpolation": "bicubic"},
            "precision": {"computed": "float32", "stored": "fp32"},
            "batch_size": 64,
            "detectors": {"knn": {"k": 50}, "energy": {"temperature": 1.0}},
            "cautions": {"energy": ["cosine logits: chosen for linear ones"]},
            "neighbours": {"search": "exact"},
        },
        "sets": [
            {"name": item.name, "role": item.role, "group": item.group, "expected": item.rows, "found": item.rows,
             "list_hash": "ab" * 32}
            for item in predictions.sets
        ],
        "digests": {
            "definition": "d" * 64, "label_map": "e" * 64, "predictions": "f" * 64, "banks": {"test": "9" * 64},
        },
        "scored": scored,
        "measured": _measured(predictions, random),
        "not_run": [{"what": "set places365", "reason": "No images found. Get them at places2.csail.mit.edu."}],
        "warnings": ["Detector gradnorm needs a linear head: it reads the probe."],
        "departures": [],
        "run": {
            "date": "2026-11-25T12:00:00Z", "seconds": 1234.5, "device": "cuda:0",
            "stages": {"extraction": 1000.25, "detectors": 200.0},
            "machine": {"processor": "x86_64", "cores": 2, "system": "Linux"},
            "versions": {"openmmlo": "0.4.0", "numpy": "2.3.0"},
        },
    }  # fmt: skip


def evaluated(**options: Any) -> tuple[dict[str, Any], Predictions]:
    """A result and its predictions."""
    predictions = predicted(**options)
    return result_of(predictions), predictions


def renamed(predictions: Predictions, text: Sequence[str]) -> Predictions:
    """The same predictions of classes and sets that bear other names."""
    classes = tuple((f"{text[p % len(text)]}{p}", text[p % len(text)]) for p in range(len(predictions.classes)))
    names = {item.name: f"{text[p % len(text)]}{p}" for p, item in enumerate(predictions.sets)}
    keys = [classes[label][0] if label >= 0 else "" for label in predictions.labels.tolist()]
    return replace(
        predictions, benchmark=text[0], model=text[1], classes=classes,
        sets=tuple(replace(item, name=names[item.name]) for item in predictions.sets),
        set_names=np.array([names[name] for name in predictions.set_names], dtype=object),
        class_keys=np.array(keys, dtype=object),
    )  # fmt: skip


def _measured(predictions: Predictions, random: np.random.Generator) -> dict[str, Any]:
    classes, groups = len(predictions.classes), predictions.groups
    (test,) = predictions.by_role("test")
    rows = predictions.rows(test.name)
    labels, said = predictions.labels[rows], predictions.predicted[rows]

    def other(keep: float) -> dict[str, Any]:
        changed = np.where(
            random.random(len(said)) < keep, said, labels if keep > 0.8 else random.integers(0, classes, len(said))
        )
        found = summary(labels, changed, classes, groups)
        del found["per_class"]
        return found

    counts = np.asarray(predictions.train_counts or [10] * classes, np.float64)
    angles = {
        "intra": 74 - 2.2 * np.log10(counts) + random.normal(0, 1.5, classes),
        "inter": 82 + random.normal(0, 1.0, classes),
        "ood": 85 + 0.4 * np.log10(counts) + random.normal(0, 0.8, classes),
        "image_intra": 42 - 3 * np.log10(counts) + random.normal(0, 2, classes),
        "image_inter": 66 + 2 * np.log10(counts) + random.normal(0, 2, classes),
        "image_ood": 72 + 1.5 * np.log10(counts) + random.normal(0, 2, classes),
    }

    weights = {"inter": 70 + random.normal(0, 2, classes), "ood": 88 + random.normal(0, 1, classes)}

    def block(values: dict[str, Any]) -> dict[str, Any]:
        return {
            "classes": {name: plain(value) for name, value in values.items()},
            "summary": {name: over_classes(value, groups, predictions.train_counts) for name, value in values.items()},
        }

    inside = predictions.rows(test.name)
    sweep = {
        detector: {
            str(k): {
                item.name: ood_metrics(
                    predictions.scores[detector][inside] - 0.2 * np.log10(k) * (k < 100),
                    predictions.scores[detector][predictions.rows(item.name)],
                )
                for item in predictions.by_role("ood")
            }
            for k in (1, 5, 10, 50, 100, 300, 1000)
        }
        for detector in predictions.scores
        if detector.endswith("knn")
    }
    return {
        "classifiers": {
            "zero-shot": other(1.0) | {"choices": {"templates": "imagenet-80"}},
            "linear-probe": other(0.9) | {"choices": {"c": 0.316}},
            "ncm": other(0.7) | {"choices": {}},
            "knn": other(0.6) | {"choices": {"k": 20}},
        },
        "k_sweep": sweep,
        "geometry": {
            "basis": "captions", **block(angles), "modality_gap": {"distance": 0.812, "angle": 71.2},
            "uniformity": -1.812, "uniformity_texts": -1.41, "alignment": 1.41,
            "weights": {"head": "zero-shot", "rows": 1200, **block(weights)},
            "neural_collapse": {"nc1": 3.2, "nc2_equinorm": 0.31, "nc2_equiangular": 0.2, "nc2_angle": 0.18,
                                "classes": classes, "rows": 4000, "bank": "train"},
            "centres": {"image": 100, "text": 100, "asked": 100, "rows": {"image": 1200, "text": 1200}},
            "rows": {"test": test.rows, "ood": 1200, "zero": 0}, "seed": 0,
            "slope_unit": "degrees per tenfold training images", "reasons": {},
        },
        "captions": {
            "classifier": "linear-probe", "image_only": other(0.9),
            "masked": {"caption_only": other(0.3), "both": other(0.95)},
            "raw": {"caption_only": other(0.5), "both": other(0.97)},
            "own": {"image_only": other(0.85), "masked": other(0.96), "raw": None, "gain": {"masked": 0.03}},
            "majority": {"top1_samples": 1 / classes, "top1_classes": 1 / classes, "groups": {}},
            "gain": {"masked": 0.021, "raw": 0.054},
        },
        "audit": {"level": "strict", "captions": 5000, "leak_rate": 0.0021, "leak_rate_raw": 0.41, "classifier": None},
    }  # fmt: skip


ALL_DETECTORS = tuple(DETECTORS)
