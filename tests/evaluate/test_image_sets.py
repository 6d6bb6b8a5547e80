"""Sets as found on this machine: held to what is pinned, missing ones named, wrong ones refused."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from openmmlo.errors import DataError
from openmmlo.evaluate import image_sets
from openmmlo.evaluate.benchmark import Benchmark, ImageSet, load_benchmark
from openmmlo.evaluate.image_sets import data_at, found_benchmarks, resolve
from openmmlo.records import ClassInfo, DatasetInfo, Sample, Status, list_hash
from openmmlo.sources import open_source


@dataclass(frozen=True)
class Bytes:
    locator: str

    def read(self) -> bytes:
        return self.locator.encode()


@dataclass(frozen=True)
class Listed:
    """A source of two classes with any rows: (sample_id, label, class key, problem) a split."""

    rows: dict[str, Sequence[tuple[str, int, str, Status | None]]]
    counts: tuple[int, ...] | None = None

    def info(self) -> DatasetInfo:
        return DatasetInfo("listed", "1", "cc0-1.0", (ClassInfo("a", "ant"), ClassInfo("b", "bee")), self.counts)

    def samples(self, split: str) -> Iterator[Sample]:
        if split not in self.rows:
            raise DataError(f"there is no list of {split}.")
        return (Sample(i, Bytes(i), label, split, "listed", key, bad) for i, label, key, bad in self.rows[split])


def good(split: str, count: int, missing: int = 0) -> list[tuple[str, int, str, Status | None]]:
    return [
        (f"{split}-{number}", number % 2, "ab"[number % 2], Status.MISSING if number < missing else None)
        for number in range(count)
    ]


TEST = ImageSet("test", "test", "listed", "test", origin="the shop")


def own(*more: ImageSet, **fields: Any) -> Benchmark:
    return Benchmark("own", 1, "One's own.", 2, (TEST, *more), **fields)


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Every source that is opened is one of these rows; further splits are added by the test."""
    rows: dict[str, Any] = {"test": good("test", 6)}
    monkeypatch.setattr(image_sets, "open_source", lambda name, options: Listed(rows))
    return rows


def test_the_miniature_is_found_everywhere_as_it_is_pinned() -> None:
    found = resolve(load_benchmark("miniature"))
    definition = found.benchmark
    assert [(item.name, len(item.samples)) for item in found.sets] == [
        ("train", 5499), ("test", 2500), ("sketch", 500), ("near-ood", 750), ("far-ood", 750),
    ]  # fmt: skip
    for item in found.sets:
        assert item.reason is None
        assert item.list_hash == item.definition.list_hash
        labels = {sample.label for sample in item.samples}
        assert labels == ({-1} if item.role == "ood" else set(range(50)))
        assert item.captions("masked", item.samples) is None
    assert Counter(found.info.shot_groups()) == definition.group_sizes
    assert found.test.name == "test"
    assert [item.name for item in found.with_role("ood", "shifted")] == ["sketch", "near-ood", "far-ood"]


def test_without_data_only_what_needs_none_is_run_and_the_rest_says_why() -> None:
    found, absent = found_benchmarks()
    assert [item.benchmark.name for item in found] == ["miniature"]
    assert "openmmlo lists get imagenet-lt" in absent["imagenet-lt"]
    assert "cifar-100-python.tar.gz" in absent["cifar100-lt-ood"]
    assert "github.com/Jingkang50/OpenOOD" in absent["openood-imagenet1k"]


def test_a_set_that_is_not_there_is_named_with_its_origin_and_the_rest_runs(listed: dict[str, Any]) -> None:
    ood = ImageSet("svhn", "ood", "listed", "none", origin="http://digits")
    found = resolve(own(ood))
    assert found.sets[0].reason is None
    assert found.sets[1].reason == "there is no list of none. Where to get it: http://digits"
    assert found.with_role("ood") == []
    assert found.sets[1].to_json() == {
        "name": "svhn", "role": "ood", "group": "", "rows": 0, "expected_rows": None, "list_hash": None,
        "pinned": False, "missing": 0, "run": False, "reason": found.sets[1].reason,
    }  # fmt: skip
    del listed["test"]
    with pytest.raises(
        DataError, match=r"own: its test set cannot be run. there is no list of test. Where .* the shop"
    ):
        resolve(own())


def test_out_of_distribution_labels_are_minus_one_whatever_the_set_calls_them(listed: dict[str, Any]) -> None:
    listed["other"] = [("x", 7, "seven", None), ("y", -1, "", None)]
    found = resolve(own(ImageSet("x", "ood", "listed", "other"), ImageSet("y", "ood-validation", "listed", "other")))
    for item in found.sets[1:]:
        assert [(sample.label, sample.class_key) for sample in item.samples] == [(-1, "seven"), (-1, "")]
        assert item.list_hash == list_hash([("x", "seven"), ("y", "")])
    assert [sample.label for sample in found.test.samples] == [0, 1] * 3


def test_missing_images_are_counted_and_refused_unless_allowed(listed: dict[str, Any]) -> None:
    listed["open"] = good("open", 5, missing=2)
    listed["gone"] = good("gone", 3, missing=3)
    sets = (ImageSet("open", "ood", "listed", "open"), ImageSet("gone", "ood", "listed", "gone"))
    refused = resolve(own(*sets)).sets
    assert "3 of 5 images of listed are there" in (refused[1].reason or "")
    assert "--allow-missing" in (refused[1].reason or "")
    assert (refused[1].missing, refused[1].samples) == (2, ())
    allowed = resolve(own(*sets), allow_missing=True).sets
    assert (allowed[1].reason, allowed[1].missing) == (None, 2)
    assert allowed[1].list_hash == list_hash((i, key) for i, _, key, _ in listed["open"])
    assert "0 of 3 images" in (allowed[2].reason or "")
    listed["test"] = good("test", 6, missing=1)
    with pytest.raises(DataError, match="5 of 6 images"):
        resolve(own())
    assert resolve(own(), allow_missing=True).test.missing == 1


def test_another_list_or_label_map_than_the_pinned_is_refused_with_both(listed: dict[str, Any]) -> None:
    truth = list_hash((i, key) for i, _, key, _ in listed["test"])
    assert resolve(own(), False).test.list_hash == truth
    for fields, message in (
        ({"list_hash": "0" * 64}, f"list hash {truth}; the definition pins {'0' * 64}"),
        ({"rows": 7}, "rows 6; the definition pins 7"),
    ):
        with pytest.raises(DataError, match=message):
            resolve(Benchmark("own", 1, "", 2, (replace(TEST, **fields),)))
    with pytest.raises(DataError, match=f"label map of listed is {Listed({}).info().label_map_hash}; .* pins abc"):
        resolve(own(label_map_hash="abc"))
    with pytest.raises(DataError, match="listed has 2 classes; the definition 3"):
        resolve(Benchmark("own", 1, "", 3, (TEST,)))
    listed["ood"] = good("ood", 4)
    with pytest.raises(DataError, match=r"own, set 'x': rows 4; the definition pins 5.*Where to get it: here"):
        resolve(own(ImageSet("x", "ood", "listed", "ood", rows=5, origin="here")))


def test_wrong_rows_of_a_list_are_refused(listed: dict[str, Any]) -> None:
    for row, message in (
        (("test-0", 0, "a", None), "'test-0' is listed 2 times"),
        (("z", 2, "c", None), "1 labels outside 0 to 1"),
        (("z", -1, "", None), "1 labels outside 0 to 1"),
        (("z", 0, "b", None), "label 0 is 'a' here, 'b' there"),
    ):
        listed["test"] = [*good("test", 4), row]
        with pytest.raises(DataError, match=message):
            resolve(own())
    listed["test"] = []
    with pytest.raises(DataError, match="no image in split 'test'"):
        resolve(own())


def test_training_counts_come_from_the_list_and_are_held_to_the_groups(listed: dict[str, Any]) -> None:
    listed["train"] = [(f"t{n}", int(n >= 150), "ab"[n >= 150], None) for n in range(160)]
    train = ImageSet("train", "train", "listed", "train")
    found = resolve(own(train, group_sizes={"many": 1, "medium": 0, "few": 1}, train_rows=160))
    assert found.info.train_counts == (150, 10)
    with pytest.raises(DataError, match=r"shot groups \{'many': 1, 'few': 1\}; the definition pins"):
        resolve(own(train, group_sizes={"many": 2, "few": 0}))
    with pytest.raises(DataError, match="160 training images; the definition pins 161"):
        resolve(own(train, train_rows=161))


def test_counts_of_a_training_list_are_known_without_its_images(monkeypatch: pytest.MonkeyPatch) -> None:
    sources = {
        "test": Listed({"test": good("test", 6)}),
        "train": Listed({"train": good("train", 4, missing=4)}, (3, 1)),
    }
    monkeypatch.setattr(image_sets, "open_source", lambda name, options: sources[name])
    sets = (replace(TEST, source="test"), ImageSet("train", "train", "train", "train"))
    found = resolve(Benchmark("own", 1, "", 2, sets))
    assert "0 of 4 images" in (found.sets[1].reason or "")
    assert found.info.train_counts == (3, 1)


def test_real_lists_without_images_are_counted(official_splits: Path, tmp_path: Path) -> None:
    (tmp_path / "lists").symlink_to(official_splits)
    (tmp_path / "places365").mkdir()
    with data_at(tmp_path), pytest.raises(DataError, match=r"0 of 36,500 images of places-lt are there\. Where to get"):
        resolve(load_benchmark("places-lt"))


def test_svhn_is_cut_to_so_many_a_digit(tmp_path: Path) -> None:
    digits = np.repeat(np.arange(1, 11), 5)[:, None]
    savemat(tmp_path / "test_32x32.mat", {"X": np.zeros((32, 32, 3, 50), np.uint8), "y": digits})
    with data_at(tmp_path):
        (svhn,) = [item for item in load_benchmark("cifar100-lt-ood").sets if item.name == "svhn"]
        (test,) = load_benchmark("miniature").with_role("test")
        wanted = replace(svhn, per_class=2, rows=20)
        found = resolve(Benchmark("own", 1, "", 50, (test, wanted))).sets[1]
        assert Counter(sample.class_key for sample in found.samples) == Counter({str(digit): 2 for digit in range(10)})
        assert {sample.label for sample in found.samples} == {-1}
        assert "takes 1,000" in (resolve(Benchmark("own", 1, "", 50, (test, svhn))).sets[1].reason or "")


def test_a_root_holds_while_it_is_asked_for(tmp_path: Path) -> None:
    assert "OPENMMLO_DATA" not in os.environ
    with data_at(tmp_path):
        assert os.environ["OPENMMLO_DATA"] == str(tmp_path)
        with data_at(None):
            assert os.environ["OPENMMLO_DATA"] == str(tmp_path)
        assert f"Searched: {tmp_path}" in open_source("textures").check()[0].what
    assert "OPENMMLO_DATA" not in os.environ
    with pytest.raises(DataError, match="There is no folder"), data_at(tmp_path / "none"):
        pass
