"""A built data set of many long captions without images, for measurements of what reads captions.

Words follow Zipf's law over 40,000 types: function words first, then single-word lemmas of WordNet in a seeded order
where it is at hand, else made-up words. Classes are long-tailed, and named by two words each. Every second caption
names its class; there the name is masked.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from openmmlo.building.function_words import FUNCTION_WORDS
from openmmlo.building.masking import build_lexicon
from openmmlo.building.schema import arrow_schema
from openmmlo.records import ClassInfo, DatasetInfo

TYPES = 40_000
WORDS = 50
CLASSES = 8142
SHARD = 1000
DICT = Path("/usr/share/wordnet")


def captioned(folder: Path, rows: int, classes: int = CLASSES) -> Path:
    """Write a data set of ``rows`` captions of 50 words, in shards of 1,000 as a build does."""
    generator = np.random.default_rng(0)
    words = vocabulary(generator)
    share = 1 / np.arange(1, TYPES + 1)
    images = 1 / np.arange(1, classes + 1)
    labels = np.sort(generator.choice(classes, rows, p=images / images.sum()))[generator.permutation(rows)]
    names = [f"{words[place]} {words[-1 - place]}" for place in range(200, 200 + classes)]
    info = DatasetInfo(
        "captioned",
        "1",
        "apache-2.0",
        tuple(ClassInfo(f"c{place:05d}", name, (name,)) for place, name in enumerate(names)),
        tuple(np.bincount(labels, minlength=classes).tolist()),
    )
    (folder / "data").mkdir(parents=True)
    schema = arrow_schema(info, with_images=False)
    shards = -(-rows // SHARD)
    files: list[dict[str, Any]] = []
    for number in range(shards):
        part = labels[number * SHARD : (number + 1) * SHARD]
        said = words[generator.choice(TYPES, (len(part), WORDS), p=share / share.sum())]
        path = folder / "data" / f"train-{number:05d}-of-{shards:05d}.parquet"
        pq.write_table(_table(part, said, names, schema), path, compression="ZSTD", row_group_size=SHARD)
        content = path.read_bytes()
        facts = {"rows": len(part), "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        files.append({"path": f"data/{path.name}", "split": "train", **facts})
    made = {"captioner": {"captioner": "drawn"}, "masking": {"level": "strict"}}
    manifest = {"format": 1, **made, "splits": {"train": {"rows": rows}}, "files": files}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    (folder / "classes.json").write_text(json.dumps(info.to_json()), encoding="utf-8")
    (folder / "lexicon.json").write_text(build_lexicon(info).to_json(), encoding="utf-8")
    return folder


def vocabulary(generator: np.random.Generator) -> np.ndarray:
    """(TYPES,) words, the most frequent first."""
    if DICT.is_dir():
        text = "".join((DICT / f"index.{part}").read_text("ascii") for part in ("noun", "verb", "adj", "adv"))
        known = sorted(set(re.findall(r"^([a-z]{2,}) ", text, re.MULTILINE)) - FUNCTION_WORDS)
    else:
        letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
        known = sorted({"".join(generator.choice(letters, 7)) for _ in range(TYPES)})
    chosen = generator.permutation(np.array(known, dtype=object))
    return np.concatenate([np.array(sorted(FUNCTION_WORDS), dtype=object), chosen])[:TYPES]


def _table(labels: np.ndarray, said: np.ndarray, names: list[str], schema: pa.Schema) -> pa.Table:
    raw, masked, spans = [], [], []
    for place, (label, line) in enumerate(zip(labels.tolist(), said.tolist(), strict=True)):
        start, rest = " ".join(line[:24]).capitalize() + ", ", " " + " ".join(line[26:]) + "."
        named = place % 2 == 0
        middle = names[label] if named else " ".join(line[24:26])
        raw.append(start + middle + rest)
        masked.append(start + ("[mask]" if named else middle) + rest)
        spans.append([{"start": len(start), "end": len(start) + len(middle)}] if named else [])
    size = len(labels)
    keys = pc.binary_join_element_wise("c", pc.utf8_lpad(pc.cast(pa.array(labels), pa.string()), 5, "0"), "")
    columns: dict[str, Any] = {
        "sample_id": [f"s{place}" for place in range(size)],
        "label": labels,
        "class_key": keys,
        "caption": raw,
        "masked_caption": masked,
        "spans": spans,
        "path": [""] * size,
        "sha256": ["0" * 64] * size,
        "width": np.ones(size, np.int32),
        "height": np.ones(size, np.int32),
    }
    return pa.table([pa.array(columns[name], schema.field(name).type) for name in schema.names], schema=schema)
