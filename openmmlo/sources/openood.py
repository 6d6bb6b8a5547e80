"""OpenOOD v1.5: its image lists and the images as its download script lays them out come in, Samples go out.

Zhang et al., OpenOOD v1.5 (arXiv:2306.09301). Lists ``benchmark_imglist/<suite>/{train,val,test}_<set>.txt`` beside the
folders ``images_largescale`` and ``images_classic`` (https://github.com/Jingkang50/OpenOOD, scripts/download): in
``--images``, or under OPENMMLO_DATA, there or in ``openood``, ``OpenOOD`` or their ``data``. Images of ImageNet that
are not below ``images_largescale/imagenet_1k`` are looked for where ``imagenet-lt`` has them.

Ids are the listed paths. Rows of label -1 have no class; the others have their suite's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from openmmlo.errors import DataError, OpenmmloError, UnknownName
from openmmlo.records import OOD_LABEL, ClassInfo, DatasetInfo, Finding, Sample, Status
from openmmlo.sources import official
from openmmlo.sources.cifar_layouts import CIFAR10, CIFAR100
from openmmlo.sources.cifar_lt import class_infos
from openmmlo.sources.files import FileImage, FolderIndex
from openmmlo.sources.found_folders import candidates
from openmmlo.sources.imagenet_lt import ImageNetLT, class_table
from openmmlo.sources.list_files import ListFile, find_list, read_list

HOMES = ("openood", "OpenOOD", "openood/data", "OpenOOD/data")
LISTS = "benchmark_imglist"
IMAGE_FOLDERS = ("images_largescale", "images_classic")
IMAGENET = "imagenet_1k/"
ELSEWHERE = "imagenet/"
"""What locators begin with where an image of ImageNet lies outside OpenOOD's folders."""

ORIGIN = (
    "Fetch lists and images with scripts/download/download.py of https://github.com/Jingkang50/OpenOOD, into "
    "OPENMMLO_DATA/openood, so that benchmark_imglist/, images_classic/ and images_largescale/ lie side by side."
)

Suite = Literal["imagenet", "cifar100", "cifar10"]

CLASSES: dict[Suite, Callable[[], tuple[ClassInfo, ...]]] = {
    "imagenet": class_table,
    "cifar100": lambda: class_infos(CIFAR100),
    "cifar10": lambda: class_infos(CIFAR10),
}


@dataclass(frozen=True)
class OpenOOD:
    """One image list of OpenOOD v1.5, in distribution or out of it.

    Args:
        images: the folder with ``benchmark_imglist``, ``images_classic`` and ``images_largescale``.
        suite: whose lists: ``imagenet``, ``cifar100`` or ``cifar10``.
        set: which list of the suite, as in its file name: ``imagenet``, ``ninco``, ``ssb_hard``, ``tin`` ...; the
            suite's own images where empty.
        follow_links: also read files that are links out of their folder.
    """

    images: Path | None = None
    suite: Suite = "imagenet"
    set: str = ""
    follow_links: bool = False
    name: str = field(default="openood", init=False)

    def info(self) -> DatasetInfo:
        classes = CLASSES[self.suite]()
        counts = None
        if self._own and self._list("train") is not None:
            rows = Counter(self._read("train").labels)
            counts = tuple(rows[label] for label in range(len(classes)))
        return DatasetInfo(
            name=self.name,
            version=f"v1.5, {self.suite}, {self._set}",
            licence="images: each set under its publishers' terms",
            classes=classes,
            train_counts=counts,
            homepage="https://github.com/Jingkang50/OpenOOD",
            citation="Zhang et al., OpenOOD v1.5: Enhanced Benchmark for Out-of-Distribution Detection, "
            "arXiv:2306.09301",
        )

    def splits(self) -> tuple[str, ...]:
        return ("train", "val", "test")

    def samples(self, split: str) -> Iterator[Sample]:
        """Raises DataError, naming file and line, for a list that cannot be used."""
        return self._samples(split, self._read(split))

    def _samples(self, split: str, listed: ListFile) -> Iterator[Sample]:
        keys = [info.key for info in CLASSES[self.suite]()]
        finder = _Finder(self._root(), self.follow_links)
        for path, label in zip(listed.paths, listed.labels, strict=True):
            key = "" if label == OOD_LABEL else keys[label]
            image, problem = finder.find(path, key)
            yield Sample(path, image, label, split, self.name, key, problem)

    def image(self, locator: str) -> FileImage:
        if locator.startswith(ELSEWHERE):
            root = official.image_root(ImageNetLT())
            return FileImage(root or Path("no-image-folder-given"), locator, ELSEWHERE)
        first, _, rest = locator.partition("/")
        if first not in IMAGE_FOLDERS or ".." in rest.split("/"):
            raise DataError(f"{locator!r} stands for no image of OpenOOD.")
        return FileImage(self._root() / first, locator, f"{first}/")

    def check(self, splits: tuple[str, ...] = (), look: bool = True) -> list[Finding]:
        """Which lists were found, and how many of the images that they name; all lists at hand by default."""
        findings: list[Finding] = []
        try:
            at_hand = tuple(split for split in self.splits() if self._list(split) is not None)
            for split in splits or at_hand or self.splits():
                file = self._need(split)
                if look:
                    findings.append(_counted(split, list(self.samples(split)), file))
                else:
                    findings.append(Finding("ok", f"{split}: found {file}"))
        except OpenmmloError as error:
            findings.append(Finding("error", str(error), ORIGIN))
        return findings

    @property
    def _set(self) -> str:
        return self.set or self.suite

    @property
    def _own(self) -> bool:
        return self._set == self.suite

    def _list(self, split: str) -> Path | None:
        if split not in self.splits():
            raise UnknownName(f"{self.name} split", split, self.splits())
        if not self._set.replace("_", "").replace("-", "").isalnum():
            raise DataError(f"{self.name}: set {self._set!r} is no name of a list, such as ninco or ssb_hard.")
        folders = [folder / LISTS / self.suite for folder in candidates(self.images, HOMES)]
        return find_list((f"{split}_{self._set}.txt",), folders)

    def _need(self, split: str) -> Path:
        found = self._list(split)
        if found is None:
            folders = candidates(self.images, HOMES)
            shown = ", ".join(map(str, folders[:3])) + (" and more" if len(folders) > 3 else "")
            raise DataError(
                f"{self.name} needs {LISTS}/{self.suite}/{split}_{self._set}.txt; it is not there. Searched: "
                f"{shown or 'nothing (no --images, and OPENMMLO_DATA is not set)'}."
            )
        return found

    def _root(self) -> Path:
        """The folder that holds the lists and, beside them, the images."""
        for split in self.splits():
            found = self._list(split)
            if found is not None:
                return found.parents[2]
        return self._need("test").parents[2]

    def _read(self, split: str) -> ListFile:
        listed = read_list(
            self._need(split), "classes" if self._own else "open", len(CLASSES[self.suite]()) if self._own else None
        )
        if len(set(listed.paths)) < len(listed):
            (twice, _), *_ = Counter(listed.paths).most_common(1)
            raise DataError(
                f"{listed.file}: {twice!r} is listed twice; expected each image once. Fetch the list again."
            )
        return listed


class _Finder:
    """Finds listed files below the two image folders, listing each folder once; those of ImageNet elsewhere too."""

    def __init__(self, root: Path, follow_links: bool) -> None:
        self.indexes = {name: FolderIndex(root / name, follow_links) for name in IMAGE_FOLDERS}
        self.imagenet = official.Finder(ImageNetLT(follow_links=follow_links))

    def find(self, path: str, key: str) -> tuple[FileImage, Status | None]:
        problem: Status | None = Status.MISSING
        for name, index in self.indexes.items():
            found = index.problem(path)
            if found is None or found == Status.LINK:
                return FileImage(index.root, f"{name}/{path}", f"{name}/"), found
            problem = found if found != Status.MISSING else problem
        if path.startswith(IMAGENET) and key:
            folder, _, file = path.rpartition("/")
            role = "train" if "/train" in folder else "val"
            root = self.imagenet.root(role)
            if root is not None:
                locator, elsewhere, _ = self.imagenet.find(official.Entry("", 0, key, role, key, file))
                if elsewhere is None or elsewhere == Status.LINK:
                    return FileImage(root, ELSEWHERE + locator, ELSEWHERE), elsewhere
        first = IMAGE_FOLDERS[0]
        return FileImage(self.indexes[first].root, f"{first}/{path}", f"{first}/"), problem


def _counted(split: str, every: list[Sample], file: Path) -> Finding:
    readable = sum(sample.problem is None for sample in every)
    what = f"{split}: {readable:,} of {len(every):,} images of {file} found"
    if readable == len(every):
        return Finding("ok", what)
    return Finding("error", what, ORIGIN, allowable=bool(readable))
