"""A benchmark comes in; its sets of images as this machine has them go out, each held to what the definition pins."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from openmmlo.data.built_source import BuiltSource
from openmmlo.errors import DataError, OpenmmloError
from openmmlo.evaluate.benchmark import Benchmark, ImageSet, benchmark_names, load_benchmark
from openmmlo.records import OOD_LABEL, DatasetInfo, Sample, Source, list_hash, shot_group
from openmmlo.sources import open_source


@dataclass(frozen=True, eq=False)
class ResolvedSet:
    """One set of images as found.

    Attributes:
        definition: what the benchmark says of it.
        samples: in list order; empty where it cannot be run.
        reason: why it cannot be run; None where it can.
        list_hash: of the samples; None where there are none.
        missing: how many of its images are not there.
        texts: wording ("masked", "raw") -> sample_id -> caption, for a built data set.
        caption_digest: of captions and mask.
    """

    definition: ImageSet
    samples: tuple[Sample, ...] = ()
    reason: str | None = None
    list_hash: str | None = None
    missing: int = 0

    texts: Callable[[str], Mapping[str, str] | None] | None = None
    caption_digest: str = ""

    @property
    def name(self) -> str:
        return self.definition.name

    def captions(self, wording: str, samples: Sequence[Sample]) -> list[str] | None:
        """The captions of samples of this set, masked or raw; None where the set has none."""
        found = self.texts(wording) if self.texts is not None else None
        return None if found is None else [found[sample.sample_id] for sample in samples]

    @property
    def role(self) -> str:
        return self.definition.role

    def to_json(self) -> dict[str, Any]:
        """What a result records of it."""
        item = self.definition
        return {
            "name": item.name,
            "role": item.role,
            "group": item.group,
            "rows": len(self.samples),
            "expected_rows": item.rows,
            "list_hash": self.list_hash,
            "pinned": item.list_hash is not None,
            "missing": self.missing,
            "run": self.reason is None,
            "reason": self.reason,
        }


@dataclass(frozen=True, eq=False)
class Resolved:
    """A benchmark on this machine.

    Attributes:
        benchmark: the definition.
        info: class table of the test set's source, with training counts where they are known.
        sets: in the order of the definition.
    """

    benchmark: Benchmark
    info: DatasetInfo
    sets: tuple[ResolvedSet, ...]

    def with_role(self, *roles: str) -> list[ResolvedSet]:
        """The sets with one of these roles that can be run."""
        return [item for item in self.sets if item.role in roles and item.reason is None]

    @property
    def test(self) -> ResolvedSet:
        """The test set."""
        return next(item for item in self.sets if item.role == "test")


@contextmanager
def data_at(root: Path | None) -> Iterator[None]:
    """Look for images and lists under ``root`` in place of OPENMMLO_DATA, in loader processes too."""
    if root is None:
        yield
        return
    if not root.is_dir():
        raise DataError(f"There is no folder {root}. Give --data the folder that holds the data sets.")
    before = os.environ.get("OPENMMLO_DATA")
    os.environ["OPENMMLO_DATA"] = str(root)
    try:
        yield
    finally:
        if before is None:
            del os.environ["OPENMMLO_DATA"]
        else:
            os.environ["OPENMMLO_DATA"] = before


def resolve(benchmark: Benchmark, allow_missing: bool = False) -> Resolved:
    """Find every set of a benchmark.

    A set that is not at hand has a reason and the rest is still run, but nothing goes without the test set.

    Args:
        allow_missing: go on where images of a list are not there.

    Raises:
        DataError: the test set cannot be run; or something found is not what the definition pins: the label map, a
            list, a number of rows, the size of the shot groups.
    """
    test = benchmark.with_role("test")[0]
    info = _source(benchmark, test).info()
    _check_label_map(benchmark, info)
    tested = _resolve(benchmark, test, info, allow_missing)
    if tested.reason is not None:
        raise DataError(f"Benchmark {benchmark.name}: its test set cannot be run. {tested.reason}")
    sets = tuple(tested if item is test else _resolve(benchmark, item, info, allow_missing) for item in benchmark.sets)
    found = Resolved(benchmark, info, sets)
    train = [item for item in sets if item.role == "train" and item.reason is None]
    if train:  # counts are those of the list that is trained on, whatever another source would say
        counts = Counter(sample.label for sample in train[0].samples)
        found = replace(found, info=replace(info, train_counts=tuple(counts[i] for i in range(benchmark.classes))))
    elif info.train_counts is None:
        found = replace(found, info=replace(info, train_counts=_counts_of_list(benchmark)))
    _check_groups(benchmark, found.info)
    return found


def found_benchmarks(allow_missing: bool = False) -> tuple[list[Resolved], dict[str, str]]:
    """Every definition whose test set is at hand, and why the others are not."""
    found, absent = [], {}
    for name in benchmark_names():
        try:
            found.append(resolve(load_benchmark(name), allow_missing))
        except OpenmmloError as error:
            absent[name] = str(error)
    return found, absent


def _source(benchmark: Benchmark, item: ImageSet) -> Source:
    """The source of a set; that of a built data set learns here in which folder it lies, which is no part of it."""
    return open_source(item.source, item.options | ({"folder": benchmark.folder} if benchmark.folder else {}))


def _counts_of_list(benchmark: Benchmark) -> tuple[int, ...] | None:
    """Training images per class where the training list is at hand and its images are not; else None."""
    for item in benchmark.with_role("train"):
        try:
            counts = _source(benchmark, item).info().train_counts
        except OpenmmloError:
            return None
        return counts if counts is not None and len(counts) == benchmark.classes else None
    return None


def _resolve(benchmark: Benchmark, item: ImageSet, info: DatasetInfo, allow_missing: bool) -> ResolvedSet:
    where = f"{benchmark.name}, set {item.name!r}"
    try:
        source = _source(benchmark, item)
        chosen = item.select(list(source.samples(item.split)))
    except OpenmmloError as error:
        return ResolvedSet(item, reason=f"{error}{_origin(item)}")
    except OSError as error:
        return ResolvedSet(item, reason=f"{item.source} cannot be read: {error.strerror or error}")
    if item.role.startswith("ood"):
        chosen = [sample if sample.label == OOD_LABEL else replace(sample, label=OOD_LABEL) for sample in chosen]
    if len({sample.sample_id for sample in chosen}) < len(chosen):
        (twice, times), *_ = Counter(sample.sample_id for sample in chosen).most_common(1)
        raise DataError(f"{where}: {twice!r} is listed {times} times; expected each image once. Mend the list.")
    found_hash = list_hash((sample.sample_id, sample.class_key) for sample in chosen)
    for what, value, expected in (("rows", len(chosen), item.rows), ("list hash", found_hash, item.list_hash)):
        if expected is not None and value != expected:
            raise DataError(
                f"{where}: {what} {value}; the definition pins {expected}. Numbers would not compare: use the official "
                f"list and images of this release.{_origin(item)}"
            )
    if not item.role.startswith("ood"):
        outside = sum(not 0 <= sample.label < benchmark.classes for sample in chosen)
        if outside:
            raise DataError(f"{where}: {outside:,} labels outside 0 to {benchmark.classes - 1}; use the official list.")
        keys = [kind.key for kind in info.classes]
        wrong = [sample for sample in chosen if sample.class_key != keys[sample.label]]
        if wrong:
            raise DataError(
                f"{where}: {len(wrong):,} images are labelled in another order, for example {wrong[0].sample_id!r}: "
                f"label {wrong[0].label} is {keys[wrong[0].label]!r} here, {wrong[0].class_key!r} there."
            )
    missing = sum(sample.problem is not None for sample in chosen)
    if not chosen:
        return ResolvedSet(item, reason=f"{item.source} has no image in split {item.split!r}.")
    if missing and (not allow_missing or missing == len(chosen)):
        go_on = " --allow-missing goes on without them." if missing < len(chosen) else ""
        found = f"{len(chosen) - missing:,} of {len(chosen):,} images of {item.source} are there."
        return ResolvedSet(item, reason=f"{found}{_origin(item)}{go_on}", list_hash=found_hash, missing=missing)
    texts, digest = None, ""
    if isinstance(source, BuiltSource):
        texts, digest = partial(source.texts, item.split), source.caption_digest
    return ResolvedSet(item, tuple(chosen), None, found_hash, missing, texts, digest)


def _origin(item: ImageSet) -> str:
    return f" Where to get it: {item.origin}" if item.origin else ""


def _check_label_map(benchmark: Benchmark, info: DatasetInfo) -> None:
    if len(info.classes) != benchmark.classes:
        raise DataError(
            f"{benchmark.name}: {info.name} has {len(info.classes):,} classes; the definition {benchmark.classes:,}."
        )
    if benchmark.label_map_hash is not None and info.label_map_hash != benchmark.label_map_hash:
        raise DataError(
            f"{benchmark.name}: the label map of {info.name} is {info.label_map_hash}; the definition pins "
            f"{benchmark.label_map_hash}. Labels in another order give about 0 %: use the official class table."
        )


def _check_groups(benchmark: Benchmark, info: DatasetInfo) -> None:
    counts: Sequence[int] = info.train_counts or ()
    if not counts:
        return
    sizes = Counter(shot_group(count) for count in counts)
    found = {group: sizes[group] for group in benchmark.group_sizes}
    if benchmark.group_sizes and found != benchmark.group_sizes:
        raise DataError(
            f"{benchmark.name}: the training list gives shot groups {found}; the definition pins "
            f"{benchmark.group_sizes}. Use the official training list."
        )
    if benchmark.train_rows is not None and sum(counts) != benchmark.train_rows:
        raise DataError(
            f"{benchmark.name}: {sum(counts):,} training images; the definition pins {benchmark.train_rows:,}."
        )
