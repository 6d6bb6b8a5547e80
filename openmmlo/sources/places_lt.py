"""Places-LT: the official lists and the Places365-Standard images come in, Samples go out.

Lists ``Places_LT_{train,val,test,open}.txt`` (Liu et al., Large-Scale Long-Tailed Recognition in an Open World, CVPR
2019), ``.gz`` or not: in ``--lists``, or under OPENMMLO_DATA in ``lists/places-lt``, ``lists`` or ``Places_LT``, or
beside the images. Rows may read ``train/<class>/<file>``, ``data_256/<letter>/<class>/<file>`` or, in the test list,
``val_256/<file>``; ``apartment_building-outdoor`` and ``apartment_building/outdoor`` are one class.

Images in ``--images``, or under OPENMMLO_DATA in ``places365`` (also ``Places365``, ``places``, ``Places_LT``): as
``train/<class>/`` and ``val/<class>/`` (archive places365standard_easyformat.tar) or as ``data_256/<letter>/<class>/``
and ``val_256/`` (train_256_places365standard.tar, val_256.tar; likewise ``large``). The open set holds images of
Places-Extra69, in a folder of their own as OLTR publishes it: ``--set open_images=DIR``, or ``Places_LT_open`` or
``open`` under the image root or OPENMMLO_DATA.

The class table (label -> folder) is read from the lists themselves. Images belong to their owners; Places grants use
for non-commercial research and education (http://places2.csail.mit.edu).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from openmmlo.errors import DataError
from openmmlo.records import ClassInfo, DatasetInfo, Finding, Sample
from openmmlo.sources import official
from openmmlo.sources.files import FileImage
from openmmlo.sources.list_files import ListFile, read_list

_PREFIXES = ("", "places365_standard/", "train_256_places365standard/")
_TRAIN_FOLDERS = ("train", "data_256", "data_large", "data_256_standard", "data_large_standard")
_VAL_FOLDERS = ("val", "val_256", "val_large")
_ROOTS = frozenset((*_TRAIN_FOLDERS, *_VAL_FOLDERS, *(prefix.rstrip("/") for prefix in _PREFIXES), "test", ""))

HOME = official.Home(
    lists={split: (f"Places_LT_{split}.txt",) for split in ("train", "val", "test", "open")},
    list_folders=("places-lt", "Places_LT", "Places_LT_v2"),
    image_folders=("places365", "Places365", "places", "Places", "places-lt", "Places_LT"),
    open_folders=("Places_LT_open", "open", "Places_LT/Places_LT_open"),
    layouts={
        "train": tuple(
            f"{prefix}{root}/{tail}"
            for prefix in _PREFIXES
            for root in _TRAIN_FOLDERS
            for tail in (("{dash}", "{slash}") if root == "train" else ("{letter}/{slash}", "{letter}/{dash}"))
        ),
        "val": tuple(
            f"{prefix}{root}{tail}"
            for prefix in _PREFIXES
            for root in _VAL_FOLDERS
            for tail in ("/{dash}", "/{slash}", "", "/{letter}/{slash}")
        ),
        "open": ("",),
    },
    archives={
        "train": "Archive places365standard_easyformat.tar (places2.csail.mit.edu), unpacked so that "
        "DIR/train/<class>/ holds the images; or train_256_places365standard.tar, as DIR/data_256/<letter>/<class>/.",
        "val": "Archive places365standard_easyformat.tar (places2.csail.mit.edu), unpacked so that "
        "DIR/val/<class>/ holds the images; or val_256.tar, as DIR/val_256/.",
        "open": "The folder Places_LT_open that OLTR publishes beside its lists (images of Places-Extra69), "
        "as DIR/Places_LT_open/.",
    },
)

SPELLINGS = {
    "archaelogical_excavation": ("archaeological excavation", "archeological excavation"),
    "artists_loft": ("artist's loft",),
    "butchers_shop": ("butcher's shop", "butcher shop"),
    "carrousel": ("carousel",),
    "childs_room": ("child's room", "children's room"),
    "fastfood_restaurant": ("fast food restaurant",),
    "fishpond": ("fish pond",),
    "kindergarden_classroom": ("kindergarten classroom",),
    "mountain_snowy": ("snowy mountain",),
    "oilrig": ("oil rig",),
    "toyshop": ("toy shop",),
    "veterinarians_office": ("veterinarian's office",),
}
"""Class folders whose spelling a caption would not use, and the spellings it would."""


@dataclass(frozen=True)
class PlacesLT:
    """Places-LT with its open set: 365 scene classes of Places365-Standard.

    Args:
        images: folder with ``train`` and ``val``, or ``data_256`` and ``val_256``.
        lists: folder with the official lists.
        open_images: folder with the open-set images.
        follow_links: also read files that are links out of their root.
    """

    images: Path | None = None
    lists: Path | None = None
    open_images: Path | None = None
    follow_links: bool = False
    name: str = field(default="places-lt", init=False)
    home: ClassVar[official.Home] = HOME

    def info(self) -> DatasetInfo:
        """Raises DataError where no list is at hand that the class table could be read from."""
        keys = self._class_keys()
        return DatasetInfo(
            name=self.name,
            version="OLTR lists (CVPR 2019, second version), Places365-Standard",
            licence="images: property of their owners; Places terms, non-commercial research and education only",
            classes=tuple(class_info(key) for key in keys),
            train_counts=self._train_counts(len(keys)),
            homepage="https://liuziwei7.github.io/projects/LongTail.html",
            citation="Liu et al., Large-Scale Long-Tailed Recognition in an Open World, CVPR 2019; "
            "Zhou et al., Places: A 10 Million Image Database for Scene Recognition, TPAMI 2017",
            notes=(
                "OLTR updated the Places-LT lists after their first release; papers that state 184.5K training images "
                "count the first one.",
            ),
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
        if split == "open":
            listed = read_list(official.need_list(self, split), "open")
            return official.without_repeats(_open_entries(listed), listed)
        file = official.need_list(self, split)
        keys = self._class_keys()
        listed = read_list(file, "classes", len(keys))
        return official.without_repeats(_entries(listed, split, keys), listed)

    def fields(self, folder: str) -> Mapping[str, str]:
        """Values for the templates of HOME: the class in both spellings, and its first letter."""
        return {"dash": folder, "slash": folder.replace("-", "/"), "letter": folder[:1]}

    def _class_keys(self) -> list[str]:
        """(C,) class keys in label order, from the first list at hand that holds class folders."""
        for split in ("train", "val", "test"):
            file = official.list_file(self, split)
            if file is None:
                continue
            keys = _read_class_keys(read_list(file, "classes"))
            if keys:
                return keys
        official.need_list(self, "train")
        raise DataError(
            f"{self.name}: no list with class folders is at hand, so nothing says which class a label is; expected "
            "Places_LT_train.txt or Places_LT_val.txt. Fetch them with 'openmmlo lists get places-lt'."
        )

    def _train_counts(self, classes: int) -> tuple[int, ...] | None:
        file = official.list_file(self, "train")
        if file is None:
            return None
        counts = Counter(read_list(file, "classes", classes).labels)
        return tuple(counts[label] for label in range(classes))


def class_key(folder: str) -> str:
    """The class of a row's folder, in one spelling for all releases; empty where the folder names none.

    ``data_256/a/apartment_building/outdoor`` and ``train/apartment_building-outdoor`` both give
    ``apartment_building-outdoor``.
    """
    parts = folder.split("/")
    while not _ROOTS.isdisjoint(parts):
        parts.pop(0)
    if len(parts) > 1 and len(parts[0]) == 1 and parts[1].startswith(parts[0]):
        parts.pop(0)
    return "-".join(parts)


def class_info(key: str) -> ClassInfo:
    """Name and synonyms of a class from its folder name.

    Of ``apartment_building-outdoor``: "apartment building outdoor", "outdoor apartment building" and, as the suffix
    only says which side of the door one stands on, "apartment building".
    """
    base, _, suffix = key.replace("_", " ").partition("-")
    names = [f"{base} {suffix}", f"{suffix} {base}"] if suffix else [base]
    if suffix in ("indoor", "outdoor", "interior", "exterior"):
        names.append(base)
    return ClassInfo(key, names[0], tuple(dict.fromkeys((*names, *SPELLINGS.get(key, ())))))


def _read_class_keys(listed: ListFile) -> list[str]:
    """Label -> class key. Raises DataError where a label has two classes, a class two labels, or a label none."""
    labels: dict[str, int] = {}
    keys: dict[int, str] = {}
    known_folders: dict[str, str] = {}
    for index, (path, label) in enumerate(zip(listed.paths, listed.labels, strict=True)):
        folder = path.rpartition("/")[0]
        key = known_folders.get(folder)
        if key is None:
            key = known_folders[folder] = class_key(folder)
        if key and (labels.setdefault(key, label) != label or keys.setdefault(label, key) != key):
            raise DataError(
                f"{listed.where(index)}: label {label} for class {key!r}; rows above give label {labels[key]} to it "
                f"and class {keys.get(label, key)!r} to the label. Labels of two orders are mixed: use the official "
                "list."
            )
    for label in range(len(keys)):
        if label not in keys:
            raise DataError(
                f"{listed.file}: labels reach {max(keys)}, but no row has label {label}; expected every label from 0. "
                "Use the official list."
            )
    return [keys[label] for label in range(len(keys))]


def _entries(listed: ListFile, split: str, keys: list[str]) -> Iterator[official.Entry]:
    labels = {key: label for label, key in enumerate(keys)}
    known_folders: dict[str, tuple[str, str]] = {}
    for index, (path, label) in enumerate(zip(listed.paths, listed.labels, strict=True)):
        folder, _, file = path.rpartition("/")
        known = known_folders.get(folder)
        if known is None:
            known = known_folders[folder] = (class_key(folder), _role(folder, split))
        key, role = known
        if key and labels.get(key) != label:
            if key not in labels:
                raise DataError(
                    f"{listed.where(index)}: class {key!r} is not in the class table of the lists; expected "
                    f"{keys[label]!r} for label {label}. Use the lists of one release."
                )
            raise DataError(
                f"{listed.where(index)}: label {label} for class {key!r}; expected {labels[key]} as in the other "
                "lists. The lists follow different label orders: use those of one release."
            )
        stem = file.rpartition(".")[0] or file
        yield official.Entry(f"{keys[label]}/{stem}", label, keys[label], role, keys[label], file)


def _open_entries(listed: ListFile) -> Iterator[official.Entry]:
    for path, label in zip(listed.paths, listed.labels, strict=True):
        file = path.rpartition("/")[2]
        yield official.Entry(file.rpartition(".")[0] or file, label, "", "open", "", file)


def _role(folder: str, split: str) -> str:
    """Whether a row is of the training or of the validation images of Places365."""
    for part in folder.split("/"):
        if part in _TRAIN_FOLDERS:
            return "train"
        if part in _VAL_FOLDERS:
            return "val"
    return "val" if split == "test" else "train"
