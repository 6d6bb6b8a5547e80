"""Images that lie in the parquet files of a built data set: a reference to one row, and its bytes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

KEPT_GROUPS = 2
"""Row groups in the memory of a process; batches are cut by position, so one or two hold the next images."""


@dataclass(frozen=True, slots=True)
class StoredImage:
    """One row of a parquet file; ``locator`` is ``<file in the data set>#<row group>:<row in it>``.

    Whole row groups are read, and the last two are kept: read in the order of the rows.
    """

    file: Path
    locator: str

    def read(self) -> bytes:
        """The bytes as they were built in. Raises OSError where the file or the row is not there, or has no image."""
        _, _, place = self.locator.rpartition("#")
        group, _, row = place.partition(":")
        try:
            stat = self.file.stat()
            data = _images(self.file, stat.st_mtime_ns, stat.st_size, int(group))[int(row)].as_py()
        except (pa.ArrowException, KeyError, ValueError, IndexError) as error:
            raise OSError(f"{self.locator} is not in the data set, or its file is damaged") from error
        if data is None:
            raise OSError(f"{self.locator} has no image")
        return bytes(data)


@lru_cache(maxsize=KEPT_GROUPS)
def _images(file: Path, _modified: int, _size: int, group: int) -> pa.Array:
    """The image bytes of one row group."""
    with pq.ParquetFile(file) as opened:
        if not 0 <= group < opened.num_row_groups:
            raise IndexError(group)
        column = opened.read_row_group(group, columns=["image"])["image"]
    return pa.chunked_array([chunk.field("bytes") for chunk in column.chunks], type=pa.binary())
