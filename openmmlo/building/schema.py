"""The columns of a built data set: Arrow types, and the metadata by which datasets knows images and labels."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from openmmlo.records import DatasetInfo

COLUMNS: Mapping[str, Any] = {
    "sample_id": pa.string(),
    "image": pa.struct({"bytes": pa.binary(), "path": pa.string()}),
    "label": pa.int64(),
    "class_key": pa.string(),
    "caption": pa.string(),
    "masked_caption": pa.string(),
    "spans": pa.list_(pa.struct({"start": pa.int32(), "end": pa.int32()})),
    "path": pa.string(),
    "sha256": pa.string(),
    "width": pa.int32(),
    "height": pa.int32(),
}
"""Every column in file order. ``spans`` are character offsets into ``caption``; ``label`` -1 is out of distribution."""

_FILE = ("path", "sha256", "width", "height")

CONFIGS: Mapping[str, Sequence[str]] = {
    "masked": ("sample_id", "image", "label", "class_key", "masked_caption", "spans", *_FILE),
    "raw": ("sample_id", "image", "label", "class_key", "caption", *_FILE),
}
"""Config -> its columns. Both read the same files, so that no image is stored twice; the first is the default."""


def config_columns(config: str, with_images: bool) -> list[str]:
    """Columns of a config in file order, ``image`` left out where the data set has none."""
    return [name for name in CONFIGS[config] if with_images or name != "image"]


def arrow_schema(info: DatasetInfo, with_images: bool) -> pa.Schema:
    """Schema of every data file, with the ``huggingface`` metadata that gives Image and ClassLabel features."""
    names = [name for name in COLUMNS if with_images or name != "image"]
    features = {name: feature(name, info) for name in names}
    metadata = {"huggingface": json.dumps({"info": {"features": features}}, ensure_ascii=True)}
    return pa.schema([pa.field(name, COLUMNS[name]) for name in names], metadata=metadata)


def parquet_writer(file: BinaryIO, schema: pa.Schema) -> pq.ParquetWriter:
    """A writer of data files, laid out for the Hub's viewer; equal row groups give equal bytes.

    Images are compressed already; a page index lets a reader fetch single rows. The ``huggingface`` metadata stands
    in the file once: Arrow's own copy of the schema would hold it a second time, for 8,142 classes 260 KB a file.
    """
    writer = pq.ParquetWriter(
        file,
        schema,
        compression={name: "ZSTD" for name in schema.names if name != "image"},
        use_dictionary=["label", "class_key"],
        write_page_index=True,
        store_schema=False,
    )
    writer.add_key_value_metadata(schema.metadata)
    return writer


def feature(name: str, info: DatasetInfo) -> dict[str, Any]:
    """One column as datasets writes it into file metadata."""
    if name == "image":
        return {"_type": "Image"}
    if name == "label":
        return {"names": [item.name for item in info.classes], "_type": "ClassLabel"}
    if name == "spans":
        offset = {"dtype": "int32", "_type": "Value"}
        return {"feature": {"start": offset, "end": offset}, "_type": "List"}
    return {"dtype": str(COLUMNS[name]), "_type": "Value"}
