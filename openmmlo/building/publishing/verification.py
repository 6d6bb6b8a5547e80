"""A built data set held against its manifest: every file, row, hash and count; nothing is changed.

Rows stream: memory holds counts, one batch, and the sample ids.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from openmmlo.building.card import front_matter
from openmmlo.building.masking import LEXICON_VERSION, Lexicon
from openmmlo.building.measures import MEASURES
from openmmlo.building.plan import FORMAT
from openmmlo.building.publishing.problems import Problem, Problems
from openmmlo.building.publishing.rows import RowChecks, check_file
from openmmlo.building.word_counts import write_counts
from openmmlo.data import BuiltDataset, open_dataset
from openmmlo.errors import DataError
from openmmlo.progress import Progress, Silent
from openmmlo.records import list_hash


@dataclass(frozen=True)
class Verification:
    """What was looked at and what is wrong with it.

    Attributes:
        rows, files, bytes: that were read.
        deep: whether every image was decoded.
        problems: empty for a data set that is as its manifest says.
        notes: what could not be checked, and why.
    """

    folder: Path
    rows: int
    files: int
    bytes: int
    deep: bool
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.problems


def verify(folder: Path, deep: bool = False, progress: Progress | None = None) -> Verification:
    """Compare every row, hash and count of a built data set with its manifest.

    Checked: the files' presence, sizes and hashes, and that no other data file lies there; columns and types; unique
    sample ids; the list hash over rows and error rows; labels against class keys and the label map's hash; masked
    captions and spans against the lexicon, the lexicon against its hash; image bytes against their hash and size;
    counts of rows, of masked rows, of errors, of classes and words; the card's numbers; whose the measures are.

    Args:
        deep: decode every image in full, not its header alone.

    Raises:
        DataError: no built data set.
    """
    folder, progress, found = Path(folder), progress or Silent(), Problems()
    try:
        dataset = open_dataset(folder)
    except DataError as error:
        if not (folder / "manifest.json").is_file():
            raise
        found.add("manifest.json, classes.json", str(error).replace(f"{folder}/", ""))
        return Verification(folder, 0, 0, 0, deep, found.listed(), ())
    if missing := _ill_formed(dataset.manifest):
        found.add("manifest.json", f"not as a build writes it: {missing}")
        return Verification(folder, 0, 0, 0, deep, found.listed(), ())
    notes: list[str] = []
    _check_manifest(dataset, found)
    lexicon = _lexicon(dataset, found)
    if lexicon and lexicon.version != LEXICON_VERSION:
        notes.append(
            f"Masks follow version {lexicon.version} of the rules, this is {LEXICON_VERSION}: spans were checked, the "
            "captions were not masked anew."
        )
    checks = RowChecks.of(dataset, lexicon if not notes else None, deep, found)
    size = _check_files(dataset, checks, found, progress)
    errors = _errors(dataset, found)
    _check_counts(dataset, checks, errors, found)
    _check_tables(dataset, checks, found)
    _check_card(dataset, found)
    _check_measures(dataset, found)
    return Verification(folder, checks.rows, len(dataset.manifest["files"]), size, deep, found.listed(), tuple(notes))


def _ill_formed(manifest: Mapping[str, Any]) -> str:
    """What a manifest lacks that everything else here relies on."""
    try:
        if manifest["format"] != FORMAT:
            return f"format {manifest['format']!r}, expected {FORMAT}; a newer openmmlo may read it"
        for entry in manifest["files"]:
            path = PurePosixPath(entry["path"])
            if path.is_absolute() or ".." in path.parts or path.parts[0] != "data" or len(path.parts) != 2:
                return f"file {entry['path']!r} does not lie in data/"
            if entry["split"] not in manifest["splits"]:
                return f"file {entry['path']!r} is of no listed split"
            str(entry["sha256"]), int(entry["rows"]), int(entry["bytes"])
        for entry in manifest["splits"].values():
            int(entry["planned"]), int(entry["rows"]), int(entry["masked_rows"]), dict(entry["errors"])
            str(entry["list_hash"])
        for part, keys in _PARTS.items():
            for key in keys:
                manifest[part][key]
        bool(manifest["with_images"]), int(manifest["max_pixels"]), str(manifest["fingerprint"])
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        return f"{type(error).__name__} {error}"
    return ""


_PARTS = {
    "source": ("name", "version", "licence", "label_map_hash"),
    "masking": ("level", "lexicon_hash"),
    "classes": ("count",),
}


def _check_manifest(dataset: BuiltDataset, found: Problems) -> None:
    manifest, info = dataset.manifest, dataset.info
    for split, entry in manifest["splits"].items():
        rows = sum(file["rows"] for file in manifest["files"] if file["split"] == split)
        if rows != entry["rows"]:
            found.add("manifest.json", f"split {split} has {entry['rows']} rows, its files together {rows}")
        if entry["planned"] != entry["rows"] + sum(entry["errors"].values()):
            found.add("manifest.json", f"split {split}: rows and errors do not add up to the {entry['planned']} listed")
    repeated = [path for path, count in Counter(file["path"] for file in manifest["files"]).items() if count > 1]
    for path in repeated:
        found.add("manifest.json", "a file is listed twice", path)
    if manifest["source"]["label_map_hash"] != info.label_map_hash:
        found.add("classes.json", "the class keys in label order are not those of the manifest's label map hash")
    for key, value in (("name", info.name), ("version", info.version), ("licence", info.licence)):
        if manifest["source"][key] != value:
            found.add("classes.json", f"{key} is another than in the manifest")
    if manifest["classes"]["count"] != len(info.classes):
        found.add("classes.json", f"{len(info.classes)} classes, the manifest has {manifest['classes']['count']}")
    train = info.train_counts or (0,)
    for key, total in (("train_total", sum(train)), ("train_max", max(train)), ("train_min", min(train))):
        if manifest["classes"].get(key, total) != total:
            found.add("classes.json", f"training counts do not give the manifest's {key}")
    for name, count in Counter(item.name for item in info.classes).items():
        if count > 1:
            found.add("classes.json", "a class name stands twice", name)


def _lexicon(dataset: BuiltDataset, found: Problems) -> Lexicon | None:
    wanted = dataset.manifest["masking"]
    try:
        lexicon = Lexicon.from_json((dataset.folder / "lexicon.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, DataError) as error:
        found.add("lexicon.json", f"cannot be read ({type(error).__name__})")
        return None
    if wanted["level"] not in lexicon.levels:
        found.add("lexicon.json", f"holds no forms for the mask level {wanted['level']}")
        return None
    if lexicon.level_hash(wanted["level"]) != wanted["lexicon_hash"]:
        found.add("lexicon.json", "its hash is another than the manifest's: masks were made with another lexicon")
        return None
    if lexicon.hash != wanted.get("whole_lexicon_hash", lexicon.hash):
        found.add("lexicon.json", "its broader levels are not those that the build was made with")
    missing = [item.key for item in dataset.info.classes if item.key not in lexicon.entries]
    for key in missing:
        found.add("lexicon.json", "a class has no entry", key)
    return None if missing else lexicon


@dataclass
class _Share:
    """A file's share of the progress: its bytes, told as its rows are read."""

    progress: Progress
    bytes: int
    rows: int
    _told: int = 0
    _rows: int = 0

    def seen(self, rows: int) -> None:
        self._rows += rows
        upto = min(self.bytes * self._rows // max(self.rows, 1), self.bytes)
        self.progress.advance(upto - self._told, 0)
        self._told = upto

    def finish(self) -> None:
        self.progress.advance(self.bytes - self._told, 0)
        self._told = self.bytes


def _check_files(dataset: BuiltDataset, checks: RowChecks, found: Problems, progress: Progress) -> int:
    """Hash and read every listed data file; say which others lie there. Returns the bytes read."""
    listed = dataset.manifest["files"]
    size = 0
    progress.start(sum(entry["bytes"] for entry in listed), 0)
    try:
        for entry in listed:
            path = dataset.folder / entry["path"]
            share = _Share(progress, entry["bytes"], entry["rows"])
            if not path.is_file():
                found.add(entry["path"], "the file is missing")
            else:
                size += path.stat().st_size
                if path.stat().st_size != entry["bytes"]:
                    found.add(entry["path"], f"has {path.stat().st_size} bytes, the manifest says {entry['bytes']}")
                with path.open("rb") as file:
                    if hashlib.file_digest(file, "sha256").hexdigest() != entry["sha256"]:
                        found.add(entry["path"], "its SHA-256 is another than the manifest's")
                check_file(path, entry, checks, share.seen)
            share.finish()
    finally:
        progress.close()
    known = {entry["path"] for entry in listed}
    for path in sorted(dataset.folder.rglob("*.parquet")):
        relative = path.relative_to(dataset.folder)
        if relative.as_posix() not in known and not relative.parts[0].startswith("."):
            found.add(relative.as_posix(), "a data file that the manifest does not list")
    return size


def _errors(dataset: BuiltDataset, found: Problems) -> list[dict[str, Any]]:
    """The error rows, as far as they can be read."""
    rows = []
    keys = ("sample_id", "split", "class_key", "status", "reason")
    try:
        text = (dataset.folder / "errors.jsonl").read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        found.add("errors.jsonl", f"cannot be read ({type(error).__name__})")
        return []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            row = json.loads(line)
            row = {key: str(row[key]) for key in keys}
        except (ValueError, KeyError, TypeError):
            found.add("errors.jsonl", "not an error row", f"line {number}")
            continue
        rows.append(row)
    return rows


def _check_counts(dataset: BuiltDataset, checks: RowChecks, errors: list[dict[str, Any]], found: Problems) -> None:
    counted = Counter((row["split"], row["status"]) for row in errors)
    listed = {
        (split, status): count
        for split, entry in dataset.manifest["splits"].items()
        for status, count in entry["errors"].items()
    }
    for split, status in sorted(counted.keys() | listed.keys()):
        has, wanted = counted[split, status], listed.get((split, status), 0)
        if has != wanted:
            found.add("errors.jsonl", f"{has} rows of status {status} in split {split}, the manifest says {wanted}")
    for split, entry in dataset.manifest["splits"].items():
        counts = checks.counts.splits.get(split)
        masked = counts.masked_rows if counts else 0
        if masked != entry["masked_rows"]:
            found.add("manifest.json", f"split {split} has {masked} masked captions, not {entry['masked_rows']}")
        ood = checks.ood.get(split, [0, 0])
        for key, count in zip(("ood_rows", "masked_ood_rows"), ood, strict=True):
            if entry.get(key, count) != count:
                found.add("manifest.json", f"split {split} has {count} {key}, not {entry[key]}")
        pairs = [(row["sample_id"], row["class_key"]) for row in errors if row["split"] == split]
        if list_hash((*checks.pairs(split), *pairs)) != entry["list_hash"]:
            found.add("manifest.json", f"sample ids and class keys of split {split} do not give its list hash")
    ids = pa.chunked_array([*checks.ids(), pa.array([row["sample_id"] for row in errors], pa.string())])
    counts_of_ids = pc.value_counts(ids)
    repeated = counts_of_ids.filter(pc.greater(counts_of_ids.field("counts"), 1))
    for item in repeated.field("values").to_pylist():
        found.add("data", "a sample id stands more than once", item)


def _check_tables(dataset: BuiltDataset, checks: RowChecks, found: Problems) -> None:
    """Count classes and words anew and compare the tables byte for byte."""
    with tempfile.TemporaryDirectory(prefix="openmmlo-") as folder:
        for fresh in write_counts(Path(folder), checks.counts, dataset.info):
            try:
                has = (dataset.folder / fresh.name).read_bytes()
            except OSError:
                found.add(fresh.name, "the file is missing")
                continue
            wanted = fresh.read_bytes()
            if has != wanted:
                found.add(fresh.name, "does not hold the counts of the rows", _first_difference(has, wanted))


def _first_difference(has: bytes, wanted: bytes) -> str:
    tables = [list(csv.reader(io.StringIO(text.decode("utf-8", "replace"), newline=""))) for text in (has, wanted)]
    for number, (one, other) in enumerate(zip(*tables, strict=False), start=1):
        if one != other:
            return f"row {number} is {','.join(one)}, expected {','.join(other)}"
    return f"{len(tables[0])} rows, expected {len(tables[1])}"


def _check_card(dataset: BuiltDataset, found: Problems) -> None:
    """Compare what the card tells datasets and the Hub with the manifest."""
    try:
        has = yaml.safe_load((dataset.folder / "README.md").read_text(encoding="utf-8").split("\n---\n", 1)[0])
        configs, stated = has["configs"], has["dataset_info"]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        found.add("README.md", f"has no readable front matter ({type(error).__name__})")
        return
    wanted = front_matter(dataset.manifest, dataset.info)
    if configs != wanted["configs"]:
        found.add("README.md", "its configs are not those of the manifest")
    if stated != wanted["dataset_info"]:
        found.add("README.md", "its dataset_info (columns, classes, rows, sizes) is not that of the manifest")


def _check_measures(dataset: BuiltDataset, found: Problems) -> None:
    for name in MEASURES:
        path = dataset.folder / f"{name}.json"
        if not path.is_file():
            continue
        try:
            of = json.loads(path.read_bytes())["dataset"]
        except (ValueError, KeyError, TypeError):
            found.add(path.name, "cannot be read")
            continue
        if of != dataset.digest:
            found.add(path.name, f"was measured on other content; run openmmlo {name} anew")
