"""ImageNet-LT: the official lists and the ILSVRC 2012 images come in, Samples go out.

Lists ``ImageNet_LT_{train,val,test,open}.txt`` (Liu et al., Large-Scale Long-Tailed Recognition in an Open World,
CVPR 2019), ``.gz`` or not: in ``--lists``, or under OPENMMLO_DATA in ``lists/imagenet-lt``, ``lists`` or
``ImageNet_LT``, or beside the images.

Images in ``--images``, or under OPENMMLO_DATA in ``imagenet`` (also ``ImageNet``, ``ILSVRC2012``, ``ImageNet_LT``):
``train/<wnid>/<file>`` and ``val/<wnid>/<file>`` or ``val/<file>``, also below Kaggle's ``ILSVRC/Data/CLS-LOC``.
The open set holds validation images of ILSVRC 2010, in a folder of their own: ``--set open_images=DIR``, or
``ImageNet_LT_open``, ``open`` or ``ILSVRC2010_images_val`` under the image root or OPENMMLO_DATA.

Labels are positions in the sorted wnids. The images may be used for non-commercial research and education
(https://image-net.org/download); they are not ours to hand out.
"""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import ClassVar

from openmmlo.errors import DataError
from openmmlo.records import ClassInfo, DatasetInfo, Finding, Sample
from openmmlo.sources import official
from openmmlo.sources.files import FileImage
from openmmlo.sources.list_files import Kind, ListFile, read_list

_PREFIXES = ("", "ILSVRC/Data/CLS-LOC/", "Data/CLS-LOC/")

HOME = official.Home(
    lists={split: (f"ImageNet_LT_{split}.txt",) for split in ("train", "val", "test", "open")},
    list_folders=("imagenet-lt", "ImageNet_LT"),
    image_folders=("imagenet", "ImageNet", "ILSVRC2012", "imagenet-lt", "ImageNet_LT"),
    open_folders=(
        "ImageNet_LT_open", "open", "ILSVRC2010_images_val", "ILSVRC2010_val", "ILSVRC2010/val", "ILSVRC2010",
        "ImageNet_LT/ImageNet_LT_open",
    ),
    layouts={
        "train": tuple(
            f"{prefix}{name}/{{wnid}}" for prefix in _PREFIXES for name in ("train", "ILSVRC2012_img_train")
        ),
        "val": tuple(
            f"{prefix}{name}"
            for prefix in _PREFIXES
            for name in ("val/{wnid}", "val", "ILSVRC2012_img_val/{wnid}", "ILSVRC2012_img_val")
        ),
        "open": ("", "val", "ILSVRC2010_images_val"),
    },
    archives={
        "train": "Archive ILSVRC2012_img_train.tar (image-net.org), each class unpacked as DIR/train/<wnid>/.",
        "val": "Archive ILSVRC2012_img_val.tar (image-net.org), unpacked as DIR/val/ or DIR/val/<wnid>/.",
        "open": "Archive ILSVRC2010_images_val.tar (image-net.org), unpacked as DIR/ImageNet_LT_open/.",
    },
)  # fmt: skip


@dataclass(frozen=True)
class ImageNetLT:
    """ImageNet-LT with its open set: 1,000 classes of ILSVRC 2012.

    Args:
        images: folder with ``train`` and ``val``.
        lists: folder with the official lists.
        open_images: folder with the open-set images.
        follow_links: also read files that are links out of their root.
    """

    images: Path | None = None
    lists: Path | None = None
    open_images: Path | None = None
    follow_links: bool = False
    name: str = field(default="imagenet-lt", init=False)
    home: ClassVar[official.Home] = HOME

    def info(self) -> DatasetInfo:
        return DatasetInfo(
            name=self.name,
            version="OLTR lists (CVPR 2019), ILSVRC 2012",
            licence="images: ImageNet terms of access, non-commercial research and education only",
            classes=class_table(),
            train_counts=self._train_counts(),
            homepage="https://liuziwei7.github.io/projects/LongTail.html",
            citation="Liu et al., Large-Scale Long-Tailed Recognition in an Open World, CVPR 2019; "
            "Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, IJCV 2015",
        )

    def splits(self) -> tuple[str, ...]:
        return tuple(self.home.lists)

    def samples(self, split: str) -> Iterator[Sample]:
        """Raises DataError, naming file and line, for a list that cannot be used."""
        return official.samples(self, split)

    def image(self, locator: str) -> FileImage:
        return official.image(self, locator)

    def check(self, splits: tuple[str, ...] = (), look: bool = True) -> list[Finding]:
        """What was found and what is missing for these splits (all by default)."""
        return official.check(self, splits, look)

    def entries(self, split: str) -> list[official.Entry]:
        """Every row of a split, validated against the class table."""
        listed = self._read(split)
        return official.without_repeats(_entries(listed, split), listed)

    def fields(self, folder: str) -> Mapping[str, str]:
        """Values for the templates of HOME: the class folder."""
        return {"wnid": folder}

    def _read(self, split: str) -> ListFile:
        kind: Kind = "open" if split == "open" else "classes"
        return read_list(official.need_list(self, split), kind, len(class_table()))

    def _train_counts(self) -> tuple[int, ...] | None:
        if official.list_file(self, "train") is None:
            return None
        counts = Counter(self._read("train").labels)
        return tuple(counts[label] for label in range(len(class_table())))


def _entries(listed: ListFile, split: str) -> Iterator[official.Entry]:
    wnids = [info.key for info in class_table()]
    labels = {wnid: label for label, wnid in enumerate(wnids)}
    for index, (path, label) in enumerate(zip(listed.paths, listed.labels, strict=True)):
        folder, _, file = path.rpartition("/")
        stem = file.rpartition(".")[0] or file
        if split == "open":
            yield official.Entry(stem, label, "", "open", "", file)
            continue
        wnid = folder.rpartition("/")[2]
        if wnid in labels:
            if labels[wnid] != label:
                raise DataError(
                    f"{listed.where(index)}: label {label} for an image of {wnid}; expected {labels[wnid]}, the place "
                    "of this wnid among the sorted wnids. The list was written for another label order: use the "
                    "official one."
                )
        elif wnid[:1] == "n" and wnid[1:].isdigit():
            raise DataError(
                f"{listed.where(index)}: folder {wnid!r} is no class of ILSVRC 2012; expected {wnids[label]} for "
                f"label {label}. Use the official list."
            )
        yield official.Entry(stem, label, wnids[label], _role(folder, split), wnids[label], file)


def _role(folder: str, split: str) -> str:
    """Whether a row is of the training or of the validation images of ILSVRC 2012."""
    for part in folder.split("/"):
        if part in ("train", "ILSVRC2012_img_train"):
            return "train"
        if part in ("val", "ILSVRC2012_img_val"):
            return "val"
    return "val" if split == "test" else "train"


@cache
def class_table() -> tuple[ClassInfo, ...]:
    """The 1,000 classes of ILSVRC 2012 in label order, named by the lemmas of their WordNet synsets.

    The tables ship with timm; they are read without importing it. Where the first lemma names two classes (crane,
    maillot), the wnid is appended.

    Raises:
        DataError: timm is not installed, or lacks the tables.
    """
    spec = importlib.util.find_spec("timm")
    folders = [Path(folder, "data", "_info") for folder in (spec.submodule_search_locations or ())] if spec else []
    try:
        texts = [
            (folders[0] / name).read_text(encoding="utf-8")
            for name in ("imagenet_synsets.txt", "imagenet_synset_to_lemma.txt")
        ]
    except (IndexError, OSError) as error:
        raise DataError(
            "The class names of ImageNet ship with timm, and are not there; expected timm/data/_info. "
            'Install it: pip install "timm>=1.0.20".'
        ) from error
    wnids = sorted(texts[0].split())
    lemmas: dict[str, tuple[str, ...]] = {}
    for line in texts[1].splitlines():
        wnid, _, names = line.partition("\t")
        lemmas[wnid] = tuple(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    owners = Counter(lemmas[wnid][0] for wnid in wnids)
    table = []
    for wnid in wnids:
        name = lemmas[wnid][0]
        if owners[name] == 1:
            table.append(ClassInfo(wnid, name, lemmas[wnid]))
        else:
            unique = f"{name} ({wnid})"
            table.append(ClassInfo(wnid, unique, (*lemmas[wnid], unique)))
    return tuple(table)
