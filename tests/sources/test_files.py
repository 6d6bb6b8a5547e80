"""The folder index: what it finds, which links it follows, and that it lists each folder once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from openmmlo.records import ImageReference, Status
from openmmlo.sources.files import FileImage, FolderIndex


def touch(path: Path, content: bytes = b"image") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_file_image_reads_its_bytes(tmp_path: Path) -> None:
    touch(tmp_path / "train/a b/ü.jpg", b"\x00\xff")
    image = FileImage(tmp_path, "train/a b/ü.jpg")
    assert isinstance(image, ImageReference)
    assert image.read() == b"\x00\xff"


def test_a_prefix_stands_for_the_root_and_is_no_folder(tmp_path: Path) -> None:
    touch(tmp_path / "x.jpg")
    image = FileImage(tmp_path, "open/x.jpg", "open/")
    assert image.locator == "open/x.jpg"
    assert image.path == tmp_path / "x.jpg"
    assert image.read() == b"image"


def test_present_and_missing(tmp_path: Path) -> None:
    touch(tmp_path / "train/a/1.jpg")
    touch(tmp_path / "0.jpg")
    index = FolderIndex(tmp_path)
    assert index.problem("train/a/1.jpg") is None
    assert index.problem("0.jpg") is None
    assert index.problem("train/a/2.jpg") is Status.MISSING
    assert index.problem("train/b/1.jpg") is Status.MISSING
    assert index.problem("0.jpg/1.jpg") is Status.MISSING
    assert index.folder("train/b") is None
    assert index.folder("train/a") == {"1.jpg": False}
    assert FolderIndex(tmp_path / "nowhere").problem("train/a/1.jpg") is Status.MISSING


def test_each_folder_is_listed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(200):
        touch(tmp_path / f"train/{number % 4}/{number}.jpg")
    calls = []
    scandir = os.scandir

    def counting(path: Any) -> Any:
        calls.append(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", counting)
    index = FolderIndex(tmp_path)
    assert all(index.problem(f"train/{number % 4}/{number}.jpg") is None for number in range(200))
    assert len(calls) == len(set(map(str, calls))) <= 6


@pytest.mark.parametrize("follow", [False, True])
def test_the_root_and_a_folder_directly_under_it_may_be_links(tmp_path: Path, follow: bool) -> None:
    touch(tmp_path / "disk/train/a/1.jpg")
    (tmp_path / "real").mkdir()
    (tmp_path / "real/train").symlink_to(tmp_path / "disk/train")
    (tmp_path / "root").symlink_to(tmp_path / "real")
    assert FolderIndex(tmp_path / "root", follow).problem("train/a/1.jpg") is None


def test_a_deeper_linked_folder_needs_follow_links(tmp_path: Path) -> None:
    touch(tmp_path / "disk/a/deep/1.jpg")
    (tmp_path / "root/train").mkdir(parents=True)
    (tmp_path / "root/train/a").symlink_to(tmp_path / "disk/a")
    index = FolderIndex(tmp_path / "root")
    assert index.problem("train/a/deep/1.jpg") is Status.LINK
    assert index.problem("train/a/deep/2.jpg") is Status.MISSING
    assert FolderIndex(tmp_path / "root", follow_links=True).problem("train/a/deep/1.jpg") is None


def test_a_linked_file_needs_follow_links_only_if_it_leaves_the_root(tmp_path: Path) -> None:
    touch(tmp_path / "disk/1.jpg")
    touch(tmp_path / "root/train/a/2.jpg")
    (tmp_path / "root/train/a/1.jpg").symlink_to(tmp_path / "disk/1.jpg")
    (tmp_path / "root/train/a/3.jpg").symlink_to("2.jpg")
    (tmp_path / "root/train/a/4.jpg").symlink_to("../../../disk/1.jpg")
    index = FolderIndex(tmp_path / "root")
    assert [index.problem(f"train/a/{n}.jpg") for n in (1, 2, 3, 4)] == [Status.LINK, None, None, Status.LINK]
    follow = FolderIndex(tmp_path / "root", follow_links=True)
    assert [follow.problem(f"train/a/{n}.jpg") for n in (1, 2, 3, 4)] == [None] * 4


def test_links_inside_a_linked_first_folder_are_inside(tmp_path: Path) -> None:
    touch(tmp_path / "disk/train/store/1.jpg")
    (tmp_path / "disk/train/a").mkdir()
    (tmp_path / "disk/train/a/1.jpg").symlink_to("../store/1.jpg")
    (tmp_path / "disk/train/b").symlink_to("store")
    (tmp_path / "root").mkdir()
    (tmp_path / "root/train").symlink_to(tmp_path / "disk/train")
    index = FolderIndex(tmp_path / "root")
    assert index.problem("train/a/1.jpg") is None
    assert index.problem("train/b/1.jpg") is None


def test_links_to_nothing_and_to_themselves_are_missing(tmp_path: Path) -> None:
    folder = tmp_path / "root/train/a"
    folder.mkdir(parents=True)
    (folder / "gone.jpg").symlink_to("nowhere.jpg")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    (folder / "ring").symlink_to("ring")
    for follow in (False, True):
        index = FolderIndex(tmp_path / "root", follow)
        for name in ("gone.jpg", "loop.jpg", "ring/1.jpg"):
            assert index.problem(f"train/a/{name}") is Status.MISSING


def test_a_folder_that_may_not_be_listed_is_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "train/a/1.jpg")
    scandir = os.scandir

    def closed(path: Any) -> Any:
        if str(path).endswith("train/a"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    assert FolderIndex(tmp_path).problem("train/a/1.jpg") is Status.UNREADABLE


def test_another_failure_is_not_taken_for_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: Any) -> Any:
        raise OSError(5, "Input/output error", str(path))

    monkeypatch.setattr(os, "scandir", broken)
    with pytest.raises(OSError, match="Input/output"):
        FolderIndex(tmp_path).problem("train/a/1.jpg")


def test_the_file_system_root_as_root() -> None:
    assert FolderIndex(Path("/"))._leaves("etc") is False
