"""What is published of a built data set: each file with its size and hash, data files written anew where they differ.

Three variants: ``captions`` leaves the images out, ``images`` gives the build's own files, ``stripped`` gives images
without EXIF, XMP and the like. New files are written aside in ``OUT/.openmmlo/publish`` and used again by later runs;
equal builds give equal bytes. Card and manifest are of the variant, so that what is fetched verifies by itself.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from openmmlo.building.card import render_card
from openmmlo.building.measures import MEASURES, store
from openmmlo.building.publishing import image_metadata
from openmmlo.building.publishing.private_text import refuse_private
from openmmlo.building.schema import arrow_schema, parquet_writer
from openmmlo.building.workspace import Workspace
from openmmlo.data import BuiltDataset
from openmmlo.errors import PublishRefused
from openmmlo.progress import Progress
from openmmlo.writing import space_needed, write_aside

Variant = Literal["captions", "images", "stripped"]

_COPIED = ("classes.json", "lexicon.json", "errors.jsonl", "class_counts.csv", "word_counts.csv")
_COPIED_WHERE_THERE = ("label_noun_counts.csv",)
_WITH_IMAGES = ("report.html",)  # it shows thumbnails
PUBLISHED = (
    "README.md", "manifest.json", *_COPIED, *_COPIED_WHERE_THERE, *_WITH_IMAGES,
    *(f"{name}.json" for name in MEASURES),
)  # fmt: skip
"""Everything but data files that a published data set may hold at its top."""

_WRITER = "1"  # version of what is written here; raised where bytes may change


@dataclass(frozen=True)
class Upload:
    """A file to publish: its path there, where it lies here, its bytes and SHA-256, and when it was last changed."""

    path: str
    local: Path
    bytes: int
    sha256: str
    changed_ns: int

    def is_changed(self) -> bool:
        """Whether the file is another since."""
        try:
            now = self.local.stat()
        except FileNotFoundError:
            return True
        return (now.st_size, now.st_mtime_ns) != (self.bytes, self.changed_ns)


@dataclass(frozen=True)
class Found:
    """Images that say more than their pixels, and what becomes of it."""

    images: int = 0
    exif: int = 0
    gps: int = 0
    other: int = 0
    stripped: int = 0

    def __add__(self, other: Found) -> Found:
        return Found(**{key: value + getattr(other, key) for key, value in asdict(self).items()})


@dataclass(frozen=True)
class Publication:
    """A variant, ready to go: its files in the order in which they are sent, and what a person should know."""

    uploads: tuple[Upload, ...]
    manifest: dict[str, Any]
    card: str
    found: Found
    warnings: tuple[str, ...]
    left_here: tuple[str, ...]


def variant_of(dataset: BuiltDataset, with_images: bool, strip_exif: bool) -> Variant:
    """Which variant is asked for. Raises PublishRefused where the build cannot give it."""
    if strip_exif and not with_images:
        raise PublishRefused("--strip-exif is about images, which go only with --with-images. Give both, or neither.")
    if with_images and not dataset.manifest["with_images"]:
        raise PublishRefused(
            f"{dataset.folder} was built without images. Build it again with --with-images, or leave the flag out here."
        )
    if with_images and not strip_exif and dataset.manifest.get("images") == "stripped":
        return "stripped"
    return "captions" if not with_images else "stripped" if strip_exif else "images"


def stage(dataset: BuiltDataset, variant: Variant, repo: str, progress: Progress) -> Publication:
    """Make a variant ready, or see that it is.

    Raises:
        PublishRefused: a data file is not what the manifest says, images cannot be stripped, or a text to be published
            holds a key or a path of this machine.
    """
    workspace = Workspace(dataset.folder)
    folder = workspace.state / "publish" / variant
    (folder / "data").mkdir(parents=True, exist_ok=True)
    manifest = dataset.manifest
    files: list[dict[str, Any]] = []
    data: list[Upload] = []
    found = Found()
    progress.start(sum(entry["bytes"] for entry in manifest["files"]), 0)
    try:
        with space_needed(dataset.folder):
            for entry in manifest["files"]:
                upload, facts = _stage_file(dataset, entry, variant, folder)
                data.append(upload)
                found += Found(**facts.pop("found"))
                files.append({**entry, **facts, "bytes": upload.bytes, "sha256": upload.sha256})
                progress.advance(entry["bytes"], 0)
    finally:
        progress.close()
    published = {
        **manifest,
        "files": files,
        "with_images": variant != "captions",
        # Timings differ from run to run and from machine to machine: they say nothing about the data.
        "run": {**manifest["run"], "caption_seconds": None, "images_per_caption_second": None},
    }
    if variant == "stripped":
        published["images"] = "stripped"
    twin = replace(dataset, folder=folder, manifest=published)
    with space_needed(dataset.folder):
        texts, card, stale = _write_texts(dataset, twin, repo)
    names = [*texts, *_COPIED, *(name for name in _COPIED_WHERE_THERE if (dataset.folder / name).is_file())]
    if variant != "captions":
        names += [name for name in _WITH_IMAGES if (dataset.folder / name).is_file()]
    small = [_upload(name, folder / name if name in texts else dataset.folder / name) for name in sorted(names)]
    return Publication(
        uploads=(*data, *small),
        manifest=published,
        card=card,
        found=found,
        warnings=(*_warnings(found, variant), *stale, *_large(data)),
        left_here=tuple(_left_here(dataset.folder, {upload.path for upload in (*data, *small)})),
    )


def _write_texts(dataset: BuiltDataset, twin: BuiltDataset, repo: str) -> tuple[list[str], str, list[str]]:
    """Write the texts that differ in a variant: their names, the card, and which measures stay here and why."""
    measures = {name: store.load(dataset.folder, name, dataset.digest) for name in MEASURES}
    card = render_card(twin.manifest, twin.info, measures, repo=repo)
    write_aside(twin.folder / "manifest.json", json.dumps(twin.manifest, indent=2, ensure_ascii=False) + "\n")
    write_aside(twin.folder / "README.md", card)
    names = ["manifest.json", "README.md"]
    stale = []
    for name, value in measures.items():
        if value is not None:  # it is about captions, which are the same; the digest is of the files beside it
            store.save(twin.folder, name, {**value, "dataset": twin.digest})
            names.append(f"{name}.json")
        elif (dataset.folder / f"{name}.json").is_file():
            stale.append(f"{name}.json is of other content and stays here: run openmmlo {name} anew.")
    for name in names:
        refuse_private(name, (twin.folder / name).read_text(encoding="utf-8"), dataset.folder)
    for name in ("classes.json", "errors.jsonl"):
        refuse_private(name, (dataset.folder / name).read_text(encoding="utf-8"), dataset.folder)
    return names, card, stale


def _stage_file(
    dataset: BuiltDataset, entry: Mapping[str, Any], variant: Variant, folder: Path
) -> tuple[Upload, dict[str, Any]]:
    """One data file of a variant, and what the manifest says of it beyond rows."""
    source = dataset.folder / entry["path"]
    record = folder / "data" / f"{source.stem}.json"
    same_file = variant == "images" or (variant == "captions" and not dataset.manifest["with_images"])
    same_file = same_file or (variant == "stripped" and dataset.manifest.get("images") == "stripped")
    key = {"of": entry["sha256"], "variant": variant, "writer": _WRITER, "pyarrow": version("pyarrow")}
    to = source if same_file else folder / "data" / source.name
    before = _record(record)
    if same_file:
        upload = _upload(entry["path"], source)
        if upload.sha256 != entry["sha256"]:
            raise _damaged(dataset, entry)
        if before.get("key") != key:
            found = _look(source) if variant == "images" else Found(images=entry["rows"])
            before = {"key": key, "found": asdict(found)}
            write_aside(record, json.dumps(before))
        return upload, {"found": before["found"]}
    if before.get("key") == key and to.is_file():
        upload = _upload(entry["path"], to)
        if upload.sha256 == before["sha256"]:
            return upload, {name: before[name] for name in ("found", "stripped") if name in before}
    if _digest(source) != entry["sha256"]:
        raise _damaged(dataset, entry)
    facts = _rewrite(source, to, dataset, variant)
    upload = _upload(entry["path"], to)
    write_aside(record, json.dumps({"key": key, "sha256": upload.sha256, **facts}))
    return upload, facts


def _record(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _rewrite(source: Path, to: Path, dataset: BuiltDataset, variant: Variant) -> dict[str, Any]:
    """Write a data file anew, row group by row group: without images, or with images that say nothing else."""
    schema = arrow_schema(dataset.info, variant == "stripped")
    found = Found()
    aside = to.with_name(f".{to.name}.tmp")
    with pq.ParquetFile(source) as file, aside.open("wb") as out, parquet_writer(out, schema) as writer:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=schema.names).replace_schema_metadata(schema.metadata)
            if variant == "stripped":
                table, counted = _stripped(table)
                found += counted
            writer.write_table(table, row_group_size=max(len(table), 1))
    aside.replace(to)
    return {"found": asdict(found), **({"stripped": found.stripped} if variant == "stripped" else {})}


def _stripped(table: pa.Table) -> tuple[pa.Table, Found]:
    images: list[dict[str, Any]] = []
    found = Found()
    stubborn: list[str] = []
    for image, path in zip(_images(table), table.column("path").to_pylist(), strict=True):
        seen = image_metadata.look(image["bytes"])
        clean = image_metadata.strip(image["bytes"]) if any(seen) else image["bytes"]
        if clean is None:
            stubborn.append(path)
            clean = image["bytes"]
        changed = clean is not image["bytes"]
        found += Found(1, seen.exif, seen.gps, seen.other, changed)
        images.append({"bytes": clean, "path": image["path"]})
    if stubborn:
        raise PublishRefused(
            f"{len(stubborn):,} images hold EXIF or the like that cannot be taken out without recompression (only "
            f"whole JPEG, PNG and WebP files can be stripped), {stubborn[0]!r} first. Convert these images and build "
            "again, or push without --strip-exif or without images."
        )
    place = table.schema.get_field_index("image")
    column = pa.array(images, type=table.schema.field("image").type)
    return table.set_column(place, table.schema.field("image"), column), found


def _look(source: Path) -> Found:
    """What the images of a data file say besides their pixels."""
    found: Counter[str] = Counter()
    with pq.ParquetFile(source) as file:
        for group in range(file.num_row_groups):
            for image in _images(file.read_row_group(group, columns=["image"])):
                seen = image_metadata.look(image["bytes"])
                found.update(images=1, exif=seen.exif, gps=seen.gps, other=seen.other)
    return Found(**found)


def _images(table: pa.Table) -> Iterator[dict[str, Any]]:
    for chunk in table.column("image").chunks:
        for value in chunk:
            yield value.as_py()


def _warnings(found: Found, variant: Variant) -> list[str]:
    said = found.exif or found.gps or found.other
    if variant == "images" and said:
        return [
            f"Of {found.images:,} images {found.exif:,} hold EXIF data, {found.gps:,} a GPS position, {found.other:,} "
            "comments, XMP or the like. --strip-exif takes it out without recompression."
        ]
    if variant == "stripped" and found.stripped:
        return [
            f"EXIF and the like was taken out of {found.stripped:,} of {found.images:,} images ({found.gps:,} of them "
            "with a GPS position). Column sha256 stays that of the source's file."
        ]
    return []


def _large(data: Sequence[Upload]) -> list[str]:
    large = [upload for upload in data if upload.bytes > 500 * 2**20]
    if not large:
        return []
    return [
        f"{len(large)} files are over 500 MB, {large[0].path} first; smaller ones (--shard-size) are easier to view."
    ]


def _left_here(folder: Path, published: set[str]) -> list[str]:
    """Files of the folder that are no part of the data set: they are nobody's business."""
    known = {*published, *PUBLISHED}
    return sorted(path.name for path in folder.iterdir() if path.is_file() and path.name not in known)


def _damaged(dataset: BuiltDataset, entry: Mapping[str, Any]) -> PublishRefused:
    return PublishRefused(
        f"{entry['path']} of {dataset.folder} is not the file that manifest.json describes. openmmlo verify says what "
        "is damaged; delete the file and run the build command to write it anew."
    )


def _upload(path: str, local: Path) -> Upload:
    try:
        before = local.stat()
        return Upload(path, local, before.st_size, _digest(local), before.st_mtime_ns)
    except FileNotFoundError as error:
        raise PublishRefused(
            f"{local} is missing. Run the build command again: it writes what is not there; then push."
        ) from error


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise PublishRefused(f"{path} is missing. Run the build command again, then push.") from error
