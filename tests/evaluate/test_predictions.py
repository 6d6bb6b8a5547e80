"""A predictions file comes back as it was written, in the same bytes each time; what contradicts itself is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from evaluated import predicted
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from openmmlo.errors import DataError
from openmmlo.evaluate.predictions import (
    PredictedSet,
    Predictions,
    digest,
    read_predictions,
    softmax_confidence,
    write_predictions,
)
from openmmlo.records import ClassInfo, DatasetInfo, list_hash


def small(**changes: Any) -> Predictions:
    """Three classes; four ID rows, two OOD rows."""
    values: dict[str, Any] = {
        "benchmark": "mine", "version": 2, "definition": "d" * 64, "shots": "paper",
        "classes": (("b", "Bee"), ("a", "Ant"), ("ü", "Übel")), "train_counts": (200, 50, 3),
        "sets": (PredictedSet("test", "test", "", 4), PredictedSet("svhn", "ood", "far", 2)),
        "model": "m", "seed": 7,
        "sample_ids": text("1", "2", "3", "ö/4", "1", "2"), "set_names": text(*["test"] * 4, *["svhn"] * 2),
        "class_keys": text("b", "a", "ü", "ü", "", "digit-2"), "labels": np.array([0, 1, 2, 2, -1, -1], dtype=np.int32),
        "predicted": np.array([0, 1, 0, 2, 0, 1], dtype=np.int32),
        "confidence": np.array([1.0, 0.5, 1 / 3, 0.0, 5e-324, 0.9]),
        "scores": {"msp": np.array([0.1, -0.0, 1e308, -1e308, 5e-324, 2.0]), "energy": np.arange(6.0)},
    }  # fmt: skip
    return Predictions(**(values | changes))


def text(*values: str) -> np.ndarray:
    return np.array(values, dtype=object)


def with_value(name: str, place: int, value: Any) -> Predictions:
    """``small`` with one value of one column changed."""
    column = getattr(small(), name).copy()
    column[place] = value
    return small(**{name: column})


def rewritten(path: Path, change: Callable[[pa.Table], pa.Table]) -> Path:
    """The file with its table changed, and its description kept."""
    table = pq.read_table(path)
    pq.write_table(change(table).replace_schema_metadata(table.schema.metadata), path)
    return path


@pytest.fixture
def written(tmp_path: Path) -> Path:
    write_predictions(small(), tmp_path / "predictions.parquet")
    return tmp_path / "predictions.parquet"


def test_what_is_read_is_what_was_written(written: Path) -> None:
    found, given = read_predictions(written), small()
    assert digest(found) == digest(given)
    for name, value in vars(given).items():
        if isinstance(value, np.ndarray):
            assert np.array_equal(getattr(found, name), value), name
            assert getattr(found, name).dtype == value.dtype
        elif name != "scores":
            assert getattr(found, name) == value
    assert set(found.scores) == {"msp", "energy"}
    for name, scores in given.scores.items():
        assert found.scores[name].tobytes() == scores.tobytes()
    assert found.groups == ("many", "medium", "few")
    assert digest(read_predictions(written.parent)) == digest(given)


def test_columns_and_description_are_those_documented(written: Path) -> None:
    schema = pq.read_schema(written)
    assert schema.names == [
        "sample_id",
        "set",
        "class_key",
        "label",
        "predicted",
        "confidence",
        "ood:energy",
        "ood:msp",
    ]
    kinds = [str(field.type).split("<")[0] for field in schema]
    assert kinds == ["string", "dictionary", "dictionary", "int32", "int32", "double", "double", "double"]
    assert json.loads(schema.metadata[b"openmmlo"]) == {
        "format": 1, "benchmark": "mine", "version": 2, "definition": "d" * 64, "shots": "paper",
        "classes": [["b", "Bee", 200], ["a", "Ant", 50], ["ü", "Übel", 3]],
        "sets": [{"name": "test", "role": "test", "group": "", "rows": 4},
                 {"name": "svhn", "role": "ood", "group": "far", "rows": 2}],
        "model": "m", "seed": 7, "departures": [],
    }  # fmt: skip


def test_departures_travel_with_the_predictions(tmp_path: Path) -> None:
    limited = small(departures=("at most 4 images of each set",))
    write_predictions(limited, tmp_path / "limited")
    assert read_predictions(tmp_path / "limited").departures == ("at most 4 images of each set",)
    assert digest(limited) != digest(small())


def test_equal_values_give_equal_bytes_whatever_the_order_of_detectors(tmp_path: Path) -> None:
    given = predicted(seed=3)
    turned = replace(given, scores=dict(reversed(given.scores.items())))
    for name, value in (("one", given), ("two", turned)):
        write_predictions(value, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert digest(given) == digest(turned)
    write_predictions(read_predictions(tmp_path / "one"), tmp_path / "three")
    assert (tmp_path / "three").read_bytes() == (tmp_path / "one").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "three", "two"]


def test_the_digest_sees_every_value(written: Path) -> None:
    changed = [
        with_value("predicted", 3, 1), with_value("confidence", 1, 0.25), with_value("sample_ids", 0, "9"),
        small(seed=8), small(model="n"), small(train_counts=None), small(shots="oltr"),
        small(scores={"msp": small().scores["msp"]}), small(scores=small().scores | {"energy": np.arange(6.0) + 1}),
    ]  # fmt: skip
    digests = {digest(small()), *map(digest, changed)}
    assert len(digests) == 1 + len(changed)


def test_hashes_are_those_of_lists_and_label_maps() -> None:
    found = small()
    assert found.list_hash("test") == list_hash([("ö/4", "ü"), ("2", "a"), ("1", "b"), ("3", "ü")])
    info = DatasetInfo("x", "1", "", tuple(ClassInfo(key, name) for key, name in found.classes))
    assert found.label_map_hash == info.label_map_hash


def test_a_path_that_looks_like_a_partition_adds_no_column(tmp_path: Path) -> None:
    folder = tmp_path / "seed=1" / "set=x"
    folder.mkdir(parents=True)
    write_predictions(small(), folder / "predictions.parquet")
    assert digest(read_predictions(folder)) == digest(small())


REFUSED: dict[str, tuple[Predictions, str]] = {
    "label too large": (with_value("labels", 0, 3), "1 of 6 rows have a label outside -1 to 2"),
    "label below -1": (with_value("labels", 4, -2), "1 of 6 rows have a label outside -1 to 2"),
    "predicted -1": (with_value("predicted", 5, -1), "1 of 6 rows predict a class outside 0 to 2"),
    "predicted C": (with_value("predicted", 5, 3), "1 of 6 rows predict a class outside 0 to 2"),
    "confidence": (with_value("confidence", 0, 1.0000001), "1 of 6 rows have a confidence outside 0 to 1"),
    "confidence NaN": (with_value("confidence", 0, np.nan), "1 of 6 rows have a confidence outside 0 to 1"),
    "class key": (with_value("class_keys", 1, "b"), "1 of 6 rows have a label that is not their class key's"),
    "twice": (with_value("sample_ids", 1, "1"), "'test' holds 1 samples more than once, the first is '1'"),
    "set": (with_value("set_names", 1, "lsun"), "1 of 6 rows are of a set that is not described"),
    "moved": (with_value("set_names", 4, "test"), "set 'test' has 5 rows; its description promises 4"),
    "OOD with class": (with_value("labels", 4, 1), "have a label that is not their class key's"),
    "ID without class": (
        small(labels=np.array([0, -1, 2, 2, -1, -1], dtype=np.int32)), "'test', in distribution, have no class"),
    "OOD of a class": (
        small(labels=np.array([0, 1, 2, 2, 0, -1], dtype=np.int32), class_keys=text("b", "a", "ü", "ü", "b", "")),
        "'svhn', out of distribution, have the label of a class"),
    "role": (small(sets=(PredictedSet("test", "train", "", 4), *small().sets[1:])), "role 'train'; expected one of"),
    "two sets": (small(sets=(*small().sets, small().sets[0])), "two set entries are called 'test'"),
    "two classes": (
        small(classes=(("b", "Bee"), ("a", "Ant"), ("b", "B"))), "two class entries are called 'b'"),
    "rule": (small(shots="mine"), "shot rule 'mine'; expected 'paper' or 'oltr'"),
    "length": (small(scores={"msp": np.zeros(5)}), r"column 'ood:msp' has shape \(5,\); expected \(6,\)"),
    "NaN": (small(scores={"vim": np.array([0, np.nan, np.inf, -np.inf, 0, 0])}),
            "3 of 6 rows have a score of detector 'vim' that is NaN or infinite"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_contradicts_itself_is_neither_written_nor_left_behind(case: str, tmp_path: Path) -> None:
    given, message = REFUSED[case]
    with pytest.raises(DataError, match=message):
        write_predictions(given, tmp_path / "predictions.parquet")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("case", [case for case in REFUSED if case != "length"])  # a table's columns are of one length
def test_what_contradicts_itself_is_refused_when_read(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, message = REFUSED[case]
    with monkeypatch.context() as patch:
        patch.setattr("openmmlo.evaluate.predictions._check", lambda *_: None)
        write_predictions(given, tmp_path / "predictions.parquet")
    with pytest.raises(DataError, match=message):
        read_predictions(tmp_path / "predictions.parquet")


def test_a_file_in_other_row_groups_holds_the_same(written: Path) -> None:
    pq.write_table(pq.read_table(written), written, row_group_size=2, compression="none", version="1.0")
    assert pq.ParquetFile(written).num_row_groups == 3
    assert digest(read_predictions(written)) == digest(small())


def test_a_missing_an_unknown_or_a_doubled_column_is_named(written: Path) -> None:
    original = written.read_bytes()
    for change, message in (
        (lambda table: table.drop(["confidence"]), "no column 'confidence'"),
        (lambda table: table.append_column("extra", table.column("label")), "unknown column 'extra'"),
        (lambda table: table.append_column("label", table.column("label")), "'label' twice"),
        (lambda table: cast(table, "label", pa.int64()), "column 'label' is of type int64; expected int32"),
        (lambda table: cast(table, "ood:msp", pa.float32()), "'ood:msp' is of type float; expected double"),
        (lambda table: cast(table, "confidence", pa.string()), "'confidence' is of type string; expected double"),
    ):
        written.write_bytes(original)
        with pytest.raises(DataError, match=message):
            read_predictions(rewritten(written, change))


def cast(table: pa.Table, name: str, kind: pa.DataType) -> pa.Table:
    place = table.column_names.index(name)
    column = table.column(name)
    values = pa.array(np.zeros(len(column)), kind) if pa.types.is_float32(kind) else column.cast(kind)
    return table.set_column(place, name, values)


@pytest.mark.parametrize(("name", "message"), [
    ("sample_id", "1 rows without sample_id"), ("label", "1 rows without label"),
    ("confidence", "1 of 6 rows have a confidence outside"), ("ood:msp", "1 of 6 rows have a score of detector 'msp'"),
])  # fmt: skip
def test_an_empty_cell_is_refused(written: Path, name: str, message: str) -> None:
    def emptied(table: pa.Table) -> pa.Table:
        column = table.column(name)
        values = pa.array([None, *column.to_pylist()[1:]], column.type)
        return table.set_column(table.column_names.index(name), name, values)

    with pytest.raises(DataError, match=message):
        read_predictions(rewritten(written, emptied))


@pytest.mark.parametrize("damage", [b"", b"PAR1", b"\x00" * 100])
def test_what_is_no_parquet_file_is_refused(written: Path, damage: bytes) -> None:
    written.write_bytes(damage)
    with pytest.raises(DataError, match="cannot be read as a parquet file"):
        read_predictions(written)


def test_a_truncated_or_absent_file_is_refused(written: Path) -> None:
    written.write_bytes(written.read_bytes()[:-20])
    with pytest.raises(DataError, match="cannot be read as a parquet file"):
        read_predictions(written)
    with pytest.raises(DataError, match=r"cannot be read as a parquet file .*predictions\.parquet"):
        read_predictions(written.parent / "none.parquet")


@pytest.mark.parametrize(("description", "message"), [
    (None, "no description of its benchmark"),
    (b"{", "does not hold what openmmlo eval writes"),
    (b"[]", "does not hold what openmmlo eval writes"),
    (b'{"format": 1}', "does not hold what openmmlo eval writes"),
    (b'{"format": 2}', "has format 2; this openmmlo reads 1"),
])  # fmt: skip
def test_a_foreign_description_is_refused(written: Path, description: bytes | None, message: str) -> None:
    table = pq.read_table(written)
    pq.write_table(table.replace_schema_metadata(None if description is None else {"openmmlo": description}), written)
    with pytest.raises(DataError, match=message):
        read_predictions(written)


def test_predictions_without_rows_or_training_counts_come_back(tmp_path: Path) -> None:
    none = np.array([], dtype=np.int32)
    empty = small(
        sets=(PredictedSet("test", "test", "", 0),), sample_ids=text(), set_names=text(), class_keys=text(),
        labels=none, predicted=none, confidence=np.array([]), scores={}, train_counts=None,
    )  # fmt: skip
    write_predictions(empty, tmp_path / "empty.parquet")
    found = read_predictions(tmp_path / "empty.parquet")
    assert digest(found) == digest(empty)
    assert found.groups == ()
    assert found.train_counts is None


@given(
    arrays(
        np.float32, st.tuples(st.integers(1, 6), st.integers(1, 5)), elements=st.floats(-(2.0**100), 2.0**100, width=32)
    )
)
@settings(max_examples=50)
def test_confidence_is_the_softmax_of_the_predicted_class(logits: np.ndarray) -> None:
    predicted_classes, confidence = softmax_confidence(logits)
    wide = logits.astype(np.longdouble)
    shares = np.exp(wide - wide.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    assert predicted_classes.dtype == np.int32
    assert confidence.dtype == np.float64
    assert confidence == pytest.approx(shares.max(axis=1).astype(float), abs=1e-15)
    assert np.array_equal(predicted_classes, logits.argmax(axis=1))
    assert ((confidence > 0) & (confidence <= 1)).all()
