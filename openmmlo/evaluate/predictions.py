"""Predictions: one parquet file with a row a sample, from which every scored number can be computed again.

Letters: N samples, C classes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from openmmlo.errors import DataError
from openmmlo.records import OOD_LABEL, ClassInfo, DatasetInfo, ShotRule, digest_of, list_hash, shot_group
from openmmlo.writing import write_aside

Array = np.ndarray[Any, np.dtype[Any]]

FORMAT = 1
PREFIX = "ood:"
"""What the columns of detectors begin with."""

_KEY = b"openmmlo"
_COLUMNS = ("sample_id", "set", "class_key", "label", "predicted", "confidence")


@dataclass(frozen=True)
class PredictedSet:
    """A set of images in a predictions file: its name, role and group as the benchmark has them."""

    name: str
    role: str
    group: str
    rows: int


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model said of every sample of a benchmark.

    Attributes:
        benchmark, version, definition: which benchmark, and the digest of its definition.
        shots: rule of the shot groups.
        classes: (C,) (key, name) in label order.
        train_counts: (C,) training images, or None where they are unknown.
        sets: in the order of their rows.
        model, seed: who predicted.
        sample_ids, set_names, class_keys: (N,) str.
        labels: (N,) int32, -1 out of distribution.
        predicted: (N,) int32.
        confidence: (N,) float64, softmax probability of the predicted class.
        scores: detector -> (N,) float64, larger = more out of distribution.
    """

    benchmark: str
    version: int
    definition: str
    shots: ShotRule
    classes: tuple[tuple[str, str], ...]
    train_counts: tuple[int, ...] | None
    sets: tuple[PredictedSet, ...]
    model: str
    seed: int
    sample_ids: Array
    set_names: Array
    class_keys: Array
    labels: Array
    predicted: Array
    confidence: Array
    scores: Mapping[str, Array]

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """(C,) shot group of each class; empty where training counts are unknown."""
        return tuple(shot_group(count, self.shots) for count in self.train_counts or ())

    @cached_property
    def label_map_hash(self) -> str:
        """As :attr:`DatasetInfo.label_map_hash <openmmlo.records.DatasetInfo.label_map_hash>`, from the class keys."""
        return DatasetInfo("", "", "", tuple(ClassInfo(*item) for item in self.classes)).label_map_hash

    def rows(self, name: str) -> Array:
        """(N,) bool: the rows of a set."""
        found: Array = self.set_names == name
        return found

    def list_hash(self, name: str) -> str:
        """Hash of a set's list, recomputed from its rows."""
        chosen = self.rows(name)
        return list_hash(zip(self.sample_ids[chosen].tolist(), self.class_keys[chosen].tolist(), strict=True))

    def by_role(self, *roles: str) -> list[PredictedSet]:
        """Sets with one of these roles."""
        return [item for item in self.sets if item.role in roles]


def write_predictions(predictions: Predictions, path: Path) -> None:
    """Write the file whole; equal predictions give equal bytes on one version of pyarrow.

    Raises:
        DataError: something in it that :func:`read_predictions` would refuse.
    """
    _check(predictions, str(path))
    counts = predictions.train_counts or (None,) * len(predictions.classes)
    described = {
        "format": FORMAT,
        "benchmark": predictions.benchmark,
        "version": predictions.version,
        "definition": predictions.definition,
        "shots": predictions.shots,
        "classes": [[key, name, count] for (key, name), count in zip(predictions.classes, counts, strict=True)],
        "sets": [vars(item) for item in predictions.sets],
        "model": predictions.model,
        "seed": predictions.seed,
    }
    columns = {
        "sample_id": pa.array(predictions.sample_ids.tolist(), pa.string()),
        "set": pa.array(predictions.set_names.tolist(), pa.string()).dictionary_encode(),
        "class_key": pa.array(predictions.class_keys.tolist(), pa.string()).dictionary_encode(),
        "label": pa.array(predictions.labels, pa.int32()),
        "predicted": pa.array(predictions.predicted, pa.int32()),
        "confidence": pa.array(predictions.confidence, pa.float64()),
    } | {f"{PREFIX}{name}": pa.array(values, pa.float64()) for name, values in predictions.scores.items()}
    table = pa.table(columns).replace_schema_metadata({_KEY: json.dumps(described, ensure_ascii=True).encode()})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", row_group_size=100_000)
    write_aside(path, sink.getvalue().to_pybytes())


def read_predictions(path: Path) -> Predictions:
    """Read and check a predictions file.

    Raises:
        DataError: not such a file, or values that contradict each other; what, and how many rows, is named.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be read as a parquet file ({type(error).__name__}: {error}).") from error
    described = (table.schema.metadata or {}).get(_KEY)
    missing = [name for name in _COLUMNS if name not in table.column_names]
    if described is None or missing:
        lack = f"no column {missing[0]!r}" if missing else "no description of its benchmark"
        raise DataError(f"{path} has {lack}: not a predictions file of openmmlo eval. Give its predictions.parquet.")
    if len(set(table.column_names)) != len(table.column_names):
        raise DataError(f"{path} holds a column twice. Write it again with openmmlo eval.")
    try:
        value = json.loads(described)
        if value["format"] != FORMAT:
            raise DataError(f"{path} has format {value['format']}; this openmmlo reads {FORMAT}. Update openmmlo.")
        counts = [item[2] for item in value["classes"]]
        columns = {name: table.column(name) for name in table.column_names}
        numbers = {"label": np.int32, "predicted": np.int32, "confidence": np.float64}
        found = Predictions(
            benchmark=str(value["benchmark"]),
            version=int(value["version"]),
            definition=str(value["definition"]),
            shots=value["shots"],
            classes=tuple((str(item[0]), str(item[1])) for item in value["classes"]),
            train_counts=tuple(map(int, counts)) if counts and None not in counts else None,
            sets=tuple(
                PredictedSet(str(item["name"]), str(item["role"]), str(item["group"]), int(item["rows"]))
                for item in value["sets"]
            ),
            model=str(value["model"]),
            seed=int(value["seed"]),
            sample_ids=_text(columns["sample_id"]),
            set_names=_text(columns["set"]),
            class_keys=_text(columns["class_key"]),
            **{
                key: columns[name].to_numpy().astype(kind, casting="same_kind")
                for key, (name, kind) in zip(("labels", "predicted", "confidence"), numbers.items(), strict=True)
            },
            scores={
                name.removeprefix(PREFIX): column.to_numpy().astype(np.float64, casting="safe")
                for name, column in columns.items()
                if name.startswith(PREFIX)
            },
        )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise DataError(f"{path} does not hold what openmmlo eval writes ({error!r}). Write it again.") from error
    _check(found, str(path))
    return found


def _text(column: Any) -> Array:
    if column.null_count:
        raise ValueError(f"{column.null_count} rows without text")
    return np.array(column.cast(pa.string()).to_pylist(), dtype=object)


def _check(found: Predictions, where: str) -> None:
    total, classes = len(found.sample_ids), len(found.classes)

    def refuse(bad: Array, what: str, remedy: str = "Write the file again with openmmlo eval.") -> None:
        count = int(np.sum(bad))
        if count:
            raise DataError(f"{where}: {count:,} of {total:,} rows {what}. {remedy}")

    if found.shots not in ("paper", "oltr"):
        raise DataError(f"{where}: shot rule {found.shots!r}; expected 'paper' or 'oltr'.")
    if sum(item.rows for item in found.sets) != total:
        raise DataError(f"{where}: {total:,} rows; its description promises {sum(i.rows for i in found.sets):,}.")
    for item in found.sets:
        chosen = found.rows(item.name)
        if int(chosen.sum()) != item.rows:
            raise DataError(f"{where}: set {item.name!r} has {int(chosen.sum()):,} rows; expected {item.rows:,}.")
        if len(set(found.sample_ids[chosen].tolist())) != item.rows:
            raise DataError(f"{where}: set {item.name!r} holds a sample twice. Each image is scored once.")
        inside = found.labels[chosen] >= 0
        refuse(
            inside if item.role.startswith("ood") else ~inside, f"of set {item.name!r} have the wrong kind of label"
        )
    refuse((found.labels < OOD_LABEL) | (found.labels >= classes), f"have a label outside -1 to {classes - 1}")
    refuse((found.predicted < 0) | (found.predicted >= classes), f"predict a class outside 0 to {classes - 1}")
    refuse(~((found.confidence >= 0) & (found.confidence <= 1)), "have a confidence outside 0 to 1")
    keys = np.array([key for key, _ in found.classes], dtype=object)
    inside = found.labels >= 0
    refuse(keys[found.labels[inside]] != found.class_keys[inside], "have a label that is not their class key's")
    for name, values in found.scores.items():
        refuse(~np.isfinite(values), f"have a score of detector {name!r} that is NaN or infinite", "Leave it out.")


def softmax_confidence(logits: Array) -> tuple[Array, Array]:
    """(N, C) logits -> (N,) int32 predicted classes and (N,) float64 probabilities of them."""
    wide = np.asarray(logits, dtype=np.float64)
    predicted = wide.argmax(axis=1)
    top = wide.max(axis=1, keepdims=True)
    confidence = 1 / np.exp(wide - top).sum(axis=1)
    return predicted.astype(np.int32), np.minimum(confidence, 1.0)


def digest(predictions: Predictions) -> str:
    """SHA-256 of all values, whatever version of pyarrow wrote them."""
    arrays = [predictions.labels, predictions.predicted, predictions.confidence, *predictions.scores.values()]
    hashed = hashlib.sha256()
    for array in arrays:
        hashed.update(np.ascontiguousarray(array).tobytes())
    texts = [predictions.sample_ids.tolist(), predictions.set_names.tolist(), predictions.class_keys.tolist()]
    described = [predictions.benchmark, predictions.version, predictions.definition, predictions.shots,
                 predictions.classes, predictions.train_counts, [vars(item) for item in predictions.sets],
                 predictions.model, predictions.seed, list(predictions.scores)]  # fmt: skip
    return digest_of([described, texts, hashed.hexdigest()])
