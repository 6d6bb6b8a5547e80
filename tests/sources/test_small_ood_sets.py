"""LSUN and iSUN as they circulate: folders of either name, and archives read without unpacking."""

from __future__ import annotations

import io
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from openmmlo.errors import DataError, UnknownName
from openmmlo.records import Source, Status
from openmmlo.sources import archives, open_source
from openmmlo.sources.archives import ArchiveImage, members, unpacked
from openmmlo.sources.isun import ISUN
from openmmlo.sources.lsun import LSUN


def picture(number: int, file_format: str = "PNG") -> bytes:
    """A 32 x 32 image that no other number gives."""
    out = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(out, file_format)
    return out.getvalue()


PICTURES = {f"{number}.jpg": picture(number, "JPEG") for number in (1, 2, 10)}


def in_folder(folder: Path) -> None:
    folder.mkdir(parents=True)
    for name, data in PICTURES.items():
        (folder / name).write_bytes(data)


def in_archive(file: Path, folder: str, mode: str) -> None:
    """An archive as a Mac packs it, with its shadow files, a folder entry and a list."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, mode) as archive:  # type: ignore[call-overload]
        entry = tarfile.TarInfo(folder)
        entry.type = tarfile.DIRTYPE
        archive.addfile(entry)
        extras = {f"{folder}/._1.jpg": b"\0\5", f"__MACOSX/{folder}/2.jpg": b"\0\5", f"{folder}/list.txt": b"1.jpg"}
        for name, data in {**{f"{folder}/{name}": data for name, data in PICTURES.items()}, **extras}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


LAYOUTS: list[tuple[str, dict[str, str], Callable[[Path], None]]] = [
    ("lsun", {"variant": "crop"}, lambda root: in_folder(root / "LSUN" / "test")),
    ("lsun", {"variant": "crop"}, lambda root: in_folder(root / "LSUN_C" / "test")),
    ("lsun", {"variant": "crop"}, lambda root: in_folder(root / "small_OOD_dataset" / "LSUN_C")),
    ("lsun", {"variant": "crop"}, lambda root: in_archive(root / "LSUN.tar.gz", "LSUN/test", "w:gz")),
    ("lsun", {"variant": "resize"}, lambda root: in_folder(root / "LSUN_resize" / "LSUN_resize")),
    ("lsun", {"variant": "resize"}, lambda root: in_folder(root / "ood_datasets" / "LSUN_resize")),
    ("lsun", {"variant": "resize"}, lambda root: in_archive(root / "ood" / "LSUN_resize.tar", "LSUN_resize", "w:")),
    ("isun", {}, lambda root: in_folder(root / "iSUN" / "iSUN_patches")),
    ("isun", {}, lambda root: in_folder(root / "iSUN")),
    ("isun", {}, lambda root: in_archive(root / "iSUN" / "iSUN.tar.gz", "iSUN/iSUN_patches", "w:gz")),
    ("isun", {}, lambda root: in_archive(root / "iSUN.tar", "iSUN/iSUN_patches", "w:")),
]


@pytest.mark.parametrize("layout", range(len(LAYOUTS)))
def test_ids_and_bytes_are_the_same_in_every_layout(
    layout: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, options, make = LAYOUTS[layout]
    make(tmp_path)
    monkeypatch.setenv("OPENMMLO_DATA", str(tmp_path))
    source = open_source(name, options)
    samples = list(source.samples("test"))
    assert isinstance(source, Source)
    assert [sample.sample_id for sample in samples] == ["1", "10", "2"]
    assert {(sample.label, sample.class_key, sample.problem) for sample in samples} == {(-1, "", None)}
    for sample in samples:
        assert sample.image.read() == PICTURES[f"{sample.sample_id}.jpg"]
        assert source.image(sample.image.locator).read() == sample.image.read()
        assert pickle.loads(pickle.dumps(sample)) == sample  # noqa: S301 - our own bytes
        assert str(tmp_path) not in sample.image.locator
    (finding,) = source.check()
    assert finding.level == "warning"
    assert "3 of 8,925" in finding.what if name == "isun" else "3 of 10,000" in finding.what
    assert "github.com/facebookresearch/odin" in finding.remedy


def test_crops_and_downsampled_copies_are_never_taken_for_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_folder(tmp_path / "LSUN_resize" / "LSUN_resize")
    monkeypatch.setenv("OPENMMLO_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"LSUN \(crop\): no folder with its images"):
        LSUN().samples("test")
    in_folder(tmp_path / "LSUN" / "test")
    assert next(LSUN().samples("test")).image.read() == PICTURES["1.jpg"]
    assert "crop" in LSUN().info().version
    assert "resize" in LSUN(variant="resize").info().version


def test_nothing_there_is_said_with_the_folders_searched(tmp_path: Path) -> None:
    (tmp_path / "LSUN").mkdir()
    (tmp_path / "LSUN" / "data.mdb").write_bytes(b"an LMDB file")
    (finding,) = LSUN(images=tmp_path).check()
    assert finding.level == "error"
    assert str(tmp_path) in finding.what
    assert "LMDB" in finding.remedy
    (finding,) = ISUN().check(look=False)
    assert "OPENMMLO_DATA is not set" in finding.what
    with pytest.raises(UnknownName, match="Known: test"):
        ISUN().samples("train")


def test_one_name_twice_is_refused(tmp_path: Path) -> None:
    in_folder(tmp_path / "LSUN" / "test")
    in_folder(tmp_path / "LSUN" / "test" / "again")
    with pytest.raises(DataError, match="both the image '1'"):
        LSUN(images=tmp_path).samples("test")


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    in_folder(tmp_path / "iSUN" / "iSUN_patches")
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(picture(99))
    (tmp_path / "iSUN" / "iSUN_patches" / "3.jpg").symlink_to(secret)
    problems = {sample.sample_id: sample.problem for sample in ISUN(images=tmp_path / "iSUN").samples("test")}
    assert problems == {"1": None, "10": None, "2": None, "3": Status.LINK}
    for locator in ("../../secret.jpg", "/etc/hostname", "a/../../../secret.jpg"):
        with pytest.raises(DataError, match="stands for no image"):
            ISUN(images=tmp_path / "iSUN").image(locator)


@pytest.mark.parametrize("name", ["hostile.tar.gz", "hostile.tar"])
def test_names_in_archives_are_never_paths_and_links_in_them_are_no_files(name: str, tmp_path: Path) -> None:
    outside = tmp_path / "outside.jpg"
    file = tmp_path / "in" / name
    file.parent.mkdir()
    with tarfile.open(file, "w:gz" if name.endswith("gz") else "w:") as archive:
        for path, kind in (
            ("../outside.jpg", tarfile.REGTYPE),
            ("evil.jpg", tarfile.SYMTYPE),
            ("b.jpg", tarfile.LNKTYPE),
        ):
            entry = tarfile.TarInfo(path)
            entry.type, entry.linkname = kind, "/etc/passwd"
            entry.size = 3 if kind == tarfile.REGTYPE else 0
            archive.addfile(entry, io.BytesIO(b"abc"))
    assert members(file) == ("../outside.jpg",)
    (sample,) = ISUN(images=file).samples("test")
    assert sample.image.read() == b"abc"
    assert not outside.exists()
    with pytest.raises(OSError, match="not in the archive"):
        ArchiveImage(file, "evil.jpg").read()


def test_damaged_and_gigantic_archives_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, mode in (("iSUN.tar.gz", "w:gz"), ("iSUN.tar", "w:")):
        file = tmp_path / name
        in_archive(file, "iSUN", mode)
        whole = file.read_bytes()
        file.write_bytes(whole[: len(whole) // 3])
        with pytest.raises(DataError, match="damaged"):
            ISUN(images=file).samples("test")
        file.write_bytes(b"no archive at all")
        with pytest.raises(DataError, match="damaged"):
            ISUN(images=file).samples("test")
        (finding,) = ISUN(images=file).check()
        assert finding.level == "error"
    in_archive(tmp_path / "iSUN.tar.gz", "iSUN", "w:gz")
    monkeypatch.setattr(archives, "LARGEST", 100)
    with pytest.raises(DataError, match="more than 100 bytes"):
        unpacked(tmp_path / "iSUN.tar.gz")
