"""Captions that exist already: sidecar files and tables, damaged ones included."""

from __future__ import annotations

import csv
import hashlib
import json
import pickle
import random
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from openmmlo.building.captioners import Captioner, open_captioner
from openmmlo.building.captioners.existing import CaptionTable, Existing
from openmmlo.errors import DataError, SampleFailed
from openmmlo.records import Sample, Status
from openmmlo.sources.files import FileImage

PICTURE = Image.new("RGB", (4, 4))
ROWS = {
    "n01440764_10026": 'A "tench", green and heavy,\nlies on the grass.',
    "é/ü 木.jpg": "Ein Fisch; 木 — naïve",
    "a": "NA",
    "null": "plain",
    "z,1": "with, comma",
}


def sample(sample_id: str, root: Path = Path(), locator: str = "a.jpg") -> Sample:
    return Sample(sample_id, FileImage(root, locator), 0, "train", "test")


def write(path: Path, rows: Iterable[tuple[str, str | None]], key: str = "sample_id", column: str = "caption") -> Path:
    rows = list(rows)
    if path.suffix == ".parquet":
        pq.write_table(
            pa.table({"other": [1] * len(rows), key: [k for k, _ in rows], column: [t for _, t in rows]}), path
        )
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps({"other": [1], key: k, column: t}) + "\n" for k, t in rows), "utf-8")
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writerow(["other", key, column])
            writer.writerows([1, k, t] for k, t in rows)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_tables(suffix: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"captions{suffix}", ROWS.items())
    captioner = open_captioner("existing", {"captions": str(path)})
    assert isinstance(captioner, Captioner)
    assert [finding.level for finding in captioner.check()] == ["ok"]
    assert "5 captions" in captioner.check()[0].what
    captioner.load()
    for sample_id, text in ROWS.items():
        prepared = pickle.loads(pickle.dumps(captioner.prepare(sample(sample_id), PICTURE)))  # noqa: S301
        assert captioner.caption([prepared]) == [text]
    for unknown in ("absent", "", "A", "zzzz", "n01440764_1002", "bad\udc80name"):
        with pytest.raises(SampleFailed) as failed:
            captioner.prepare(sample(unknown), PICTURE)
        assert failed.value.status is Status.NO_CAPTION
        assert "no row" in failed.value.reason
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert captioner.identity() == {
        "captioner": "existing",
        "captions": digest,
        "column": "caption",
        "key": "sample_id",
    }
    assert len(pickle.dumps(captioner)) < 1_000


def test_other_columns_numbers_as_ids_and_a_byte_order_mark(tmp_path: Path) -> None:
    plain = write(tmp_path / "a.csv", [("7", "seven")], key="id", column="text")
    marked = tmp_path / "b.csv"
    marked.write_bytes(b"\xef\xbb\xbfid,text\r\n7,seven\r\n\r\n")
    lines = tmp_path / "c.jsonl"
    lines.write_text('\ufeff{"id": 7, "text": "seven"}\n\n', "utf-8")
    columns = tmp_path / "d.parquet"
    pq.write_table(pa.table({"id": [7], "text": pa.array(["seven"]).dictionary_encode()}), columns)
    for path in (plain, marked, lines, columns):
        captioner = Existing(path, column="text", key="id")
        assert captioner.prepare(sample("7"), PICTURE) == "seven", path.name


def test_a_row_without_text_is_no_caption(tmp_path: Path) -> None:
    for suffix in (".csv", ".jsonl", ".parquet"):
        path = write(tmp_path / f"captions{suffix}", [("a", "  \n"), ("b", None), ("c", "text")])
        captioner = Existing(path)
        for sample_id in "ab":
            with pytest.raises(SampleFailed, match="empty") as failed:
                captioner.prepare(sample(sample_id), PICTURE)
            assert failed.value.status is Status.NO_CAPTION


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_repeated_ids_and_missing_columns_are_refused(suffix: str, tmp_path: Path) -> None:
    twice = write(tmp_path / f"twice{suffix}", [("a", "1"), ("b", "2"), ("a", "1")])
    with pytest.raises(DataError, match="'a' comes twice"):
        CaptionTable.read(twice, "sample_id", "caption")
    misnamed = write(tmp_path / f"misnamed{suffix}", [("a", "1")], column="captions")
    with pytest.raises(DataError, match=r"no column 'caption'. Did you mean 'captions'\? Columns: other, sample_id"):
        Existing(misnamed).prepare(sample("a"), PICTURE)
    for path in (twice, misnamed):
        (finding,) = Existing(path).check()
        assert finding.level == "error"
        assert str(tmp_path) not in finding.what
    (finding,) = Existing(write(tmp_path / f"empty{suffix}", [])).check()
    assert finding.level == "error"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"sample_id,caption\na,b\nc,d,e\n", "a.csv, line 3: 3 fields, the header has 2"),
        ("a.csv", b'sample_id,caption\na,"b\n', "line 2: unexpected end of data"),
        ("a.csv", b"sample_id,caption,caption\na,b,c\n", "'caption' comes twice"),
        ("a.csv", b"sample_id,caption\na,\xff\n", "not valid UTF-8"),
        ("a.csv", b"", "Columns: none"),
        ("a.jsonl", b'{"sample_id": "a", "caption": "b"}\n{"sample_id"\n', "line 2: not JSON"),
        ("a.jsonl", b'["a", "b"]\n', "line 1: expected an object"),
        ("a.jsonl", b'{"sample_id": "a", "caption": 3}\n', "line 1: .* must hold text"),
        ("a.jsonl", b'{"sample_id": "a", "caption": "b"}\n{"caption": "c"}\n', "line 2: no column 'sample_id'"),
        ("a.parquet", b"PAR1nonsense", "cannot be read"),
        ("a.xlsx", b"", r"expected one of .csv, .jsonl"),
    ],
)
def test_damaged_tables_are_refused_with_their_line(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        CaptionTable.read(path, "sample_id", "caption")


def test_parquet_types_and_absent_files(tmp_path: Path) -> None:
    path = tmp_path / "lists.parquet"
    pq.write_table(pa.table({"sample_id": ["a"], "caption": [["x", "y"]]}), path)
    with pytest.raises(DataError, match="'caption' holds list"):
        CaptionTable.read(path, "sample_id", "caption")
    pq.write_table(pa.table({"sample_id": pa.array([None], pa.string()), "caption": ["x"]}), path)
    with pytest.raises(DataError, match="1 rows have no 'sample_id'"):
        CaptionTable.read(path, "sample_id", "caption")
    for act in (
        Existing(tmp_path / "absent.csv").identity,
        lambda: Existing(tmp_path / "absent.csv")._row(sample("a")),
    ):
        with pytest.raises(DataError, match="No such file"):
            act()


def test_sidecars(tmp_path: Path) -> None:
    folder = tmp_path / "images" / "n01 é"
    folder.mkdir(parents=True)
    captioner = Existing()
    contents: dict[str, bytes] = {
        "plain": b"A fish.\n",
        "marked": b"\xef\xbb\xbfA fish.",
        "lines": b"A fish.\r\nIt is green.",
        "two.dots": b"dots",
    }
    for name, content in contents.items():
        (folder / f"{name}.txt").write_bytes(content)
    expected = {"plain": "A fish.", "marked": "A fish.", "lines": "A fish.\r\nIt is green.", "two.dots": "dots"}
    for name, text in expected.items():
        prepared = captioner.prepare(sample(name, tmp_path / "images", f"n01 é/{name}.JPEG"), PICTURE)
        assert captioner.caption([prepared]) == [text]
    assert captioner.identity() == {"captioner": "existing", "captions": "sidecar"}
    assert [finding.level for finding in captioner.check()] == ["ok"]


def _absent(_: Path) -> None:
    """No text file."""


def _latin(path: Path) -> None:
    path.write_bytes("Größe".encode("latin-1"))


def _empty(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf \n")


def _folder(path: Path) -> None:
    path.mkdir()


def _long(path: Path) -> None:
    path.write_bytes(b"a" * ((1 << 20) + 1))


def _leaving_link(path: Path) -> None:
    secret = path.parents[1] / "secret.txt"
    secret.write_text("private")
    path.symlink_to(secret)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_absent, "no a.txt beside the image"),
        (_latin, "not valid UTF-8"),
        (_empty, "empty"),
        (_folder, "cannot be read"),
        (_long, "longer than"),
        (_leaving_link, "leaves the image root"),
    ],
)
def test_sidecars_that_give_no_caption(make: Callable[[Path], None], reason: str, tmp_path: Path) -> None:
    root = tmp_path / "images"
    root.mkdir()
    make(root / "a.txt")
    with pytest.raises(SampleFailed, match=reason) as failed:
        Existing().prepare(sample("a", root), PICTURE)
    assert failed.value.status is Status.NO_CAPTION
    assert str(tmp_path) not in failed.value.reason


def test_a_linked_sidecar_inside_the_root_is_read(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "1").write_text("inside")
    (tmp_path / "a.txt").symlink_to(tmp_path / "texts" / "1")
    assert Existing().prepare(sample("a", tmp_path), PICTURE) == "inside"


def test_images_without_a_file_have_no_sidecar() -> None:
    class Rendered:
        locator = "3"

        def read(self) -> bytes:
            return b""

    with pytest.raises(SampleFailed, match="no file of its own"):
        Existing().prepare(Sample("a", Rendered(), 0, "train", "test"), PICTURE)


@pytest.mark.slow
def test_three_quarters_of_a_million_rows(tmp_path: Path) -> None:
    """Every id finds its text; what stays in memory is about the text itself."""
    count, text = 740_000, "The picture shows object number {} of medium size in the middle of a green field. " * 3
    path = tmp_path / "captions.csv"
    order = list(range(count))
    random.Random(0).shuffle(order)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["sample_id", "caption"])
        writer.writerows((f"n{number % 1000:08d}_{number}", text.format(number, number, number)) for number in order)
    (tmp_path / "one.csv").write_text("sample_id,caption\na,b\n", encoding="utf-8")
    CaptionTable.read(tmp_path / "one.csv", "sample_id", "caption")  # what is imported on first use does not count
    before, blocks = pa.total_allocated_bytes(), sys.getallocatedblocks()
    table = CaptionTable.read(path, "sample_id", "caption")
    assert len(table) == count
    assert pa.total_allocated_bytes() - before < 1.2 * path.stat().st_size
    assert sys.getallocatedblocks() - blocks < 50_000
    for number in random.Random(1).sample(range(count), 500):
        assert table.get(f"n{number % 1000:08d}_{number}") == text.format(number, number, number)
    assert table.get("n00000000_1") is None
