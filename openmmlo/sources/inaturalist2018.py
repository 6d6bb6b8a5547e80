"""iNaturalist 2018: the official lists or JSON files and the images come in, Samples go out.

Lists ``iNaturalist18_{train,val}.txt`` (Kang et al., ICLR 2020) or the competition's ``train2018.json`` and
``val2018.json`` (Van Horn et al., CVPR 2018), as published or unpacked; species names from ``categories.json`` (also
``iNaturalist18_categories.json``): in ``--lists``, or under OPENMMLO_DATA in ``lists/inaturalist2018``, ``lists`` or
``iNaturalist18``, or beside the images.

Images in ``--images``, or under OPENMMLO_DATA in ``inaturalist2018`` (also ``iNaturalist18``, ``inat2018``), as
train_val2018.tar.gz unpacks: ``train_val2018/<group>/<category id>/<file>``.

The data set circulates in several label orders: category id; species name; category id sorted as text ("folder");
group and id sorted as text ("path"). The paths carry the category id, so the order of a list is recognised, and lists
that mix orders are refused. Each photograph has its own licence; the competition grants non-commercial research use.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Literal

from openmmlo.errors import DataError
from openmmlo.records import ClassInfo, DatasetInfo, Finding, Sample
from openmmlo.sources import official
from openmmlo.sources.files import FileImage
from openmmlo.sources.inaturalist_json import Category, read_annotations, read_categories, read_common_names
from openmmlo.sources.list_files import ListFile, find_list, read_list

CLASSES = 8142

LabelOrder = Literal["auto", "category-id", "species", "folder", "path"]

_CATEGORIES = ("categories.json", "iNaturalist18_categories.json", "categories.json.tar.gz", "categories.json.tar")

_ANNOTATIONS = tuple(f"{split}2018.json{ending}" for split in ("val", "train") for ending in ("", ".tar.gz", ".tar"))

HOME = official.Home(
    lists={
        split: (f"iNaturalist18_{split}.txt", f"{split}2018.json", f"{split}2018.json.tar.gz", f"{split}2018.json.tar")
        for split in ("train", "val")
    },
    list_folders=("inaturalist2018", "iNaturalist18"),
    image_folders=("inaturalist2018", "iNaturalist18", "inat2018", "iNat18", "inaturalist-2018", "iNaturalist2018"),
    layouts={
        "train": (
            "train_val2018/{folder}", "{folder}", "2018/{folder}", "images/{folder}",
            "train_val2018/train_val2018/{folder}", "images/train_val2018/{folder}",
        )
    },
    archives={
        "train": "Archive train_val2018.tar.gz (https://github.com/visipedia/inat_comp/tree/master/2018), unpacked so "
        "that DIR/train_val2018/<group>/<category id>/ holds the images."
    },
)  # fmt: skip


@dataclass(frozen=True)
class INaturalist2018:
    """iNaturalist 2018: 8,142 species; its validation list serves as test set.

    Args:
        images: folder with ``train_val2018``.
        lists: folder with the lists or JSON files.
        label_order: what the labels of the lists are; ``auto`` recognises it by the category ids in the paths.
        common_names: CSV of scientific name or category id, then common names.
        follow_links: also read files that are links out of their root.
    """

    images: Path | None = None
    lists: Path | None = None
    label_order: LabelOrder = "auto"
    common_names: Path | None = None
    follow_links: bool = False
    name: str = field(default="inaturalist2018", init=False)
    open_images: ClassVar[Path | None] = None
    home: ClassVar[official.Home] = HOME

    def info(self) -> DatasetInfo:
        categories = self._categories()
        lists = {split: listed for split in self.splits() if (listed := self._read(split, categories)) is not None}
        order = self._order(list(lists.values()), categories)
        train_counts = None
        if "train" in lists:
            counts = Counter(lists["train"].labels)
            train_counts = tuple(counts[label] for label in range(_size(categories)))
        return DatasetInfo(
            name=self.name,
            version=f"2018 competition, labels by {order}",
            licence="images: each under its photographer's licence; competition terms, non-commercial research only",
            classes=self._classes(order, categories),
            train_counts=train_counts,
            homepage="https://github.com/visipedia/inat_comp/tree/master/2018",
            citation="Van Horn et al., The iNaturalist Species Classification and Detection Dataset, CVPR 2018",
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
        findings = official.check(self, splits, look)
        try:
            categories = self._categories()
            self._common_names(categories)
            chosen = splits or self.splits()
            lists = [listed for split in chosen if (listed := self._read(split, categories)) is not None]
            if lists:
                findings.append(Finding("ok", f"labels by {self._order(lists, categories)}"))
        except DataError as error:
            known = any(str(error) == finding.what for finding in findings)
            return findings if known else [*findings, Finding("error", str(error))]
        if not any(category.name for category in categories):
            findings.append(
                Finding(
                    "warning",
                    f"{self.name}: no species names at hand, so captions cannot be masked",
                    "fetch categories.json with 'openmmlo lists get inaturalist2018'",
                )
            )
        return findings

    def entries(self, split: str) -> list[official.Entry]:
        """Every row of a split, validated; its label order is that of every list at hand."""
        official.need_list(self, split)
        categories = self._categories()
        listed = self._read(split, categories)
        others = [self._read(other, categories) for other in self.splits() if other != split]
        lists = [each for each in (listed, *others) if each is not None]
        self._order(lists, categories)
        return official.without_repeats(_entries(lists[0]), lists[0])

    def fields(self, folder: str) -> Mapping[str, str]:
        """Values for the templates of HOME: group and category id."""
        return {"folder": folder}

    def _read(self, split: str, categories: tuple[Category, ...]) -> ListFile | None:
        file = official.list_file(self, split)
        if file is None:
            return None
        if ".json" in file.name:
            return self._in_this_order(read_annotations(file), categories)
        return read_list(file, "classes", _size(categories))

    def _in_this_order(self, listed: ListFile, categories: tuple[Category, ...]) -> ListFile:
        """Annotations carry category ids; another order that was asked for is applied to them."""
        if self.label_order in ("auto", "category-id"):
            return listed
        places = {key: label for label, key in enumerate(self._keys(self.label_order, categories))}
        missing = next((i for i, label in enumerate(listed.labels) if str(label) not in places), None)
        if missing is not None:
            raise DataError(f"{listed.where(missing)}: category {listed.labels[missing]} is not in the class table.")
        return replace(listed, labels=[places[str(label)] for label in listed.labels])

    def _categories(self) -> tuple[Category, ...]:
        """(C,) by category id; empty where no class table is at hand."""
        folders = official.list_folders(self)
        file = find_list(_CATEGORIES, folders) or find_list(_ANNOTATIONS, folders)
        return () if file is None else read_categories(file)

    def _common_names(self, categories: tuple[Category, ...]) -> dict[str, tuple[str, ...]]:
        if self.common_names is None:
            return {}
        names = {str(i): categories[i].name if categories else "" for i in range(_size(categories))}
        return read_common_names(self.common_names.expanduser(), names)

    def _classes(self, order: LabelOrder, categories: tuple[Category, ...]) -> tuple[ClassInfo, ...]:
        common = self._common_names(categories)
        classes = []
        for key in self._keys(order, categories):
            name = (categories[int(key)].name if categories else "") or key
            names = (name, *_abbreviated(name), *common.get(key, ()))
            groups = (categories[int(key)].group,) if categories and categories[int(key)].group else ()
            classes.append(ClassInfo(key, name, tuple(dict.fromkeys(names)), groups))
        return tuple(classes)

    def _keys(self, order: LabelOrder, categories: tuple[Category, ...]) -> list[str]:
        """(C,) category ids in the order of the labels; raises DataError where the species are not known."""
        orders = _orders(categories)
        if order not in orders:
            raise DataError(
                f"{self.name}: the label order {order!r} needs the class table with species and groups; expected "
                "categories.json beside the lists. Fetch it with 'openmmlo lists get inaturalist2018'."
            )
        return orders[order]

    def _order(self, lists: list[ListFile], categories: tuple[Category, ...]) -> LabelOrder:
        """The one order that all these lists follow. Raises DataError where there is none, or no telling."""
        if self.label_order != "auto":
            wanted: dict[LabelOrder, list[str]] = {self.label_order: self._keys(self.label_order, categories)}
        else:
            wanted = _orders(categories)
        possible = list(wanted)
        for listed in lists:
            fitting = _fitting(listed, wanted, bool(categories))
            both = [order for order in possible if order in fitting]
            if not both:
                raise DataError(
                    f"{listed.file}: labels follow the order {fitting[0]!r}, those of {lists[0].file} the order "
                    f"{possible[0]!r}; expected one order. Use the lists of one release."
                )
            possible = both
        if len(possible) > 1 and possible[0] != "category-id":
            raise DataError(
                f"{self.name}: the labels fit the orders {' and '.join(possible)} alike. Say which it is: "
                f"--set label_order={possible[0]}."
            )
        return possible[0]


def _size(categories: tuple[Category, ...]) -> int:
    return len(categories) or CLASSES


def _abbreviated(name: str) -> tuple[str, ...]:
    """ "H. carunculata" for "Hermodice carunculata"."""
    genus, _, species = name.partition(" ")
    return (f"{genus[0]}. {species}",) if species and genus[0].isupper() else ()


def _orders(categories: tuple[Category, ...]) -> dict[LabelOrder, list[str]]:
    """Label order -> (C,) category ids; the orders by species and by path only where the table tells them."""
    keys = [str(i) for i in range(_size(categories))]
    orders: dict[LabelOrder, list[str]] = {"category-id": keys}
    if categories and all(category.name for category in categories):
        orders["species"] = sorted(keys, key=lambda key: categories[int(key)].name)
    orders["folder"] = sorted(keys)
    if categories and all(category.group for category in categories):
        orders["path"] = sorted(keys, key=lambda key: f"{categories[int(key)].group}/{key}")
    return orders


def _fitting(listed: ListFile, orders: dict[LabelOrder, list[str]], complete: bool) -> list[LabelOrder]:
    """Orders that every row of a list fits. Raises DataError at the row where the last one ends to fit."""
    places: dict[LabelOrder, dict[str, int]] = {
        order: {key: label for label, key in enumerate(keys)} for order, keys in orders.items()
    }
    known = next(iter(places.values()))
    only = known if len(places) == 1 else None
    for index, (path, label) in enumerate(zip(listed.paths, listed.labels, strict=True)):
        key = path.rpartition("/")[0].rpartition("/")[2]
        if key not in known:
            raise DataError(
                f"{listed.where(index)}: folder {key!r} is no category id; expected train_val2018/<group>/<category "
                f"id>/<file> with an id from 0 to {len(known) - 1}. Use the official list."
            )
        if only[key] != label if only else any(place[key] != label for place in places.values()):
            left = {order: place for order, place in places.items() if place[key] == label}
            if not left:
                expected = " or ".join(f"{place[key]} (by {order})" for order, place in places.items())
                hint = "" if complete else " (orders by species are only known with categories.json beside the lists)"
                raise DataError(
                    f"{listed.where(index)}: label {label} for category {key}; expected {expected}. No label order "
                    f"fits every row up to here{hint}. Use the official list."
                )
            places = left
            only = next(iter(places.values())) if len(places) == 1 else None
    return list(places)


def _entries(listed: ListFile) -> Iterator[official.Entry]:
    known: dict[str, tuple[str, str]] = {}
    for path, label in zip(listed.paths, listed.labels, strict=True):
        parent, _, file = path.rpartition("/")
        if parent not in known:
            parts = parent.split("/")
            known[parent] = (parts[-1], "/".join(parts[-2:]))
        key, folder = known[parent]
        yield official.Entry(file.rpartition(".")[0] or file, label, key, "train", folder, file)
