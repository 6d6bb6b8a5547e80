"""What the official data sets share: where lists and images are looked for, and how rows become Samples.

A row of a list is first brought to a form without any folder layout (an Entry); its file is then looked up in every
known layout. Ids, class keys and the locator of a missing image are therefore the same whichever release of a list,
and whichever layout of the images, a user has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from openmmlo.errors import DataError, UnknownName
from openmmlo.records import Finding, Sample, Status
from openmmlo.sources import data_root
from openmmlo.sources.files import FileImage, FolderIndex
from openmmlo.sources.list_files import ListFile, count_rows, find_list
from openmmlo.sources.official_lists import known_rows

OPEN = "open/"
"""What locators of open-set images begin with: it stands for their own root."""


class Entry(NamedTuple):
    """One row, free of layout. ``role`` names the layouts its file may be in, ``folder`` what tells them apart."""

    sample_id: str
    label: int
    class_key: str
    role: str
    folder: str
    file: str


@dataclass(frozen=True)
class Home:
    """Where an official data set is found.

    Attributes:
        lists: split -> accepted list files, the official name first.
        list_folders: folders that may hold the lists, under the lists folder, the data root or the image root.
        image_folders: folders under the data root that may hold the images.
        open_folders: folders that may hold the open-set images, under the image root or the data root.
        layouts: role -> folder templates, the canonical one first. Their fields come from ``fields``.
        archives: role -> which archive holds these images and how it should lie.
    """

    lists: Mapping[str, tuple[str, ...]]
    list_folders: tuple[str, ...]
    image_folders: tuple[str, ...]
    layouts: Mapping[str, tuple[str, ...]]
    archives: Mapping[str, str]
    open_folders: tuple[str, ...] = ()


class OfficialSource(Protocol):
    """What the functions here ask of a source, besides what every source has."""

    @property
    def name(self) -> str: ...
    @property
    def images(self) -> Path | None: ...
    @property
    def lists(self) -> Path | None: ...
    @property
    def open_images(self) -> Path | None: ...
    @property
    def follow_links(self) -> bool: ...
    @property
    def home(self) -> Home: ...

    def splits(self) -> tuple[str, ...]: ...

    def entries(self, split: str) -> list[Entry]:
        """Every row of a split, validated. Raises DataError for the first that is wrong."""
        ...

    def fields(self, folder: str) -> Mapping[str, str]:
        """Values for the fields of the folder templates."""
        ...


def image_root(source: OfficialSource) -> Path | None:
    """The image root: the option, else the first folder under the data root that exists."""
    if source.images is not None:
        return source.images.expanduser()
    root = data_root()
    return _first_folder([root / name for name in source.home.image_folders] if root else [])


def open_root(source: OfficialSource) -> Path | None:
    """The root of the open-set images: the option, else a known folder under the image root or the data root."""
    if source.open_images is not None:
        return source.open_images.expanduser()
    roots = [root for root in (image_root(source), data_root()) if root is not None]
    return _first_folder([root / name for root in roots for name in source.home.open_folders])


def list_folders(source: OfficialSource) -> list[Path]:
    """Folders in which lists are looked for, in order."""
    names = source.home.list_folders
    if source.lists is not None:
        base = source.lists.expanduser()
        return [base, *(base / name for name in names)]
    folders = []
    root, images = data_root(), image_root(source)
    if root is not None:
        folders += [root / "lists" / name for name in names] + [root / "lists"] + [root / name for name in names]
    if images is not None:
        folders += [images, *(images / name for name in names)]
    return list(dict.fromkeys(folders))


def known_split(source: OfficialSource, split: str) -> str:
    """The split, if this source has it. Raises UnknownName."""
    if split not in source.home.lists:
        raise UnknownName(f"split of {source.name}", split, source.home.lists)
    return split


def list_file(source: OfficialSource, split: str) -> Path | None:
    """The list of a split, or None where it is not at hand."""
    return find_list(source.home.lists[known_split(source, split)], list_folders(source))


def need_list(source: OfficialSource, split: str) -> Path:
    """The list of a split. Raises DataError, naming the file and every folder searched."""
    found = list_file(source, split)
    if found is None:
        raise DataError(" ".join(_missing_list(source, split)))
    return found


def _missing_list(source: OfficialSource, split: str) -> tuple[str, str]:
    folders = ", ".join(str(folder) for folder in list_folders(source))
    return (
        f"{source.name}: no list {source.home.lists[split][0]} for split {split!r}. "
        f"Searched: {folders or 'nothing (no --lists, no --images, and OPENMMLO_DATA is not set)'}.",
        f"Fetch it with 'openmmlo lists get {source.name}', name its folder with --lists, or leave this split out "
        "with --split.",
    )


def without_repeats(entries: Iterable[Entry], listed: ListFile) -> list[Entry]:
    """All entries. Raises DataError at the first row that repeats an id."""
    result: list[Entry] = []
    seen: set[str] = set()
    for entry in entries:
        if entry.sample_id in seen:
            index = len(result)
            first = next(i for i, other in enumerate(result) if other.sample_id == entry.sample_id)
            raise DataError(
                f"{listed.where(index)}: repeats the image {entry.sample_id!r} of {listed.where(first)}; expected "
                "each image once. Remove one of the two."
            )
        seen.add(entry.sample_id)
        result.append(entry)
    return result


@dataclass(frozen=True, slots=True)
class _Places:
    """Where the files of one folder may be: the canonical place, then (place, layout, names) of those that exist."""

    canonical: str
    prefix: str
    index: FolderIndex | None
    present: Sequence[tuple[str, str, Mapping[str, bool]]]


@dataclass
class Finder:
    """Finds the files of entries in whichever layout they are, listing each folder once."""

    source: OfficialSource
    _indexes: dict[bool, FolderIndex | None] = field(default_factory=dict, init=False)
    _places: dict[tuple[str, str], _Places] = field(default_factory=dict, init=False)

    def root(self, role: str) -> Path | None:
        """Where images of this role are looked for; None where nothing says."""
        index = self._index(role == "open")
        return None if index is None else index.root

    def find(self, entry: Entry) -> tuple[str, Status | None, str]:
        """Locator, problem and layout of an entry's file; the canonical locator where there is none."""
        key = (entry.role, entry.folder)
        places = self._places.get(key) or self._look(key)
        problem = Status.MISSING
        for place, layout, names in places.present:
            if names and entry.file not in names:
                continue
            found = places.index.problem(place + entry.file) if places.index else Status.MISSING
            if found in (None, Status.LINK):
                return places.prefix + place + entry.file, found, layout
            problem = found or problem
        return places.prefix + places.canonical + entry.file, problem, ""

    def _index(self, is_open: bool) -> FolderIndex | None:
        if is_open not in self._indexes:
            root = open_root(self.source) if is_open else image_root(self.source)
            self._indexes[is_open] = None if root is None else FolderIndex(root, self.source.follow_links)
        return self._indexes[is_open]

    def _look(self, key: tuple[str, str]) -> _Places:
        role, folder = key
        index, values = self._index(role == "open"), self.source.fields(folder)
        layouts: dict[str, str] = {}
        for template in self.source.home.layouts[role]:
            layouts.setdefault(template.format(**values), template)
        slashed = {path: f"{path}/" if path else "" for path in layouts}
        present = []
        for path, layout in layouts.items():
            names = index.folder(path) if index else None
            if names is not None:
                present.append((slashed[path], layout, names))
        prefix = OPEN if role == "open" else ""
        self._places[key] = _Places(next(iter(slashed.values())), prefix, index, present)
        return self._places[key]


_NO_ROOT = Path("no-image-folder-given")


def samples(source: OfficialSource, split: str) -> Iterator[Sample]:
    """Samples in list order, with a problem where the file is not there. The whole list is validated on this call."""
    return _samples(source, split, source.entries(split))


def _samples(source: OfficialSource, split: str, entries: list[Entry]) -> Iterator[Sample]:
    finder = Finder(source)
    roots = {is_open: finder.root("open" if is_open else "train") or _NO_ROOT for is_open in (False, True)}
    for entry in entries:
        locator, problem, _ = finder.find(entry)
        is_open = entry.role == "open"
        image = FileImage(roots[is_open], locator, OPEN if is_open else "")
        yield Sample(entry.sample_id, image, entry.label, split, source.name, entry.class_key, problem)


def image(source: OfficialSource, locator: str) -> FileImage:
    """The file behind a locator that ``samples`` gave."""
    if locator.startswith(OPEN) and "open" in source.home.layouts:
        return FileImage(open_root(source) or _NO_ROOT, locator, OPEN)
    return FileImage(image_root(source) or _NO_ROOT, locator)


def check(source: OfficialSource, splits: tuple[str, ...], look: bool) -> list[Finding]:
    """What was found and what is missing, split by split; without ``look`` only whether lists and roots are there."""
    findings: list[Finding] = []
    finder = Finder(source)
    owners: dict[str, str] = {}
    for split in splits or source.splits():
        file = list_file(source, split)
        if file is None:
            findings.append(Finding("error", *_missing_list(source, split)))
            continue
        if not look:
            if ".json" not in file.name:
                findings.append(_rows(split, file, count_rows(file)))
            findings.extend(_no_root(source, split, finder))
            continue
        try:
            entries = source.entries(split)
        except DataError as error:
            findings.append(Finding("error", str(error), "correct the list, or fetch the official one"))
            continue
        findings.append(_rows(split, file, len(entries)))
        shared = [entry.sample_id for entry in entries if owners.setdefault(entry.sample_id, split) != split]
        if shared:
            findings.append(
                Finding(
                    "error",
                    f"{split}: {len(shared):,} images are also in {owners[shared[0]]!r}, for example {shared[0]!r}",
                    "use the lists of one release",
                )
            )
        findings.extend(_images(source, split, entries, finder))
    return findings


def _rows(split: str, file: Path, count: int) -> Finding:
    expected = known_rows(file.name)
    if expected is None or expected == count:
        return Finding("ok", f"{split}: {count:,} rows in {file}")
    return Finding(
        "warning",
        f"{split}: {count:,} rows in {file}; the official list has {expected:,}",
        "fetch the official list, unless this one is meant",
    )


def _no_root(source: OfficialSource, split: str, finder: Finder) -> list[Finding]:
    """An error where nothing says in which folder the images of a split lie, or that folder is not there."""
    role = "open" if split == "open" else "train"
    root = finder.root(role)
    archives = " ".join(text for key, text in source.home.archives.items() if (key == "open") == (role == "open"))
    if root is not None:
        return [] if root.is_dir() else [Finding("error", f"{split}: there is no folder {root}", archives)]
    option = "--open-images DIR" if role == "open" else "--images DIR"
    where = "its own folder" if role == "open" else "a folder"
    names = source.home.open_folders if role == "open" else source.home.image_folders
    what = f"{split}: no folder of images. {source.name} needs {where}: {option}, or one of {', '.join(names)}"
    return [Finding("error", f"{what} under OPENMMLO_DATA", archives)]


def _images(source: OfficialSource, split: str, entries: list[Entry], finder: Finder) -> list[Finding]:
    role = entries[0].role
    archive = source.home.archives[role]
    root = finder.root(role)
    if root is None or not root.is_dir():
        return _no_root(source, split, finder)
    layouts: Counter[str] = Counter()
    problems: Counter[Status] = Counter()
    for entry in entries:
        _, problem, layout = finder.find(entry)
        if problem is None:
            layouts[layout] += 1
        else:
            problems[problem] += 1
    found, total = layouts.total(), len(entries)
    kinds = ", ".join(f"{_readable(layout) or '.'}/" for layout, _ in layouts.most_common())
    what = f"{split}: {found:,} of {total:,} images found under {root}" + (f" in {kinds}" if kinds else "")
    findings = []
    if found == total:
        findings.append(Finding("ok", what))
    elif found == 0 and not problems[Status.LINK]:
        findings.append(Finding("error", what, archive))
    elif problems[Status.MISSING]:
        remedy = f"{archive} To go on without them, --allow-missing turns them into error rows."
        missing = f"{what}; {problems[Status.MISSING]:,} missing"
        findings.append(Finding("error", missing, remedy, allowable=True))
    if problems[Status.LINK]:
        findings.append(
            Finding(
                "warning" if found else "error",
                f"{split}: {problems[Status.LINK]:,} images are reached by links that leave {root}",
                "add --follow-links if you trust them; folders directly under the root may be links in any case",
            )
        )
    if problems[Status.UNREADABLE]:
        findings.append(
            Finding(
                "warning" if found else "error",
                f"{split}: {problems[Status.UNREADABLE]:,} images are in folders that may not be listed",
                "change the permissions of those folders",
            )
        )
    return findings


def _readable(layout: str) -> str:
    """A folder template as people write it: ``train/<class>``."""
    for name, shown in (("dash", "class"), ("slash", "class"), ("wnid", "wnid"), ("folder", "group>/<id")):
        layout = layout.replace(f"{{{name}}}", f"<{shown}>")
    return layout.replace("{letter}", "<letter>")


def _first_folder(folders: Iterable[Path]) -> Path | None:
    return next((folder for folder in folders if folder.is_dir()), None)
