"""The rows of one data file held against what the whole data set says of them."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from openmmlo.building.masking import Lexicon, Masker
from openmmlo.building.publishing import image_metadata
from openmmlo.building.publishing.problems import Problems
from openmmlo.building.schema import arrow_schema
from openmmlo.building.word_counts import ShardCounts
from openmmlo.data import BuiltDataset
from openmmlo.data.images import decode
from openmmlo.errors import SampleFailed
from openmmlo.records import OOD_LABEL, Caption

_BATCH = 1000
_TURNED = frozenset({5, 6, 7, 8})  # EXIF orientations that swap width and height
_MAY_TURN = (b"Exif", b"eXIf", b"EXIF", b"exif", b"xmp", b"XMP", b"MM\0*", b"II*\0")

Row = dict[str, Any]


@dataclass
class RowChecks:
    """What rows are checked against, and what is counted meanwhile.

    Attributes:
        keys: class key by label.
        masker: masks captions anew; None where the lexicon is not at hand or of other rules.
        stripped: images were stripped, so that their bytes may differ from column sha256.
        counts: classes and words, as the build counts them.
        ood: split -> rows with label -1, and those of them that have a mask.
    """

    schema: pa.Schema
    keys: tuple[str, ...]
    known_keys: frozenset[str]
    masker: Masker | None
    with_images: bool
    stripped: bool
    deep: bool
    max_pixels: int
    found: Problems
    counts: ShardCounts = field(default_factory=ShardCounts)
    rows: int = 0
    ood: dict[str, list[int]] = field(default_factory=dict)
    _of_split: dict[str, list[tuple[pa.Array, pa.Array]]] = field(default_factory=dict)

    @classmethod
    def of(cls, dataset: BuiltDataset, lexicon: Lexicon | None, deep: bool, found: Problems) -> RowChecks:
        manifest, keys = dataset.manifest, tuple(item.key for item in dataset.info.classes)
        with_images = bool(manifest["with_images"])
        return cls(
            schema=arrow_schema(dataset.info, with_images),
            keys=keys,
            known_keys=frozenset(keys),
            masker=Masker(lexicon, keys, manifest["masking"]["level"]) if lexicon else None,
            with_images=with_images,
            stripped=manifest.get("images") == "stripped",
            deep=deep,
            max_pixels=int(manifest["max_pixels"]),
            found=found,
        )

    def keep(self, split: str, ids: pa.Array, class_keys: pa.Array) -> None:
        """Note the ids and classes of a batch, as Arrow holds them: a third of what Python would need."""
        self._of_split.setdefault(split, []).append((ids, class_keys))

    def count(self, split: str, row: Row) -> None:
        self.counts.add(split, row["class_key"], _caption(row))
        if row["label"] == OOD_LABEL:
            counts = self.ood.setdefault(split, [0, 0])
            counts[0] += 1
            counts[1] += bool(row["spans"])

    def ids(self) -> list[pa.Array]:
        return [ids for parts in self._of_split.values() for ids, _ in parts]

    def pairs(self, split: str) -> Iterator[tuple[str, str]]:
        for ids, keys in self._of_split.get(split, ()):
            yield from zip(ids.to_pylist(), keys.to_pylist(), strict=True)


def check_file(path: Path, entry: Mapping[str, Any], checks: RowChecks, seen: Callable[[int], None]) -> None:
    """Read a data file batch by batch and check each row; what is wrong goes to ``checks.found``.

    ``seen`` is told how many rows each batch had.
    """
    name, found = entry["path"], checks.found
    rows = stripped = 0
    try:
        with pq.ParquetFile(path) as file:
            if problem := _schema_problem(file.schema_arrow, checks.schema):
                found.add(name, problem)
                return
            for batch in file.iter_batches(batch_size=_BATCH):
                rows += len(batch)
                checks.rows += len(batch)
                if not _whole(batch, name, found):
                    seen(len(batch))
                    continue
                checks.keep(entry["split"], batch.column("sample_id"), batch.column("class_key"))
                for row in _rows(batch):
                    _check_labels(row, name, checks)
                    _check_masks(row, name, checks)
                    checks.count(entry["split"], row)
                    if checks.with_images:
                        stripped += _check_image(row, name, checks)
                seen(len(batch))
    except (OSError, pa.ArrowException) as error:
        found.add(name, f"cannot be read as parquet ({type(error).__name__})")
        return
    if rows != entry["rows"]:
        found.add(name, f"has {rows} rows, the manifest says {entry['rows']}")
    if checks.stripped and stripped != entry.get("stripped", 0):
        found.add(name, f"{stripped} images differ from column sha256, the manifest says {entry.get('stripped', 0)}")


def _schema_problem(has: pa.Schema, wanted: pa.Schema) -> str:
    if not has.equals(wanted):
        return "its columns or their types are not those of a data set like this one"
    stated = [json.loads((schema.metadata or {}).get(b"huggingface", b"null")) for schema in (has, wanted)]
    return (
        ""
        if stated[0] == stated[1]
        else "its huggingface metadata (classes, image column) is not what classes.json gives"
    )


def _whole(batch: pa.RecordBatch, name: str, found: Problems) -> bool:
    empty = [column for column in batch.schema.names if batch.column(column).null_count]
    for column in empty:
        found.add(name, f"column {column} has empty cells")
    return not empty


def _rows(batch: pa.RecordBatch) -> Iterator[Row]:
    names = batch.schema.names
    for values in zip(*(_values(batch.column(name)) for name in names), strict=True):
        yield dict(zip(names, values, strict=True))


def _values(column: pa.Array) -> Iterator[Any]:
    """Cells as Python objects; images one at a time, so that a batch of them is not held twice."""
    if pa.types.is_struct(column.type):
        return (value.as_py() for value in column)
    return iter(column.to_pylist())


def _caption(row: Row) -> Caption:
    spans = tuple((span["start"], span["end"]) for span in row["spans"])
    return Caption(row["sample_id"], row["caption"], row["masked_caption"], spans)


def _check_labels(row: Row, name: str, checks: RowChecks) -> None:
    label, key = row["label"], row["class_key"]
    if label == OOD_LABEL:
        if key in checks.known_keys:
            checks.found.add(name, "label -1, but its class is in distribution", row["sample_id"])
    elif not 0 <= label < len(checks.keys):
        checks.found.add(name, "its label is no class", row["sample_id"])
    elif checks.keys[label] != key:
        checks.found.add(name, "label and class_key are not of one class", row["sample_id"])


def _check_masks(row: Row, name: str, checks: RowChecks) -> None:
    caption, ood = _caption(row), row["label"] == OOD_LABEL
    if checks.masker and (ood or caption_key_known(row, checks)):
        again = checks.masker.mask(caption.sample_id, caption.text, row["class_key"], ood=ood)
        if again.masked != caption.masked:
            checks.found.add(name, "masked_caption is not what the lexicon gives", row["sample_id"])
        elif again.spans != caption.spans:
            checks.found.add(name, "spans are not where the mask is", row["sample_id"])
    elif not spans_agree(caption):
        checks.found.add(name, "spans do not turn caption into masked_caption", row["sample_id"])


def caption_key_known(row: Row, checks: RowChecks) -> bool:
    """Whether the lexicon can mask an in-distribution row; where not, its label was named already."""
    return checks.masker is not None and row["class_key"] in checks.masker.lexicon.entries


def spans_agree(caption: Caption) -> bool:
    """Whether putting ``[mask]`` or ``[mask]s`` at the spans of a caption gives the masked one."""
    pieces = [caption.text[start:end] for start, end in _between(caption)]
    if sorted(caption.spans) != list(caption.spans) or any(start >= end for start, end in caption.spans):
        return False
    return _fits(caption.masked, pieces)


def _between(caption: Caption) -> list[tuple[int, int]]:
    """Offsets of what stands before, between and behind the spans."""
    starts = [0, *(end for _, end in caption.spans)]
    ends = [*(start for start, _ in caption.spans), len(caption.text)]
    return list(zip(starts, ends, strict=True))


def _fits(masked: str, pieces: list[str]) -> bool:
    """Whether a text is these pieces with ``[mask]`` or ``[mask]s`` between them."""
    reached = {len(pieces[0])} if masked.startswith(pieces[0]) else set()
    for piece in pieces[1:]:
        after = {at + len(mask) for at in reached for mask in ("[mask]", "[mask]s") if masked.startswith(mask, at)}
        reached = {at + len(piece) for at in after if masked.startswith(piece, at)}
    return len(masked) in reached


def _check_image(row: Row, name: str, checks: RowChecks) -> bool:
    """Check the image of a row; whether its bytes differ from the source's."""
    image, found, sample = row["image"], checks.found, row["sample_id"]
    data = image["bytes"]
    if data is None or image["path"] is None:
        found.add(name, "the image is missing", sample)
        return False
    if image["path"] != row["path"].rpartition("/")[2]:
        found.add(name, "the image's file name is not that of column path", sample)
    differs: bool = hashlib.sha256(data).hexdigest() != row["sha256"]
    if differs and not checks.stripped:
        found.add(name, "the image's bytes do not have the hash of column sha256", sample)
    if checks.stripped and any(image_metadata.look(data)):
        found.add(name, "the image holds metadata, though images were stripped", sample)
    size = (row["width"], row["height"])
    if (not checks.deep and _size_in_header(data) == size) or (seen := _decoded_size(data, checks.max_pixels)) == size:
        return differs
    wrong = "the image cannot be decoded" if seen is None else "the image has another width or height than its columns"
    found.add(name, wrong, sample)
    return differs


def _size_in_header(data: bytes) -> tuple[int, int] | None:
    """Upright width and height as the header has them; None where that takes more than the header."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            # Of a PNG, asking for EXIF decodes all pixels: it is asked for only where there may be any.
            may_turn = any(mark in data for mark in _MAY_TURN)
            turned = may_turn and image.getexif().get(0x0112, 1) in _TURNED
            return (image.height, image.width) if turned else (image.width, image.height)
    except Exception:  # damaged files raise anything; decoding says what is wrong
        return None


def _decoded_size(data: bytes, max_pixels: int) -> tuple[int, int] | None:
    try:
        image = decode(data, max_pixels)
    except SampleFailed:
        return None
    return image.width, image.height
