"""A name comes in; the official lists of that data set, verified, lie in a folder afterwards.

The lists of ImageNet-LT and Places-LT were published by Liu et al. (OLTR, CVPR 2019) in a Google Drive folder, those
of iNaturalist 2018 by Kang et al. (Decoupling, ICLR 2020) from the competition's JSON. They are fetched from copies in
public repositories, at a fixed commit, and accepted only with the right content: a SHA-256 where it is known, else
the git object id (SHA-1 over length and content), under which several repositories independently hold the same file.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from openmmlo.errors import DataError, DiskFull, UnknownName
from openmmlo.records import Finding
from openmmlo.sources.inaturalist_json import read_categories
from openmmlo.sources.list_files import Kind, find_list, read_bytes, read_list

TIMEOUT_SECONDS = 60
LARGEST_BYTES = 256 * 2**20

_DECOUPLING = (
    "https://raw.githubusercontent.com/facebookresearch/classifier-balancing/"
    "f162adef63fdf592d0b8a0f6e52bc481fc08785f/data/"
)
_LIFT = "https://raw.githubusercontent.com/shijxcs/LIFT/661ead9b78368f05ba79abe4672d63154467f823/datasets/"
_LFME = "https://raw.githubusercontent.com/xiangly55/LFME/0a18a06ba452c7b0b9781b0e2174decadd4859d1/data/"

OLTR_FOLDER = "https://drive.google.com/drive/folders/1j7Nkfe6ZhzKFXePHdsseeeGI877Xu1yf"
INATURALIST_PAGE = "https://github.com/visipedia/inat_comp/tree/master/2018"


@dataclass(frozen=True, slots=True)
class OfficialList:
    """One official file.

    Attributes:
        name: file name under which it is kept.
        rows: images in it, or classes for a class table.
        sha256: of the content, for each known release; the first is the one that ``urls`` serve.
        git_blob: git object id of the content, where no SHA-256 is known.
        urls: copies, tried in order.
        by_hand: where its authors publish it.
        kind: what its labels may be; None for a class table.
        classes: how many classes the labels tell apart.
    """

    name: str
    rows: int
    urls: tuple[str, ...]
    by_hand: str
    sha256: tuple[str, ...] = ()
    git_blob: str = ""
    kind: Kind | None = "classes"
    classes: int | None = None

    def is_official(self, data: bytes) -> bool:
        """Whether this is the content of a known release, byte for byte."""
        if self.sha256:
            return hashlib.sha256(data).hexdigest() in self.sha256
        header = f"blob {len(data)}\0".encode()
        return hashlib.sha1(header + data, usedforsecurity=False).hexdigest() == self.git_blob


_KNOWN: dict[str, tuple[OfficialList, ...]] = {
    "imagenet-lt": (
        OfficialList(
            "ImageNet_LT_train.txt",
            115_846,
            (f"{_DECOUPLING}ImageNet_LT/ImageNet_LT_train.txt", f"{_LIFT}ImageNet_LT/ImageNet_LT_train.txt"),
            OLTR_FOLDER,
            git_blob="a063f095fcd475db4cf8b0658c4b73955535bbf9",
            classes=1000,
        ),
        OfficialList(
            "ImageNet_LT_val.txt",
            20_000,
            (f"{_DECOUPLING}ImageNet_LT/ImageNet_LT_val.txt", f"{_LIFT}ImageNet_LT/ImageNet_LT_val.txt"),
            OLTR_FOLDER,
            ("9af7ba688acf9532ff5845a8fb14a1e97fdc4c51ac48bc72c08ea9c3f7ff142e",),
            classes=1000,
        ),
        OfficialList(
            "ImageNet_LT_test.txt",
            50_000,
            (f"{_DECOUPLING}ImageNet_LT/ImageNet_LT_test.txt", f"{_LIFT}ImageNet_LT/ImageNet_LT_test.txt"),
            OLTR_FOLDER,
            (
                "d1590191cf8a71fada7b1aaedaa2d139a2aea93ff2f1b755319d0bd8dbaa55d5",
                "358650a8b13930b491559b09a48d05dd3c0d76860dc011995cd1896c1a07fb6d",  # val/<file>
            ),
            classes=1000,
        ),
        OfficialList(
            "ImageNet_LT_open.txt",
            18_000,
            (f"{_LFME}ImageNet_LT/ImageNet_LT_open.txt",),
            OLTR_FOLDER,
            ("20c916a1fe63302c0bd1dda1f282cd4e8719172b485c30e3e9ba45c8278ac987",),
            kind="open",
        ),
    ),
    "places-lt": (
        OfficialList(
            "Places_LT_train.txt",
            62_500,
            (f"{_DECOUPLING}Places_LT/Places_LT_train.txt", f"{_LIFT}Places_LT/Places_LT_train.txt"),
            OLTR_FOLDER,
            (
                "726c4871dcbf07ce2f857703bfe32e9a83ffbf52d704239f6d95c4f4f4c247f7",
                "09410632a22045212fb3231623261e8426ba8dc1887a2b633afeab78ba9c8868",  # data_256/<letter>/<class>/<file>
            ),
            classes=365,
        ),
        OfficialList(
            "Places_LT_val.txt",
            7_300,
            (f"{_DECOUPLING}Places_LT/Places_LT_val.txt", f"{_LIFT}Places_LT/Places_LT_val.txt"),
            OLTR_FOLDER,
            (
                "719e3cf3766c09134ea28f56f1036c78def511ac1ed2c2532a6beef78f2439ba",
                "09cf0e5abf684f946f60b6bf9c526a5ee85d09f555d2c4b9cfaaf22b19d04974",  # data_256/<letter>/<class>/<file>
            ),
            classes=365,
        ),
        OfficialList(
            "Places_LT_test.txt",
            36_500,
            (f"{_DECOUPLING}Places_LT/Places_LT_test.txt", f"{_LIFT}Places_LT/Places_LT_test.txt"),
            OLTR_FOLDER,
            (
                "44eee8441c8098c59195465abede425721bc35525d75209f9433b161a6eb37bc",
                "3c34622e44f036b17c7926b0b6bbdd3d335fa63077409ebb06da68afa7073cd9",  # val_256/<file>
            ),
            classes=365,
        ),
        OfficialList(
            "Places_LT_open.txt",
            6_600,
            (f"{_LFME}Places_LT/Places_LT_open.txt",),
            OLTR_FOLDER,
            ("6e4092987f5b18e817dfd4ac849717e2026ff78615bdba441838d9b07840af59",),
            kind="open",
        ),
    ),
    "inaturalist2018": (
        OfficialList(
            "iNaturalist18_train.txt",
            437_513,
            (f"{_DECOUPLING}iNaturalist18/iNaturalist18_train.txt", f"{_LIFT}iNaturalist18/iNaturalist18_train.txt"),
            INATURALIST_PAGE,
            git_blob="4accdb7584d2f0a5106c40a33ed6afa392189bcc",
            classes=8142,
        ),
        OfficialList(
            "iNaturalist18_val.txt",
            24_426,
            (f"{_DECOUPLING}iNaturalist18/iNaturalist18_val.txt", f"{_LIFT}iNaturalist18/iNaturalist18_val.txt"),
            INATURALIST_PAGE,
            ("efaeff65f80641b60864470e6f255aa69453406ef5717eec8c6681748f3a61f3",),
            classes=8142,
        ),
        OfficialList(
            "iNaturalist18_categories.json",
            8_142,
            (f"{_LIFT}iNaturalist18/categories.json",),
            INATURALIST_PAGE,
            ("9c7adca5cafad83bc015e21dc773580769ef641543c412708a08fd81ea99ceb0",),
            kind=None,
        ),
    ),
}


def known() -> Mapping[str, tuple[OfficialList, ...]]:
    """Source name -> its official files, in the order of its splits."""
    return MappingProxyType(_KNOWN)


def known_rows(file_name: str) -> int | None:
    """How many rows the official file of this name has, ``.gz`` or not; None for a file that is not official."""
    plain = file_name.removesuffix(".gz")
    return next((entry.rows for files in _KNOWN.values() for entry in files if entry.name == plain), None)


def get(name: str, to: Path) -> list[Finding]:
    """Put the official lists of source ``name`` into the folder ``to``; what is there already is kept.

    Each file is written aside, verified and renamed: under its final name it is whole and official.

    Raises:
        UnknownName: no such source.
        DataError: a file that no copy served with the right content; the message says where to get it by hand.
            Every other file is in place by then.
        DiskFull: no space for it.
    """
    if name not in _KNOWN:
        raise UnknownName("source with official lists", name, _KNOWN)
    _make_folder(to)
    findings: list[Finding] = []
    failures: list[str] = []
    for entry in _KNOWN[name]:
        present = find_list([entry.name], [to])
        if present is not None:
            findings.append(_compare(entry, present))
            continue
        reasons = []
        for url in entry.urls:
            reason = _fetch(entry, url, to / entry.name)
            if not reason:
                findings.append(Finding("ok", f"{entry.name}: fetched, {entry.rows:,} rows, content verified"))
                break
            reasons.append(f"{url} ({reason})")
        else:
            failures.append(
                f"{entry.name}: not fetched from {'; '.join(reasons)}. By hand: get it from {entry.by_hand} "
                f"and save it as {to / entry.name}."
            )
    if failures:
        raise DataError("\n".join(failures))
    return findings


def check_lists(folder: Path) -> list[Finding]:
    """Compare the official files in a folder, and in its subfolders named like the sources, with what is known.

    Official content is ok; other content that reads well, or a file that is not there, a warning; a list that cannot
    be used an error with its file and line.
    """
    if not folder.is_dir():
        return [Finding("error", f"no folder {folder}", "name the folder that holds the lists")]
    findings = []
    for name, files in _KNOWN.items():
        for entry in files:
            present = find_list([entry.name], [folder, folder / name])
            if present is None:
                findings.append(Finding("warning", f"{entry.name}: not in {folder}", f"openmmlo lists get {name}"))
            else:
                findings.append(_compare(entry, present))
    return findings


def _compare(entry: OfficialList, file: Path) -> Finding:
    try:
        data = read_bytes(file)
        if entry.is_official(data):
            return Finding("ok", f"{file.name}: the official content, {entry.rows:,} rows")
        if entry.kind is None:
            rows = len(read_categories(file))
            return _other(file, f"{rows:,} classes; the official file has {entry.rows:,}")
        listed = read_list(file, entry.kind, entry.classes)
    except DataError as error:
        return Finding("error", str(error), f"delete {file.name}, then fetch it again")
    found = f"{len(listed):,} rows" + (f", {len(set(listed.labels)):,} classes" if entry.kind == "classes" else "")
    return _other(file, f"{found}; the official list has {entry.rows:,} rows")


def _other(file: Path, counts: str) -> Finding:
    return Finding(
        "warning",
        f"{file.name}: not the content of a known release ({counts})",
        "keep it if it is yours; to have the official one, delete it and fetch again",
    )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be made a folder for lists ({error.strerror or error}). Name another folder."
        ) from error


def _fetch(entry: OfficialList, url: str, target: Path) -> str:
    """Download one copy to ``target`` if its content is right; else say what was wrong."""
    try:
        data = _download(url)
    except urllib.error.HTTPError as error:
        return f"HTTP {error.code}"
    except (http.client.HTTPException, OSError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        return str(reason) or type(error).__name__
    if len(data) > LARGEST_BYTES:
        return f"more than {LARGEST_BYTES:,} bytes"
    if not entry.is_official(data):
        return f"{len(data):,} bytes, but not the official content: SHA-256 {hashlib.sha256(data).hexdigest()}"
    _write(data, target)
    return ""


def _download(url: str) -> bytes:
    request = urllib.request.Request(url, headers={"User-Agent": "openmmlo"})
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
        data: bytes = answer.read(LARGEST_BYTES + 1)
        promised = answer.headers.get("Content-Length")
    if promised is not None and promised.isdigit() and len(data) < min(int(promised), LARGEST_BYTES):
        raise http.client.IncompleteRead(data, int(promised) - len(data))
    return data


def _write(data: bytes, target: Path) -> None:
    """Write aside, then rename."""
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"No space left for {target}. Free some, then run the command again.") from error
        raise DataError(f"{target}: cannot be written ({error.strerror or error}). Name another folder.") from error
