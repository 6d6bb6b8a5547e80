"""Finishing a shard: its journal and its images become one parquet file and one summary.

The parquet file is written aside and renamed; the rename alone marks completion.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from openmmlo.building.journal import Journal
from openmmlo.building.machine import versions
from openmmlo.building.masking import Masker
from openmmlo.building.plan import Shard
from openmmlo.building.prefetch import read_image
from openmmlo.building.schema import arrow_schema
from openmmlo.building.word_counts import ShardCounts
from openmmlo.building.workspace import Workspace, sync_folder, write_aside
from openmmlo.errors import SampleFailed
from openmmlo.records import OOD_LABEL, DatasetInfo, Sample, Status

_GROUP_BYTES = 100 * 2**20  # the Hub's viewer wants row groups below this

Row = dict[str, Any]


class Finisher:
    """Writes finished shards.

    Args:
        group_rows: plan positions a row group.
        with_images: whether the image column holds the original bytes; without it the column is left out.
    """

    def __init__(
        self, workspace: Workspace, info: DatasetInfo, masker: Masker, group_rows: int, with_images: bool
    ) -> None:
        self.workspace = workspace
        self.masker = masker
        self.group_rows = group_rows
        self.with_images = with_images
        self.schema = arrow_schema(info, with_images)

    def finish(self, shard: Shard, samples: list[Sample], journal: Journal) -> None:
        """Write the shard's parquet file and summary, then drop its journal. Doing it twice changes nothing."""
        frames = journal.read()
        records = {record["p"]: record for frame in frames for record in frame["records"]}
        counts = ShardCounts()
        errors: list[Row] = []
        rows = self._write(shard, samples, records, counts, errors)
        aside = self.workspace.aside(shard.name)
        summary = {
            "rows": rows,
            "bytes": aside.stat().st_size,
            "sha256": _file_digest(aside),
            "errors": errors,
            "counts": counts.to_json(),
            "seconds": round(sum(frame["seconds"] for frame in frames), 3),
            "halved_batches": sum(bool(frame["halved"]) for frame in frames),
            "versions": versions(),
        }
        write_aside(self.workspace.summary(shard.name), json.dumps(summary, ensure_ascii=True, separators=(",", ":")))
        aside.replace(self.workspace.parquet(shard.name))
        sync_folder(self.workspace.data)
        journal.path.unlink()
        self.workspace.log(
            "shard", shard=shard.name, rows=rows, errors=len(errors), seconds=summary["seconds"], bytes=summary["bytes"]
        )

    def _write(
        self, shard: Shard, samples: list[Sample], records: dict[int, Row], counts: ShardCounts, errors: list[Row]
    ) -> int:
        """Write the parquet file aside; row groups are cut by position, and where one would grow too large."""
        compression = {name: "ZSTD" for name in self.schema.names if name != "image"}
        written = 0
        with self.workspace.aside(shard.name).open("wb") as file:
            with pq.ParquetWriter(
                file,
                self.schema,
                compression=compression,
                use_dictionary=["label", "class_key"],
                write_page_index=True,
                store_schema=True,
            ) as writer:
                for start in range(0, len(samples), self.group_rows):
                    positions = range(start, min(start + self.group_rows, len(samples)))
                    for group in self._groups(shard, positions, samples, records, counts, errors):
                        writer.write_table(pa.Table.from_pylist(group, schema=self.schema), row_group_size=len(group))
                        written += len(group)
            file.flush()
            os.fsync(file.fileno())
        return written

    def _groups(
        self,
        shard: Shard,
        positions: range,
        samples: list[Sample],
        records: dict[int, Row],
        counts: ShardCounts,
        errors: list[Row],
    ) -> Iterator[list[Row]]:
        group: list[Row] = []
        size = 0
        for position in positions:
            sample, record = samples[position], records[position]
            try:
                if record["s"] != Status.OK:
                    raise SampleFailed(Status(record["s"]), record["r"])
                row, length = self._row(shard, sample, record, counts)
            except SampleFailed as failed:
                errors.append(_error_row(position, sample, failed))
                continue
            if group and size + length > _GROUP_BYTES:
                yield group
                group, size = [], 0
            group.append(row)
            size += length
        if group:
            yield group

    def _row(self, shard: Shard, sample: Sample, record: Row, counts: ShardCounts) -> tuple[Row, int]:
        image = None
        length = 0
        if self.with_images:
            data = self._image(shard, sample, record["h"])
            image = {"bytes": data, "path": sample.image.locator.rpartition("/")[2]}
            length = len(data)
        caption = self.masker.mask(sample.sample_id, record["c"], sample.class_key, ood=sample.label == OOD_LABEL)
        counts.add(sample.split, sample.class_key, caption)
        row = {
            "sample_id": sample.sample_id,
            "image": image,
            "label": sample.label,
            "class_key": sample.class_key,
            "caption": caption.text,
            "masked_caption": caption.masked,
            "spans": [{"start": start, "end": end} for start, end in caption.spans],
            "path": sample.image.locator,
            "sha256": record["h"],
            "width": record["x"],
            "height": record["y"],
        }
        if not self.with_images:
            del row["image"]
        return row, length

    def _image(self, shard: Shard, sample: Sample, digest: str) -> bytes:
        """The bytes that were captioned: from the source or, where it changed since, from the shard written before."""
        try:
            data = read_image(sample)
            if hashlib.sha256(data).hexdigest() == digest:
                return data
            failed = SampleFailed(Status.CHANGED, "the image changed between captioning and writing")
        except SampleFailed as error:
            failed = error
        before = self.workspace.parquet(shard.name)
        if before.exists():  # a retry: rows that were good stay as they are
            wanted = [("sample_id", "=", sample.sample_id), ("sha256", "=", digest)]
            for row in pq.read_table(before, columns=["image"], filters=wanted).to_pylist():
                stored: bytes = row["image"]["bytes"]
                return stored
        raise failed

    @staticmethod
    def reopened(workspace: Workspace, shard: Shard, samples: list[Sample]) -> list[dict[str, Any]]:
        """The journal frames that a finished shard would have left."""
        summary = json.loads(workspace.summary(shard.name).read_bytes())
        columns = ["sample_id", "caption", "sha256", "width", "height"]
        position_of = {sample.sample_id: position for position, sample in enumerate(samples)}
        records: list[Row] = [
            {
                "p": position_of[row["sample_id"]],
                "s": Status.OK,
                "c": row["caption"],
                "h": row["sha256"],
                "x": row["width"],
                "y": row["height"],
            }
            for row in pq.read_table(workspace.parquet(shard.name), columns=columns).to_pylist()
        ]
        records += [{"p": item["position"], "s": item["status"], "r": item["reason"]} for item in summary["errors"]]
        halved = [{"records": [], "seconds": 0, "halved": True}] * summary["halved_batches"]
        return [{"records": records, "seconds": summary["seconds"], "halved": False}, *halved]


def _error_row(position: int, sample: Sample, failed: SampleFailed) -> Row:
    return {
        "sample_id": sample.sample_id,
        "split": sample.split,
        "label": sample.label,
        "class_key": sample.class_key,
        "path": sample.image.locator,
        "position": position,
        "status": failed.status.value,
        "reason": failed.reason,
    }


def _file_digest(path: os.PathLike[str]) -> str:
    with open(path, "rb") as file:  # noqa: PTH123 - file_digest wants a binary file object
        return hashlib.file_digest(file, "sha256").hexdigest()
