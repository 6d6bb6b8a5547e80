"""Predictions: one parquet file with a row a sample, from which every scored number can be computed again.

Letters: N samples, C classes.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
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

ROLES = ("test", "shifted", "ood", "ood-validation")
"""Sets with one of these roles have rows; others are not predicted, or not kept."""

_KEY = b"openmmlo"
_COLUMNS = {
    "sample_id": pa.string(),
    "set": pa.string(),
    "class_key": pa.string(),
    "label": pa.int32(),
    "predicted": pa.int32(),
    "confidence": pa.float64(),
}
_AGAIN = "Write the file again with openmmlo eval."


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
        departures: what differs from the benchmark's protocol; with any of them the numbers are not the benchmark's.
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
    departures: tuple[str, ...] = ()

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
        "departures": list(predictions.departures),
    }
    columns = {
        "sample_id": pa.array(predictions.sample_ids.tolist(), pa.string()),
        "set": pa.array(predictions.set_names.tolist(), pa.string()).dictionary_encode(),
        "class_key": pa.array(predictions.class_keys.tolist(), pa.string()).dictionary_encode(),
        "label": pa.array(predictions.labels, pa.int32()),
        "predicted": pa.array(predictions.predicted, pa.int32()),
        "confidence": pa.array(predictions.confidence, pa.float64()),
    } | {f"{PREFIX}{name}": pa.array(values, pa.float64()) for name, values in sorted(predictions.scores.items())}
    table = pa.table(columns).replace_schema_metadata({_KEY: json.dumps(described, ensure_ascii=True).encode()})
    sink = pa.BufferOutputStream()
    # A dictionary of numbers that hardly repeat would cost a fifth of the file.
    pq.write_table(table, sink, compression="zstd", row_group_size=100_000, use_dictionary=["set", "class_key"])
    write_aside(path, sink.getvalue().to_pybytes())


def read_predictions(path: Path) -> Predictions:
    """Read and check a predictions file, or the one in a result's folder.

    Raises:
        DataError: not such a file, or values that contradict each other; what, and how many rows, is named.
    """
    if path.is_dir():
        path = path / "predictions.parquet"
    try:
        table = pq.ParquetFile(path).read()  # a dataset would take parts of the path for columns
    except (OSError, pa.ArrowException) as error:
        raise DataError(
            f"{path} cannot be read as a parquet file ({type(error).__name__}: {error}). "
            "Give the predictions.parquet that openmmlo eval wrote."
        ) from error
    described = (table.schema.metadata or {}).get(_KEY)
    missing = [name for name in _COLUMNS if name not in table.column_names]
    if described is None or missing:
        lack = f"no column {missing[0]!r}" if missing else "no description of its benchmark"
        raise DataError(f"{path} has {lack}: not a predictions file of openmmlo eval. Give its predictions.parquet.")
    _check_types(table.schema, path)
    try:
        value = json.loads(described)
        if value["format"] != FORMAT:
            raise DataError(f"{path} has format {value['format']}; this openmmlo reads {FORMAT}. Update openmmlo.")
        counts = [item[2] for item in value["classes"]]
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
            sample_ids=_text(table, "sample_id"),
            set_names=_text(table, "set"),
            class_keys=_text(table, "class_key"),
            labels=_numbers(table, "label", np.int32),
            predicted=_numbers(table, "predicted", np.int32),
            confidence=_numbers(table, "confidence", np.float64),
            scores={
                name.removeprefix(PREFIX): _numbers(table, name, np.float64)
                for name in table.column_names
                if name.startswith(PREFIX)
            },
            departures=tuple(map(str, value["departures"])),
        )
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path} does not hold what openmmlo eval writes ({error!r}). {_AGAIN}") from error
    _check(found, str(path))
    return found


def _check_types(schema: Any, path: Path) -> None:
    """Every column once, of its own type, and none that nobody knows."""
    for name in schema.names:
        if schema.names.count(name) > 1:
            raise DataError(f"{path} holds column {name!r} twice. {_AGAIN}")
        expected = pa.float64() if name.startswith(PREFIX) else _COLUMNS.get(name)
        if expected is None:
            raise DataError(f"{path} has an unknown column {name!r}; detectors' begin with {PREFIX!r}. {_AGAIN}")
        kind = schema.field(name).type
        if expected == pa.string() and pa.types.is_dictionary(kind):
            kind = kind.value_type
        if kind != expected:
            raise DataError(f"{path}: column {name!r} is of type {kind}; expected {expected}. {_AGAIN}")


def _text(table: Any, name: str) -> Array:
    column = table.column(name)
    if column.null_count:
        raise ValueError(f"{column.null_count:,} rows without {name}")
    return np.array([*column.cast(pa.string()).to_pylist(), None], dtype=object)[:-1]  # one dimension even if empty


def _numbers(table: Any, name: str, kind: type[np.generic]) -> Array:
    """(N,) values of a column, an empty cell of floats as NaN. ``to_numpy`` would import pandas where it is there."""
    column = table.column(name)
    if column.null_count and np.issubdtype(kind, np.floating):
        column = column.fill_null(float("nan"))
    elif column.null_count:
        raise ValueError(f"{column.null_count:,} rows without {name}")
    parts = [
        np.frombuffer(chunk.buffers()[1], kind)[chunk.offset :][: len(chunk)] for chunk in column.chunks if len(chunk)
    ]
    return np.concatenate([np.empty(0, kind), *parts])


def _check(found: Predictions, where: str) -> None:
    """Refuse what contradicts itself."""
    total, classes = len(found.sample_ids), len(found.classes)

    def refuse(bad: Array, what: str, remedy: str = _AGAIN) -> None:
        count = int(np.sum(bad))
        if count:
            raise DataError(f"{where}: {count:,} of {total:,} rows {what}. {remedy}")

    if found.shots not in ("paper", "oltr"):
        raise DataError(f"{where}: shot rule {found.shots!r}; expected 'paper' or 'oltr'. {_AGAIN}")
    for what, names in (("class", [key for key, _ in found.classes]), ("set", [item.name for item in found.sets])):
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise DataError(f"{where}: two {what} entries are called {twice[0]!r}; expected one. {_AGAIN}")
    columns = {"set": found.set_names, "class_key": found.class_keys, "label": found.labels,
               "predicted": found.predicted, "confidence": found.confidence,
               **{f"{PREFIX}{name}": values for name, values in found.scores.items()}}  # fmt: skip
    for name, values in columns.items():
        if values.shape != (total,):
            raise DataError(f"{where}: column {name!r} has shape {values.shape}; expected ({total},), a value a row.")
    refuse((found.labels < OOD_LABEL) | (found.labels >= classes), f"have a label outside -1 to {classes - 1}")
    refuse((found.predicted < 0) | (found.predicted >= classes), f"predict a class outside 0 to {classes - 1}")
    refuse(~((found.confidence >= 0) & (found.confidence <= 1)), "have a confidence outside 0 to 1")
    keys = np.array([*(key for key, _ in found.classes), None], dtype=object)[:-1]
    inside = found.labels >= 0
    wrong = keys[found.labels[inside]] != found.class_keys[inside]
    refuse(wrong, "have a label that is not their class key's", "Use one label map for both.")
    _check_sets(found, where, refuse)
    for name, values in found.scores.items():
        remedy = "Look at the features of these samples, or leave this detector out."
        refuse(~np.isfinite(values), f"have a score of detector {name!r} that is NaN or infinite", remedy)


def _check_sets(found: Predictions, where: str, refuse: Callable[[Array, str], None]) -> None:
    """Rows against the description of the sets."""
    refuse(~np.isin(found.set_names, [item.name for item in found.sets]), "are of a set that is not described")
    for item in found.sets:
        if item.role not in ROLES:
            raise DataError(f"{where}: set {item.name!r} has role {item.role!r}; expected one of {', '.join(ROLES)}.")
        chosen = found.rows(item.name)
        if int(chosen.sum()) != item.rows:
            raise DataError(
                f"{where}: set {item.name!r} has {int(chosen.sum()):,} rows; its description promises {item.rows:,}. "
                f"{_AGAIN}"
            )
        repeated = [name for name, count in Counter(found.sample_ids[chosen].tolist()).items() if count > 1]
        if repeated:
            raise DataError(
                f"{where}: set {item.name!r} holds {len(repeated):,} samples more than once, the first is "
                f"{repeated[0]!r}. Each image is scored once. {_AGAIN}"
            )
        known = found.labels[chosen] >= 0
        if item.role.startswith("ood"):
            refuse(known, f"of set {item.name!r}, out of distribution, have the label of a class")
        else:
            refuse(~known, f"of set {item.name!r}, in distribution, have no class")


def softmax_confidence(logits: Array) -> tuple[Array, Array]:
    """(N, C) logits -> (N,) int32 predicted classes and (N,) float64 probabilities of them."""
    wide = np.asarray(logits, dtype=np.float64)
    predicted = wide.argmax(axis=1)
    top = wide.max(axis=1, keepdims=True)
    confidence = 1 / np.exp(wide - top).sum(axis=1)
    return predicted.astype(np.int32), np.minimum(confidence, 1.0)


def digest(predictions: Predictions) -> str:
    """SHA-256 of all values, whatever version of pyarrow wrote them."""
    detectors = sorted(predictions.scores)
    arrays = [predictions.labels, predictions.predicted, predictions.confidence]
    hashed = hashlib.sha256()
    for array in [*arrays, *(predictions.scores[name] for name in detectors)]:
        hashed.update(np.ascontiguousarray(array).tobytes())
    texts = [predictions.sample_ids.tolist(), predictions.set_names.tolist(), predictions.class_keys.tolist()]
    described = [predictions.benchmark, predictions.version, predictions.definition, predictions.shots,
                 predictions.classes, predictions.train_counts, [vars(item) for item in predictions.sets],
                 predictions.model, predictions.seed, detectors, predictions.departures]  # fmt: skip
    return digest_of([described, texts, hashed.hexdigest()])
