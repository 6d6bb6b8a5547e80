"""iNaturalist's own files come in (COCO-like JSON, plain, gzip or as the tar archives it publishes); lists go out.

Format: https://github.com/visipedia/inat_comp/tree/master/2018
"""

from __future__ import annotations

import csv
import io
import json
import tarfile
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from openmmlo.errors import DataError
from openmmlo.sources.list_files import ListFile, read_bytes

_HEADERS = {"id", "category_id", "category", "name", "species", "scientific_name"}


@dataclass(frozen=True, slots=True)
class Category:
    """A species: ``name`` is empty where the file holds the competition's numbers instead of two-part names."""

    name: str
    group: str


def read_categories(file: Path) -> tuple[Category, ...]:
    """Read the species table, in the order of category ids 0, 1, ...

    Takes ``categories.json`` (a list) as well as the competition's annotation files, whose ``categories`` carry
    numbers for names.

    Raises:
        DataError: not JSON, ids that are not 0, 1, ..., or a name given twice.
    """
    value = _json(file)
    rows = value.get("categories") if isinstance(value, dict) else value
    if not isinstance(rows, list) or not rows:
        raise DataError(f"{file}: expected a list of categories with 'id' and 'name'. Fetch categories.json again.")
    table: dict[int, Category] = {}
    owners: dict[str, int] = {}
    for number, row in enumerate(rows, 1):
        identity = row.get("id") if isinstance(row, dict) else None
        if not isinstance(identity, int) or identity < 0 or identity in table:
            raise DataError(
                f"{file}: category {number} has id {identity!r}; expected each of 0 to {len(rows) - 1} once. "
                "Fetch the file again."
            )
        text = row.get("name")
        name = " ".join(text.split()) if isinstance(text, str) and len(text.split()) > 1 else ""
        if name and name in owners:
            raise DataError(f"{file}: categories {owners[name]} and {identity} are both named {name!r}.")
        owners[name] = identity
        table[identity] = Category(name, str(row.get("supercategory", "")))
    if max(table) != len(table) - 1:
        raise DataError(f"{file}: category ids reach {max(table)}, but there are {len(table)}; expected no gaps.")
    return tuple(table[identity] for identity in range(len(table)))


def read_annotations(file: Path) -> ListFile:
    """Read an annotation file (``train2018.json``) as a list: paths in file order, category ids as labels.

    Raises:
        DataError: not of the competition's format, or an image without exactly one annotation.
    """
    value = _json(file)
    images, annotations = (value.get(key) if isinstance(value, dict) else None for key in ("images", "annotations"))
    if not isinstance(images, list) or not isinstance(annotations, list) or not images:
        raise DataError(f"{file}: expected the keys 'images' and 'annotations'. Fetch the file again.")
    labels: dict[Any, int] = {}
    paths = []
    try:
        for annotation in annotations:
            if annotation["image_id"] in labels:
                raise DataError(f"{file}: image id {annotation['image_id']} is annotated twice; expected once.")
            labels[annotation["image_id"]] = int(annotation["category_id"])
        ordered = array("q", (labels[image["id"]] for image in images))
        for number, image in enumerate(images, 1):
            path = str(image["file_name"])
            parts = path.split("/")
            if "\\" in path or path[1:2] == ":" or not path.isprintable() or not {"", ".", ".."}.isdisjoint(parts):
                raise DataError(f"{file}: image {number}: path {path!r} is not a plain path below the image root.")
            paths.append(path)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{file}: an image or annotation lacks {error}. Fetch the file again.") from error
    return ListFile(file, paths, ordered, row="image")


def read_common_names(file: Path, names: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Read common names: rows of a scientific name or category id, then one common name or several.

    Args:
        file: CSV, or TSV where its name ends in ``.tsv``; a header row is skipped.
        names: category id -> scientific name.

    Returns:
        category id -> its common names, in file order; a species may have several rows.

    Raises:
        DataError: a row for a species that is not in the table, or not UTF-8.
    """
    keys = {name.casefold(): key for key, name in names.items() if name}
    found: dict[str, list[str]] = {}
    try:
        text = read_bytes(file).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: not valid UTF-8. Save it as UTF-8.") from error
    rows = csv.reader(io.StringIO(text, newline=""), delimiter="\t" if file.suffix == ".tsv" else ",")
    for row in rows:
        cells = [" ".join(cell.split()) for cell in row]
        if not any(cells) or (rows.line_num == 1 and cells[0].casefold() in _HEADERS):
            continue
        key = cells[0] if cells[0] in names else keys.get(cells[0].casefold())
        if key is None:
            near = get_close_matches(cells[0].casefold(), keys, n=1)
            hint = f" Did you mean {names[keys[near[0]]]!r}?" if near else ""
            raise DataError(
                f"{file}:{rows.line_num}: no species {cells[0]!r}; expected a category id or a scientific name of "
                f"the class table.{hint}"
            )
        known = found.setdefault(key, [])
        known.extend(cell for cell in cells[1:] if cell and cell not in known)
    return {key: tuple(cells) for key, cells in found.items()}


def _json(file: Path) -> Any:
    data = _member(file) if file.name.endswith((".tar", ".tar.gz", ".tgz")) else read_bytes(file)
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file}: not valid JSON ({error}). Fetch it again.") from error


def _member(file: Path) -> bytes:
    """The first JSON file of a tar archive, read without unpacking anything."""
    try:
        with tarfile.open(file) as archive:
            for member in archive:
                stream = archive.extractfile(member) if member.isfile() and member.name.endswith(".json") else None
                if stream is not None:
                    return stream.read()
    except (OSError, EOFError, tarfile.TarError) as error:
        raise DataError(f"{file}: cannot be read as a tar archive ({error}). Fetch it again.") from error
    raise DataError(f"{file}: no JSON file in the archive. Fetch it again.")
