"""A predictions file of a stranger comes in; it goes through where reading it costs what its rows can need.

A parquet file of some kilobytes can announce, and make a reader build, hundreds of gigabytes: by pages that unpack to
nothing but zeros, by one long text that a dictionary repeats, by encodings that repeat the start of the text before.
So the footer and the head of every page are read first, which unpacks nothing, then the texts of the dictionaries; only
then is it read as predictions. Of encodings there are those that ``openmmlo eval`` writes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NoReturn

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from openmmlo.errors import SubmissionRefused
from openmmlo.evaluate.predictions import PREFIX, Predictions, read_predictions
from openmmlo.leaderboard.limits import line, printable, read_json, told
from openmmlo.leaderboard.submission import PREDICTION_BYTES, ROWS
from openmmlo.leaderboard.thrift import TooMuch, Walk

FOOTER = 4_000_000
"""Bytes of a footer: it describes the classes, twice over; 8,142 of them take 1.6 MB."""

COLUMNS, ROW_GROUPS, PAGES = 70, 100, 5_000
CLASSES, SETS = 100_000, 100
TEXT_BYTES = 300
"""Bytes of any text in a row."""

_MAGIC = b"PAR1"
_PAGE_HEAD = 65_536
_SLACK = 65_536
_OTHERS = (
    (b"PARE", "an encrypted parquet file"),
    (b"PK\x03\x04", "a zip archive, as torch.save and numpy.savez write, which may hold pickled objects"),
    (b"\x80", "a pickle; nothing of it was loaded"),
    (b"\x93NUMPY", "a NumPy array, which may hold pickled objects"),
    (b"\x1f\x8b", "a gzip file"),
    (b"version https://git-lfs", "a pointer of Git LFS; the file itself was not fetched"),
)
_WIDTHS = {"INT32": 4, "DOUBLE": 8, "BYTE_ARRAY": TEXT_BYTES + 4}
_TEXTS = ("sample_id", "set", "class_key")
_EXPECTED = {
    **dict.fromkeys(_TEXTS, "BYTE_ARRAY"), "label": "INT32", "predicted": "INT32", "confidence": "DOUBLE",
}  # fmt: skip
Refuse = Callable[[str], NoReturn]

_DATA_PAGE, _INDEX_PAGE, _DICTIONARY_PAGE, _DATA_PAGE_2 = range(4)
_PLAIN, _PLAIN_DICTIONARY, _RLE_DICTIONARY = 0, 2, 8


def read_here(path: Path, rows: int = ROWS, what: str = "Predictions") -> Predictions:
    """Read predictions in memory of the order of ``rows`` rows, in this process.

    A stranger's file is read by :func:`openmmlo.leaderboard.guard.read_bounded`: the parquet reader may die of it.

    Args:
        rows: that the file may hold: as many as the benchmark's sets have images.
        what: what they are called in messages.

    Raises:
        SubmissionRefused: not a parquet file, or one that announces more than it may; nothing was unpacked.
        DataError: values that contradict each other.
    """
    check_file(path, rows, what)
    return read_predictions(path)


def check_file(path: Path, rows: int, what: str) -> None:
    """The checks of :func:`read_here`. Raises SubmissionRefused."""

    def refuse(reason: str) -> NoReturn:
        raise SubmissionRefused(f"{what} are refused: {reason}. Give the predictions.parquet that openmmlo eval wrote.")

    size = path.stat().st_size
    if size > PREDICTION_BYTES:
        refuse(f"{size:,} bytes; at most {PREDICTION_BYTES:,} are read")
    with path.open("rb") as file:
        _check_magic(file, size, refuse)
        try:
            with pq.ParquetFile(file, read_dictionary=list(_TEXTS)) as opened:
                _check_footer(opened, rows, refuse)
                for group in range(opened.metadata.num_row_groups):
                    for column in range(opened.metadata.num_columns):
                        _check_chunk(file, size, opened.metadata.row_group(group), column, refuse)
                _check_texts(opened, refuse)
        except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
            refuse(f"it cannot be read as a parquet file ({type(error).__name__}: {printable(str(error), 200)})")


def _check_magic(file: IO[bytes], size: int, refuse: Refuse) -> None:
    """First and last bytes, and a footer of few parts."""
    head = file.read(32)
    for magic, name in _OTHERS:
        if head.startswith(magic):
            refuse(f"it is {name}")
    file.seek(max(0, size - 8))
    tail = file.read(8)
    if not head.startswith(_MAGIC):
        refuse(f"it begins with {told(head[:8])}, as no parquet file does")
    if size < 12 or tail[4:] != _MAGIC:
        refuse("it is cut short")
    length = int.from_bytes(tail[:4], "little")
    if not 0 < length <= min(FOOTER, size - 12):
        refuse(f"its footer has {length:,} bytes; at most {min(FOOTER, size - 12):,} are read")
    file.seek(size - 8 - length)
    try:
        Walk(file.read(length)).struct()
    except TooMuch as error:
        refuse(f"its footer is no footer ({error})")


def _check_footer(opened: Any, rows: int, refuse: Refuse) -> None:
    """Names, types and counts, and the description of the benchmark, which is JSON."""
    found, schema = opened.metadata, opened.schema
    if found.num_rows > rows:
        refuse(f"{found.num_rows:,} rows; the benchmark has {rows:,} at most")
    if found.num_row_groups > ROW_GROUPS or found.num_columns > COLUMNS:
        refuse(
            f"{found.num_columns:,} columns in {found.num_row_groups:,} row groups; at most {COLUMNS} in {ROW_GROUPS}"
        )
    for place in range(found.num_columns):
        column = schema.column(place)
        name = column.path
        expected = "DOUBLE" if name.startswith(PREFIX) else _EXPECTED.get(name)
        if expected is None:
            refuse(f"column {told(name)} is unknown; those of detectors begin with {PREFIX!r}")
        line(name.removeprefix(PREFIX), "The name of a detector", 100)
        if (column.physical_type, column.max_repetition_level) != (expected, 0) or column.max_definition_level > 1:
            refuse(f"column {told(name)} holds {column.physical_type}; expected {expected}, one a row")
    described = (found.metadata or {}).get(b"openmmlo")
    if described is None:
        refuse("no description of a benchmark in it")
    value = read_json(described, "The description in the predictions", FOOTER)
    for key, most in (("classes", CLASSES), ("sets", SETS), ("departures", SETS)):
        listed = value.get(key) if isinstance(value, dict) else None
        if not isinstance(listed, list) or len(listed) > most:
            refuse(f"its description says of {key} {told(listed)}; expected a list of at most {most:,}")


def _check_chunk(file: IO[bytes], size: int, group: Any, column: int, refuse: Refuse) -> None:
    """The head of every page of a column in a row group, and what all of them would unpack to."""
    chunk = group.column(column)
    name, rows = told(chunk.path_in_schema), group.num_rows
    start = chunk.dictionary_page_offset if chunk.has_dictionary_page else None
    place = start if start and start < chunk.data_page_offset else chunk.data_page_offset
    end = place + chunk.total_compressed_size
    if chunk.num_values != rows or chunk.file_path or not 4 <= place <= end <= size:
        refuse(f"column {name} has {chunk.num_values:,} values for {rows:,} rows, or lies outside the file")
    room = rows * (2 * _WIDTHS[chunk.physical_type] + 4) + _SLACK
    values, unpacked, pages = 0, 0, 0
    while place < end:
        file.seek(place)
        walk = Walk(file.read(_PAGE_HEAD), 200)
        try:
            head = walk.struct()
        except TooMuch as error:
            refuse(f"column {name} has a page without a head ({error})")
        kind, bytes_out, bytes_in = (head.get(field, -1) for field in (1, 2, 3))
        values += _values(kind, head, pages, name, refuse)
        unpacked, pages = unpacked + bytes_out, pages + 1
        if bytes_in < 0 or bytes_out < 0 or unpacked > room:
            refuse(f"column {name} unpacks to {unpacked:,} bytes and more; {rows:,} rows need {room:,} at most")
        if pages > PAGES:
            refuse(f"column {name} has more than {PAGES:,} pages in a row group")
        place += walk.place + bytes_in
    if place != end or values != rows:
        refuse(f"the pages of column {name} hold {values:,} values for {rows:,} rows, or end elsewhere")


def _values(kind: int, head: dict[int, Any], page: int, name: str, refuse: Refuse) -> int:
    """Rows in a page; of a dictionary none."""
    fields = {_DATA_PAGE: (5, 2), _DICTIONARY_PAGE: (7, 2), _DATA_PAGE_2: (8, 4)}
    where, encoding_field = fields.get(kind, (0, 0))
    inner = head.get(where)
    if not isinstance(inner, dict) or (kind == _DICTIONARY_PAGE and page):
        refuse(f"column {name} has a page of kind {kind} where none may be")
    count, encoding = inner.get(1, -1), inner.get(encoding_field, -1)
    allowed = (_PLAIN, _PLAIN_DICTIONARY) + ((_RLE_DICTIONARY,) if kind != _DICTIONARY_PAGE else ())
    if encoding not in allowed:
        refuse(f"column {name} is encoded in way {encoding} of parquet; expected plain values or a dictionary of them")
    if not isinstance(count, int) or count < 0:
        refuse(f"column {name} has a page of {count} values")
    return 0 if kind == _DICTIONARY_PAGE else count


def _check_texts(opened: Any, refuse: Refuse) -> None:
    """How long the texts are that a dictionary would repeat: read without repeating them."""
    for name in _TEXTS:
        if name not in opened.schema.names:
            continue  # what is missing is told when it is read
        for chunk in opened.read(columns=[name]).column(0).chunks:
            texts = chunk.dictionary if pa.types.is_dictionary(chunk.type) else chunk
            longest = pc.max(pc.binary_length(texts)).as_py() or 0
            if longest > TEXT_BYTES:
                refuse(f"column {name!r} holds a text of {longest:,} bytes; at most {TEXT_BYTES} are taken")
