"""Predictions that announce more than their rows can need are refused, and nothing of them is unpacked."""

from __future__ import annotations

import io
import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from miniature_results import predicted_miniature

from openmmlo.errors import DataError, SubmissionRefused
from openmmlo.evaluate.predictions import digest, write_predictions
from openmmlo.leaderboard.parquet_limits import check_file, read_here

ROWS = 4_500


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "predictions.parquet"
    write_predictions(predicted_miniature(), path)
    return path


@pytest.fixture(scope="module")
def table(whole: Path) -> Any:
    return pq.ParquetFile(whole).read()


def refused(path: Path, match: str, rows: int = ROWS) -> None:
    with pytest.raises(SubmissionRefused, match=match):
        check_file(path, rows, "Predictions")


def replaced(table: Any, name: str, values: Any) -> Any:
    return table.set_column(table.column_names.index(name), name, values)


def test_what_eval_writes_is_read(whole: Path) -> None:
    assert digest(read_here(whole, ROWS)) == digest(predicted_miniature())


def test_files_of_several_row_groups_and_plain_values_are_read(table: Any, tmp_path: Path) -> None:
    for number, options in enumerate(
        ({"row_group_size": 1_000}, {"use_dictionary": False}, {"compression": "snappy"}, {"data_page_size": 512},
         {"data_page_version": "2.0"})
    ):  # fmt: skip
        path = tmp_path / f"{number}.parquet"
        pq.write_table(table, path, **options)
        assert digest(read_here(path, ROWS)) == digest(predicted_miniature())


def bomb(table: Any, path: Path, length: int) -> Path:
    """A file of kilobytes in which every row has the same text of ``length`` bytes."""
    text = pa.DictionaryArray.from_arrays(pa.array(np.zeros(table.num_rows, np.int32)), pa.array(["a" * length]))
    changed = replaced(table, "sample_id", text).replace_schema_metadata(table.schema.metadata)
    pq.write_table(changed, path, compression="zstd", dictionary_pagesize_limit=2**30)
    return path


MEASURED = """
import resource, sys
from pathlib import Path
from openmmlo.errors import SubmissionRefused
from openmmlo.leaderboard.parquet_limits import read_here
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read_here(Path(sys.argv[1]), 4500)
except SubmissionRefused as error:
    print(error)
else:
    raise SystemExit("it was read")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize(("length", "match"), [(24_000_000, "unpacks to"), (2_500_000, "text of 2,500,000 bytes")])
def test_a_parquet_that_unpacks_to_100_gb(table: Any, tmp_path: Path, length: int, match: str) -> None:
    path = bomb(table, tmp_path / "bomb.parquet", length)
    assert path.stat().st_size < 600_000
    assert pq.ParquetFile(path).metadata.num_rows * length > 11e9  # 108 GB in one case, 11 GB in the other
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, path], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    reason, kilobytes = done.stdout.strip().rsplit("\n", 1)
    assert match in reason
    assert int(kilobytes) < 60_000


def test_run_length_of_more_rows_than_the_benchmark_has(table: Any, tmp_path: Path) -> None:
    path = tmp_path / "long.parquet"
    many = table.take(pa.array(np.zeros(3_000_000, np.int64)))
    pq.write_table(many, path, compression="zstd")
    assert path.stat().st_size < 200_000
    refused(path, "3,000,000 rows; the benchmark has 4,500")
    refused(path, "3,000,000 rows", rows=2_000_000)


def test_texts_that_repeat_the_text_before_are_refused(table: Any, tmp_path: Path) -> None:
    path = tmp_path / "delta.parquet"
    ids = pa.array([f"{'a' * 250}{number}" for number in range(ROWS)])
    pq.write_table(
        replaced(table, "sample_id", ids), path, use_dictionary=False, column_encoding={"sample_id": "DELTA_BYTE_ARRAY"}
    )
    refused(path, "'sample_id' is encoded in way 7")


def zigzag(value: int) -> bytes:
    number, found = value << 1, []
    while number >= 0x80:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def test_a_page_that_lies_about_what_it_unpacks_to(table: Any, tmp_path: Path) -> None:
    """The footer tells the truth; the head of one page announces a megabyte where there are 36 kB."""
    path = tmp_path / "lies.parquet"
    pq.write_table(table, path, use_dictionary=True, compression="zstd")
    check_file(path, ROWS, "Predictions")
    data = bytearray(path.read_bytes())
    found = pq.ParquetFile(path).metadata.row_group(0)
    place = next(i for i in range(found.num_columns) if found.column(i).path_in_schema == "confidence")
    start = found.column(place).dictionary_page_offset
    size = next(s for s in range(20_000, 60_000) if data[start + 3 : start + 6] == zigzag(s))
    assert data[start : start + 3] == b"\x15\x04\x15"  # type: a dictionary page; then what it unpacks to
    assert size > 30_000
    data[start + 3 : start + 6] = zigzag(1_000_000)
    path.write_bytes(data)
    refused(path, "unpacks to 1,000,000 bytes and more")


class Harmful:
    """A pickle of it makes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickled_content_is_not_loaded(tmp_path: Path, protocol: int) -> None:
    path, touched = tmp_path / "predictions.parquet", tmp_path / "touched"
    path.write_bytes(pickle.dumps(Harmful(touched), protocol))
    refused(path, "it is a pickle; nothing of it was loaded")
    assert not touched.exists()


def test_other_files_are_named(whole: Path, tmp_path: Path) -> None:
    archive, array = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("data.pkl", pickle.dumps(Harmful(tmp_path / "touched")))
    np.save(array, np.array([Harmful(tmp_path / "touched")], dtype=object), allow_pickle=True)
    data = whole.read_bytes()
    for content, match in (
        (archive.getvalue(), "zip archive"),
        (array.getvalue(), "NumPy array"),
        (pickle.dumps(Harmful(tmp_path / "touched"), 0), "as no parquet file does"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "pointer of Git LFS"),
        (b"<html>", "as no parquet file does"),
        (b"", "as no parquet file does"),
        (b"PAR1", "cut short"),
        (b"PAR1" + b"\0" * 20, "cut short"),
        (data[:-1], "cut short"),
        (data[: len(data) // 2], "cut short"),
        (data[:-8] + (2**31 - 1).to_bytes(4, "little") + b"PAR1", "footer has 2,147,483,647 bytes"),
        (b"PAR1" + b"\x19" * 1_000 + (1_000).to_bytes(4, "little") + b"PAR1", "footer is no footer"),
        (data[:-8] + (100).to_bytes(4, "little") + b"PAR1", "footer is no footer|cannot be read"),
    ):
        path = tmp_path / "other.parquet"
        path.write_bytes(content)
        refused(path, match)
    assert not (tmp_path / "touched").exists()


def test_a_footer_that_announces_millions_of_parts(tmp_path: Path) -> None:
    """A list of 2 million empty structs: two bytes each here, a kilobyte each where they are read."""
    footer = b"\x29\xfc\x80\x89\x7a" + b"\0" * 3_000_000 + b"\0"
    path = tmp_path / "footer.parquet"
    path.write_bytes(b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1")
    refused(path, "footer is no footer .too many parts")


@pytest.mark.parametrize(
    ("name", "values", "match"),
    [
        ("extra", pa.array(np.zeros(ROWS)), "column 'extra' is unknown"),
        ("ood:\x1b[2J", pa.array(np.zeros(ROWS)), "control character"),
        ("ood:=1+1", pa.array(np.zeros(ROWS)), "formula"),
        ("ood:nested", pa.array([[0.0]] * ROWS), "column 'ood:nested.list.element' holds DOUBLE|one a row"),
        ("ood:text", pa.array(["0"] * ROWS), "holds BYTE_ARRAY; expected DOUBLE"),
        ("ood:float", pa.array(np.zeros(ROWS, np.float32)), "holds FLOAT; expected DOUBLE"),
    ],
)
def test_columns_that_nobody_knows(table: Any, tmp_path: Path, name: str, values: Any, match: str) -> None:
    path = tmp_path / "columns.parquet"
    pq.write_table(table.append_column(name, values), path)
    refused(path, match)


def test_too_many_columns(table: Any, tmp_path: Path) -> None:
    for number in range(80):
        table = table.append_column(f"ood:{number}", table.column("confidence"))
    path = tmp_path / "wide.parquet"
    pq.write_table(table, path)
    refused(path, "88 columns")


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        (b"[" * 10_000 + b"]" * 10_000, "deeper than 60"),
        (b"[]", "says of classes"),
        (b'{"classes": [], "sets": ' + b"[" + b"{}," * 200 + b"{}]" + b', "departures": []}', "says of sets"),
        (b'{"model": "\\u001b[2J"}', "control character"),
        (b'{"model": NaN}', "NaN"),
    ],
)
def test_a_hostile_description(table: Any, tmp_path: Path, changed: bytes, match: str) -> None:
    path = tmp_path / "described.parquet"
    pq.write_table(table.replace_schema_metadata({b"openmmlo": changed}), path)
    refused(path, match)


def test_no_description(table: Any, tmp_path: Path) -> None:
    path = tmp_path / "bare.parquet"
    pq.write_table(table.replace_schema_metadata(None), path)
    refused(path, "no description")


def test_a_description_of_another_kind_is_told_when_it_is_read(table: Any, whole: Path, tmp_path: Path) -> None:
    described = json.loads(table.schema.metadata[b"openmmlo"]) | {"seed": "zero"}
    path = tmp_path / "seed.parquet"
    pq.write_table(table.replace_schema_metadata({b"openmmlo": json.dumps(described).encode()}), path)
    with pytest.raises(DataError, match="does not hold what openmmlo eval writes"):
        read_here(path, ROWS)
