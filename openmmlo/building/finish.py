"""Finishing a shard: its journal and its images become one parquet file and one summary.

The parquet file is written aside and renamed; the rename alone marks completion.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from openmmlo.building.journal import Journal
from openmmlo.building.machine import versions
from openmmlo.building.masking import Masker
from openmmlo.building.plan import Shard
from openmmlo.building.schema import arrow_schema, parquet_writer
from openmmlo.building.stored import StoredImages
from openmmlo.building.word_counts import ShardCounts
from openmmlo.building.workspace import Workspace
from openmmlo.data.reading import read_image
from openmmlo.errors import SampleFailed
from openmmlo.records import OOD_LABEL, DatasetInfo, Sample, Status
from openmmlo.writing import sync_folder, write_aside

_GROUP_BYTES = 100 * 2**20  # the Hub's viewer wants row groups below this

Row = dict[str, Any]


@dataclass
class _Counts:
    """Counts of one shard; ``ood_rows`` and ``masked_ood_rows`` are of label -1."""

    words: ShardCounts = field(default_factory=ShardCounts)
    ood_rows: int = 0
    masked_ood_rows: int = 0


class Finisher:
    """Writes finished shards.

    Args:
        group_rows: plan positions a row group.
        with_images: whether the image column holds the original bytes; without it the column is left out.
        earlier: the build that this one is a recaption of.
    """

    def __init__(
        self,
        workspace: Workspace,
        info: DatasetInfo,
        masker: Masker,
        group_rows: int,
        with_images: bool,
        earlier: Workspace | None = None,
    ) -> None:
        self.workspace = workspace
        self.earlier = earlier
        self.masker = masker
        self.group_rows = group_rows
        self.with_images = with_images
        self.schema = arrow_schema(info, with_images)

    def finish(self, shard: Shard, samples: list[Sample], journal: Journal) -> None:
        """Write the shard's parquet file and summary, then drop its journal. Doing it twice changes nothing."""
        frames = journal.read()
        records = {record["p"]: record for frame in frames for record in frame["records"]}
        counts = _Counts()
        errors: list[Row] = []
        rows = self._write(shard, samples, records, counts, errors)
        aside = self.workspace.aside(shard.name)
        summary = {
            "rows": rows,
            "bytes": aside.stat().st_size,
            "sha256": _file_digest(aside),
            "errors": errors,
            "counts": counts.words.to_json(),
            "ood_rows": counts.ood_rows,
            "masked_ood_rows": counts.masked_ood_rows,
            "seconds": round(sum(frame["seconds"] for frame in frames), 3),
            "halved_batches": sum(bool(frame["halved"]) for frame in frames),
            "versions": _merged([frame["versions"] for frame in frames if "versions" in frame]),
        }
        write_aside(self.workspace.summary(shard.name), json.dumps(summary, ensure_ascii=True, separators=(",", ":")))
        aside.replace(self.workspace.parquet(shard.name))
        sync_folder(self.workspace.data)
        journal.path.unlink()
        self.workspace.log(
            "shard", shard=shard.name, rows=rows, errors=len(errors), seconds=summary["seconds"], bytes=summary["bytes"]
        )

    def _write(
        self, shard: Shard, samples: list[Sample], records: dict[int, Row], counts: _Counts, errors: list[Row]
    ) -> int:
        """Write the parquet file aside; row groups are cut by position, and where one would grow too large."""
        written = 0
        before = [place.parquet(shard.name) for place in (self.workspace, self.earlier) if place]
        stored = StoredImages(*before)
        with self.workspace.aside(shard.name).open("wb") as file:
            with parquet_writer(file, self.schema) as writer:
                for start in range(0, len(samples), self.group_rows):
                    positions = range(start, min(start + self.group_rows, len(samples)))
                    for group in self._groups(stored, positions, samples, records, counts, errors):
                        writer.write_table(pa.Table.from_pylist(group, schema=self.schema), row_group_size=len(group))
                        written += len(group)
            file.flush()
            os.fsync(file.fileno())
        return written

    def _groups(
        self,
        stored: StoredImages,
        positions: range,
        samples: list[Sample],
        records: dict[int, Row],
        counts: _Counts,
        errors: list[Row],
    ) -> Iterator[list[Row]]:
        group: list[Row] = []
        size = 0
        for position in positions:
            sample, record = samples[position], records[position]
            try:
                if record["s"] != Status.OK:
                    raise SampleFailed(Status(record["s"]), record["r"])
                row, length = self._row(stored, sample, record, counts)
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

    def _row(self, stored: StoredImages, sample: Sample, record: Row, counts: _Counts) -> tuple[Row, int]:
        image = None
        length = 0
        if self.with_images:
            data = stored.get(sample.sample_id, record["h"]) or _image(sample, record["h"])
            image = {"bytes": data, "path": sample.image.locator.rpartition("/")[2]}
            length = len(data)
        caption = self.masker.mask(sample.sample_id, record["c"], sample.class_key, ood=sample.label == OOD_LABEL)
        counts.words.add(sample.split, sample.class_key, caption)
        if sample.label == OOD_LABEL:
            counts.ood_rows += 1
            counts.masked_ood_rows += bool(caption.spans)
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


def _image(sample: Sample, digest: str) -> bytes:
    """The bytes that were captioned, from the source."""
    data = read_image(sample)
    if hashlib.sha256(data).hexdigest() != digest:
        raise SampleFailed(Status.CHANGED, "the image changed between captioning and writing")
    return data


def _merged(earlier: list[dict[str, str]]) -> dict[str, str]:
    """Versions that a shard was made on: those of this run, and those of earlier ones whose captions it holds."""
    found = {name: {version} for name, version in versions().items()}
    for one in earlier:
        for name, text in one.items():
            found.setdefault(name, set()).update(text.split(", "))
    return {name: ", ".join(sorted(several)) for name, several in found.items()}


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
