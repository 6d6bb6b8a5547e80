"""Changing a built data set behind its back, or so that its hashes still agree."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from openmmlo.building.card import render_card
from openmmlo.building.schema import arrow_schema, parquet_writer
from openmmlo.data import open_dataset

Change = Callable[[list[dict[str, Any]]], None]


def rewrite(folder: Path, path: str, change: Change, schema: pa.Schema | None = None) -> None:
    """Change the rows of a data file; its hash, size and row count in manifest and card are put right."""
    dataset = open_dataset(folder)
    table = pq.read_table(folder / path)
    rows = table.to_pylist()
    change(rows)
    schema = schema or arrow_schema(dataset.info, dataset.manifest["with_images"])
    with (folder / path).open("wb") as file, parquet_writer(file, schema) as writer:
        if rows:
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
    settle(folder, path, len(rows))


def settle(folder: Path, path: str, rows: int | None = None) -> None:
    """Put a data file's hash, size and rows right in manifest and card."""
    dataset = open_dataset(folder)
    entry = next(item for item in dataset.manifest["files"] if item["path"] == path)
    content = (folder / path).read_bytes()
    entry |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    if rows is not None:
        entry["rows"] = rows
    write_manifest(folder, dataset.manifest)


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Write a manifest, and the card that belongs to it."""
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    (folder / "README.md").write_text(render_card(manifest, open_dataset(folder).info), encoding="utf-8")
