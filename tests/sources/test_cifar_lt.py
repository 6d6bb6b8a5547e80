"""CIFAR archives in the very format Python 2 wrote them, read without running anything from them."""

from __future__ import annotations

import hashlib
import io
import pickle
import pickletools
import struct
import tarfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from openmmlo.errors import ConfigError, DataError, UnknownName
from openmmlo.records import Source, list_hash
from openmmlo.sources import open_source
from openmmlo.sources.array_images import ArrayImage, png_bytes
from openmmlo.sources.cifar_archive import _Machine, read_member
from openmmlo.sources.cifar_layouts import CIFAR10_CLASSES, CIFAR100_CLASSES
from openmmlo.sources.cifar_lt import Cifar10LT, Cifar100LT, cifar_pixels
from openmmlo.sources.longtail import exponential_counts


class Python2Pickler:
    """Writes what Python 2's cPickle wrote with protocol 2: bytes as strings, arrays through numpy.core.multiarray."""

    def __init__(self) -> None:
        self.out = bytearray(b"\x80\x02")
        self.memo = 1

    def dumps(self, value: object) -> bytes:
        self.write(value)
        return bytes(self.out) + b"."

    def put(self) -> None:
        self.out += b"q" + bytes([self.memo]) if self.memo < 256 else b"r" + struct.pack("<I", self.memo)
        self.memo += 1

    def write(self, value: object) -> None:
        match value:
            case bytes():
                length = len(value)
                self.out += (b"U" + bytes([length]) if length < 256 else b"T" + struct.pack("<i", length)) + value
                self.put()
            case int():
                small = b"K" + bytes([value]) if value < 256 else b"M" + struct.pack("<H", value)
                self.out += small if value < 65536 else b"J" + struct.pack("<i", value)
            case list():
                self.out += b"]"
                self.put()
                for start in range(0, len(value), 1000):
                    self.out += b"("
                    for item in value[start : start + 1000]:
                        self.write(item)
                    self.out += b"e"
            case dict():
                self.out += b"}"
                self.put()
                self.out += b"("
                for key, item in value.items():
                    self.write(key)
                    self.write(item)
                self.out += b"u"
            case np.ndarray():
                self.out += (
                    b"cnumpy.core.multiarray\n_reconstruct\nq\xf0cnumpy\nndarray\nK\x00\x85U\x01bq\xf1\x87R(K\x01"
                )
                self.write(value.shape[0])
                self.write(value.shape[1])
                self.out += (
                    b"\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff"
                )
                self.out += b"K\x00tb\x89"
                self.write(value.tobytes())
                self.out += b"tb"
            case _:
                raise TypeError(type(value))


def batch(rows: np.ndarray[Any, Any], labels: list[int], key: bytes, label: bytes) -> dict[bytes, object]:
    names = [b"some_animal_s_%06d.png" % number for number in range(len(labels))]
    return {b"filenames": names, b"batch_label": label, key: labels, b"data": rows}


def pixels(count: int, seed: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, 256, (count, 3072), dtype=np.uint8)


def shuffled_labels(classes: int, per_class: int, seed: int) -> list[int]:
    labels = np.repeat(np.arange(classes), per_class)
    return [int(label) for label in np.random.default_rng(seed).permutation(labels)]


def cifar100_files(train: int, test: int) -> dict[str, dict[bytes, object]]:
    files: dict[str, dict[bytes, object]] = {}
    for split, per_class, seed in (("train", train, 1), ("test", test, 2)):
        labels = shuffled_labels(100, per_class, seed)
        content = batch(pixels(len(labels), seed), labels, b"fine_labels", b"training batch 1 of 1")
        content[b"coarse_labels"] = [label // 5 for label in labels]
        files[f"cifar-100-python/{split}"] = content
    files["cifar-100-python/meta"] = {
        b"fine_label_names": [name.encode() for name in CIFAR100_CLASSES],
        b"coarse_label_names": [b"aquatic_mammals"],
    }
    return files


def cifar10_files(per_batch_class: int) -> dict[str, dict[bytes, object]]:
    files: dict[str, dict[bytes, object]] = {}
    for number, name in enumerate([*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]):
        labels = shuffled_labels(10, per_batch_class, number)
        rows = pixels(len(labels), number)
        files[f"cifar-10-batches-py/{name}"] = batch(rows, labels, b"labels", b"training batch %d of 5" % number)
    names = [name.encode() for name in CIFAR10_CLASSES]
    files["cifar-10-batches-py/batches.meta"] = {
        b"num_cases_per_batch": 10_000,
        b"label_names": names,
        b"num_vis": 3072,
    }
    return files


def write_archive(path: Path, files: dict[str, dict[bytes, object]]) -> Path:
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, content in files.items():
            data = Python2Pickler().dumps(content)
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


def write_folder(root: Path, files: dict[str, dict[bytes, object]]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(Python2Pickler().dumps(content))
    return root


@pytest.fixture(scope="module")
def small100() -> dict[str, dict[bytes, object]]:
    return cifar100_files(20, 2)


@pytest.fixture(scope="module")
def archive100(tmp_path_factory: pytest.TempPathFactory, small100: dict[str, dict[bytes, object]]) -> Path:
    return write_archive(tmp_path_factory.mktemp("cifar") / "cifar-100-python.tar.gz", small100)


@pytest.fixture(scope="module")
def folder100(tmp_path_factory: pytest.TempPathFactory, small100: dict[str, dict[bytes, object]]) -> Path:
    return write_folder(tmp_path_factory.mktemp("cifar"), small100)


def test_class_names_are_the_published_ones_in_label_order() -> None:
    assert len(CIFAR100_CLASSES) == 100
    assert list(CIFAR100_CLASSES) == sorted(CIFAR100_CLASSES)
    assert (CIFAR100_CLASSES[0], CIFAR100_CLASSES[53], CIFAR100_CLASSES[99]) == ("apple", "orange", "worm")
    assert " ".join(CIFAR10_CLASSES) == "airplane automobile bird cat deer dog frog horse ship truck"


def test_the_reader_agrees_with_pickle(folder100: Path) -> None:
    ours = dict(read_member(folder100, "cifar-100-python/train"))
    theirs = pickle.loads((folder100 / "cifar-100-python/train").read_bytes(), encoding="bytes")  # noqa: S301 - our own
    assert ours.keys() == theirs.keys()
    np.testing.assert_array_equal(ours.pop(b"data").copy(), theirs.pop(b"data"))
    assert ours == theirs


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**31), 2**31 - 1) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner, inner) | st.dictionaries(st.binary(max_size=5), inner),
    max_leaves=12,
)


@given(plain, st.sampled_from([0, 2, 3]))
def test_plain_values_read_as_pickle_reads_them(value: object, protocol: int) -> None:
    """Protocol 3 writes bytes as Python 3 does; 0 and 2 would wrap them in a call, so they carry numbers only."""
    if protocol != 3 and any(op.name == "GLOBAL" for op, _, _ in pickletools.genops(pickle.dumps(value, protocol))):
        return
    assert _Machine(memoryview(pickle.dumps(value, protocol)), "here").run() == value


def test_old_text_pickles_are_read() -> None:
    text = b"(dp1\nS'num_cases'\np2\nI10000\nsS'label_names'\np3\n(lp4\nS'air\\'plane'\np5\naS'auto\\x41'\np6\nas."
    expected = {b"num_cases": 10_000, b"label_names": [b"air'plane", b"autoA"]}
    assert _Machine(memoryview(text), "here").run() == expected
    assert pickle.loads(text, encoding="bytes") == expected  # noqa: S301 - our own


@pytest.mark.parametrize("kind", ["archive", "folder"])
@pytest.mark.parametrize("selection", ["seeded", "first"])
def test_samples_are_the_long_tail_of_the_archive(
    kind: str, selection: Any, archive100: Path, folder100: Path, small100: dict[str, dict[bytes, Any]]
) -> None:
    source = Cifar100LT(images=archive100 if kind == "archive" else folder100, ratio=10, selection=selection)
    assert isinstance(source, Source)
    train = small100["cifar-100-python/train"]
    counts = exponential_counts(20, 100, 10)
    samples = list(source.samples("train"))
    assert len(samples) == sum(counts)
    assert Counter(sample.label for sample in samples) == dict(enumerate(counts))
    assert [sample.sample_id for sample in samples] == sorted({sample.sample_id for sample in samples})
    for sample in samples[:: len(samples) // 25]:
        row = int(sample.sample_id.removeprefix("train-"))
        assert sample.image.locator == f"cifar-100-python/train#{row}"
        assert (sample.label, sample.split, sample.source) == (train[b"fine_labels"][row], "train", "cifar100-lt")
        assert sample.class_key == CIFAR100_CLASSES[sample.label]
        with Image.open(io.BytesIO(sample.image.read())) as image:
            shown = np.asarray(image)
        np.testing.assert_array_equal(shown.transpose(2, 0, 1).ravel(), train[b"data"][row])
        assert source.image(sample.image.locator).read() == sample.image.read()
    if selection == "first":
        of_class_7 = [row for row, label in enumerate(train[b"fine_labels"]) if label == 7][: counts[7]]
        assert [s.sample_id for s in samples if s.label == 7] == [f"train-{row:08d}" for row in of_class_7]


def test_archive_and_folder_give_the_same_list_and_the_test_set_is_whole(archive100: Path, folder100: Path) -> None:
    def listed(source: Cifar100LT, split: str) -> str:
        return list_hash((sample.sample_id, sample.class_key) for sample in source.samples(split))

    one, two = Cifar100LT(images=archive100, ratio=5), Cifar100LT(images=folder100 / "cifar-100-python", ratio=5)
    for split in ("train", "test"):
        assert listed(one, split) == listed(two, split)
    assert Counter(s.label for s in one.samples("test")) == dict.fromkeys(range(100), 2)
    assert listed(one, "train") != listed(Cifar100LT(images=archive100, ratio=5, seed=1), "train")
    steep = {s.sample_id for s in Cifar100LT(images=archive100, ratio=20).samples("train")}
    assert steep < {s.sample_id for s in one.samples("train")}


def test_it_is_found_under_the_data_root(folder100: Path, archive100: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENMMLO_DATA", str(folder100))
    assert len(list(Cifar100LT(ratio=1).samples("train"))) == 2000
    monkeypatch.setenv("OPENMMLO_DATA", str(archive100.parent))
    assert len(list(Cifar100LT(ratio=1).samples("train"))) == 2000


def test_info_names_the_rule_and_counts_what_is_there(archive100: Path) -> None:
    info = Cifar100LT(images=archive100, ratio=10).info()
    assert info.train_counts == tuple(exponential_counts(20, 100, 10))
    assert info.version == "ratio 10, selection seeded, seed 0"
    assert "SHA-256" in info.notes[0]
    assert len({item.name for item in info.classes}) == 100
    assert info.classes[52].key == "oak_tree"
    assert info.classes[52].synonyms == ("oak tree", "oak")
    assert Cifar100LT().info().train_counts is None
    names = [name for item in info.classes for name in item.synonyms]
    assert len(names) == len(set(names))


def test_cifar10_joins_its_five_batches(tmp_path: Path) -> None:
    files = cifar10_files(4)
    write_archive(tmp_path / "cifar-10-python.tar.gz", files)
    source = open_source("cifar10-lt", {"images": str(tmp_path), "ratio": "1"})
    samples = list(source.samples("train"))
    assert [sample.sample_id for sample in samples] == [f"train-{row:08d}" for row in range(200)]
    assert samples[43].image.locator == "cifar-10-batches-py/data_batch_2#3"
    with Image.open(io.BytesIO(samples[43].image.read())) as image:
        red = np.asarray(image)[..., 0].ravel()
    rows: Any = files["cifar-10-batches-py/data_batch_2"][b"data"]
    np.testing.assert_array_equal(red, rows[3][:1024])
    assert len(list(source.samples("test"))) == 40
    assert Counter(s.label for s in Cifar10LT(images=tmp_path, ratio=10).samples("train")) == dict(
        enumerate(exponential_counts(20, 10, 10))
    )
    folder = write_folder(tmp_path / "extracted", files)
    assert len(list(Cifar10LT(images=folder, ratio=1).samples("train"))) == 200


def test_sources_and_references_pickle_small(archive100: Path) -> None:
    source = Cifar100LT(images=archive100, ratio=10)
    sample = next(iter(source.samples("train")))
    assert len(pickle.dumps(source)) < 1000
    assert len(pickle.dumps(sample)) < 1000
    assert pickle.loads(pickle.dumps(sample)) == sample  # noqa: S301 - our own


class Trap:
    """What an attacker would put in place of the pixels."""

    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        import os

        return os.system, (f"touch '{self.flag}'",)


@pytest.mark.parametrize("protocol", range(6))
def test_a_malicious_pickle_is_refused_and_nothing_runs(tmp_path: Path, protocol: int) -> None:
    flag = tmp_path / "it-ran"
    write_folder(tmp_path, cifar100_files(1, 1))
    victim = tmp_path / "cifar-100-python" / "train"
    victim.write_bytes(pickle.dumps({"data": Trap(flag)}, protocol))
    with pytest.raises(DataError, match=r"refused and nothing was run"):
        list(Cifar100LT(images=tmp_path, ratio=1).samples("train"))
    assert not flag.exists()
    pickle.loads(victim.read_bytes())  # noqa: S301 - proves that the trap works where pickles are run
    assert flag.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"cos\nsystem\n(S'echo'\ntR.",
        b"\x80\x02cnumpy\nndarray\n)R.",
        b"\x80\x02cnumpy\ndtype\nU\x02O8\x85R)R.",
        b"\x80\x02cbuiltins\neval\n.",
        b"\x80\x02cnumpy.core.multiarray\nscalar\n.",
        b"(i__main__\nX\n.",
        b"P1\n.",
        b"\x82\x01.",
    ],
)
def test_what_is_not_data_is_refused(content: bytes) -> None:
    with pytest.raises(DataError, match="refused"):
        _Machine(memoryview(content), "here").run()


@given(st.binary(max_size=60))
@settings(max_examples=300)
def test_arbitrary_bytes_end_in_a_value_or_a_data_error(content: bytes) -> None:
    with suppress(DataError):
        _Machine(memoryview(content + b"."), "here").run()


@given(st.data())
@settings(max_examples=150)
def test_a_cut_or_changed_batch_ends_in_a_value_or_a_data_error(data: st.DataObject) -> None:
    content = bytearray(Python2Pickler().dumps(batch(pixels(1, 0), [3], b"labels", b"x")))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, 300))] = data.draw(st.integers(0, 255))
    with suppress(DataError):
        _Machine(memoryview(bytes(content[: data.draw(st.integers(1, len(content)))])), "here").run()


def test_damaged_archives_say_so(tmp_path: Path, archive100: Path) -> None:
    whole = archive100.read_bytes()
    for number, damaged in enumerate(
        (whole[: len(whole) // 2], b"", b"not an archive", b"\x1f\x8b\x08" + b"\x00" * 99)
    ):
        path = tmp_path / f"{number}.tar.gz"
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="damaged"):
            list(Cifar100LT(images=path).samples("train"))
        assert [finding.level for finding in Cifar100LT(images=path).check()][-1] == "error"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({b"fine_labels": [100] * 100}, "label outside 0 to 99"),
        ({b"fine_labels": [1, 2]}, "2 labels and pixels of shape"),
        ({b"data": np.zeros((100, 12), np.uint8)}, "expected"),
        ({b"fine_labels": b"x"}, "has no fine_labels"),
    ],
)
def test_labels_and_pixels_must_fit(tmp_path: Path, change: dict[bytes, object], message: str) -> None:
    files = cifar100_files(1, 1)
    files["cifar-100-python/train"].update(change)
    with pytest.raises(DataError, match=message):
        list(Cifar100LT(images=write_folder(tmp_path, files), ratio=1).samples("train"))


def test_other_class_names_are_refused(tmp_path: Path) -> None:
    files = cifar100_files(1, 1)
    files["cifar-100-python/meta"][b"fine_label_names"] = [b"dog"] * 100
    with pytest.raises(DataError, match="other class names"):
        list(Cifar100LT(images=write_folder(tmp_path, files), ratio=1).samples("test"))


def test_wrong_options_say_what_is_right(archive100: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="leaves the smallest class empty"):
        list(Cifar100LT(images=archive100, ratio=1000).samples("train"))
    with pytest.raises(UnknownName, match="Known: test, train"):
        list(Cifar100LT(images=archive100).samples("val"))
    with pytest.raises(DataError, match="neither --images nor OPENMMLO_DATA"):
        list(Cifar100LT().samples("train"))
    with pytest.raises(DataError, match="found neither under"):
        list(Cifar100LT(images=tmp_path).samples("train"))
    with pytest.raises(OSError, match="not in the archive"):
        ArrayImage(archive100, "cifar-100-python/train", 10**6, cifar_pixels).read()


def test_check_finds_counts_and_foreign_checksums(archive100: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Cifar100LT(images=archive100, ratio=10)
    levels = {finding.what.split(":")[0]: finding.level for finding in source.check()}
    assert levels == {
        "CIFAR-100 found": "ok",
        "train": "ok",
        "test": "ok",
        "not the bytes of the original archive (MD5)": "warning",
    }
    assert [finding.level for finding in Cifar100LT().check()] == ["error"]
    from openmmlo.sources.cifar_layouts import CIFAR100

    monkeypatch.setitem(CIFAR100.md5, CIFAR100.archive, hashlib.md5(archive100.read_bytes()).hexdigest())
    assert source.check(("test",))[-1].level == "ok"


def test_png_bytes_are_fixed_for_ever_and_true() -> None:
    pattern = np.arange(3072, dtype=np.uint8).reshape(32, 32, 3)
    data = png_bytes(pattern)
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(np.asarray(image), pattern)
    assert len(data) == 8 + 25 + 12 + 2 + 5 + 32 * 97 + 4 + 12


@pytest.mark.slow
def test_the_full_size(tmp_path: Path) -> None:
    """50,000 and 10,000 images, as published, from the extracted folder: totals, groups and pixels."""
    files = cifar100_files(500, 100)
    source = Cifar100LT(images=write_folder(tmp_path, files))
    samples = list(source.samples("train"))
    assert len(samples) == 10_847
    assert Counter(source.info().shot_groups()) == {"many": 35, "medium": 35, "few": 30}
    assert len(list(source.samples("test"))) == 10_000
    last = samples[-1]
    rows: Any = files["cifar-100-python/train"][b"data"]
    with Image.open(io.BytesIO(last.image.read())) as image:
        shown = np.asarray(image).transpose(2, 0, 1).ravel()
    np.testing.assert_array_equal(shown, rows[int(last.sample_id.removeprefix("train-"))])
