"""What is made ready to be published: variants, their bytes, their manifests, and what is used again."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from damage import rewrite
from PIL import Image

from openmmlo.building.measures import store
from openmmlo.building.publishing import verify
from openmmlo.building.publishing.staging import Publication, stage
from openmmlo.building.schema import arrow_schema
from openmmlo.data import open_dataset
from openmmlo.errors import PublishRefused
from openmmlo.progress import Silent


def _stage(folder: Path, variant: Any) -> Publication:
    return stage(open_dataset(folder), variant, "tester/lt", Silent())


def _bytes(ready: Publication) -> dict[str, bytes]:
    return {upload.path: upload.local.read_bytes() for upload in ready.uploads}


def _lay_out(ready: Publication, to: Path) -> Path:
    for path, content in _bytes(ready).items():
        (to / path).parent.mkdir(parents=True, exist_ok=True)
        (to / path).write_bytes(content)
    return to


def _exif_image(size: tuple[int, int], orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Maker", orientation
    exif.get_ifd(0x8825)[1] = "N"
    buffer = io.BytesIO()
    Image.new("RGB", size, (200, 10, 10)).save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


def _give_exif(folder: Path, every: int, orientation: int = 1) -> int:
    """Let every n-th image of train carry EXIF; how many that are."""
    changed = 0

    def change(rows: list[dict[str, Any]]) -> None:
        nonlocal changed
        for row in rows[::every]:
            sides = (row["width"], row["height"])
            data = _exif_image(sides[::-1] if orientation > 4 else sides, orientation)
            row["image"]["bytes"] = data
            row["sha256"] = hashlib.sha256(data).hexdigest()
            changed += 1

    for entry in open_dataset(folder).manifest["files"]:
        if entry["split"] == "train":
            rewrite(folder, entry["path"], change)
    return changed


def test_without_images_every_other_cell_is_the_same(built: Path) -> None:
    ready, dataset = _stage(built, "captions"), open_dataset(built)
    for entry, upload in zip(dataset.manifest["files"], ready.uploads, strict=False):
        original, published = pq.ParquetFile(built / entry["path"]), pq.ParquetFile(upload.local)
        assert published.schema_arrow.equals(arrow_schema(dataset.info, False))
        assert published.read().equals(original.read(columns=published.schema_arrow.names))
        groups = [published.metadata.row_group(number).num_rows for number in range(published.num_row_groups)]
        assert groups == [original.metadata.row_group(number).num_rows for number in range(original.num_row_groups)]
        assert published.metadata.row_group(0).column(0).has_column_index
    assert ready.manifest["fingerprint"] == dataset.manifest["fingerprint"]
    assert ready.manifest["splits"] == dataset.manifest["splits"]


def test_staging_twice_gives_the_same_bytes_and_writes_nothing(built_once: Path, built: Path) -> None:
    first = _stage(built, "captions")
    times = {upload.local: upload.local.stat().st_mtime_ns for upload in first.uploads}
    assert _bytes(_stage(built, "captions")) == _bytes(first)
    assert times == {upload.local: upload.local.stat().st_mtime_ns for upload in first.uploads}
    for path in (built / ".openmmlo/publish").rglob("*.parquet"):
        path.write_bytes(b"torn")  # what a full disk may leave
    assert _bytes(_stage(built, "captions")) == _bytes(first)


def test_timings_are_not_published(built: Path) -> None:
    before = _bytes(_stage(built, "captions"))
    manifest = json.loads((built / "manifest.json").read_text())
    manifest["run"] |= {"caption_seconds": 1e6, "images_per_caption_second": 0.1}
    (built / "manifest.json").write_text(json.dumps(manifest))
    assert _bytes(_stage(built, "captions")) == before


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("variant", ["captions", "images", "stripped"])
def test_what_is_staged_verifies(built: Path, tmp_path: Path, variant: str, orientation: int) -> None:
    _give_exif(built, 3, orientation)
    to = _lay_out(_stage(built, variant), tmp_path / "out")
    assert verify(to).problems == ()
    assert verify(to, deep=True).problems == ()


def test_metadata_is_counted_and_taken_out(built: Path, tmp_path: Path) -> None:
    changed = _give_exif(built, 3)
    kept = _stage(built, "images")
    assert (kept.found.exif, kept.found.gps, kept.found.images) == (changed, changed, 180)
    assert f"{changed} hold EXIF data, {changed} a GPS position" in kept.warnings[0]
    assert _stage(built, "images").found == kept.found  # from its record
    ready = _stage(built, "stripped")
    assert ready.found.stripped == changed
    to = _lay_out(ready, tmp_path / "out")
    assert b"Maker" not in b"".join(path.read_bytes() for path in (to / "data").iterdir())
    assert "taken out of the images" in (to / "README.md").read_text()
    for one, other in zip(_images(built), _images(to), strict=True):
        with Image.open(io.BytesIO(one)) as before, Image.open(io.BytesIO(other)) as after:
            assert before.tobytes() == after.tobytes()
    again = _stage(to, "stripped")  # what was pulled can be published anew
    assert again.uploads[0].sha256 == ready.uploads[0].sha256


def _images(folder: Path) -> list[bytes]:
    tables = [pq.read_table(folder / entry["path"]) for entry in open_dataset(folder).manifest["files"]]
    return [row["bytes"] for table in tables for row in table.column("image").to_pylist()]


def test_images_that_cannot_be_stripped_are_refused_by_name(built: Path) -> None:
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    Image.new("RGB", (48, 32)).save(buffer, "TIFF", exif=exif)

    def change(rows: list[dict[str, Any]]) -> None:
        rows[2]["image"]["bytes"] = buffer.getvalue()

    entry = open_dataset(built).manifest["files"][0]
    rewrite(built, entry["path"], change)
    with pytest.raises(PublishRefused, match=r"1 images hold EXIF.*train000002"):
        _stage(built, "stripped")


def test_measures_go_with_the_digest_of_what_lies_beside_them(built: Path, tmp_path: Path) -> None:
    from openmmlo import __version__

    dataset = open_dataset(built)
    value = {"format": 1, "openmmlo": __version__, "dataset": dataset.digest, "training": {"images": 60}}
    store.save(built, "stats", value)
    store.save(built, "audit", {**value, "dataset": "of something else"})
    ready = _stage(built, "captions")
    assert any("audit.json is of other content" in warning for warning in ready.warnings)
    to = _lay_out(ready, tmp_path / "out")
    assert not (to / "audit.json").exists()
    assert store.load(to, "stats", open_dataset(to).digest) == {**value, "dataset": open_dataset(to).digest}
    assert open_dataset(to).digest != dataset.digest
    assert verify(to).problems == ()


def test_a_build_without_images_is_published_as_it_is(built: Path, tmp_path: Path) -> None:
    to = _lay_out(_stage(built, "captions"), tmp_path / "out")
    again = _stage(to, "captions")
    assert {upload.local for upload in again.uploads if upload.path.startswith("data/")} == set((to / "data").iterdir())
    assert [upload.sha256 for upload in again.uploads[:9]] == [
        upload.sha256 for upload in _stage(built, "captions").uploads[:9]
    ]


def test_a_reader_without_metadata_still_reads(built: Path) -> None:
    """Types hold by themselves: nothing rests on Arrow's own copy of the schema."""
    path = _stage(built, "images").uploads[0].local
    metadata = pq.ParquetFile(path).metadata.metadata
    assert list(metadata) == [b"huggingface"]
    dataset = open_dataset(built)
    assert replace(dataset).files("train")
    assert pq.read_schema(path).equals(arrow_schema(dataset.info, True))
