"""A folder that ``openmmlo build`` wrote comes in, a benchmark goes out: splits by what their names and labels say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from openmmlo.data.built_source import has_images, listed_pairs
from openmmlo.data.dataset import BuiltDataset, open_dataset
from openmmlo.errors import DataError
from openmmlo.evaluate.benchmark import Benchmark, ImageSet, Role
from openmmlo.records import list_hash

SOURCE = "openmmlo.data.built_source:BuiltSource"

_GROUPS = ("near", "far", "open")


def benchmark_of_folder(folder: Path | str) -> Benchmark:
    """The benchmark that a built data set is.

    ``train``, ``val`` and ``test`` are what they are called; without a ``test``, ``val`` is tested on. A split whose
    rows are all out of distribution is an OOD set, in the group that its name begins with (``near_ood``); one whose
    name begins with ``val`` is for choosing hyper-parameters. Any other split holds the classes in another domain
    (``sketch``), except further training sets (``train_balanced``), which are left out. Lists are pinned as built.

    Raises:
        DataError: not a built data set, one without images, or one without a split to test on.
    """
    dataset = open_dataset(folder)
    roles = dict(_roles(dataset))
    tested = [split for split, role in roles.items() if role == "test"]
    if not tested:
        raise DataError(
            f"{folder} has no split to test on: it has {', '.join(dataset.splits) or 'none'}; expected test or val "
            "with labelled rows. Build one with such a split."
        )
    if not has_images(dataset, tested[0]):
        raise DataError(
            f"{folder} was published without images, so there is nothing to encode. Build it from its images with "
            "openmmlo build, or evaluate the benchmark that reads them."
        )
    return Benchmark(
        name=f"{dataset.info.name}-built",
        version=1,
        title=f"The data set {dataset.info.name}, as openmmlo build wrote it.",
        classes=len(dataset.info.classes),
        sets=tuple(_set(dataset, split, role) for split, role in roles.items()),
        label_map_hash=dataset.info.label_map_hash,
        folder=str(Path(folder).expanduser().absolute()),
    )


def _roles(dataset: BuiltDataset) -> Iterator[tuple[str, Role]]:
    filled = [split for split in dataset.splits if dataset.rows(split)]
    known = [split for split in filled if not dataset.is_ood(split)]
    for split in filled:
        if split not in known:
            yield split, "ood-validation" if split.startswith("val") else "ood"
        elif split == "train":
            yield split, "train"
        elif split == "test" or (split == "val" and "test" not in known):
            yield split, "test"
        elif split == "val":
            yield split, "validation"
        elif not split.startswith("train"):
            yield split, "shifted"


def _set(dataset: BuiltDataset, split: str, role: Role) -> ImageSet:
    group = next((name for name in _GROUPS if split.startswith(name)), "")
    return ImageSet(
        name=split.replace("_", "-"),
        role=role,
        source=SOURCE,
        split=split,
        group=group if role == "ood" else "",
        rows=dataset.rows(split),
        list_hash=list_hash(listed_pairs(dataset, split)),
    )
