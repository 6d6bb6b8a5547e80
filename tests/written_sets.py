"""Built data sets written straight to disk, with any rows at all, for tests of what reads them."""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from openmmlo.building.masking import build_lexicon
from openmmlo.building.schema import arrow_schema
from openmmlo.data import BuiltDataset, open_dataset
from openmmlo.records import ClassInfo, DatasetInfo


@dataclass(frozen=True)
class Row:
    """What statistics read of a row; the mask may be anything."""

    label: int
    class_key: str
    caption: str
    masked: str
    spans: tuple[tuple[int, int], ...] = ()


def write_set(
    folder: Path, splits: Mapping[str, Sequence[Row]], info: DatasetInfo, rows_a_file: int = 100
) -> BuiltDataset:
    """Write the parquet files, the manifest, the class table and the lexicon, as a build without images does."""
    (folder / "data").mkdir(parents=True)
    schema = arrow_schema(info, with_images=False)
    files: list[dict[str, Any]] = []
    for split, rows in splits.items():
        starts = range(0, max(1, len(rows)), rows_a_file)
        for number, start in enumerate(starts):
            path = f"data/{split}-{number:05d}-of-{len(starts):05d}.parquet"
            part = rows[start : start + rows_a_file]
            values = [_value(f"{split}/{start + place}", row) for place, row in enumerate(part)]
            pq.write_table(pa.Table.from_pylist(values, schema=schema), folder / path)
            content = (folder / path).read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            files.append({"path": path, "split": split, "rows": len(part), "bytes": len(content), "sha256": digest})
    table = {split: {"rows": len(rows)} for split, rows in splits.items()}
    made = {"captioner": {"captioner": "written"}, "masking": {"level": "strict"}}
    manifest = {"format": 1, **made, "splits": table, "files": files}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    (folder / "classes.json").write_text(json.dumps(info.to_json()), encoding="utf-8")
    (folder / "lexicon.json").write_text(build_lexicon(info).to_json(), encoding="utf-8")
    return open_dataset(folder)


def _value(sample_id: str, row: Row) -> dict[str, Any]:
    return {
        "sample_id": sample_id,
        "label": row.label,
        "class_key": row.class_key,
        "caption": row.caption,
        "masked_caption": row.masked,
        "spans": [{"start": start, "end": end} for start, end in row.spans],
        "path": f"{sample_id}.jpg",
        "sha256": "0" * 64,
        "width": 1,
        "height": 1,
    }


NAMES = ("lion", "umbrella", "teapot", "anchor", "kite", "violin")
INFO = DatasetInfo(
    "tiny",
    "1",
    "apache-2.0",
    tuple(ClassInfo(f"c{place}", name, (name,)) for place, name in enumerate(NAMES)),
    train_counts=(150, 60, 20, 19, 4, 0),
    ood_classes=(ClassInfo("o1", "okapi", ("okapi",)),),
)
NOUNS = {*NAMES, "okapi", "tree", "leaf", "river"}


class StubWordNet:
    version = "3.0"

    def is_noun(self, word: str) -> bool:
        return word in NOUNS


def random_rows(count: int, seed: int, ood: bool = False) -> list[Row]:
    generator = random.Random(seed)
    others = ["okapi", "tree", "leaf's", "Leaf", "river", "a", "the", "green", "well-lit", "naïve", "[mask]s"]
    vocabulary = [*NAMES, *others]
    weights = [1 / rank for rank in range(1, len(vocabulary) + 1)]
    generator.shuffle(vocabulary)
    rows = []
    for _ in range(count):
        label = -1 if ood else generator.choices(range(6), [30, 12, 5, 4, 1, 0])[0]
        key = generator.choice(["o1", "", "c1"]) if ood else f"c{label}"
        said = generator.choices(vocabulary, weights, k=generator.randrange(0, 14))
        own = NAMES[label] if not ood else "okapi"
        masked = ["[mask]" if word == own else word for word in said]
        spans = tuple((0, 1) for word in said if word == own)
        rows.append(Row(label, key, ", ".join(said), ", ".join(masked), spans))
    return rows


def random_splits(seed: int) -> dict[str, list[Row]]:
    """Two splits with rows of classes, one out of distribution, one without a row."""
    train, test, ood = (random_rows(count, seed * 10 + count, count == 90) for count in (500, 130, 90))
    return {"train": train, "test": test, "open": ood, "none": []}


def joined(splits: dict[str, list[Row]]) -> list[Row]:
    return [row for rows in splits.values() for row in rows]


def die(part: object) -> None:
    """End the process that this is called in, as the system's memory guard would."""
    os._exit(9)
