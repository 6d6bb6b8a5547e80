"""What a recaption takes over from the build before it: captions that stay, facts of images, rows that failed.

A mask level or lexicon that changes leaves every caption as it is; a captioner that changes leaves what is known of
each image. Neither is read or decoded again for that.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from openmmlo.building.journal import Journal
from openmmlo.building.plan import Shard
from openmmlo.building.prefetch import Facts
from openmmlo.building.stored import StoredImages
from openmmlo.building.workspace import Workspace
from openmmlo.records import Sample, Status

Record = dict[str, Any]
Frame = dict[str, Any]

_OF_CAPTIONER = frozenset({Status.CAPTIONER.value, Status.NO_CAPTION.value})


@dataclass(frozen=True)
class Earlier:
    """The build that a recaption starts from.

    Attributes:
        workspace: where it lies.
        fingerprint: of it.
        same_captioner: whether its captions stay.
        kept: journals of captions that the wanted captioner wrote before others took their place.
        retry: statuses of error rows that are tried again.
    """

    workspace: Workspace
    fingerprint: str
    same_captioner: bool
    kept: Path
    retry: frozenset[str] = frozenset()

    def carried(self, shard: Shard, samples: list[Sample]) -> list[Frame]:
        """Journal frames with the records of a shard that hold in the recaption too."""
        frames = finished_or_journalled(self.workspace, shard, samples)
        if self.same_captioner:
            return [{**frame, "records": list(filter(self._stays, frame["records"]))} for frame in frames]
        before = {record["p"]: record for frame in frames for record in frame["records"]}
        failed = [
            item for item in before.values() if item["s"] not in (*_OF_CAPTIONER, Status.OK) and self._stays(item)
        ]
        found: list[Frame] = [{"records": failed, "seconds": 0, "halved": False}] if failed else []
        for frame in Journal(self.kept / f"{shard.name}.journal").peek()[0]:
            again = [item for item in frame["records"] if _same_image(item, before.get(item["p"]))]
            found.append({**frame, "records": again})
        return found

    def facts(self, shard: Shard, samples: list[Sample]) -> dict[int, Facts]:
        """Position -> what is known of its image."""
        frames = finished_or_journalled(self.workspace, shard, samples)
        good = (record for frame in frames for record in frame["records"] if record["s"] == Status.OK)
        return {record["p"]: Facts(record["h"], record["x"], record["y"]) for record in good}

    def images(self, shard: Shard) -> StoredImages:
        """The images that the earlier build stored."""
        return StoredImages(self.workspace.parquet(shard.name))

    def _stays(self, record: Record) -> bool:
        return record["s"] not in self.retry


def _same_image(kept: Record, before: Record | None) -> bool:
    """Whether a caption of another day is of the image that the row has now."""
    if before is None or kept["s"] != Status.OK or before["s"] != Status.OK:
        return False
    return bool(kept["h"] == before["h"])


def finished_or_journalled(workspace: Workspace, shard: Shard, samples: list[Sample]) -> list[Frame]:
    """Every record there is of a shard, as journal frames, whether it is finished or under way."""
    frames, _ = Journal(workspace.journal(shard.name)).peek()
    if not frames and workspace.is_finished(shard.name):
        frames = frames_of_finished(workspace, shard, samples)
    return frames


def frames_of_finished(workspace: Workspace, shard: Shard, samples: list[Sample]) -> list[Frame]:
    """The journal frames that a finished shard would have left."""
    summary = json.loads(workspace.summary(shard.name).read_bytes())
    columns = ["sample_id", "caption", "sha256", "width", "height"]
    position_of = {sample.sample_id: position for position, sample in enumerate(samples)}
    records: list[Record] = [
        {
            "p": position_of[row["sample_id"]],
            "s": Status.OK,
            "c": row["caption"],
            "h": row["sha256"],
            "x": row["width"],
            "y": row["height"],
        }
        for row in _rows(workspace.parquet(shard.name), columns)
    ]
    records += [{"p": item["position"], "s": item["status"], "r": item["reason"]} for item in summary["errors"]]
    whole = {"records": records, "seconds": summary["seconds"], "halved": False, "versions": summary["versions"]}
    return [whole, *[{"records": [], "seconds": 0, "halved": True}] * summary["halved_batches"]]


def _rows(path: Path, columns: list[str]) -> Iterator[dict[str, Any]]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(columns=columns):
            yield from batch.to_pylist()
