"""Captions that exist already: a text file beside each image, or a column of a table."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from openmmlo.errors import ConfigError, DataError, SampleFailed
from openmmlo.records import Finding, Sample, Status
from openmmlo.sources.files import FileImage, read_regular

if TYPE_CHECKING:
    from PIL.Image import Image

_LONGEST = 1 << 20
_CHUNK = 50_000


@dataclass(frozen=True)
class Existing:
    """Captions that exist already.

    Args:
        captions: a table (.csv, .tsv, .jsonl or .parquet, UTF-8); without one, the caption of ``a/b.jpg`` is the text
            file ``a/b.txt`` beside it.
        column: the table's column of captions.
        key: the table's column of sample ids.

    A sample without a caption becomes an error row. Sidecar files are read when their sample's turn comes: what they
    hold is not part of the identity, and changing them later is not noticed.
    """

    captions: Path | None = None
    column: str = "caption"
    key: str = "sample_id"
    name: str = field(default="existing", init=False)
    _table: Any = field(default=None, init=False, repr=False, compare=False)
    reads_images: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.captions is None and (self.column, self.key) != ("caption", "sample_id"):
            raise ConfigError(
                "A column of captions is named, but no table: --captions FILE. Without one, the .txt files "
                "beside the images are read."
            )

    def identity(self) -> dict[str, Any]:
        """Raises DataError where the table cannot be read."""
        if self.captions is None:
            return {"captioner": self.name, "captions": "sidecar"}
        try:
            with self.captions.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise DataError(f"Captions {str(self.captions)!r} cannot be read: {error.strerror}.") from error
        return {"captioner": self.name, "captions": digest, "column": self.column, "key": self.key}

    def check(self) -> list[Finding]:
        """Reads the whole table once, so that a missing column or a repeated id is found before any work."""
        if self.captions is None:
            return [Finding("ok", "captions come from the .txt file beside each image")]
        try:
            table = CaptionTable.read(self.captions, self.key, self.column)
        except DataError as error:
            return [Finding("error", str(error))]
        if not len(table):
            return [Finding("error", f"{self.captions.name} holds no captions")]
        return [Finding("ok", f"{len(table):,} captions in {self.captions.name}")]

    def prepare(self, sample: Sample, image: Image) -> str:
        """The sample's caption.

        Raises:
            SampleFailed: it has none.
            DataError: the table cannot be used.
        """
        text = self._sidecar(sample) if self.captions is None else self._row(sample)
        if not text.strip():
            raise SampleFailed(Status.NO_CAPTION, "its caption is empty")
        return text.strip()

    def load(self, worker: int = 0) -> None:
        """Nothing to load: the table is read by the processes that prepare."""

    def caption(self, prepared: Sequence[Any]) -> list[str]:
        return list(prepared)

    def _row(self, sample: Sample) -> str:
        if self._table is None:
            captions = self.captions or Path()
            object.__setattr__(self, "_table", CaptionTable.read(captions, self.key, self.column))
        table: CaptionTable = self._table
        text = table.get(sample.sample_id)
        if text is None:
            raise SampleFailed(Status.NO_CAPTION, "the caption table has no row for it")
        return text

    def _sidecar(self, sample: Sample) -> str:
        image = sample.image
        if not isinstance(image, FileImage):
            raise SampleFailed(Status.NO_CAPTION, "its image is no file of its own, so no text file lies beside it")
        path = image.path.with_suffix(".txt")
        try:
            if path.is_symlink() and not _stays(path, image.root):
                raise SampleFailed(Status.NO_CAPTION, f"{path.name} is a link that leaves the image root")
            data = read_regular(path, _LONGEST + 1)
        except FileNotFoundError:
            raise SampleFailed(Status.NO_CAPTION, f"no {path.name} beside the image") from None
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or type(error).__name__
            raise SampleFailed(Status.NO_CAPTION, f"{path.name} cannot be read: {why}") from None
        if len(data) > _LONGEST:
            raise SampleFailed(Status.NO_CAPTION, f"{path.name} is longer than a caption can be (1 MiB)")
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise SampleFailed(Status.NO_CAPTION, f"{path.name} is not valid UTF-8") from None

    def __getstate__(self) -> dict[str, Any]:
        return {**{item.name: getattr(self, item.name) for item in fields(self)}, "_table": None}


def _stays(link: Path, root: Path) -> bool:
    """Whether a linked text file lies under the image root, or in the real folder of its image."""
    target = os.path.realpath(link)
    homes = (os.path.realpath(root), os.path.realpath(link.parent))
    return any(target.startswith(home.rstrip(os.sep) + os.sep) for home in homes)


class CaptionTable:
    """Sample id -> caption, held as Arrow columns: about the size of the text, without an object a row.

    Args:
        ids: Arrow array of distinct strings, sorted.
        texts: Arrow array of strings or nulls, in the order of ``ids``.
    """

    def __init__(self, ids: Any, texts: Any) -> None:
        self.ids = ids
        self.texts = texts

    @classmethod
    def read(cls, path: Path, key: str, column: str) -> CaptionTable:
        """Read a table.

        Raises:
            DataError: not there, of an unknown kind, a missing column, a damaged line, or an id that comes twice.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        reader = _READERS.get(path.suffix.lower())
        if reader is None:
            raise DataError(f"Captions {path.name!r}: expected one of {', '.join(sorted(_READERS))}.")
        try:
            tables = list(reader(path, key, column))
        except (OSError, pa.ArrowException) as error:
            why = getattr(error, "strerror", None) or str(error).splitlines()[0]
            raise DataError(f"Captions {path.name!r} cannot be read: {why}.") from error
        except UnicodeDecodeError as error:
            raise DataError(f"Captions {path.name!r} is not valid UTF-8 (byte {error.start:,}).") from error
        schema = pa.schema([("id", pa.large_string()), ("text", pa.large_string())])
        table = pa.concat_tables([schema.empty_table(), *tables])
        if table["id"].null_count:
            raise DataError(f"Captions {path.name!r}: {table['id'].null_count:,} rows have no {key!r}.")
        order = pc.sort_indices(table["id"])
        ids = table["id"].combine_chunks().take(order)
        repeated = pc.index(pc.equal(ids.slice(1), ids.slice(0, max(0, len(ids) - 1))), True).as_py()
        if repeated >= 0:
            raise DataError(
                f"Captions {path.name!r}: {key} {ids[repeated].as_py()!r} comes twice; each needs one caption."
            )
        return cls(ids, table["text"].combine_chunks().take(order))

    def __len__(self) -> int:
        return len(self.ids)

    def get(self, sample_id: str) -> str | None:
        """The caption; None for an unknown id, empty for a row without text."""
        wanted = sample_id.encode("utf-8", "surrogatepass")
        low, high = 0, len(self.ids)
        while low < high:
            middle = (low + high) // 2
            # Arrow sorts by bytes, so bytes are compared.
            if self.ids[middle].as_buffer().to_pybytes() < wanted:
                low = middle + 1
            else:
                high = middle
        if low == len(self.ids) or self.ids[low].as_buffer().to_pybytes() != wanted:
            return None
        return self.texts[low].as_py() or ""


def _read_delimited(path: Path, key: str, column: str) -> Iterator[Any]:
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        header = next(reader, [])
        places = [_place(path, header, name) for name in (key, column)]

        def rows() -> Iterator[tuple[str, str]]:
            try:
                for row in reader:
                    if not row:
                        continue
                    if len(row) != len(header):
                        raise DataError(
                            f"{path.name}, line {reader.line_num}: {len(row)} fields, the header has {len(header)}."
                        )
                    yield row[places[0]], row[places[1]]
            except csv.Error as error:
                raise DataError(f"{path.name}, line {reader.line_num}: {error}.") from error

        yield from _chunks(rows())


def _read_json_lines(path: Path, key: str, column: str) -> Iterator[Any]:
    def rows() -> Iterator[tuple[str, str | None]]:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                except ValueError as error:
                    raise DataError(f"{path.name}, line {number}: not JSON ({error}).") from error
                if not isinstance(row, dict):
                    raise DataError(f"{path.name}, line {number}: expected an object, {{...}}.")
                _place(path, list(row), key, number)
                _place(path, list(row), column, number)
                sample_id, text = row[key], row[column]
                if isinstance(sample_id, int) and not isinstance(sample_id, bool):
                    sample_id = str(sample_id)
                if not isinstance(sample_id, str) or not isinstance(text, str | None):
                    raise DataError(f"{path.name}, line {number}: {key!r} and {column!r} must hold text.")
                yield sample_id, text

    yield from _chunks(rows())


def _read_parquet(path: Path, key: str, column: str) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for name in (key, column):
            _place(path, file.schema_arrow.names, name)
        for name, allowed in ((key, (_is_text, pa.types.is_integer)), (column, (_is_text,))):
            kind = file.schema_arrow.field(name).type
            if not any(test(kind) for test in allowed):
                raise DataError(f"{path.name}: column {name!r} holds {kind}; expected text.")
        for batch in file.iter_batches(_CHUNK, columns=[key, column]):
            columns = [batch.column(batch.schema.get_field_index(name)) for name in (key, column)]
            yield _table(*(values.cast(pa.large_string()) for values in columns))


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


_READERS = {
    ".csv": _read_delimited,
    ".tsv": _read_delimited,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".parquet": _read_parquet,
}


def _place(path: Path, names: Sequence[str], name: str, line: int = 1) -> int:
    """Where a column stands; DataError names the nearest one where it is missing."""
    from difflib import get_close_matches

    if name in names:
        if list(names).count(name) > 1:
            raise DataError(f"{path.name}: column {name!r} comes twice.")
        return list(names).index(name)
    near = get_close_matches(name, names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    where = "" if path.suffix == ".parquet" else f", line {line}"
    raise DataError(f"{path.name}{where}: no column {name!r}.{hint} Columns: {', '.join(names) or 'none'}.")


def _chunks(rows: Iterator[tuple[str, str | None]]) -> Iterator[Any]:
    """Arrow tables of some rows each, so that no more than those are Python objects at once."""
    from itertools import islice

    import pyarrow as pa

    while part := list(islice(rows, _CHUNK)):
        ids, texts = zip(*part, strict=True)
        yield _table(pa.array(ids, pa.large_string()), pa.array(texts, pa.large_string()))


def _table(ids: Any, texts: Any) -> Any:
    import pyarrow as pa

    return pa.table({"id": ids, "text": texts})
