"""SVHN from real MATLAB files; everything that is no plain array of version 5 is refused unread."""

from __future__ import annotations

import io
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from openmmlo.errors import DataError, UnknownName
from openmmlo.records import Source
from openmmlo.sources import open_source
from openmmlo.sources.matlab_arrays import read_arrays
from openmmlo.sources.svhn import SVHN


def write(folder: Path, split: str = "test", count: int = 30, compress: bool = True, **more: Any) -> np.ndarray:
    """A file as published: X (32, 32, 3, N) uint8 and y (N, 1) with 10 for digit 0; the images are returned."""
    folder.mkdir(parents=True, exist_ok=True)
    images = np.random.default_rng(count).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    digits = np.arange(count) % 10
    digits[digits == 0] = 10
    values = {"X": images.transpose(1, 2, 3, 0), "y": digits.astype(np.uint8)[:, None]} | more
    savemat(folder / f"{split}_32x32.mat", values, do_compression=compress)
    return images


@pytest.mark.parametrize("compress", [True, False])
def test_every_digit_and_pixel_is_that_of_the_file(tmp_path: Path, compress: bool) -> None:
    images = write(tmp_path, compress=compress, notes="an extra variable", more=np.zeros(3))
    source = SVHN(images=tmp_path)
    samples = list(source.samples("test"))
    assert isinstance(source, Source)
    assert [sample.label for sample in samples] == [number % 10 for number in range(30)]
    assert [sample.class_key for sample in samples] == [str(sample.label) for sample in samples]
    assert samples[29].sample_id == "test-00000029"
    assert {info.key for info in source.info().classes} == {str(digit) for digit in range(10)}
    for number in (0, 17, 29):
        with Image.open(io.BytesIO(samples[number].image.read())) as image:
            np.testing.assert_array_equal(np.asarray(image), images[number])
    again = pickle.loads(pickle.dumps(samples[3].image))  # noqa: S301 - our own bytes
    assert again.read() == samples[3].image.read() == source.image(samples[3].image.locator).read()
    with pytest.raises(OSError, match="not in the archive"):
        source.image("test_32x32.mat#30").read()
    for locator in ("test_32x32.mat", "test_32x32.mat#-1", "test_32x32.mat#x"):
        with pytest.raises(DataError, match="stands for no image"):
            source.image(locator)


@pytest.mark.parametrize("home", [".", "svhn", "SVHN", "ood_datasets/svhn", "small_OOD_dataset/svhn"])
def test_ids_and_locators_do_not_depend_on_where_it_lies(
    home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / home)
    monkeypatch.setenv("OPENMMLO_DATA", str(tmp_path))
    samples = list(open_source("svhn").samples("test"))
    direct = list(SVHN(images=tmp_path / home / "test_32x32.mat").samples("test"))
    assert [(item.sample_id, item.image.locator) for item in samples] == [
        (item.sample_id, item.image.locator) for item in direct
    ]
    assert samples[0].image.locator == "test_32x32.mat#0"


def test_check_says_how_many_of_how_many_and_where_to_get_them(tmp_path: Path) -> None:
    write(tmp_path, count=40)
    findings = SVHN(images=tmp_path).check(("train", "test"))
    assert [finding.level for finding in findings] == ["error", "ok", "warning"]
    assert "train_32x32.mat" in findings[0].what
    assert str(tmp_path) in findings[0].what
    assert "http://ufldl.stanford.edu/housenumbers/" in findings[0].remedy
    assert "40 of 26,032 images, 4 to 4 a digit" in findings[2].what
    assert "nothing (no --images" in SVHN().check(("test",))[0].what
    with pytest.raises(UnknownName, match="Known: test, train"):
        SVHN(images=tmp_path).samples("extra")


class Anything:
    """Something that savemat turns into a MATLAB structure."""

    def __init__(self) -> None:
        self.value = 1


def test_what_is_no_plain_array_is_refused(tmp_path: Path) -> None:
    cell = np.empty((2,), dtype=object)
    cell[:] = ["a", "b"]
    for number, (name, value, kind) in enumerate(
        [("X", cell, "cell"), ("X", Anything(), "struct"), ("y", "text", "char"), ("y", np.array([True]), "logical")]
    ):
        write(tmp_path / str(number), **{name: value})
        with pytest.raises(DataError, match=f"{name} is a {kind}; expected a plain array"):
            SVHN(images=tmp_path / str(number)).samples("test")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"X": np.zeros((3, 32, 32, 5), np.uint8)}, r"shape \(3, 32, 32, 5\)"),
        ({"X": np.zeros((32, 32, 3, 30))}, "X is float64"),
        ({"y": np.ones((29, 1))}, r"y has shape \(29, 1\)"),
        ({"y": np.full((30, 1), 11)}, "from 1 to 10"),
        ({"y": np.full((30, 1), 0)}, "from 1 to 10"),
        ({"y": np.full((30, 1), 1.5)}, "from 1 to 10"),
        ({"y": np.full((30, 1), np.nan)}, "from 1 to 10"),
    ],
)
def test_other_shapes_types_and_digits_are_refused(tmp_path: Path, more: dict[str, Any], message: str) -> None:
    write(tmp_path, **more)
    with pytest.raises(DataError, match=message):
        SVHN(images=tmp_path).samples("test")


def test_damaged_foreign_and_newer_files_are_refused(tmp_path: Path) -> None:
    write(tmp_path)
    file = tmp_path / "test_32x32.mat"
    whole = file.read_bytes()
    for length in (0, 60, 127, 128, 140, 1000, len(whole) - 10):
        file.write_bytes(whole[:length])
        with pytest.raises(DataError):
            SVHN(images=tmp_path).samples("test")
    hdf5 = b"MATLAB 7.3 MAT-file".ljust(512, b" ") + b"\x89HDF\r\n\x1a\n"
    for content, message in (
        (hdf5, "7.3"),
        (b"\x89HDF\r\n\x1a\n" + bytes(600), "7.3"),
        (b"PK\x03\x04" + bytes(600), "no MATLAB file of version 5"),
        (whole[:124] + b"\x00\x02IM" + whole[128:], "no MATLAB file of version 5"),
    ):
        file.write_bytes(content)
        with pytest.raises(DataError, match=message):
            SVHN(images=tmp_path).samples("test")


@pytest.mark.parametrize("seed", range(8))
def test_a_file_with_flipped_bytes_never_ends_otherwise_than_refused_or_read(tmp_path: Path, seed: int) -> None:
    write(tmp_path, count=4, compress=bool(seed % 2))
    file = tmp_path / "test_32x32.mat"
    rng = np.random.default_rng(seed)
    content = np.frombuffer(file.read_bytes(), dtype=np.uint8).copy()
    content[rng.integers(124, 400, 6)] = rng.integers(0, 256, 6)
    file.write_bytes(content.tobytes())
    try:
        labels = Counter(sample.label for sample in SVHN(images=tmp_path).samples("test"))
    except DataError:
        return
    assert set(labels) <= set(range(10))


def test_repeated_and_missing_variables_are_refused(tmp_path: Path) -> None:
    write(tmp_path, compress=False)
    file = tmp_path / "test_32x32.mat"
    whole = file.read_bytes()
    file.write_bytes(whole + whole[128:])
    with pytest.raises(DataError, match="2 variables 'X'"):
        read_arrays(file, ("X", "y"))
    file.write_bytes(whole)
    with pytest.raises(DataError, match="holds no z; it holds X, y"):
        read_arrays(file, ("z",))
    with pytest.raises(DataError, match="Cannot read"):
        read_arrays(tmp_path / "none.mat", ("X",))
