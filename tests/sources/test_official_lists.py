"""Fetching and checking official lists, against an HTTP server on loopback that misbehaves in every way."""

from __future__ import annotations

import errno
import gzip
import hashlib
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from openmmlo.errors import DataError, DiskFull, UnknownName
from openmmlo.sources import official_lists
from openmmlo.sources.official_lists import OfficialList, check_lists, get, known, known_rows

GOOD = b"".join(b"train/a/%d.jpg 0\n" % number for number in range(5000))
OTHER = b"train/a/1.jpg 0\n"


class Publisher(BaseHTTPRequestHandler):
    """Serves GOOD as the first part of the path says; counts what it was asked for."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        way = self.path.split("/")[1]
        if way == "absent":
            self.send_error(404)
            return
        body = {"good": GOOD, "truncated": GOOD[:5000], "chunked": GOOD[:5000], "wrong": OTHER}[way]
        self.send_response(200)
        if way != "chunked":
            self.send_header("Content-Length", str(len(GOOD) if way == "truncated" else len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    Publisher.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Publisher)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def entry(*urls: str, name: str = "Tiny_train.txt") -> OfficialList:
    return OfficialList(
        name, 5000, urls, "https://example.org/lists", (hashlib.sha256(GOOD).hexdigest(),), kind="classes", classes=3
    )


def publish(monkeypatch: pytest.MonkeyPatch, *entries: OfficialList) -> None:
    monkeypatch.setattr(official_lists, "_KNOWN", {"tiny": entries})


def test_good_content_is_written_whole_and_kept(
    publisher: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(monkeypatch, entry(f"{publisher}/good/list"))
    to = tmp_path / "deep/lists"
    assert [finding.level for finding in get("tiny", to)] == ["ok"]
    assert (to / "Tiny_train.txt").read_bytes() == GOOD
    assert [file.name for file in to.iterdir()] == ["Tiny_train.txt"]
    assert (to / "Tiny_train.txt").stat().st_mode & 0o777 == 0o644
    again = get("tiny", to)
    assert [finding.level for finding in again] == ["ok"]
    assert "official content" in again[0].what
    assert Publisher.asked == ["/good/list"]


def test_the_next_copy_is_tried(publisher: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ways = ("absent", "truncated", "chunked", "wrong", "good")
    publish(monkeypatch, entry("http://127.0.0.1:9/closed", *(f"{publisher}/{way}" for way in ways)))
    assert [finding.level for finding in get("tiny", tmp_path)] == ["ok"]
    assert Publisher.asked == [f"/{way}" for way in ways]
    assert (tmp_path / "Tiny_train.txt").read_bytes() == GOOD


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        ("absent", "HTTP 404"),
        ("truncated", "IncompleteRead"),
        ("chunked", "not the official content"),
        ("wrong", f"SHA-256 {hashlib.sha256(OTHER).hexdigest()}"),
    ],
)
def test_a_failure_says_why_and_where_to_get_it_by_hand(
    publisher: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, reason: str
) -> None:
    url = f"{publisher}/{way}/list"
    second = entry(f"{publisher}/good/list", name="Tiny_val.txt")
    publish(monkeypatch, entry(url), second)
    with pytest.raises(DataError) as error:
        get("tiny", tmp_path)
    for part in (url, reason, "https://example.org/lists", str(tmp_path / "Tiny_train.txt")):
        assert part in str(error.value)
    assert [file.name for file in tmp_path.iterdir()] == ["Tiny_val.txt"]


def test_no_server_is_a_plain_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    publish(monkeypatch, entry("http://127.0.0.1:9/list"))
    with pytest.raises(DataError, match="refused"):
        get("tiny", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_ones_own_is_kept(publisher: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(monkeypatch, entry(f"{publisher}/good/list"))
    own = tmp_path / "Tiny_train.txt.gz"
    own.write_bytes(gzip.compress(OTHER))
    (finding,) = get("tiny", tmp_path)
    assert finding.level == "warning"
    assert "1 rows, 1 classes; the official list has 5,000 rows" in finding.what
    assert gzip.decompress(own.read_bytes()) == OTHER
    assert Publisher.asked == []


def test_more_than_the_largest_size_is_refused(publisher: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(monkeypatch, entry(f"{publisher}/good/list"))
    monkeypatch.setattr(official_lists, "LARGEST_BYTES", 1000)
    with pytest.raises(DataError, match="more than 1,000 bytes"):
        get("tiny", tmp_path)


def test_a_full_disk_leaves_nothing_behind(publisher: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(monkeypatch, entry(f"{publisher}/good/list"))

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DiskFull, match="No space left"):
        get("tiny", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_name_and_an_impossible_folder(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'places-lt'"):
        get("places_lt", tmp_path)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="cannot be made a folder"):
        get("places-lt", tmp_path / "file/lists")


def test_a_git_object_id_pins_content_without_a_sha256() -> None:
    """SHA-1 over "blob <length>", a zero byte and the content; git itself gives this one for "test content"."""
    pinned = replace(entry(), sha256=(), git_blob="d670460b4b4aece5915caf5c68d12f560a9fe3e4")
    assert pinned.is_official(b"test content\n")
    assert not pinned.is_official(b"test content")


def test_the_real_lists_are_the_known_ones(official_splits: Path, tmp_path: Path) -> None:
    for name, files in known().items():
        for official in files:
            source = official_splits / f"{official.name}.gz"
            if source.is_file():
                assert official.is_official(gzip.decompress(source.read_bytes())), (name, official.name)
                shutil.copy(source, tmp_path)
    flat = gzip.decompress((official_splits / "ImageNet_LT_test.flat.txt.gz").read_bytes())
    letters = gzip.decompress((official_splits / "Places_LT_train.data_256.txt.gz").read_bytes())
    tables = {official.name: official for files in known().values() for official in files}
    assert tables["ImageNet_LT_test.txt"].is_official(flat)
    assert tables["Places_LT_train.txt"].is_official(letters)
    findings = check_lists(tmp_path)
    assert [finding.level for finding in findings].count("ok") == 9
    absent = [finding for finding in findings if finding.level != "ok"]
    assert [finding.what.split(":")[0] for finding in absent] == ["ImageNet_LT_train.txt", "iNaturalist18_train.txt"]
    assert [finding.remedy for finding in absent] == [
        "openmmlo lists get imagenet-lt", "openmmlo lists get inaturalist2018",
    ]  # fmt: skip


def test_every_known_file_is_complete_and_pinned() -> None:
    assert list(known()) == ["imagenet-lt", "places-lt", "inaturalist2018"]
    for files in known().values():
        for official in files:
            assert official.urls
            assert official.by_hand.startswith("https://")
            assert all(url.startswith("https://") for url in official.urls)
            assert bool(official.sha256) != bool(official.git_blob)
            assert all(len(digest) == 64 for digest in official.sha256)
            assert len(official.git_blob) in (0, 40)
            assert known_rows(f"{official.name}.gz") == known_rows(official.name) == official.rows
    assert known_rows("list.txt") is None


def test_check_tells_other_content_from_unusable_content(official_splits: Path, tmp_path: Path) -> None:
    whole = gzip.decompress((official_splits / "Places_LT_val.txt.gz").read_bytes())
    (tmp_path / "Places_LT_val.txt").write_bytes(whole[: whole.index(b"\n", 1000) + 1])
    (tmp_path / "Places_LT_open.txt").write_bytes(b"1.jpg -1\n2.jpg 4\n")
    (tmp_path / "places-lt").mkdir()
    (tmp_path / "places-lt/Places_LT_test.txt").write_bytes(b"\xff 1\n")
    (tmp_path / "iNaturalist18_categories.json").write_bytes(b"[]")
    (tmp_path / "ImageNet_LT_val.txt.gz").write_bytes(gzip.compress(OTHER)[:-3])
    found = {
        name: finding
        for finding in check_lists(tmp_path)
        for name in ("ImageNet_LT_val", "Places_LT_val", "Places_LT_test", "Places_LT_open", "categories")
        if name in finding.what
    }
    assert found["Places_LT_val"].level == "warning"
    assert "the official list has 7,300 rows" in found["Places_LT_val"].what
    for name, part in (
        ("Places_LT_open", "Places_LT_open.txt:2: label 4"),
        ("Places_LT_test", "Places_LT_test.txt:1: not valid UTF-8"),
        ("categories", "list of categories"),
        ("ImageNet_LT_val", "broken gzip"),
    ):
        assert found[name].level == "error"
        assert part in found[name].what
    (nothing,) = check_lists(tmp_path / "nowhere")
    assert nothing.level == "error"
