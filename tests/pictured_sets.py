"""Built data sets with images, written straight to disk, with any captions, names and bytes, for tests of reports."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from stubs import jpeg

from openmmlo.building.schema import arrow_schema
from openmmlo.building.word_counts import words
from openmmlo.data import BuiltDataset, open_dataset
from openmmlo.records import ClassInfo, DatasetInfo

MASK = "[mask]"


@dataclass(frozen=True)
class Pictured:
    """A row with its image; ``hidden`` are the words that the mask hides wherever they stand."""

    sample_id: str
    label: int
    class_key: str
    caption: str
    image: bytes
    hidden: tuple[str, ...] = ()
    size: tuple[int, int] = (48, 32)

    def masked(self) -> tuple[str, list[dict[str, int]]]:
        """The masked caption and its spans, found word by word."""
        text, spans, start = self.caption, [], 0
        while found := min(
            ((place, word) for word in self.hidden if (place := text.find(word, start)) >= 0), default=None
        ):
            place, word = found
            spans.append({"start": place, "end": place + len(word)})
            start = place + len(word)
        masked, done = "", 0
        for span in spans:
            masked += text[done : span["start"]] + MASK
            done = span["end"]
        return masked + text[done:], spans


def write_pictured(
    folder: Path,
    info: DatasetInfo,
    splits: Mapping[str, Iterable[Pictured]],
    *,
    with_images: bool = True,
    errors: Sequence[Mapping[str, Any]] = (),
    captioner: Mapping[str, Any] | None = None,
    rows_a_file: int = 1000,
    rows_a_group: int = 100,
) -> BuiltDataset:
    """Write what a build leaves, rows of each split in the order given."""
    (folder / "data").mkdir(parents=True)
    schema = arrow_schema(info, with_images)
    table, files = {}, []
    counts: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    for split, rows in splits.items():
        written = masked_rows = 0
        for number, part in enumerate(_parts(rows, rows_a_file)):
            path = folder / "data" / f"{split}-{number:05d}.parquet"
            values = [_value(row, with_images) for row in part]
            pq.write_table(pa.Table.from_pylist(values, schema=schema), path, row_group_size=rows_a_group)
            facts = {"rows": len(part), "bytes": path.stat().st_size, "sha256": _digest(path)}
            files.append({"path": f"data/{path.name}", "split": split, **facts})
            written += len(part)
            masked_rows += sum(bool(value["spans"]) for value in values)
            for value in values:
                counts[0].update(words(value["caption"]))
                counts[1].update(words(value["masked_caption"]))
        failed = dict(Counter(error["status"] for error in errors if error["split"] == split))
        planned = written + sum(failed.values())
        table[split] = {
            "planned": planned, "rows": written, "errors": failed, "list_hash": "1" * 64, "masked_rows": masked_rows,
        }  # fmt: skip
    source = {
        "name": info.name,
        "version": info.version,
        "licence": info.licence,
        "label_map_hash": info.label_map_hash,
    }
    manifest = {
        "format": 1, "openmmlo": "0.1.0", "fingerprint": "f" * 64, "source": source, "splits": table,
        "captioner": dict(captioner or {"captioner": "written", "version": "1"}),
        "masking": {"level": "strict", "lexicon_hash": "e" * 64, "mask": MASK}, "files": files,
        "with_images": with_images, "versions": {"pillow": "13", "python": "3.11"}, "run": {"caption_seconds": 1.5},
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    (folder / "classes.json").write_text(json.dumps(info.to_json()), encoding="utf-8")
    (folder / "errors.jsonl").write_text("".join(json.dumps(error) + "\n" for error in errors), encoding="utf-8")
    with (folder / "word_counts.csv").open("w", encoding="utf-8", newline="") as file:
        rows_of_words = [(word, counts[0][word], counts[1][word]) for word in sorted(counts[0] | counts[1])]
        csv.writer(file).writerows([("word", "raw", "masked"), *rows_of_words])
    return open_dataset(folder)


def _parts(rows: Iterable[Pictured], size: int) -> Iterator[list[Pictured]]:
    left = iter(rows)
    while part := list(islice(left, size)):
        yield part


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _value(row: Pictured, with_images: bool) -> dict[str, Any]:
    masked, spans = row.masked()
    value = {
        "sample_id": row.sample_id,
        "image": {"bytes": row.image, "path": row.sample_id.rpartition("/")[2]},
        "label": row.label,
        "class_key": row.class_key,
        "caption": row.caption,
        "masked_caption": masked,
        "spans": spans,
        "path": f"{row.sample_id}.jpg",
        "sha256": "0" * 64,
        "width": row.size[0],
        "height": row.size[1],
    }
    if not with_images:
        del value["image"]
    return value


ZOO = DatasetInfo(
    "zoo",
    "3",
    "apache-2.0",
    tuple(ClassInfo(key, name, (name,)) for key, name in (
        ("n1", "red fox"), ("n2", "umbrella"), ("n3", "tree frog"), ("n4", "teapot"), ("n5", "frog"),
    )),
    train_counts=(130, 40, 21, 7, 3),
    ood_classes=(ClassInfo("o1", "okapi", ("okapi",)),),
    notes=("A note on the source.",),
)  # fmt: skip


def zoo_rows(split: str, per_class: Sequence[int], start: int = 0) -> Iterator[Pictured]:
    """``per_class[label]`` rows of each class of ZOO, classes one after the other."""
    for label, count in enumerate(per_class):
        item = ZOO.classes[label]
        for place in range(count):
            caption = f"A small {item.name} beside {place} stones; the {item.name} rests."
            image = jpeg((start + 7 * label + place) % 40, 48, 32)
            yield Pictured(f"{split}/{item.key}-{place:04d}", label, item.key, caption, image, (item.name,))


def open_rows(named: int, unnamed: int) -> Iterator[Pictured]:
    """Out-of-distribution rows, of a known class and of none."""
    for place in range(named + unnamed):
        key = "o1" if place < named else ""
        hidden = ("okapi",) if key else ()
        caption = f"An okapi and {place} trees." if key else f"Something with {place} edges."
        yield Pictured(f"open/{place:04d}", -1, key, caption, jpeg(place % 40, 48, 32), hidden)


def zoo(folder: Path, **options: Any) -> BuiltDataset:
    """130 + 40 + 21 + 7 + 3 training rows, 6 test rows a class, an open split with and without known classes."""
    splits = {
        "train": zoo_rows("train", ZOO.train_counts or ()),
        "test": zoo_rows("test", [6] * 5, start=100),
        "open": open_rows(9, 4),
    }
    return write_pictured(folder, ZOO, splits, **options)
