"""Results on the miniature as ``openmmlo eval`` would write them, all 4,500 rows: from a seed, not from a model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from evaluated import result_of

from openmmlo.evaluate.benchmark import load_benchmark
from openmmlo.evaluate.predictions import PredictedSet, Predictions, digest, write_predictions
from openmmlo.evaluate.result import write_result
from openmmlo.leaderboard.submit import About
from openmmlo.records import digest_of
from openmmlo.sources import open_source

ABOUT = About("Focal loss", ("Ada Lovelace", "Emmy Noether"), paper="https://arxiv.org/abs/1708.02002",
              pretraining="none", captions="none")  # fmt: skip


@cache
def miniature_rows() -> tuple[Any, ...]:
    """Sets, sample ids, set names, class keys and labels of the benchmark, in its own order."""
    benchmark = load_benchmark("miniature")
    source = open_source("miniature", {})
    sets, ids, names, keys, labels = [], [], [], [], []
    for item in benchmark.with_role("test", "shifted", "ood"):
        samples = list(source.samples(item.split))
        sets.append(PredictedSet(item.name, item.role, item.group, len(samples)))
        ids += [sample.sample_id for sample in samples]
        names += [item.name] * len(samples)
        keys += [sample.class_key for sample in samples]
        labels += [sample.label for sample in samples]
    as_text = [np.array(values, dtype=object) for values in (ids, names, keys)]
    return (tuple(sets), *as_text, np.array(labels, np.int32))


def predicted_miniature(
    seed: int = 0, skill: float = 0.5, detectors: Sequence[str] = ("energy", "msp"), model: str = "tiny"
) -> Predictions:
    """Right with probability ``skill`` on classes of many images, less on rarer ones; OOD scores a little larger."""
    random = np.random.default_rng([seed, round(1000 * skill)])
    info = open_source("miniature", {}).info()
    sets, ids, names, keys, labels = miniature_rows()
    counts = np.array(info.train_counts)
    chance = np.where(labels >= 0, skill * (counts[labels] / counts.max()) ** 0.2, 0)
    right = random.random(len(labels)) < chance
    predicted = np.where(right, labels, random.integers(0, len(counts), len(labels)))
    return Predictions(
        benchmark="miniature", version=1, definition=load_benchmark("miniature").digest, shots="paper",
        classes=tuple((item.key, item.name) for item in info.classes), train_counts=info.train_counts, sets=sets,
        model=model, seed=seed, sample_ids=ids, set_names=names, class_keys=keys, labels=labels,
        predicted=predicted.astype(np.int32), confidence=random.uniform(0.1, 1, len(labels)),
        scores={name: random.normal(0, 1, len(labels)) + (labels < 0) for name in detectors},
    )  # fmt: skip


def result_on_miniature(predictions: Predictions, **changed: Any) -> dict[str, Any]:
    """The result of predictions, consistent with them in every digest."""
    identity = {"library": "openmmlo", "architecture": "thp-tiny", "benchmark": "miniature",
                "weights": digest_of([predictions.model, predictions.seed])}  # fmt: skip
    found = result_of(predictions, predictions.seed) | {
        "seed": predictions.seed,
        "model": {"name": predictions.model, "identity": identity},
        "digests": {
            "definition": predictions.definition, "label_map": predictions.label_map_hash,
            "checkpoint": digest_of(identity), "recipe": "ab" * 32, "predictions": digest(predictions),
            "lists": {item.name: predictions.list_hash(item.name) for item in predictions.sets},
        },
        "asked": {"classifier": "model", "detectors": sorted(predictions.scores), "transform": "model", "limit": None},
    }  # fmt: skip
    return found | changed


def write_evaluated(folder: Path, predictions: Predictions, result: Mapping[str, Any] | None = None) -> Path:
    """A folder with result.json and predictions.parquet."""
    folder.mkdir(parents=True, exist_ok=True)
    write_predictions(predictions, folder / "predictions.parquet")
    write_result(folder, result if result is not None else result_on_miniature(predictions))
    return folder


def write_unchecked(path: Path, predictions: Predictions) -> None:
    """A predictions file whose values contradict each other: what :func:`write_predictions` would refuse to write."""
    import openmmlo.evaluate.predictions as module

    kept = module._check
    module._check = lambda *_: None
    try:
        write_predictions(predictions, path)
    finally:
        module._check = kept


def with_rows(predictions: Predictions, order: Any) -> Predictions:
    """The same predictions of other rows: some left out, some twice, in another order; the sets say how many."""
    order = np.asarray(order)
    names = predictions.set_names[order]
    return replace(
        predictions,
        sets=tuple(replace(item, rows=int(np.sum(names == item.name))) for item in predictions.sets),
        **{
            name: getattr(predictions, name)[order]
            for name in ("sample_ids", "set_names", "class_keys", "labels", "predicted", "confidence")
        },
        scores={name: values[order] for name, values in predictions.scores.items()},
    )


def edited(path: Path, change: Any) -> None:
    """Change the JSON value in a file in place."""
    value = json.loads(path.read_bytes())
    change(value)
    path.write_text(json.dumps(value, indent=1) + "\n")


def files_of(root: Path) -> dict[str, bytes]:
    """Path -> bytes of everything in a folder."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
