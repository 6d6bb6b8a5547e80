"""Which sample goes into which shard, and the fingerprint of everything that decides what a build gives.

The plan is an Arrow table with one row a sample; its parquet copy has one row group a shard, so that a worker reads
just its own. Positions in the plan, never outcomes, decide where batches, shards and row groups are cut.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from openmmlo.errors import BuildRefused, ConfigError, DataError
from openmmlo.records import Sample, Source, Status, digest_of
from openmmlo.sources.files import FileImage

FORMAT = 1  # of the output folder; raised when a build could no longer be resumed by newer code

_RECAPTION = ("captioner", "masking")  # parts of an identity that a recaption may change
_CHUNK = 8192
_SHARD_BYTES = 250 * 2**20  # aimed at, so that files stay below the Hub's comfortable 500 MB
_GROUP_BYTES = 32 * 2**20
_SCHEMA = pa.schema(
    [
        ("sample_id", pa.string()),
        ("locator", pa.string()),
        ("label", pa.int32()),
        ("split", pa.dictionary(pa.int32(), pa.string())),
        ("class_key", pa.dictionary(pa.int32(), pa.string())),
        ("problem", pa.dictionary(pa.int32(), pa.string())),
    ]
)


@dataclass(frozen=True, slots=True)
class Shard:
    """A run of plan rows that becomes one parquet file. ``index`` counts over all splits."""

    index: int
    name: str
    split: str
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class Plan:
    """The whole plan. ``table`` has the columns of the plan, rows in building order."""

    table: pa.Table
    shards: tuple[Shard, ...]
    list_hashes: dict[str, str]
    digest: str
    shard_rows: int
    group_rows: int

    def planned(self) -> dict[str, int]:
        """Samples a split, in building order; a split without samples counts 0."""
        counts = dict.fromkeys(self.list_hashes, 0)
        for shard in self.shards:
            counts[shard.split] += len(shard)
        return counts

    def problems(self) -> dict[str, int]:
        """How many samples have which problem before any work."""
        values = pc.value_counts(self.table["problem"].cast(pa.string()).drop_null()).to_pylist()
        return {item["values"]: item["counts"] for item in values}

    def save(self, path: Path) -> None:
        """Write the parquet copy, one row group a shard."""
        aside = path.with_suffix(".tmp")
        with pq.ParquetWriter(aside, _SCHEMA, compression="zstd") as writer:
            for shard in self.shards:
                writer.write_table(self.table.slice(shard.start, len(shard)), row_group_size=max(1, len(shard)))
        aside.replace(path)


def read_shard(path: Path, shard: Shard, source: Source) -> list[Sample]:
    """Read the samples of one shard back from a saved plan."""
    with pq.ParquetFile(path) as file:
        rows = file.read_row_group(shard.index).to_pylist()
    return [
        Sample(
            sample_id=row["sample_id"],
            image=source.image(row["locator"]),
            label=row["label"],
            split=row["split"],
            source=source.name,
            class_key=row["class_key"],
            problem=Status(row["problem"]) if row["problem"] else None,
        )
        for row in rows
    ]


def make_plan(
    source: Source,
    splits: tuple[str, ...],
    shard_size: int,
    limit: int | None = None,
    cut: tuple[int, int] | None = None,
) -> Plan:
    """List a source's samples and cut them into shards.

    Args:
        splits: which to build, in this order.
        shard_size: most rows a shard; fewer where images are large (the mean of a few hundred is looked at).
        cut: rows a shard and rows a row group that a begun build settled on; then no image is looked at.
        limit: keep this many samples, spread evenly over the whole plan, so that a try-out sees every split.

    Raises:
        DataError: a sample id stands twice, within a split or in two of them.
    """
    tables = [_list_split(source, split) for split in splits]
    table = pa.concat_tables(tables).combine_chunks() if tables else _SCHEMA.empty_table()
    _refuse_repeats(table)
    if limit is not None and limit < len(table):
        table = table.take(pa.array(np.arange(limit, dtype=np.int64) * len(table) // limit))
    rows, group_rows = cut or _cut_sizes(table, source, shard_size)
    shards: list[Shard] = []
    hashes: dict[str, str] = {}
    digest = hashlib.sha256()
    start = 0
    for split in splits:
        part = table.filter(pc.equal(table["split"], split))
        hashes[split] = _list_hash(part)
        for chunk in part.to_batches(max_chunksize=_CHUNK):
            columns = (chunk.column(name).to_pylist() for name in ("sample_id", "label", "class_key"))
            text = "".join(f"{split}\t{item}\t{label}\t{key}\n" for item, label, key in zip(*columns, strict=True))
            digest.update(text.encode())
        count = -(-len(part) // rows)
        for number in range(count):
            name = f"{split}-{number:05d}-of-{count:05d}"
            first = start + number * rows
            shards.append(Shard(len(shards), name, split, first, min(first + rows, start + len(part))))
        start += len(part)
    return Plan(table, tuple(shards), hashes, digest.hexdigest(), rows, group_rows)


def _list_split(source: Source, split: str) -> pa.Table:
    """The samples of one split as a table, gathered in chunks so that Python objects do not pile up."""
    batches = []
    columns: dict[str, list[Any]] = {name: [] for name in _SCHEMA.names}
    for count, sample in enumerate(source.samples(split), start=1):
        columns["sample_id"].append(sample.sample_id)
        columns["locator"].append(sample.image.locator)
        columns["label"].append(sample.label)
        columns["class_key"].append(sample.class_key)
        columns["problem"].append(sample.problem)
        if count % _CHUNK == 0:
            batches.append(_to_table(columns, split))
    batches.append(_to_table(columns, split))
    return pa.concat_tables(batches).unify_dictionaries()


def _to_table(columns: dict[str, list[Any]], split: str) -> pa.Table:
    columns["split"] = [split] * len(columns["sample_id"])
    arrays = []
    for item in _SCHEMA:
        values = pa.array(columns[item.name], pa.string() if pa.types.is_dictionary(item.type) else item.type)
        arrays.append(values.dictionary_encode().cast(item.type) if pa.types.is_dictionary(item.type) else values)
    table = pa.table(arrays, schema=_SCHEMA)
    for values in columns.values():
        values.clear()
    return table


def _refuse_repeats(table: pa.Table) -> None:
    counts = pc.value_counts(table["sample_id"])
    repeated = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(repeated):
        first = repeated[0]["values"].as_py()
        splits = table.filter(pc.equal(table["sample_id"], first))["split"].to_pylist()
        raise DataError(
            f"{len(repeated)} sample ids stand more than once, {first!r} (in {', '.join(splits)}) among them. "
            "Every image may occur once over all splits; check the lists or folders for copies."
        )


def _list_hash(part: pa.Table) -> str:
    """The same number as records.list_hash, without a Python object for every row at once."""
    digest = hashlib.sha256()
    keys = part.select(["sample_id", "class_key"])
    keys = keys.set_column(1, "class_key", keys["class_key"].cast(pa.string()))
    ordered = keys.take(pc.sort_indices(keys, sort_keys=[("sample_id", "ascending"), ("class_key", "ascending")]))
    for chunk in ordered.to_batches(max_chunksize=_CHUNK):
        pairs = zip(chunk.column(0).to_pylist(), chunk.column(1).to_pylist(), strict=True)
        digest.update("".join(f"{sample_id}\t{key}\n" for sample_id, key in pairs).encode())
    return digest.hexdigest()


def _cut_sizes(table: pa.Table, source: Source, shard_size: int) -> tuple[int, int]:
    """Rows a shard and rows a row group, from the mean size of up to 256 images spread over the plan."""
    sizes = []
    for position in np.linspace(0, max(0, len(table) - 1), num=min(256, len(table)), dtype=np.int64).tolist():
        reference = source.image(table["locator"][position].as_py())
        if not isinstance(reference, FileImage):
            break
        try:
            sizes.append(reference.path.stat().st_size)
        except (OSError, ValueError):
            continue
    mean = max(1.0, float(np.mean(sizes)) if sizes else 1.0)
    rows = max(1, min(shard_size, int(_SHARD_BYTES / mean)))
    return rows, max(1, min(100, rows, int(_GROUP_BYTES / mean)))


@dataclass(frozen=True, slots=True)
class Slice:
    """Slice ``number`` (from 1) of ``of``: every of-th shard."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Slice:
        """Read ``i/n``. Raises ConfigError unless 1 <= i <= n."""
        number, slash, of = text.partition("/")
        if not slash or not number.isdecimal() or not of.isdecimal() or not 1 <= int(number) <= int(of):
            raise ConfigError(f"--shard is {text!r}; expected i/n with 1 <= i <= n, for example 2/8.")
        return cls(int(number), int(of))

    @property
    def name(self) -> str:
        return f"{self.number}-of-{self.of}"

    def of_shards(self, shards: tuple[Shard, ...]) -> Iterator[Shard]:
        return (shard for shard in shards if shard.index % self.of == self.number - 1)


def fingerprint(identity: Mapping[str, Any]) -> str:
    """SHA-256 of a build's identity."""
    return digest_of(identity)


def refuse_difference(before: Mapping[str, Any], now: Mapping[str, Any], out: Path, recaption: bool = False) -> None:
    """Raise BuildRefused where two identities differ, naming what differs and both fingerprints.

    Args:
        recaption: whether captioner and mask may differ.
    """
    if digest_of(before) == digest_of(now):
        return
    changes = list(_differences(before, now, ""))
    only_captions = all(key.partition(".")[0] in _RECAPTION for key, _, _ in changes)
    if recaption and only_captions:
        return
    shown = "\n".join(f"  {key}: {old} -> {new}" for key, old, new in changes[:8])
    more = f"\n  and {len(changes) - 8} more" if len(changes) > 8 else ""
    remedy = "restore the inputs, or give --out a new folder."
    if only_captions:
        remedy = "restore the inputs, give --out a new folder, or say --recaption to replace captions and masks here."
    elif recaption:
        remedy = f"--recaption changes captioner, mask level and lexicon alone; {remedy}"
    raise BuildRefused(
        f"{out} was begun with other inputs (fingerprint {digest_of(before)[:16]}, now {digest_of(now)[:16]}):\n"
        f"{shown}{more}\nOne folder never mixes two builds: {remedy}"
    )


def _differences(before: Any, now: Any, key: str) -> Iterator[tuple[str, str, str]]:
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for name in sorted({*before, *now}):
            yield from _differences(before.get(name), now.get(name), f"{key}.{name}" if key else name)
    elif before != now:
        yield key, _shorten(before), _shorten(now)


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
