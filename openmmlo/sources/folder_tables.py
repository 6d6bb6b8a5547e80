"""The two tables that may lie beside a folder of images: which image is in which split, and what classes are called."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path
from unicodedata import category

from openmmlo.errors import DataError
from openmmlo.records import ClassInfo

SPLITS = {"train": "train", "val": "val", "validation": "val", "valid": "val", "test": "test"}
"""What a split may be called, in any case -> its name."""

SPLIT_ORDER = ("train", "val", "test")

_PATH_COLUMNS = ("path", "file", "filename", "image", "sample_id")
_CLASS_COLUMNS = ("key", "name", "synonyms")

Row = tuple[str, list[str]]
"""Where a row stands, for messages ("splits.csv:12"), and its fields."""


def read_splits(path: Path, known: Callable[[str], bool]) -> dict[str, str]:
    """Read which split each image is in.

    Forms: ``.csv`` or ``.tsv`` with the columns path and split (with a header in any order, without one in this
    order); ``.json`` as {path: split} or {split: [paths]}; anything else as lines of path, white space, split.

    Args:
        path: the file, UTF-8.
        known: whether a POSIX path below the root is an image.

    Raises:
        DataError: a malformed line, a path that leaves the root, that is no image or that stands twice, or an unknown
            split, with file and line (for JSON: the entry's number).
    """
    found: dict[str, str] = {}
    for where, (image, split) in _split_rows(path):
        name = SPLITS.get(split.strip().casefold())
        if name is None:
            near = get_close_matches(split.strip().casefold(), SPLITS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise DataError(f"{where}: {split!r:.100} is no split.{hint} Known: {', '.join(SPLITS)}.")
        image = image.removeprefix("./")
        if image.startswith("/") or ".." in image.split("/"):
            raise DataError(f"{where}: {image!r:.200} leaves the folder of images; expected a path below it.")
        if image in found:
            raise DataError(f"{where}: {image!r:.200} stands in this file twice.")
        if not known(image):
            raise DataError(f"{where}: no image {image!r:.200} below the folder of images.")
        found[image] = name
    if not found:
        raise DataError(f"{path.name} names no image; expected lines of path and split.")
    return found


def _split_rows(path: Path) -> Iterator[tuple[str, tuple[str, str]]]:
    suffix = path.suffix.lower()
    if suffix == ".json":
        yield from _json_pairs(path)
    elif suffix in {".csv", ".tsv"}:
        rows = _table_rows(path, "," if suffix == ".csv" else "\t")
        image_at, split_at, width = 0, 1, 2
        for number, (where, fields) in enumerate(rows):
            lower = [name.strip().casefold() for name in fields]
            if number == 0 and "split" in lower:
                image_at = next((lower.index(name) for name in _PATH_COLUMNS if name in lower), -1)
                if image_at < 0:
                    raise DataError(f"{where}: no column of image paths; expected one of {', '.join(_PATH_COLUMNS)}.")
                split_at, width = lower.index("split"), len(lower)
                continue
            if len(fields) != width:
                raise DataError(f"{where}: {len(fields)} fields; expected {width}, path and split among them.")
            yield where, (fields[image_at], fields[split_at])
    else:
        for number, line in enumerate(_read(path).split("\n"), start=1):
            if not line.strip():
                continue
            parts = line.strip().rsplit(None, 1)
            if len(parts) != 2:
                raise DataError(f"{path.name}:{number}: {line!r:.200} is not a path, white space and a split.")
            yield f"{path.name}:{number}", (parts[0], parts[1])


def _json_pairs(path: Path) -> Iterator[tuple[str, tuple[str, str]]]:
    try:
        pairs = json.loads(_read(path), object_pairs_hook=list)
    except (json.JSONDecodeError, RecursionError) as error:
        line = f":{error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise DataError(f"{path.name}{line}: not valid JSON ({error}).") from error
    if not isinstance(pairs, list) or not all(isinstance(pair, tuple) for pair in pairs):
        raise DataError(f"{path.name}: expected {{path: split}} or {{split: [paths]}}.")
    number = 0
    for key, value in pairs:
        items = value if isinstance(value, list) else [value]
        for item in items:
            number += 1
            where = f"{path.name}: entry {number}"
            if not isinstance(item, str):
                raise DataError(f"{where} is {item!r:.100}; expected text.")
            yield where, (item, key) if isinstance(value, list) else (key, item)


def read_classes(path: Path, keys: Iterable[str]) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Read names and synonyms of classes: a CSV with the columns key, name and synonyms (divided by ; or |).

    The last two may be absent. Whatever a name holds is text and stays text; runs of white space and control
    characters become one space.

    Returns key -> (name or "", synonyms).

    Raises:
        DataError: an unknown column, a row of another width, or a key that is no class or stands twice, with its line.
    """
    known = set(keys)
    found: dict[str, tuple[str, tuple[str, ...]]] = {}
    columns: list[str] = []
    for where, fields in _table_rows(path, ","):
        if not columns:
            columns = [name.strip().casefold() for name in fields]
            strange = sorted(set(columns) - set(_CLASS_COLUMNS))
            if "key" not in columns or strange or len(set(columns)) != len(columns):
                raise DataError(f"{where}: columns {', '.join(columns)!r:.200}; expected {', '.join(_CLASS_COLUMNS)}.")
            continue
        if len(fields) != len(columns):
            raise DataError(
                f"{where}: {len(fields)} fields; expected {len(columns)}. A name with a comma needs double quotes."
            )
        row = dict(zip(columns, fields, strict=True))
        key = row["key"].strip().strip("/")
        if key not in known:
            near = get_close_matches(key, known, n=1)
            hint = f" Did you mean {near[0]!r:.200}?" if near else ""
            raise DataError(f"{where}: no class {key!r:.200} (a folder with images).{hint}")
        if key in found:
            raise DataError(f"{where}: class {key!r:.200} stands in this file twice.")
        synonyms = (one_line(item) for item in row.get("synonyms", "").replace("|", ";").split(";"))
        found[key] = (one_line(row.get("name", "")), tuple(item for item in synonyms if item))
    return found


def class_infos(keys: Iterable[str], table: dict[str, tuple[str, tuple[str, ...]]]) -> tuple[ClassInfo, ...]:
    """Classes with unique names: from the table, else from the last part of the folder's path.

    Where several classes share a name, each has its key appended; the plain name stays a synonym.
    """
    plain = {key: table.get(key, ("", ()))[0] or one_line(key.rpartition("/")[2].replace("_", " ")) for key in keys}
    plain = {key: name or key for key, name in plain.items()}
    shared = Counter(plain.values())
    used: set[str] = set()
    infos = []
    for key, name in plain.items():
        unique = f"{name} ({one_line(key)})" if shared[name] > 1 else name
        while unique in used or (unique != name and unique in shared):
            unique += f" ({one_line(key)})"
        used.add(unique)
        spoken = [name, *table.get(key, ("", ()))[1]]
        if key not in table:
            spoken.append(name.replace("-", " "))
        infos.append(ClassInfo(key, unique, tuple(dict.fromkeys([unique, *spoken]))))
    return tuple(infos)


def one_line(text: str) -> str:
    """The text with every run of white space and control characters as one space; joiners of scripts stay."""
    return " ".join("".join(" " if category(letter) in {"Cc", "Cs"} else letter for letter in text).split())


def _table_rows(path: Path, delimiter: str) -> Iterator[Row]:
    """Non-empty rows; where a row spans several lines, its last line is the one named."""
    reader = csv.reader(io.StringIO(_read(path)), delimiter=delimiter, strict=True)
    try:
        for fields in reader:
            if any(field.strip() for field in fields):
                yield f"{path.name}:{reader.line_num}", fields
    except csv.Error as error:
        raise DataError(f"{path.name}:{reader.line_num}: {error}.") from error


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path.name} is not UTF-8 text (byte {error.start:,}); save it as UTF-8.") from error
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror}.") from error
