"""List files: everything a release may hold is read, everything else refused with file and line."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmmlo.errors import DataError
from openmmlo.sources.list_files import Kind, find_list, read_list


def write(folder: Path, content: str | bytes, name: str = "list.txt") -> Path:
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


@pytest.mark.parametrize(
    ("content", "paths", "labels"),
    [
        ("train/a/1.jpg 0\ntrain/b/2.jpg 12\n", ["train/a/1.jpg", "train/b/2.jpg"], [0, 12]),
        ("train/a/1.jpg 0\r\ntrain/b/2.jpg 1\r\n\r\n\n  \n", ["train/a/1.jpg", "train/b/2.jpg"], [0, 1]),
        ("train/a/1.jpg\t0\ntrain/b/2.jpg  \t 1  ", ["train/a/1.jpg", "train/b/2.jpg"], [0, 1]),
        ("train/a b/my 1.jpg 3\n", ["train/a b/my 1.jpg"], [3]),
        ("\ufefftrain/ü/1.jpg 3\n", ["train/ü/1.jpg"], [3]),
        ("./train//a/./1.jpg 3\n", ["train/a/1.jpg"], [3]),
        ("a..b/c...jpg 3\n", ["a..b/c...jpg"], [3]),
        ("x.jpg -1\ny.jpg -1\n", ["x.jpg", "y.jpg"], [-1, -1]),
    ],
)
def test_what_a_list_may_look_like(tmp_path: Path, content: str, paths: list[str], labels: list[int]) -> None:
    for name, data in (("list.txt", content.encode()), ("list.txt.gz", gzip.compress(content.encode()))):
        listed = read_list(write(tmp_path, data, name))
        assert list(listed.paths) == paths
        assert list(listed.labels) == labels
        assert len(listed) == len(paths)


BAD_LINES = [
    ("train/a/1.jpg", "not a list line"),
    ("", "not a list line"),
    ("0 train/a/1.jpg", "not an integer"),
    ("train/a/1.jpg,0", "not a list line"),
    ("train/a/1.jpg 1.0", "not an integer"),
    ("train/a/1.jpg +1", "not an integer"),
    ("train/a/1.jpg 1_0", "not an integer"),
    ("train/a/1.jpg \u0663", "not an integer"),
    ("train/a/1.jpg 99999999999999999999", "not an integer"),
    ("../a/1.jpg 0", "leaves the image root"),
    ("train/../../a/1.jpg 0", "leaves the image root"),
    ("train/.. 0", "leaves the image root"),
    ("/etc/passwd 0", "absolute"),
    ("//server/share/1.jpg 0", "absolute"),
    ("C:/train/1.jpg 0", "drive"),
    ("C:\\train\\1.jpg 0", "backslash"),
    ("train\\a\\1.jpg 0", "backslash"),
    ("train/a\x00/1.jpg 0", "control character"),
    ("train/a\x1b[31m/1.jpg 0", "control character"),
    ("train/a/ 0", "names no file"),
    ("./. 0", "names no file"),
]


@pytest.mark.parametrize(("line", "reason"), BAD_LINES)
def test_a_bad_line_is_refused_with_file_and_line(tmp_path: Path, line: str, reason: str) -> None:
    file = write(tmp_path, f"train/a/0.jpg 0\n{line}\ntrain/a/2.jpg 0\n")
    with pytest.raises(DataError) as error:
        read_list(file)
    assert str(error.value).startswith(f"{file}:2: ")
    assert reason in str(error.value)
    assert "expected" in str(error.value)
    assert "\x1b" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "kind", "classes", "line"),
    [
        ("a/1.jpg 0\na/2.jpg -1\n", "classes", None, 2),
        ("a/1.jpg -1\na/2.jpg 0\n", "open", None, 2),
        ("a/1.jpg -2\n", None, None, 1),
        ("a/1.jpg -2\n", "open", None, 1),
        ("a/1.jpg 9\na/2.jpg 10\n", "classes", 10, 2),
    ],
)
def test_a_label_of_the_wrong_kind_is_refused(
    tmp_path: Path, content: str, kind: Kind | None, classes: int | None, line: int
) -> None:
    file = write(tmp_path, content)
    with pytest.raises(DataError, match=f"{file.name}:{line}: label .* expected"):
        read_list(file, kind, classes)


def test_invalid_utf8_is_refused_with_its_line(tmp_path: Path) -> None:
    file = write(tmp_path, b"train/a/1.jpg 0\ntrain/\xe9t\xe9/2.jpg 1\n")
    with pytest.raises(DataError, match=r"list\.txt:2: not valid UTF-8 \(byte 0xe9\)"):
        read_list(file)


@pytest.mark.parametrize("content", [b"", b"\n\n  \n"])
def test_an_empty_list_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DataError, match="no line in it"):
        read_list(write(tmp_path, content))


def test_a_broken_gzip_file_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    whole = gzip.compress(b"train/a/1.jpg 0\n" * 1000)
    for content in (whole[:-20], b"train/a/1.jpg 0\n", whole[:30] + b"\xff" * 30 + whole[60:]):
        with pytest.raises(DataError, match="broken gzip file"):
            read_list(write(tmp_path, content, "list.txt.gz"))
    with pytest.raises(DataError, match="cannot be read"):
        read_list(tmp_path / "absent.txt")


def test_a_long_line_does_not_flood_the_terminal(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        read_list(write(tmp_path, "a" * 100_000))
    assert len(str(error.value)) < 500 + len(str(tmp_path))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = write(tmp_path_factory.mktemp("any"), content)
    try:
        listed = read_list(file)
    except DataError:
        with pytest.raises(DataError, match=re.escape(str(file))):
            read_list(file)
    else:
        assert len(listed.paths) == len(listed.labels) > 0
        for path in listed.paths:
            assert not path.startswith("/")
            assert ".." not in path.split("/")


def test_real_lists_equal_a_plain_parse(official_splits: Path) -> None:
    files = [file for file in official_splits.glob("*.txt.gz") if "classnames" not in file.name]
    assert len(files) >= 11
    for file in files:
        rows = [line.split(" ") for line in gzip.decompress(file.read_bytes()).decode().splitlines()]
        listed = read_list(file)
        assert list(listed.paths) == [path for path, _ in rows]
        assert list(listed.labels) == [int(label) for _, label in rows]


def test_find_list_takes_the_first_folder_and_plain_before_gzip(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()
    assert find_list(["l.txt"], [first, second]) is None
    gz = write(second, b"", "l.txt.gz")
    assert find_list(["l.txt"], [first, second]) == gz
    plain = write(second, b"", "l.txt")
    assert find_list(["other.txt", "l.txt"], [first, second]) == plain
    other = write(first, b"", "l.txt.gz")
    assert find_list(["l.txt"], [first, second]) == other


@pytest.mark.parametrize("space", ["\u00a0", "\u3000", "\u2028"])
def test_white_space_beyond_ascii_hides_no_absolute_path(tmp_path: Path, space: str) -> None:
    file = tmp_path / "list.txt"
    file.write_text(f"train/a/1.jpg 0\n{space}/etc/passwd 0\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"list.txt:2: .*is absolute"):
        read_list(file)


def test_any_line_ending_is_read(tmp_path: Path) -> None:
    for ending in ("\n", "\r\n", "\r"):
        (tmp_path / "list.txt").write_bytes(f"a/1.jpg 0{ending}a/2.jpg 1{ending}".encode())
        assert list(read_list(tmp_path / "list.txt").paths) == ["a/1.jpg", "a/2.jpg"]
