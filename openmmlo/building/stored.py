"""Images that a parquet file of this folder holds already: read from there, the source is not asked for them again."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


class StoredImages:
    """The image bytes of finished shards, found by sample id.

    Args:
        paths: parquet files, the one to ask first in front; files that are not there, or hold no images, hold none.

    One row group is in memory at a time, so ask in the order of the rows.
    """

    def __init__(self, *paths: Path) -> None:
        self.paths = paths
        self._places: list[dict[str, tuple[int, int, str]] | None] = [None] * len(paths)
        self._group: tuple[int, int, pa.ChunkedArray | None] = (-1, -1, None)

    def get(self, sample_id: str, sha256: str) -> bytes | None:
        """The bytes of a row; None where no file has them with this very content."""
        for number in range(len(self.paths)):
            group, row, stored = self._where(number).get(sample_id, (-1, -1, ""))
            if stored != sha256:
                continue
            data: bytes = self._images(number, group)[row].as_py()["bytes"]
            if hashlib.sha256(data).hexdigest() == sha256:
                return data
        return None

    def _where(self, number: int) -> dict[str, tuple[int, int, str]]:
        """Sample id -> row group, row in it, and digest."""
        places = self._places[number]
        if places is None:
            places = {}
            path = self.paths[number]
            if path.exists():
                with pq.ParquetFile(path) as file:
                    groups = range(file.num_row_groups if "image" in file.schema_arrow.names else 0)
                    for group in groups:
                        table = file.read_row_group(group, columns=["sample_id", "sha256"])
                        for row, (sample_id, digest) in enumerate(
                            zip(table["sample_id"].to_pylist(), table["sha256"].to_pylist(), strict=True)
                        ):
                            places[sample_id] = (group, row, digest)
            self._places[number] = places
        return places

    def _images(self, number: int, group: int) -> pa.ChunkedArray:
        if self._group[:2] != (number, group) or self._group[2] is None:
            self._group = (-1, -1, None)  # let go of one row group before the next is read
            with pq.ParquetFile(self.paths[number]) as file:
                self._group = (number, group, file.read_row_group(group, columns=["image"])["image"])
        images = self._group[2]
        if images is None:
            raise RuntimeError("no row group was read")
        return images
